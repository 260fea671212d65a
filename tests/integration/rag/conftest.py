"""A real Milvus Lite server and the bundled embedding model, started once for all tests here."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from contracts.ids import TenantId
from rag import CachedEmbedder, Embedder, Knowledge, RagSettings, load_faq
from tests.integration.rag.bundled import SAMPLE, BundledEmbedder
from tests.integration.rag.lite import LiteServer


@pytest.fixture(scope="session")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiteServer]:
    with LiteServer(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture
def own_lite(tmp_path: Path) -> Iterator[LiteServer]:
    """A server that the test may stop and start."""
    with LiteServer(tmp_path / "milvus") as server:
        yield server


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    # Remembers vectors between tests: the sample is embedded once.
    return CachedEmbedder(BundledEmbedder(), 10_000)


@pytest.fixture
def tenant() -> TenantId:
    """A tenant of this test alone, so that tests share a server and nothing else."""
    return TenantId(f"tenant-{secrets.token_hex(4)}")


@pytest.fixture
def settings(lite: LiteServer) -> RagSettings:
    # The deadline is for people who wait; on a busy test machine it would turn a slow search into a wrong result.
    return RagSettings(milvus_uri=lite.uri, deadline=timedelta(seconds=20))


@pytest.fixture
async def knowledge(settings: RagSettings, embedder: Embedder) -> AsyncIterator[Knowledge]:
    opened = Knowledge.connect(settings, embedder)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def sample(knowledge: Knowledge, tenant: TenantId) -> str:
    """The id of a collection that holds the sample FAQ."""
    collection = await knowledge.create_collection(tenant, "brightwater")
    entries = load_faq("faq.jsonl", (SAMPLE / "faq.jsonl").read_bytes())
    await knowledge.load_faq(tenant, collection.id, "faq.jsonl", entries)
    return collection.id
