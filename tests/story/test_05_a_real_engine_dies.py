"""Two real vLLM workers; an engine dies in mid-answer, alone or with its worker, and the client cannot tell."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from openai import OpenAI

from contracts import keys
from contracts.ids import RequestId
from penstock import embedded_redis
from tests import tiny_model
from tests.servers import redis_server, wait_until
from tests.stack import Child, Stack, stack

pytestmark = pytest.mark.timeout(600)
PROMPT = "Water comes down the pipe, and"
# Seconds of the tiny model: long enough to be interrupted, however late the test comes to it.
TOKENS = 4000


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two workers that serve one model of random weights: its characters often end in the middle of a token."""
    folder = tmp_path_factory.mktemp("pair")
    model = tiny_model.make(folder / "tiny", context=TOKENS + 192)
    flags = ("--engine", "vllm", "--model", str(model), "--served-name", "tiny")
    with (
        redis_server(embedded_redis.bundled_binary(), folder) as redis_url,
        stack(
            redis_url,
            folder,
            MILVUS_URI="http://127.0.0.1:9",
            PENSTOCK_ACCESS__PRESETS=json.dumps({"plain": {"model": "tiny"}}),
            PENSTOCK_ACCESS__HOLD_AT_MOST="0",
            # float32: who goes on recomputes the logged tokens in one piece, and must come to the same logits.
            PENSTOCK_WORKER__VLLM_ARGUMENTS=json.dumps({"dtype": "float32"}),
        ) as made,
    ):
        made.limiter()
        workers = [made.worker(*flags), made.worker(*flags)]
        made.access()
        made.ready(300)
        wait_until(lambda: all("worker.started" in worker.log for worker in workers), "both engines", 300)
        yield made


@pytest.fixture(scope="module")
def uninterrupted(pair: Stack) -> str:
    """What one engine says from beginning to end."""
    return pair.client().responses.create(model="plain", input=PROMPT, max_output_tokens=TOKENS).output_text


def test_an_engine_that_dies_is_started_anew_and_its_answer_goes_on(pair: Stack, uninterrupted: str) -> None:
    text, bereaved = _asked_while(pair, _kill_engine)
    assert text == uninterrupted
    wait_until(lambda: _continued(_workers(pair)), "the line of who went on", 30)
    wait_until(lambda: "engine.restarted" in bereaved.log, "its new engine", 300)


def test_an_answer_goes_on_over_the_death_of_a_worker_with_its_engine(pair: Stack, uninterrupted: str) -> None:
    text, victim = _asked_while(pair, Child.kill)
    pair.children.remove(victim)
    assert text == uninterrupted
    wait_until(lambda: _continued(_workers(pair)), "the line of who went on", 30)


def _asked_while(pair: Stack, kill: Callable[[Child], None]) -> tuple[str, Child]:
    """The streamed text of an answer whose worker was done something to in its midst, and that worker."""
    text, owner, last = "", None, None
    with _streamed(pair.client()) as events:
        for last in events:
            if last.type == "response.output_text.delta":
                text += last.delta
                if owner is None:
                    owner = _owner(pair, last.item_id)
                    kill(owner)
    assert last is not None
    # Its tokens are bounded, and before that the tiny model does not end.
    assert last.type == "response.incomplete", last
    assert owner is not None
    return text, owner


def _kill_engine(worker: Child) -> None:
    """vLLM's engine runs in child processes of its worker."""
    task = Path(f"/proc/{worker.process.pid}/task")
    for pid in {pid for file in task.glob("*/children") for pid in file.read_text(encoding="ascii").split()}:
        if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(int(pid), signal.SIGKILL)


def _streamed(client: OpenAI):
    return client.responses.create(model="plain", input=PROMPT, max_output_tokens=TOKENS, stream=True)


def _owner(stack: Stack, item_id: str) -> Child:
    with redis.Redis.from_url(stack.redis_url) as store:
        owner = store.hget(keys.request(RequestId(item_id.removeprefix("msg_"))), "owner").decode()
    return next(worker for worker in _workers(stack) if owner in worker.log)


def _continued(workers: list[Child]) -> bool:
    """Whether one of them says that it went on from where another was; it says so just after the client has the end."""
    return any(line.get("continued_from", 0) > 0 for worker in workers for line in worker.lines)


def _workers(stack: Stack) -> list[Child]:
    return [child for child in stack.children if child.name.startswith("inference_worker")]
