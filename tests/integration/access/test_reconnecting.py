"""Five hundred clients lose their access process in mid-answer, and come back at once on another one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from penstock import embedded_redis
from tests.chaos.transcript import Transcript
from tests.chaos.wire import Broken, asked
from tests.servers import redis_server
from tests.stack import Child, Stack, stack

CLIENTS = 500
TOKENS = 120
QUESTION = f"tokens={TOKENS} pause=0.1"
EVENTS_BEFORE = 3
RESPONSES = "/v1/responses"


@pytest.fixture
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two access processes, and room for all at once."""
    folder = tmp_path_factory.mktemp("crowd")
    limits = ("TOKENS_PER_MINUTE", "REQUESTS_PER_MINUTE", "CONCURRENCY", "ROOM", "ROOM_PER_TENANT")
    settings = {
        "MILVUS_URI": "http://127.0.0.1:9",
        "PENSTOCK_WORKER__SLOTS": str(CLIENTS),
        "PENSTOCK_ACCESS__PRESETS": '{"plain": {"model": "scripted"}}',
        **{f"PENSTOCK_LIMITER__{name}": "1000000000" for name in limits},
    }
    server = redis_server(embedded_redis.bundled_binary(), folder)
    with server as redis_url, stack(redis_url, folder, **settings) as made:
        made.limiter()
        made.worker()
        made.access()
        made.access()
        made.ready()
        made.ready(port=made.access_ports[1])
        yield made


async def test_all_of_a_dead_process_come_back_at_once_and_see_one_unbroken_answer(crowd: Stack) -> None:
    first, second = crowd.access_ports
    clients = [_Client(first, second) for _ in range(CLIENTS)]
    following = [asyncio.create_task(client.follow()) for client in clients]
    while any(client.seen.events < EVENTS_BEFORE for client in clients):
        assert not any(task.done() for task in following), "an answer was over before all had begun"
        await asyncio.sleep(0.05)
    crowd.child("access-0").kill()
    await asyncio.gather(*following)

    seen = [client.seen for client in clients]
    assert {one.end for one in seen} == {"completed"}
    assert [fault for one in seen for fault in one.faults] == []
    assert len({one.request for one in seen}) == CLIENTS
    assert {len(one.text.split()) for one in seen} == {TOKENS}
    assert len({one.text for one in seen}) == 1, "the engine's answer is a function of the question"
    assert all(client.connections == 2 for client in clients)
    assert _generations(crowd.child("inference_worker-0")) == {one.request: 1 for one in seen}


class _Client:
    """Asks one access process, and goes on behind what it saw at another one when the first is gone."""

    def __init__(self, first: int, second: int):
        self.seen = Transcript()
        self.connections = 0
        self._first = first
        self._second = second

    async def follow(self) -> None:
        body: Any = {"model": "plain", "input": QUESTION, "stream": True}
        try:
            await self._hear(self._first, "POST", RESPONSES, body)
        except Broken:
            self.seen.return_to_cursor()
            path = f"{RESPONSES}/resp_{self.seen.request}?stream=true"
            await self._hear(self._second, "GET", path, None, last_event_id=self.seen.cursor)

    async def _hear(self, port: int, method: str, path: str, body: object, **headers: str) -> None:
        self.connections += 1
        async with asked(port, method, path, body, **headers) as answer:
            assert answer.status == 200
            async for frame in answer.frames():
                self.seen.take(frame)


def _generations(worker: Child) -> dict[str, int]:
    """How often the engine ran each request to its end; its log says each end once."""
    ended = [line["request"] for line in worker.lines if line["event"] == "request.ended"]
    return {request: ended.count(request) for request in ended}
