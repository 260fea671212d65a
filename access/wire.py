"""The server's side of a connection, as far as a response needs it: to cut off a client that does not read, and to end
a stream that has no end of its own when the server ends.

ASGI has no words for either. To close politely would wait for the client to read what it is being sent, for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION = "penstock.transport"
_ENDLESS = "endless"


class Wire(HttpToolsProtocol):
    """uvicorn's own protocol, which also shows its transport to the application."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"transport": self.transport}}

    def shutdown(self) -> None:
        super().shutdown()
        if not self.transport.is_closing() and _shown(self.scope).get(_ENDLESS):
            self.transport.close()


def end_with_server(scope: Scope) -> None:
    """Do not wait for the end of a response when the server shuts down: its client comes back, to another process."""
    _shown(scope)[_ENDLESS] = True


def cut(scope: Scope) -> None:
    """Break the connection off, and drop what was not sent yet. Does nothing on a server that is not ours."""
    if (transport := _shown(scope).get("transport")) is not None:
        cast(asyncio.Transport, transport).abort()


def _shown(scope: Any) -> dict[str, Any]:
    """What the server shows of a connection; a throw-away on a server that is not ours."""
    return (scope.get("extensions") or {}).get(_EXTENSION, {})
