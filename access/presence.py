"""Whether the client is still there. The framework does not say; the connection does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.types import Receive

from contracts.errors import CallerError

T = TypeVar("T")


class ClientLeft(CallerError):
    """Nobody reads the answer to this any more."""

    default_code = "client_left"


async def until_left(receive: Receive) -> None:
    """Return when the client has left; its body has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_present(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do ``work`` for as long as the client waits for it; cancel it when the client leaves.

    Raises:
        ClientLeft: it left before the work was done.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(until_left(request.receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeft("The client left before the answer was complete.")
        return working.result()
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.wait((working, leaving))
