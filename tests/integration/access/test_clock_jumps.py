"""The clock of Redis jumps by an hour in mid-answer: what was promised is kept, and the service goes on.

Leases, deadlines and grants are moments of that clock. Forwards all of them have passed; backwards none of them will
pass for an hour. Neither may double or lose a token, nor end an answer twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from penstock import embedded_redis
from tests.chaos.transcript import Transcript
from tests.chaos.wire import asked
from tests.servers import redis_server, wait_until
from tests.stack import Stack, stack

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
HOUR = 3600
RESPONSES = "/v1/responses"
CLIENTS = 12
TOKENS = 60

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="no libfaketime here; on Debian: apt install faketime")


@dataclass
class Clock:
    """The clock of one Redis, as far as it is from ours."""

    file: Path
    url: str

    def jump(self, seconds: int) -> None:
        """Set it, and wait until Redis goes by it."""
        self.file.write_text(f"{seconds:+d}", encoding="utf-8")
        with redis.Redis.from_url(self.url) as client:
            wait_until(lambda: abs(self._now(client) - time.time() - seconds) < 60, "the jump")

    @staticmethod
    def _now(client: Any) -> int:
        return int(client.time()[0])


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """A Redis with a clock of its own; nobody else's is touched."""
    file = tmp_path / "clock"
    file.write_text("+0", encoding="utf-8")
    faked = {"LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_CACHE_DURATION": "1"}
    with contextlib.ExitStack() as opened:
        with monkeypatch.context() as environment:
            for name, value in faked.items():
                environment.setenv(name, value)
            url = opened.enter_context(redis_server(embedded_redis.bundled_binary(), tmp_path))
        yield Clock(file, url)


@pytest.fixture
def fleet(clock: Clock, tmp_path: Path) -> Iterator[Stack]:
    """A small one, with leases of a second."""
    settings = {
        "MILVUS_URI": "http://127.0.0.1:9",
        "PENSTOCK_ACCESS__PRESETS": '{"plain": {"model": "scripted"}}',
        "PENSTOCK_WORKER__LEASE_SECONDS": "1",
    }
    with stack(clock.url, tmp_path, **settings) as made:
        made.limiter()
        made.worker()
        made.access()
        made.ready()
        yield made


@pytest.mark.parametrize(
    ("seconds", "end"),
    [
        pytest.param(HOUR, "incomplete", id="forwards: beyond every deadline"),
        pytest.param(-HOUR, "completed", id="back"),
    ],
)
async def test_running_answers_have_one_end_and_no_token_twice(
    fleet: Stack, clock: Clock, seconds: int, end: str
) -> None:
    clients = [Transcript() for _ in range(CLIENTS)]
    following = [asyncio.create_task(_follow(fleet, seen)) for seen in clients]
    await asyncio.to_thread(wait_until, lambda: all(seen.events > 8 for seen in clients), "all answers having begun")
    await asyncio.to_thread(clock.jump, seconds)
    await asyncio.gather(*following)

    whole = await _whole(fleet)
    assert [fault for seen in clients for fault in seen.faults] == []
    assert {seen.end for seen in clients} == {end}
    assert all(seen.text and whole.startswith(seen.text) for seen in clients)
    assert all(seen.text == whole for seen in clients if end == "completed")


async def _follow(fleet: Stack, seen: Transcript) -> None:
    body: Any = {"model": "plain", "input": f"tokens={TOKENS} pause=0.1", "stream": True}
    async with asked(fleet.access_ports[0], "POST", RESPONSES, body) as answer:
        assert answer.status == 200
        async for frame in answer.frames():
            seen.take(frame)


async def _whole(fleet: Stack) -> str:
    """The same question once more, after the jump: the service goes on."""
    again = Transcript()
    async with asyncio.timeout(60):
        await _follow(fleet, again)
    assert again.end == "completed"
    return again.text
