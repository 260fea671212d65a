"""Which running Penstock a command talks to, and with which key."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from penstock.errors import CommandError
from penstock.folder import DataFolder

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Target:
    """``url`` is ``http://host:port`` of an access process."""

    url: str
    key: str


def find(url: str | None, data: Path) -> Target:
    """``--url``, else what ``run.json`` of the data folder says, else port 8000 here.

    Raises:
        CommandError: no key is known.
    """
    folder = DataFolder(data)
    key = os.environ.get("PENSTOCK_API_KEY") or folder.stored_api_key()
    if not key:
        raise CommandError(
            f"No API key: set PENSTOCK_API_KEY, or name the folder of 'penstock up' with --data ({data})."
        )
    return Target((url or _listed(folder) or DEFAULT_URL).rstrip("/"), key)


def get(target: Target, path: str) -> Any:
    """The JSON that a GET of ``path`` brings. Raises as ``send``."""
    return send(target, "GET", path)


def send(
    target: Target, method: str, path: str, body: dict[str, Any] | None = None, *, patience_seconds: float = 10
) -> Any:
    """The JSON that a request brings; ``body`` is sent as JSON, if there is one.

    Raises:
        CommandError: nobody answers, or the answer is an error; says which.
    """
    headers = {"Authorization": f"Bearer {target.key}"}
    try:
        response = httpx2.request(method, target.url + path, headers=headers, json=body, timeout=patience_seconds)
    except httpx2.HTTPError as error:
        raise CommandError(
            f"Nothing answers at {target.url} ({error}). Start it with 'penstock up', or use --url."
        ) from error
    answer = response.json()
    if response.is_error:
        raise CommandError(answer["error"]["message"])
    return answer


def _listed(folder: DataFolder) -> str | None:
    ports = [child.port for child in folder.running() if child.name.startswith("access-")]
    return f"http://127.0.0.1:{ports[0]}" if ports else None
