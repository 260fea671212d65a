"""What requests cost, what a tenant may do, and what is left of it: whole numbers, no clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limiter.account import Account
from limiter.estimates import Estimate
from limiter.limits import Caps, Limits, Quota, limits_of
from limiter.payer import Payer
from limiter.spending import Spending, period, seconds_left
from limiter.tariff import NANOS, Cost, Tariff, Terms

NOW = int(datetime(2026, 2, 28, 23, 0, tzinfo=UTC).timestamp() * 1000)
CAPS = Caps(tokens_per_minute=600, requests_per_minute=10, concurrency=2)
DEFAULTS = Limits(tenant=CAPS, wait_seconds=60)


def payer(limits: Limits = DEFAULTS, **caps: Caps) -> Payer:
    accounts = {"tenant": CAPS, **caps}
    return Payer(
        limits,
        {whose: Account.fresh(("acme", whose), its, NOW) for whose, its in accounts.items()},  # type: ignore[misc]
        Spending(),
        NOW,
    )


def test_a_heavy_model_weighs_more_and_prompt_and_answer_have_their_prices() -> None:
    tariff = Tariff({"large": Terms(weight_permille=2500, prompt_nanos=150, answer_nanos=600)})
    assert tariff.cost("large", "standard", 101, 10) == Cost(278, 101 * 150 + 10 * 600)
    assert tariff.cost("small", "standard", 101, 10) == Cost(111, 0)


def test_the_batch_class_costs_half_and_counts_whole() -> None:
    tariff = Tariff({"large": Terms(prompt_nanos=3)})
    assert tariff.cost("large", "batch", 5, 0) == Cost(5, 8)


def test_limits_that_are_not_set_are_the_defaults() -> None:
    assert limits_of({}, DEFAULTS) == (DEFAULTS, [])


def test_users_and_keys_are_limited_only_where_it_is_said() -> None:
    limits, bad = limits_of(
        {"user_tokens_per_minute": "100", "tokens_per_day": "5000", "usd_per_month": "1.5"}, DEFAULTS
    )
    assert limits.user == Caps(100, CAPS.requests_per_minute, CAPS.concurrency)
    assert limits.key is None
    assert (limits.day, limits.month) == (Quota(tokens=5000), Quota(nanos=1_500_000_000))
    assert bad == []


@pytest.mark.parametrize("nonsense", ["many", "-3", "nan"])
def test_a_limit_without_sense_is_named_and_the_default_holds(nonsense: str) -> None:
    limits, bad = limits_of({"concurrency": nonsense, "weight": nonsense}, DEFAULTS)
    assert limits == DEFAULTS
    assert bad == ["concurrency", "weight"]


def test_periods_are_those_of_utc_and_end_on_time() -> None:
    assert (period("day", NOW), period("month", NOW)) == ("2026-02-28", "2026-02")
    assert (seconds_left("day", NOW), seconds_left("month", NOW)) == (3600.0, 3600.0)


def test_a_quota_counts_what_is_reserved_and_what_was_used() -> None:
    limits = Limits(tenant=CAPS, wait_seconds=60, day=Quota(tokens=250))
    one = payer(limits)
    one.reserve(Cost(100))
    one.settle(Cost(100), Cost(120))
    one.reserve(Cost(100))
    assert one.holds(Cost(30))
    assert not one.holds(Cost(31))
    shortfall = one.shortfall(Cost(31))
    assert shortfall is not None
    assert (shortfall.what, shortfall.limit, shortfall.seconds, shortfall.quota) == ("tokens a day", 250, 3600.0, True)
    assert one.shortfall(Cost(31), at_best=True) is None, "what is reserved may come back"


def test_a_new_day_begins_at_nothing() -> None:
    limits = Limits(tenant=CAPS, wait_seconds=60, day=Quota(tokens=250), month=Quota(nanos=NANOS))
    one = payer(limits)
    one.reserve(Cost(200, 5))
    one.settle(Cost(200, 5), Cost(200, 5))
    assert one.spending.left("day", limits.day, NOW) == Quota(tokens=50)
    assert one.spending.left("day", limits.day, NOW + 3_600_000) == Quota(tokens=250)


def test_money_runs_out_like_tokens() -> None:
    one = payer(Limits(tenant=CAPS, wait_seconds=60, month=Quota(nanos=1000)))
    one.reserve(Cost(1, 900))
    assert one.holds(Cost(1, 100))
    shortfall = one.shortfall(Cost(1, 101))
    assert shortfall is not None
    assert shortfall.what == "USD a month"
    beyond = one.shortfall(Cost(1, 1001))
    assert beyond is not None
    assert beyond.seconds == float("inf")


def test_the_tightest_account_holds_a_request_back_and_is_shown() -> None:
    one = payer(user=Caps(tokens_per_minute=50, requests_per_minute=10, concurrency=1))
    assert one.holds(Cost(50))
    assert not one.holds(Cost(51))
    one.reserve(Cost(20))
    assert not one.is_free
    assert (one.view().limit_tokens, one.view().remaining_tokens) == (50, 30)


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 400), st.booleans()), max_size=20),
    st.integers(0, 100),
)
def test_whatever_is_reserved_and_settled_or_refunded_adds_up(steps: list[tuple[int, int, bool]], correct: int) -> None:
    one, used = payer(), 0
    for reserved, really, settles in steps:
        one.reserve(Cost(reserved))
        one.correct(Cost(reserved), Cost(reserved + correct))
        if settles:
            one.settle(Cost(reserved + correct), Cost(really))
            used += really
        else:
            one.refund(Cost(reserved + correct))
    account = one.accounts["tenant"]
    assert (account.outstanding, account.reserved_tokens, one.spending.reserved) == (0, 0, Cost())
    assert one.spending.used.get("2026-02-28", Cost()).tokens == used
    assert account.tokens.tokens <= CAPS.tokens_per_minute


def test_an_estimate_comes_to_lie_above_most_answers_and_knows_its_error() -> None:
    estimate = Estimate.before_any(512)
    for number in range(200):
        estimate = estimate.learned(80 + number % 5 * 10)
    assert 100 <= estimate.expected <= 130
    assert 0.1 < estimate.error < 0.4


def test_an_estimate_of_answers_that_are_all_alike_is_right() -> None:
    estimate = Estimate.before_any(512)
    for _ in range(200):
        estimate = estimate.learned(64)
    assert estimate.expected == 64
    assert estimate.error < 0.01


def test_an_estimate_survives_being_written_down() -> None:
    estimate = Estimate.before_any(512).learned(100).learned(30)
    assert Estimate.read(estimate.text).text == estimate.text
