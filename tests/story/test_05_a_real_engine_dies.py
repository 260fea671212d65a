"""Two real vLLM workers; one dies with its engine in mid-answer, and the client cannot tell."""

from __future__ import annotations

import json
from collections.abc import Iterator

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
TOKENS = 1800
KILLED_AFTER = 40


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two workers that serve one model of random weights: its characters often end in the middle of a token."""
    folder = tmp_path_factory.mktemp("pair")
    model = tiny_model.make(folder / "tiny", context=2048)
    flags = ("--engine", "vllm", "--model", str(model), "--served-name", "tiny")
    with (
        redis_server(embedded_redis.bundled_binary(), folder) as redis_url,
        stack(
            redis_url,
            folder,
            MILVUS_URI="http://127.0.0.1:9",
            PENSTOCK_ACCESS__PRESETS=json.dumps({"plain": {"model": "tiny"}}),
            PENSTOCK_WORKER__LEASE_SECONDS="1",
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


def test_an_answer_goes_on_over_the_death_of_its_engine(pair: Stack) -> None:
    client = pair.client()
    uninterrupted = client.responses.create(model="plain", input=PROMPT, max_output_tokens=TOKENS).output_text
    text, heard, victim = "", 0, None

    with _streamed(client) as events:
        for event in events:
            if event.type != "response.output_text.delta":
                assert event.type != "error"
                continue
            text, heard = text + event.delta, heard + 1
            if victim is None and heard == KILLED_AFTER:
                victim = _owner(pair, event.item_id)
                victim.kill()

    assert victim is not None
    pair.children.remove(victim)
    (survivor,) = (child for child in pair.children if child.name.startswith("inference_worker"))
    (continued,) = (line for line in survivor.lines if line.get("continued_from"))
    assert continued["continued_from"] >= KILLED_AFTER
    assert len(text) > 0
    assert text == uninterrupted


def _streamed(client: OpenAI):
    return client.responses.create(model="plain", input=PROMPT, max_output_tokens=TOKENS, stream=True)


def _owner(stack: Stack, item_id: str) -> Child:
    with redis.Redis.from_url(stack.redis_url) as store:
        owner = store.hget(keys.request(RequestId(item_id.removeprefix("msg_"))), "owner").decode()
    return next(child for child in stack.children if child.name.startswith("inference_worker") and owner in child.log)
