"""``penstock deadletters``: requests that were given up, over the admin routes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from rich.table import Table

from penstock import target
from penstock.target import Target

ROUTE = "/admin/deadletters"
ID_LENGTH = 35


def newest(at: Target) -> Table:
    """A row per letter, newest first; nothing of what was asked."""
    return table(target.get(at, ROUTE)["data"])


def show(at: Target, request_id: str) -> str:
    """One letter with its whole request, as JSON."""
    return json.dumps(target.get(at, _route(request_id)), indent=2, ensure_ascii=False)


def requeue(at: Target, request_id: str) -> str:
    """Run the request again; returns its new id."""
    return str(target.send(at, "POST", f"{_route(request_id)}/requeue")["request"])


def drop(at: Target, request_id: str) -> None:
    """Forget a letter."""
    target.send(at, "DELETE", _route(request_id))


def table(letters: list[dict[str, Any]]) -> Table:
    """What ``newest`` shows."""
    made = Table(title="Dead letters", title_justify="left")
    made.add_column("request", min_width=ID_LENGTH)  # to be copied
    for column in ("given up", "tenant", "model", "deaths", "why", "last engine error"):
        made.add_column(column)
    for letter in letters:
        at = datetime.fromtimestamp(letter["at"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        made.add_row(
            letter["id"],
            at,
            letter["tenant"],
            letter["model"],
            str(letter["deaths"]),
            letter["why"],
            letter["error"] or "–",
        )
    return made


def _route(request_id: str) -> str:
    return f"{ROUTE}/{quote(request_id, safe='')}"
