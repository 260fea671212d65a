"""Redis, or Valkey, as a process that can be killed, hung, and robbed of its last seconds."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from random import Random

from penstock import embedded_redis
from tests.chaos.plan import EVERYSEC_LOSS
from tests.servers import free_port

SAMPLE_SECONDS = 0.05
_NOT_WITHOUT_US = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: it ends with whoever has started it
os.execv(sys.argv[1], sys.argv[1:])
"""


class Store:
    """One server on a loopback port, with its append-only file in ``folder``, started as ``penstock up`` starts it."""

    def __init__(self, binary: str, folder: Path):
        self.port = free_port()
        self.restarts: list[float] = []
        self._binary = binary
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._sizes: deque[tuple[float, Path, int]] = deque(maxlen=int(2 * EVERYSEC_LOSS / SAMPLE_SECONDS))

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Start on what is on the disk, and wait until it answers."""
        began = time.monotonic()
        await asyncio.to_thread(embedded_redis.repair, self._binary, self._folder)
        self._process = self._launched()
        while not await self._answers():
            assert self._process.poll() is None, f"Redis does not start, see {self._folder}/redis.log"
            await asyncio.sleep(0.02)
        self.restarts.append(time.monotonic() - began)

    async def kill(self, down_seconds: float) -> None:
        """As the kernel kills it: what it has written to its file is in the file."""
        await self._end(signal.SIGKILL)
        await asyncio.sleep(down_seconds)
        await self.start()

    async def lose_power(self, random: Random, down_seconds: float) -> None:
        """As if the machine had lost power: the end of the append-only file never reached the disk."""
        await self._end(signal.SIGKILL)
        file, size = self._as_of(time.monotonic() - random.uniform(0.1, EVERYSEC_LOSS))
        os.truncate(file, max(0, size - random.randrange(200)))  # in the middle of a command, mostly
        self._sizes.clear()
        await asyncio.sleep(down_seconds)
        await self.start()

    async def hang(self, seconds: float) -> None:
        """It holds all its connections and answers none."""
        self._signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._signal(signal.SIGCONT)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def sample(self) -> None:
        """Note how long the append-only file is, for ever: what is newer than a moment can then be cut off."""
        while True:
            if (file := self._tail()) is not None:
                self._sizes.append((time.monotonic(), file, file.stat().st_size))
            await asyncio.sleep(SAMPLE_SECONDS)

    def _launched(self) -> subprocess.Popen[bytes]:
        with (self._folder / "redis.log").open("ab") as log:
            command = embedded_redis.command(self._binary, self._folder, self.port)
            return subprocess.Popen([sys.executable, "-ISc", _NOT_WITHOUT_US, *command], stdout=log, stderr=log)

    def _as_of(self, moment: float) -> tuple[Path, int]:
        """The file that is written to, and its length at ``moment``, or at its first sample if it is younger."""
        file = self._tail()
        assert file is not None
        known = [(at, size) for at, path, size in self._sizes if path == file]
        known = known or [(moment, file.stat().st_size)]
        earlier = [size for at, size in known if at <= moment]
        return file, earlier[-1] if earlier else known[0][1]

    def _tail(self) -> Path | None:
        files = sorted((self._folder / "appendonlydir").glob("*.incr.aof"), key=lambda file: file.stat().st_mtime_ns)
        return files[-1] if files else None

    async def _end(self, number: signal.Signals) -> None:
        self._signal(number)
        assert self._process is not None
        await asyncio.to_thread(self._process.wait, 30)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(b"PING\r\n")
                answer = await reader.readline()
                writer.close()
        except OSError:
            return False
        return answer.startswith(b"+PONG")
