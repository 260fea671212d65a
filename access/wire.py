"""The server's side of a connection, as far as a response needs it: to cut off a client that does not read.

ASGI has no word for it. To close politely would wait for the client to read what it is being sent, for ever.
"""

from __future__ import annotations

import asyncio
from typing import cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION = "penstock.transport"


class Wire(HttpToolsProtocol):
    """uvicorn's own protocol, which also shows its transport to the application."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"transport": self.transport}}


def cut(scope: Scope) -> None:
    """Break the connection off, and drop what was not sent yet. Does nothing on a server that is not ours."""
    shown = scope.get("extensions", {}).get(_EXTENSION)
    if shown is not None:
        cast(asyncio.Transport, shown["transport"]).abort()
