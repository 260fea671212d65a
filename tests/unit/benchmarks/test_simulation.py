"""Callers, schemes and a fleet in virtual time: what happens to whom, and when."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from benchmarks.schemes import Ask, Granted, Refused, Scheme, Word
from benchmarks.schemes.bucket import TokenBucket
from benchmarks.schemes.fcfs import FirstCome
from benchmarks.schemes.gate import Penstock
from benchmarks.schemes.window import FixedWindow
from benchmarks.simulation import RETRIES, Delays, Request, Shape, Simulation, Story
from contracts.ids import RequestId, TenantId
from contracts.messages import ServiceClass
from limiter.policy import Supply

SECOND = Shape(1, tokens_per_second=100.0, prompt_tokens_per_second=1000.0)
"""One slot, on which ``request`` takes a second: half of it to read, half of it to answer."""
AT_ONCE = Delays(compose_ms=0, settle_ms=0)


def request(name: str, at: float = 0.0, tenant: str = "acme", patience: float = 60.0) -> Request:
    return Request(name, TenantId(tenant), round(1000 * at), 500, 50, patience_ms=round(1000 * patience))


def run(scheme: Scheme, requests: Iterable[Request], shape: Shape = SECOND, delays: Delays = AT_ONCE) -> list[Story]:
    return Simulation(scheme, shape, list(requests), delays=delays).run().stories


def waits(stories: Iterable[Story]) -> list[float]:
    return [story.wait_seconds for story in stories]


class Refuses:
    """Everybody, always; ``asked`` is when."""

    def __init__(self, retry_after_seconds: float):
        self._retry_after_seconds = retry_after_seconds
        self._words: list[Word] = []
        self.asked: list[int] = []

    def ask(self, ask: Ask, now_ms: int) -> None:
        self.asked.append(now_ms)
        self._words.append(Refused(ask.id, self._retry_after_seconds))

    def ended(self, ask: Ask, now_ms: int) -> None:
        """Nobody begins."""

    def decide(self, now_ms: int) -> Iterable[Word]:
        words, self._words = self._words, []
        return words

    def again_ms(self, now_ms: int) -> int | None:
        return None


def test_a_request_reads_then_answers() -> None:
    (story,) = run(FirstCome(1), [request("one")])
    assert (story.began_ms, story.ended_ms, story.answer_seconds) == (0, 1000, 1.0)


def test_a_slot_serves_one_after_the_other() -> None:
    assert waits(run(FirstCome(1), [request("a"), request("b"), request("c")])) == [0.0, 1.0, 2.0]


def test_composing_and_settling_leave_a_slot_idle_where_no_one_was_granted_ahead() -> None:
    outcome = Simulation(
        FirstCome(1), SECOND, [request("a"), request("b"), request("c", at=2.0)], delays=Delays(90, 10)
    ).run()
    assert waits(outcome.stories) == [0.09, 1.19, pytest.approx(0.29)]
    assert outcome.idle_share == pytest.approx((0.09 + 0.01) / 2)


def test_who_is_refused_comes_back_when_it_was_told_and_gives_up_after_two_retries() -> None:
    scheme = Refuses(retry_after_seconds=7.0)
    (story,) = run(scheme, [request("one")])
    assert scheme.asked == [0, 7000, 14000]
    assert (story.asks, story.refusals, story.gave_up_ms) == (RETRIES + 1, 3, 14000)


def test_who_is_not_told_when_to_come_back_waits_longer_each_time() -> None:
    scheme = Refuses(retry_after_seconds=0.0)
    run(scheme, [request("one")])
    first, second, third = scheme.asked
    assert 375 <= second - first <= 500
    assert 750 <= third - second <= 1000


def test_urgent_classes_are_taken_first() -> None:
    classes: list[ServiceClass] = ["batch", "standard", "interactive"]
    everybody = [Request(name, TenantId("acme"), 0, 500, 50, name) for name in classes]
    stories = run(TokenBucket(100.0, burst=3), everybody, delays=Delays(10, 0))
    assert waits(stories) == [2.01, 1.01, 0.01]


def test_two_runs_are_the_same() -> None:
    everybody = [request(str(number), at=number / 10, patience=1.0) for number in range(40)]
    assert waits(run(FirstCome(1), everybody)) == waits(run(FirstCome(1), everybody))


def test_first_come_refuses_who_is_out_of_patience() -> None:
    _, second = run(FirstCome(1), [request("a"), request("b", patience=0.5)])
    assert second.refusals > 0


def test_a_window_counts_each_tenant_and_lets_all_of_them_in_anew() -> None:
    everybody = [request("a"), request("b"), request("c", tenant="globex")]
    shape = Shape(3, SECOND.tokens_per_second, SECOND.prompt_tokens_per_second)
    assert waits(run(FixedWindow(1), everybody, shape)) == [0.0, 60.0, 0.0]


def test_a_bucket_knows_neither_tenant_nor_fleet() -> None:
    scheme = TokenBucket(per_second=10.0, burst=1)
    for number in range(3):
        scheme.ask(Ask(RequestId(str(number)), TenantId("acme"), "interactive", 1, 1, 60_000), 0)
    assert list(scheme.decide(0)) == [Granted(RequestId("0"))]
    assert list(scheme.decide(100)) == [Granted(RequestId("1"))]


def test_the_gate_lets_a_light_tenant_pass_a_heavy_ones_line() -> None:
    heavy = [request(f"heavy-{number}", tenant="heavy") for number in range(20)]
    light = request("light", at=5.5, tenant="light")
    gate = Penstock(Supply(1, 100.0), grants_per_slot=1)
    assert waits(run(gate, [*heavy, light]))[-1] == pytest.approx(0.5)
    assert waits(run(FirstCome(1), [*heavy, light]))[-1] == pytest.approx(14.5)


def test_the_gate_tells_who_waits_when_it_will_go() -> None:
    gate = Penstock(Supply(1, 550.0), grants_per_slot=1)
    stories = run(gate, [request(str(number)) for number in range(30)])
    foretold = [(story.told, story.granted_ms) for story in stories if story.told is not None]
    assert len(foretold) == 29
    assert all(granted == pytest.approx(told, rel=0.5) for told, granted in foretold)
