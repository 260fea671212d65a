"""A program of ours that takes orders: one line of JSON in, one line of JSON out. It ends when its input does."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.stack import ROOT


class Helper:
    """The giver of orders. One order is under way at a time; the others wait their turn."""

    def __init__(self, process: asyncio.subprocess.Process):
        self._process = process
        self._turn = asyncio.Lock()

    @classmethod
    async def start(cls, module: str, *arguments: str, log: Path) -> Helper:
        """Run ``module``; what it says besides its answers goes to ``log``."""
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, *arguments),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
            )
        return cls(process)

    async def ask(self, **order: Any) -> Any:
        """Give one order and wait for its answer.

        Raises:
            ConnectionError: the helper has ended.
        """
        async with self._turn:
            assert self._process.stdin
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            return await self.answer()

    async def answer(self) -> Any:
        """What it says next; for those that speak first."""
        assert self._process.stdout
        line = await self._process.stdout.readline()
        if not line:
            raise ConnectionError(f"a helper ended with {await self._process.wait()}")
        return json.loads(line)

    async def stop(self) -> None:
        """Close its input, and wait for its end."""
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()
