"""``penstock users``: erasing all of a user, over the admin route."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from rich.table import Table

from penstock import target
from penstock.target import Target

ROUTE = "/admin/users"
PATIENCE_SECONDS = 300.0


def erase(at: Target, tenant: str, user: str) -> dict[str, Any]:
    """Erase a user; what there was and what remains, as the route says it."""
    named = urlencode({"tenant": tenant, "user": user})
    return target.send(at, "DELETE", f"{ROUTE}?{named}", patience_seconds=PATIENCE_SECONDS)


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """What was erased, a row per kind; then what remains."""
    erased = Table("kind", "erased", title=f"{found['user']} of {found['tenant']}", title_justify="left")
    for kind, count in found["erased"].items():
        erased.add_row(kind.replace("_", " "), f"{count:,}")
    yield erased
    remains = Table("what", "why", title="What remains", title_justify="left")
    for row in found["remains"]:
        remains.add_row(row["what"], row["why"])
    yield remains
