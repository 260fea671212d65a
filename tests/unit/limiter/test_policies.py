"""Who is turned away and why, who may go, what a waiting caller is told; and where policies come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from contracts.configuration import BadSettings
from contracts.ids import AccessId, RequestId, TenantId
from contracts.messages import AdmissionQuery, ServiceClass
from limiter import policies
from limiter.account import Account
from limiter.limits import Caps, Limits, Quota, Whose
from limiter.payer import Payer
from limiter.policies.fair import AHEAD_OF_WORKERS, Fair
from limiter.policies.overflow import Overflow
from limiter.policy import Counter, Refusal, Supply, out_of_patience, patience_seconds
from limiter.spending import Spending
from limiter.tariff import Cost
from limiter.waiter import Place, Waiter
from limiter.waiting_room import WaitingRoom

NOON_MS = int(datetime(2026, 2, 28, 12, tzinfo=UTC).timestamp() * 1000)
CAPS = Caps(tokens_per_minute=6000, requests_per_minute=600, concurrency=4)
LIMITS = Limits(CAPS, wait_seconds=60.0)
FAIR = Fair(grants_per_slot=2, room=5, room_per_tenant=3)
OVERFLOW = Overflow(grants_per_slot=2, room=5, room_per_tenant=3)
NOTHING_AHEAD = Place(1, 0, 0)
_NAMES = count()


def query(
    tenant: str = "acme", *, patience: float = 10.0, waited: float = 0.0, service_class: ServiceClass = "interactive"
) -> AdmissionQuery:
    return AdmissionQuery(
        id=RequestId(str(next(_NAMES))),
        access=AccessId("access-1"),
        tenant=TenantId(tenant),
        user="",
        key="",
        model="tiny",
        service_class=service_class,
        prompt_tokens=100,
        patience_seconds=patience,
        waited_seconds=waited,
    )


def waiter(tokens: int = 100, tenant: str = "acme") -> Waiter:
    asked = query(tenant)
    return Waiter(asked, Cost(tokens), asked.service_class, NOON_MS, NOON_MS + 10_000, asked.access)


def room_of(*tenants: str) -> WaitingRoom:
    room = WaitingRoom()
    for tenant in tenants:
        room.join(waiter(tenant=tenant))
    return room


def payer(limits: Limits = LIMITS, *, spent: Mapping[Whose, int] | None = None, running: int = 0) -> Payer:
    """Of ``spent`` the tokens are gone from the buckets, ``running`` requests are granted."""
    caps: dict[Whose, Caps | None] = {"tenant": limits.tenant, "user": limits.user, "key": limits.key}
    accounts = {whose: Account.fresh(("acme", whose), one, NOON_MS) for whose, one in caps.items() if one}
    for whose, account in accounts.items():
        account.tokens = account.tokens.take((spent or {}).get(whose, 0))
        account.outstanding = running
    return Payer(limits, accounts, Spending(), NOON_MS)


def counter(slots: int = 4, outstanding: int = 0, room: WaitingRoom | None = None, *, loading: bool = False) -> Counter:
    return Counter(
        supply=Supply(slots, tokens_per_second=50.0, loading=loading),
        outstanding=outstanding,
        outstanding_tokens=outstanding * 100,
        room=room or WaitingRoom(),
        from_zero=False,
        tokens_per_second=100.0,
    )


def refusal(
    tokens: int = 100,
    *,
    nanos: int = 0,
    asked: AdmissionQuery | None = None,
    by: Payer | None = None,
    at: Counter | None = None,
) -> Refusal:
    found = FAIR.turn_away(asked or query(), Cost(tokens, nanos), by or payer(), at or counter())
    assert found is not None
    return found


def test_a_request_that_the_fleet_and_its_payer_can_take_goes() -> None:
    assert FAIR.turn_away(query(), Cost(100), payer(), counter()) is None
    assert FAIR.may_go(waiter(), payer(), counter())


def test_streams_hold_what_the_fleet_will_begin_in_the_next_moment() -> None:
    """Four slots, and a request every second: nobody is granted far ahead."""
    assert FAIR.may_go(waiter(), payer(), counter(slots=4, outstanding=4))
    assert FAIR.is_full(counter(slots=4, outstanding=5))
    assert not FAIR.may_go(waiter(), payer(), counter(slots=4, outstanding=5))


def test_a_fast_fleet_has_more_at_hand_but_never_more_than_the_grants_of_each_slot() -> None:
    fast = changed(counter(slots=4, outstanding=7), tokens_per_second=100_000.0)
    assert not FAIR.is_full(fast)
    assert FAIR.is_full(changed(fast, outstanding=8))


def test_nobody_goes_beyond_a_bucket_or_a_concurrency() -> None:
    assert not FAIR.may_go(waiter(), payer(spent={"tenant": 5901}), counter())
    assert not FAIR.may_go(waiter(), payer(running=4), counter())


@pytest.mark.parametrize(
    ("whose", "words"), [("tenant", "your account, 6,000"), ("user", "this user, 600"), ("key", "this API key, 60")]
)
def test_a_limit_that_outlasts_patience_is_named_with_the_time_to_come_back(whose: Whose, words: str) -> None:
    limits = replace(
        LIMITS, user=replace(CAPS, tokens_per_minute=600), key=replace(CAPS, tokens_per_minute=60, concurrency=1)
    )
    tokens, spent = {"tenant": (50, 6000 + 1950), "user": (50, 600 + 150), "key": (50, 30)}[whose]
    told = refusal(tokens, by=payer(limits, spent={whose: spent}))
    assert told.reason == "rate_limit_exceeded"
    assert told.message == f"The limit of {words} tokens a minute, is used up. Try again in 20.0 s."
    assert told.retry_after_seconds == 20.0


def test_a_limit_that_does_not_outlast_patience_lets_wait() -> None:
    assert FAIR.turn_away(query(patience=20.0), Cost(50), payer(spent={"tenant": 7950}), counter()) is None


def test_who_has_waited_already_has_less_patience_left() -> None:
    told = refusal(50, asked=query(patience=20.0, waited=1.0), by=payer(spent={"tenant": 7950}))
    assert told.reason == "rate_limit_exceeded"


def test_what_is_reserved_may_come_back_so_its_payer_may_wait_for_it() -> None:
    by = payer(spent={"tenant": 6000})
    by.accounts["tenant"].reserved_tokens = 6000
    assert FAIR.turn_away(query(), Cost(6000), by, counter()) is None


def test_a_request_that_alone_is_beyond_a_limit_must_be_shortened() -> None:
    told = refusal(6001)
    assert (told.reason, told.retry_after_seconds) == ("rate_limit_exceeded", 0.0)
    assert "may cost 6,001 tokens, which is beyond the limit of your account, 6,000 tokens a minute" in told.message
    assert "max_tokens" in told.message


def test_a_quota_that_is_used_up_says_when_its_period_ends() -> None:
    by = payer(replace(LIMITS, day=Quota(tokens=1000)))
    by.spending.used["2026-02-28"] = Cost(950)
    told = refusal(100, by=by)
    assert (told.reason, told.retry_after_seconds) == ("quota_exceeded", 12 * 3600)
    assert told.message == (
        "The limit of your account, 1,000 tokens a day, is used up. "
        "Try again when the period ends, at 2026-03-01 00:00 UTC."
    )


def test_a_request_that_alone_is_beyond_a_quota_says_so_in_its_unit() -> None:
    told = refusal(100, nanos=2_500_000, by=payer(replace(LIMITS, month=Quota(nanos=1_000_000))))
    assert (told.reason, told.retry_after_seconds) == ("quota_exceeded", 0.0)
    assert "may cost 0.0025 USD, which is beyond the limit of your account, 0.001 USD a month" in told.message


def test_without_workers_nobody_waits() -> None:
    assert refusal(at=counter(slots=0)).reason == "no_workers"


@pytest.mark.parametrize("at", [counter(0, loading=True), changed(counter(0), from_zero=True)])
def test_a_few_are_taken_for_a_model_whose_worker_is_to_come(at: Counter) -> None:
    last, beyond = (changed(at, outstanding=AHEAD_OF_WORKERS - spare) for spare in (1, 0))
    assert FAIR.turn_away(query(), Cost(100), payer(), last) is None
    assert FAIR.may_go(waiter(), payer(), last)
    assert not FAIR.may_go(waiter(), payer(), beyond)
    assert refusal(at=beyond).reason == "starting"
    assert refusal(at=beyond).retry_after_seconds > 0


def test_those_who_wait_for_the_first_worker_are_among_the_few() -> None:
    assert refusal(at=counter(0, AHEAD_OF_WORKERS - 1, room_of("other"), loading=True)).reason == "starting"


def test_while_a_worker_loads_beside_ready_ones_the_ready_ones_count() -> None:
    assert FAIR.is_full(counter(slots=1, outstanding=2, loading=True))


def test_a_full_room_turns_away_with_the_time_it_takes_to_empty() -> None:
    told = refusal(at=counter(room=room_of(*"abcde")))
    assert (told.reason, told.retry_after_seconds) == ("waiting_room_full", 5.0)


def test_one_tenant_does_not_fill_the_room() -> None:
    at = counter(room=room_of("acme", "acme", "acme"))
    assert refusal(at=at).reason == "waiting_room_full"
    assert FAIR.turn_away(query("other"), Cost(100), payer(), at) is None


def test_patience_is_the_callers_within_its_tenants() -> None:
    assert [patience_seconds(query(patience=seconds), LIMITS) for seconds in (5.0, 500.0)] == [5.0, 60.0]


@pytest.mark.parametrize(
    ("by", "reason", "words"),
    [
        (payer(), "patience_exhausted", "All workers for tiny stayed busy for 10.0 s"),
        (payer(spent={"tenant": 6000}), "rate_limit_exceeded", "6,000 tokens a minute, left no room within 10.0 s"),
        (payer(running=4), "rate_limit_exceeded", "All 4 requests that your account may run at once stayed busy"),
        (payer(replace(LIMITS, day=Quota(tokens=10))), "quota_exceeded", "10 tokens a day, left no room"),
    ],
)
def test_who_is_out_of_patience_is_told_what_stood_in_its_way(by: Payer, reason: str, words: str) -> None:
    told = out_of_patience(waiter(), by, eta_seconds=7.0)
    assert (told.reason, told.retry_after_seconds) == (reason, 7.0)
    assert words in told.message


def test_while_the_fleet_could_take_more_nobody_waits_for_it() -> None:
    assert FAIR.eta_seconds(waiter(), Place(9, 5000, 0), payer(), counter(outstanding=4)) == 0.0


def test_a_wait_for_the_fleet_is_what_goes_before_and_one_that_ends_by_its_speed() -> None:
    assert FAIR.eta_seconds(waiter(), Place(9, 5000, 0), payer(), counter(outstanding=8)) == 51.0


def test_a_wait_is_shorter_where_answers_are() -> None:
    at = changed(counter(outstanding=8), used_share=0.1)
    assert FAIR.eta_seconds(waiter(), Place(9, 5000, 0), payer(), at) == pytest.approx(5.1)


def test_before_a_speed_was_measured_the_workers_say_it_and_else_it_is_assumed() -> None:
    announced = changed(counter(outstanding=8), tokens_per_second=0.0)
    unknown = changed(announced, supply=Supply(slots=4))
    etas = [FAIR.eta_seconds(waiter(), Place(9, 3900, 0), payer(), at) for at in (announced, unknown)]
    assert etas == [80.0, 100.0]


def test_a_wait_for_a_bucket_counts_ones_own_who_go_before() -> None:
    by = payer(spent={"tenant": 6000})
    assert FAIR.eta_seconds(waiter(), Place(9, 5000, 900), by, counter()) == 10.0


def test_a_wait_for_a_bucket_that_many_go_before_is_told_whole() -> None:
    assert FAIR.eta_seconds(waiter(), Place(9, 30_000, 29_900), payer(spent={"tenant": 6000}), counter()) == 300.0


def test_a_wait_for_ones_own_concurrency_goes_by_ones_part_of_the_fleet() -> None:
    """Half of what is settled is its own: it waits for one of these."""
    assert FAIR.eta_seconds(waiter(), NOTHING_AHEAD, payer(running=4), counter(slots=8, outstanding=8)) == 2.0


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 12), st.integers(0, 4))
def test_the_more_is_ahead_the_longer_the_wait(tokens: int, more: int, outstanding: int, running: int) -> None:
    at, by = counter(outstanding=outstanding), payer(running=running, spent={"tenant": 5000})
    etas = [FAIR.eta_seconds(waiter(), Place(2, ahead, ahead // 2), by, at) for ahead in (tokens, tokens + more)]
    assert 0.0 <= etas[0] <= etas[1]


@pytest.mark.parametrize(
    ("on_full", "outstanding", "goes_in"),
    [("batch", 4, "interactive"), ("batch", 5, "batch"), ("refuse", 8, "interactive")],
)
def test_gold_customers_overflow_where_they_would_have_to_wait(on_full: str, outstanding: int, goes_in: str) -> None:
    limits = replace(LIMITS, on_full=on_full)
    at = counter(outstanding=outstanding)
    assert OVERFLOW.service_class(query(), Cost(100), payer(limits), at) == goes_in


def test_a_burst_of_a_gold_customer_overflows_by_what_it_has_waiting() -> None:
    gold = payer(replace(LIMITS, on_full="batch"))
    assert OVERFLOW.service_class(query(), Cost(100), gold, counter(1, 1, room_of("acme"))) == "batch"
    assert OVERFLOW.service_class(query(), Cost(100), gold, counter(1, 1, room_of("other"))) == "interactive"


def test_by_default_everybody_goes_as_it_asks() -> None:
    gold = payer(replace(LIMITS, on_full="batch"))
    full = counter(outstanding=8)
    assert FAIR.service_class(query(service_class="standard"), Cost(100), gold, full) == "standard"


@dataclass(frozen=True)
class Settings:
    grants_per_slot: int = 2
    room: int = 5
    room_per_tenant: int = 3


@pytest.mark.parametrize(("name", "made"), [("fair", FAIR), ("overflow", OVERFLOW)])
def test_ours_are_made_from_the_settings_by_name(name: str, made: Fair) -> None:
    assert policies.load(name)(Settings()) == made


def test_an_unknown_policy_is_refused_with_the_names_of_the_known() -> None:
    with pytest.raises(BadSettings, match=r"no admission policy 'gold'\. Known are: fair, overflow\."):
        policies.load("gold")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of somebody else's, with a policy in one file and another that it lost."""
    (tmp_path / "acme_policies.py").write_text(
        "from limiter.policies.fair import Fair\n\n\n"
        "class Night(Fair):\n"
        "    def service_class(self, query, cost, payer, counter):\n"
        "        return 'batch'\n"
    )
    metadata = tmp_path / "acme_policies-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-policies\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[penstock.policies]\nnight = acme_policies:Night.of\nlost = acme_policies:Lost.of\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_an_installed_package_may_bring_a_policy_of_one_file() -> None:
    night = policies.load("night")(Settings())
    assert night.service_class(query(), Cost(100), payer(), counter()) == "batch"
    assert night.may_go(waiter(), payer(), counter())


@pytest.mark.usefixtures("installed")
def test_a_policy_that_its_package_has_not_is_a_bad_setting() -> None:
    with pytest.raises(BadSettings, match=r"policy 'lost' \(acme_policies:Lost.of\) is not there"):
        policies.load("lost")
