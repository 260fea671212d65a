"""Side tasks: what runs beside the work, for as long as the process does."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any


async def for_ever(name: str, side: Coroutine[Any, Any, None]) -> None:
    """Run a side task that must not end by itself.

    Raises:
        RuntimeError: it did; the process must be started anew.
    """
    await side
    raise RuntimeError(f"the side task {name} ended")
