"""One access process with everything behind it: real Redis, Milvus Lite and embedder, the scripted engine."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import redis
from openai import OpenAI

from penstock import embedded_redis
from tests.integration.rag.lite import LiteServer
from tests.servers import redis_server, wait_until
from tests.stack import API_KEY, Stack, scripted_pair, stack

EMBEDDER = "penstock-embed"
PRESETS = {
    "plain": {"model": "scripted", "instructions": "Be kind."},
    "quoting": {"model": "scripted", "word_for_word": True},
}
# Where a preset searches, access is not ready without Milvus and an embedder.
SEARCHING = {
    "public": {
        "model": "scripted",
        "collections": ["library"],
        "filters": {"type": "eq", "key": "public", "value": True},
    },
}


@dataclass
class Client:
    """A caller with one key. ``tenant`` is the key's."""

    http: httpx2.Client
    tenant: str
    key: str

    def get(self, path: str, **params: Any) -> httpx2.Response:
        return self.http.get(path, params=params)

    def send(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        return self.http.request(method, path, json=body)

    def post(self, path: str, body: Any = None) -> httpx2.Response:
        return self.send("POST", path, body)

    def delete(self, path: str) -> httpx2.Response:
        return self.http.delete(path)

    def upload(self, name: str, content: bytes, purpose: str = "assistants") -> httpx2.Response:
        return self.http.post("/v1/files", files={"file": (name, content)}, data={"purpose": purpose})


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("access")
    with contextlib.ExitStack() as opened:
        redis_url = opened.enter_context(redis_server(embedded_redis.bundled_binary(), folder))
        lite = opened.enter_context(LiteServer(folder / "milvus"))
        made = opened.enter_context(stack(redis_url, folder, MILVUS_URI=lite.uri, PENSTOCK_RAG__DEADLINE="20"))
        made.limiter()
        made.worker()
        made.worker("--engine", "embedder")
        presets = json.dumps(PRESETS | SEARCHING)
        made.access(PENSTOCK_ACCESS__PRESETS=presets, PENSTOCK_ACCESS__MAX_UPLOAD_BYTES="65536")
        made.ready(240)
        with _http(made, API_KEY) as http:
            wait_until(lambda: http.get(f"/v1/models/{EMBEDDER}").json().get("state") == "ready", "the embedder", 120)
        yield made


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two access processes and the scripted engine, without knowledge. A client has two seconds to come back."""
    with scripted_pair(tmp_path_factory.mktemp("pair"), PRESETS, abandon_after="2") as made:
        yield made


@pytest.fixture
def store(pair: Stack) -> Iterator[Any]:
    """A look into the pair's Redis."""
    with contextlib.closing(redis.Redis.from_url(pair.redis_url)) as opened:
        yield opened


@pytest.fixture
def admin(house: Stack) -> Iterator[Client]:
    """The key that the process was started with: every scope."""
    with _http(house, API_KEY) as http:
        yield Client(http, "default", API_KEY)


@pytest.fixture
def client(house: Stack, admin: Client) -> Iterator[Client]:
    """Somebody of a tenant that nobody else has, who may ask and load knowledge."""
    with new_client(house, admin, scopes=["inference", "knowledge"]) as made:
        yield made


@pytest.fixture
def stranger(house: Stack, admin: Client) -> Iterator[Client]:
    """Somebody of another tenant, with every scope a tenant can have."""
    with new_client(house, admin, scopes=["inference", "knowledge", "push"]) as made:
        yield made


@pytest.fixture
def sdk(house: Stack, client: Client) -> Iterator[OpenAI]:
    """OpenAI's own library, as ``client``."""
    with house.client(key=client.key) as made:
        yield made


@contextlib.contextmanager
def new_client(house: Stack, admin: Client, **key: Any) -> Generator[Client]:
    """A caller with a fresh key; of a fresh tenant unless ``tenant`` is given."""
    tenant = key.pop("tenant", f"tenant-{secrets.token_hex(4)}")
    made = admin.post("/admin/keys", {"name": "test", "tenant": tenant, **key})
    assert made.status_code == 200, made.text
    with _http(house, made.json()["key"]) as http:
        yield Client(http, tenant, made.json()["key"])


def error(answer: httpx2.Response, status: int) -> dict[str, Any]:
    """The error object of an answer that has ``status``."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return body["error"]


def _http(house: Stack, key: str) -> httpx2.Client:
    base = f"http://127.0.0.1:{house.access_ports[0]}"
    return httpx2.Client(base_url=base, headers={"authorization": f"Bearer {key}"}, timeout=60)
