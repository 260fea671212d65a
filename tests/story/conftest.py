"""The stage of the stories: Penstock as a newcomer runs it, with real Redis, Milvus Lite, vLLM; two access nodes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from openai import AsyncOpenAI, OpenAI

from penstock import embedded_redis
from tests.integration.rag.lite import LiteServer
from tests.servers import redis_server
from tests.stack import ROOT, Stack, scripted_pair, stack

FAQ = ROOT / "rag" / "sample" / "faq.jsonl"
QUESTION = "How long does delivery take?"


@pytest.fixture(scope="session")
def penstock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole system, with the sample FAQ loaded through the public API."""
    folder = tmp_path_factory.mktemp("penstock")
    with contextlib.ExitStack() as opened:
        redis_url = opened.enter_context(redis_server(embedded_redis.bundled_binary(), folder))
        lite = opened.enter_context(LiteServer(folder / "milvus"))
        # Generous, because this machine runs everything at once: the stories are not about a slow Milvus.
        made = opened.enter_context(
            stack(
                redis_url, folder, MILVUS_URI=lite.uri, PENSTOCK_RAG__DEADLINE="10", PENSTOCK_WORKER__LEASE_SECONDS="1"
            )
        )
        made.limiter()
        made.worker(
            "--engine", "vllm", "--model", str(ROOT / "models" / "penstock-faq"), "--served-name", "penstock-faq"
        )
        made.worker("--engine", "embedder")
        made.access()
        made.access()
        made.ready(240)
        load_faq(made.client(), FAQ)
        yield made


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The same system around the scripted engine, for stories in which time and faults matter and the words do not.

    A client has one second to come back.
    """
    presets = {"plain": {"model": "scripted"}}
    with scripted_pair(tmp_path_factory.mktemp("scripted"), presets, abandon_after="1") as made:
        yield made


@pytest.fixture
def redis_of() -> Iterator[Callable[[Stack], Any]]:
    """A look into a stack's Redis."""
    with contextlib.ExitStack() as opened:
        yield lambda made: opened.enter_context(contextlib.closing(redis.Redis.from_url(made.redis_url)))


@pytest.fixture
def client(penstock: Stack) -> OpenAI:
    """An OpenAI client of the first access node."""
    return penstock.client()


@pytest.fixture
async def async_client(penstock: Stack) -> AsyncIterator[AsyncOpenAI]:
    async with penstock.async_client() as opened:
        yield opened


def load_faq(client: OpenAI, path: Path) -> None:
    """What ``penstock faq load`` does: a vector store named ``faq``, and the file in it."""
    store = client.vector_stores.create(name="faq")
    with path.open("rb") as content:
        file = client.files.create(file=content, purpose="assistants")
    loaded = client.vector_stores.files.create(vector_store_id=store.id, file_id=file.id)
    assert loaded.status == "completed", loaded.last_error
