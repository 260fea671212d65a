"""The gate, as its callers know it: a limit says when to come back, and a heavy tenant does not slow a light one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from openai import OpenAI, RateLimitError

from contracts import keys
from contracts.ids import TenantId
from penstock import embedded_redis
from tests.servers import redis_server, wait_until
from tests.stack import API_KEY, Stack, stack

SLOTS = 4
PRICES = '{"scripted": {"prompt_price": 1.0, "answer_price": 2.0}}'
ANSWER = "tokens=20 pause=0.01"


@dataclass
class Tenant:
    """A customer with a key of its own."""

    name: TenantId
    client: OpenAI

    def ask(self, question: str = ANSWER, **more: Any) -> str:
        made: Any = self.client.chat.completions.create(
            model="plain", messages=[{"role": "user", "content": question}], max_tokens=40, **more
        )
        return made.choices[0].message.content


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A small fleet that is soon full: four slots, and one grant for each."""
    folder = tmp_path_factory.mktemp("gate")
    settings = {
        "MILVUS_URI": "http://127.0.0.1:9",
        "PENSTOCK_ACCESS__PRESETS": '{"plain": {"model": "scripted"}}',
        "PENSTOCK_LIMITER__GRANTS_PER_SLOT": "1",
        "PENSTOCK_LIMITER__MODELS": PRICES,
        "PENSTOCK_WORKER__SLOTS": str(SLOTS),
    }
    with (
        redis_server(embedded_redis.bundled_binary(), folder) as redis_url,
        stack(redis_url, folder, **settings) as made,
    ):
        made.limiter()
        made.worker()
        made.access()
        made.ready()
        yield made


@pytest.fixture
def admin(town: Stack) -> Iterator[httpx2.Client]:
    with httpx2.Client(
        base_url=f"http://127.0.0.1:{town.access_ports[0]}", headers={"authorization": f"Bearer {API_KEY}"}, timeout=30
    ) as opened:
        yield opened


@pytest.fixture
def tenant(town: Stack, admin: httpx2.Client) -> Callable[..., Tenant]:
    def make(name: str, **limits: Any) -> Tenant:
        key = admin.post("/admin/keys", json={"name": name, "tenant": name, "scopes": ["inference"]}).json()["key"]
        assert admin.put(f"/admin/limits/{name}", json=limits).status_code == 200
        return Tenant(TenantId(name), town.client(key=key))

    return make


def test_a_caller_over_budget_learns_when_to_come_back(tenant: Callable[..., Tenant]) -> None:
    poor = tenant("poor", tokens_per_minute=600, wait_seconds=0)
    with pytest.raises(RateLimitError) as refused:
        _ask_often(poor)
    seconds = float(refused.value.response.headers["retry-after-ms"]) / 1000
    assert 0 < seconds < 60
    time.sleep(seconds)
    assert poor.ask("tokens=40")


def test_a_caller_who_is_patient_hears_its_place_and_is_answered(tenant: Callable[..., Tenant]) -> None:
    crowd, late = tenant("crowd"), tenant("late")
    with ThreadPoolExecutor(SLOTS) as pool:
        busy = [pool.submit(crowd.ask, "tokens=40 pause=0.05") for _ in range(SLOTS)]
        wait_until(lambda: all(job.running() for job in busy), "the crowd", 5)
        time.sleep(0.5)
        with late.client.responses.create(model="plain", input="tokens=3", stream=True) as stream:
            events = list(stream)
    waits = [event for event in events if event.type == "response.queued"]
    assert waits
    assert events[-1].type == "response.completed"


def test_a_heavy_tenant_does_not_slow_a_light_one(tenant: Callable[..., Tenant]) -> None:
    heavy, light = tenant("heavy"), tenant("light")
    alone = _seconds(light)
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            heavy.ask()

    with ThreadPoolExecutor(10 * SLOTS) as pool:
        for _ in range(10 * SLOTS):
            pool.submit(keep_asking)
        time.sleep(1.0)
        crowded = _seconds(light)
        stop.set()
    # One running answer must end first, and the light one's own comes then: not the nine rounds of those who wait.
    assert crowded < 3 * alone


def test_what_was_used_is_on_the_bill_to_the_token(
    town: Stack, admin: httpx2.Client, tenant: Callable[..., Tenant], redis_of: Callable[[Stack], Any]
) -> None:
    payer, other = tenant("payer", usd_per_month=5), tenant("other")
    for one in (payer, other, payer):
        one.ask("tokens=10")
    store = redis_of(town)
    wait_until(lambda: store.hlen(keys.reservations()) == 0, "everything settled", 10)
    bill = admin.get("/admin/limits/payer").json()["ledger"]
    sums = bill["models"]["scripted"]
    assert sums["requests"] == 2
    granted, settled, refunded = (sums[name]["tokens"] for name in ("granted", "settled", "refunded"))
    assert granted == settled + refunded
    assert settled == bill["month"]["tokens"]
    # Two answers of ten tokens at 2 USD for a million, and their prompts at 1 USD.
    prompts = settled - 20
    assert bill["month"]["usd"] == pytest.approx((20 * 2 + prompts) / 1e6)
    assert admin.get("/admin/limits/other").json()["ledger"]["models"]["scripted"]["requests"] == 1


def _ask_often(one: Tenant) -> None:
    for _ in range(20):
        one.ask("tokens=40")


def _seconds(one: Tenant) -> float:
    """The median of how long five questions take, one after the other."""
    times = []
    for _ in range(5):
        began = time.monotonic()
        one.ask()
        times.append(time.monotonic() - began)
    return sorted(times)[2]
