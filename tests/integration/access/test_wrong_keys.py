"""An address that floods a process with wrong keys: it waits, and nobody who is right waits with it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis

from access.addresses import Origin
from access.auth import WRONG_KEYS_PER_MINUTE, KeyRing, TooManyWrongKeys, Unauthenticated
from penstock import embedded_redis
from tests.integration.access.conftest import error
from tests.servers import redis_server
from tests.stack import API_KEY, Stack, stack

PROXY = "10.0.0.1"
CROWD = Origin(PROXY, ["203.0.113.7"])
SOMEBODY = Origin(PROXY, ["198.51.100.1"])


@pytest.fixture
def ring(redis: Redis) -> KeyRing:
    return KeyRing(redis, "pepper", [ip_network("10.0.0.0/8")])


async def flood(ring: KeyRing, origin: Origin = CROWD) -> None:
    """Send wrong keys until the address has to wait."""
    for number in range(WRONG_KEYS_PER_MINUTE):
        with pytest.raises(Unauthenticated):
            await ring.authenticate(f"Bearer sk-wrong-{number}", origin)


async def lookups(redis: Redis) -> int:
    found: Any = await redis.info("commandstats")
    return found.get("cmdstat_hgetall", {}).get("calls", 0)


async def test_a_flood_of_wrong_keys_is_refused_without_a_look_into_redis(redis: Redis, ring: KeyRing) -> None:
    await flood(ring)
    before = await lookups(redis)
    with pytest.raises(TooManyWrongKeys) as refused:
        await ring.authenticate("Bearer sk-wrong-again", CROWD)
    assert 0 < refused.value.retry_after_seconds <= 60 / WRONG_KEYS_PER_MINUTE
    assert await lookups(redis) == before > 0


async def test_others_behind_the_same_proxy_are_let_in(ring: KeyRing) -> None:
    key, _ = await ring.create("k", "acme", ["inference"])
    await flood(ring)
    assert (await ring.authenticate(f"Bearer {key}", SOMEBODY)).tenant == "acme"


async def test_a_key_that_was_right_here_before_is_let_in_from_a_flooding_address(redis: Redis) -> None:
    ring = KeyRing(redis, "pepper", cache_life=timedelta(0))  # believed never, looked up each time
    key, _ = await ring.create("k", "acme", ["inference"])
    await ring.authenticate(f"Bearer {key}", CROWD)
    await flood(ring)
    assert (await ring.authenticate(f"Bearer {key}", CROWD)).tenant == "acme"


async def test_a_revoked_key_is_one_of_the_wrong_ones(redis: Redis) -> None:
    ring, elsewhere = KeyRing(redis, "pepper", cache_life=timedelta(0)), KeyRing(redis, "pepper")
    key, stored = await ring.create("k", "acme", ["inference"])
    await ring.authenticate(f"Bearer {key}", CROWD)
    await elsewhere.revoke(stored.prefix)
    await flood(ring)
    with pytest.raises(Unauthenticated):
        await ring.authenticate(f"Bearer {key}", CROWD)
    with pytest.raises(TooManyWrongKeys):
        await ring.authenticate(f"Bearer {key}", CROWD)


async def test_no_key_and_an_expired_one_are_no_wrong_keys(ring: KeyRing) -> None:
    expired, _ = await ring.create("k", "acme", ["inference"], expires_at=time.time() - 1)
    for authorization in (None, "Bearer " + "x" * 600, f"Bearer {expired}"):
        for _ in range(WRONG_KEYS_PER_MINUTE + 1):
            with pytest.raises(Unauthenticated):
                await ring.authenticate(authorization, CROWD)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An access process that believes the proxies on this machine."""
    folder = tmp_path_factory.mktemp("door")
    with (
        redis_server(embedded_redis.bundled_binary(), folder) as url,
        stack(url, folder, MILVUS_URI="http://127.0.0.1:9") as made,
    ):
        made.access(PENSTOCK_ACCESS__TRUSTED_PROXIES=json.dumps(["127.0.0.0/8"]))
        yield made


def test_over_http_a_flooding_address_is_told_when_to_come_back_and_others_notice_nothing(door: Stack) -> None:
    with httpx2.Client(base_url=f"http://127.0.0.1:{door.access_ports[0]}", timeout=30) as http:

        def knock(key: str, address: str) -> httpx2.Response:
            return http.get("/v1/models", headers={"authorization": f"Bearer {key}", "x-forwarded-for": address})

        for number in range(WRONG_KEYS_PER_MINUTE):
            assert error(knock(f"sk-wrong-{number}", "203.0.113.7"), 401)["code"] == "invalid_api_key"
        refused = knock("sk-wrong", "203.0.113.7")
        assert error(refused, 429)["code"] == "too_many_wrong_keys"
        assert int(refused.headers["retry-after-ms"]) > 0
        assert knock("sk-wrong", "198.51.100.1").status_code == 401
        assert knock(API_KEY, "198.51.100.1").status_code == 200
        assert knock(API_KEY, "203.0.113.7").status_code == 200
