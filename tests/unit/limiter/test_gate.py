"""The whole gate in virtual time: no server, no clock."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from contracts import keys
from contracts.functions.gate import Answered, Corrected, Entry, Granted, Learned, Levels, Refunded, Settled
from contracts.ids import AccessId, RequestId, TenantId
from contracts.messages import AdmissionQuery, Correction, ServiceClass, Usage, Verdict, Withdrawal
from limiter.account import Account
from limiter.books import Books, Tenant
from limiter.gate import Gate
from limiter.limits import Caps, Limits
from limiter.policies.fair import Fair
from limiter.policies.overflow import Overflow
from limiter.policy import Policy, Supply
from limiter.sweeper import Overdues
from limiter.tariff import Tariff, Terms

TENANT = TenantId("acme")
ACCOUNT = keys.hashed(TENANT)
DAY, MONTH = "1970-01-01", "1970-01"


def gate(slots: int = 1, grants_per_slot: int = 1, tokens_per_minute: int = 1000, room: int = 10) -> Gate:
    limits = Limits(Caps(tokens_per_minute, requests_per_minute=1000, concurrency=100), wait_seconds=60)
    return gate_of(Fair(grants_per_slot, room=room, room_per_tenant=room), limits, slots)


def gate_of(policy: Policy, limits: Limits, slots: int = 1) -> Gate:
    books = Books(Tariff({"dear": Terms(prompt_nanos=1000)}), answer_tokens=50)
    books.tenants[TENANT] = Tenant(limits)
    books.accounts[TENANT,] = Account.fresh((TENANT,), limits.tenant, 0)
    made = Gate(policy, books, timedelta(seconds=15))
    made.supplies = {model: Supply(slots, tokens_per_second=50.0) for model in ("tiny", "dear")}
    return made


def query(
    name: str,
    tokens: int = 100,
    patience: float = 10.0,
    *,
    model: str = "tiny",
    sequences: int = 0,
    service_class: ServiceClass = "interactive",
    user: str = "",
    waited: float = 0.0,
) -> AdmissionQuery:
    """One that expects no answer, unless it has ``sequences``."""
    return AdmissionQuery(
        id=RequestId(name),
        access=AccessId("access-1"),
        tenant=TENANT,
        user=user,
        key="",
        model=model,
        service_class=service_class,
        prompt_tokens=tokens,
        patience_seconds=patience,
        sequences=sequences,
        waited_seconds=waited,
    )


def again(name: str) -> AdmissionQuery:
    """The same request, asked for anew."""
    return msgspec.structs.replace(query(name), attempt=1)


def withdrawal(name: str) -> Withdrawal:
    """Of the first attempt."""
    return Withdrawal(RequestId(name), 0)


def used(tokens: int) -> Usage:
    return Usage(prompt_tokens=tokens)


def verdicts(entries: list[Entry]) -> list[Verdict]:
    return [entry.verdict for entry in entries if isinstance(entry, Granted | Answered)]


def test_streams_stay_as_short_as_the_fleet_can_take() -> None:
    one = gate(slots=2, grants_per_slot=2)
    for n in range(6):
        one.ask(query(str(n)), 0)
    assert [verdict.decision for verdict in verdicts(one.decide(0))] == ["granted"] * 3 + ["queued"] * 3


def test_a_settled_request_makes_room_for_the_next() -> None:
    one = gate()
    one.ask(query("first"), 0)
    one.ask(query("second"), 0)
    one.decide(0)
    one.settle(RequestId("first"), used(40), "done", 10)
    entries = one.decide(10)
    assert Settled(RequestId("first"), 40, 0, DAY, MONTH) in entries
    assert [(verdict.id, verdict.decision) for verdict in verdicts(entries)] == [("second", "granted")]


def test_who_waits_is_told_when_it_moves() -> None:
    one = gate()
    for name in ("runs", "next", "last"):
        one.ask(query(name), 0)
    one.decide(0)
    one.withdraw(withdrawal("next"), 600)
    told = verdicts(one.decide(600))
    assert [(verdict.id, verdict.position, verdict.number) for verdict in told] == [("last", 1, 2)]


def test_an_ask_repeated_while_it_waits_keeps_its_place() -> None:
    one = gate()
    for name in ("runs", "next", "last"):
        one.ask(query(name), 0)
    one.decide(0)
    one.ask(query("next"), 5)
    assert [(verdict.id, verdict.position) for verdict in verdicts(one.decide(5))] == [("next", 1)]


def test_a_refill_lets_a_waiting_caller_go() -> None:
    one = gate(slots=10, tokens_per_minute=600)
    one.ask(query("first", tokens=600), 0)
    one.ask(query("second", tokens=50), 0)
    one.decide(0)
    assert verdicts(one.decide(4999)) == []
    assert verdicts(one.decide(5000))[0].decision == "granted"


def test_who_could_not_go_in_time_is_told_at_once() -> None:
    one = gate(slots=10, tokens_per_minute=600)
    one.ask(query("first", tokens=600), 0)
    one.decide(0)
    one.settle(RequestId("first"), used(600), "done", 0)
    one.ask(query("second", tokens=300, patience=10), 0)
    refused = verdicts(one.decide(0))[0]
    assert (refused.decision, refused.reason, refused.retry_after_seconds) == ("refused", "rate_limit_exceeded", 30.0)


def test_a_request_beyond_the_whole_limit_is_refused() -> None:
    one = gate(tokens_per_minute=1000)
    one.ask(query("huge", tokens=1001), 0)
    assert verdicts(one.decide(0))[0].reason == "rate_limit_exceeded"


def test_a_full_room_turns_away() -> None:
    one = gate(room=1)
    for name in ("runs", "waits"):
        one.ask(query(name), 0)
        one.decide(0)
    one.ask(query("late"), 0)
    assert verdicts(one.decide(0))[0].reason == "waiting_room_full"


def test_workers_that_vanish_leave_the_waiting_where_they_are() -> None:
    one = gate()
    one.ask(query("runs"), 0)
    one.ask(query("waits"), 0)
    one.decide(0)
    one.supplies = {}
    assert not verdicts(one.decide(100))
    assert one.status(100)["tiny"].waiting == 1


def test_a_withdrawn_grant_is_as_if_it_had_never_been() -> None:
    one = gate()
    one.ask(query("gone", tokens=100), 0)
    one.decide(0)
    one.withdraw(withdrawal("gone"), 0)
    assert one.decide(0)[0] == Refunded(RequestId("gone"))
    assert one.books.accounts[TENANT,].tokens.tokens == 1000


def test_a_decision_the_book_did_not_take_is_taken_back() -> None:
    one = gate()
    one.ask(query("known", tokens=100), 0)
    one.decide(0)
    one.take_back([RequestId("known")], 0)
    assert one.decide(0) == [Levels(ACCOUNT, 1000 * 60_000, 1000 * 60_000, 0, 60)]


def test_idle_accounts_are_closed_and_busy_ones_kept() -> None:
    one = gate()
    one.ask(query("runs"), 0)
    one.decide(0)
    one.close_idle(100_000)
    assert TENANT in one.books.tenants
    one.settle(RequestId("runs"), used(1), "done", 100_000)
    one.close_idle(200_000)
    assert (one.books.tenants, one.books.accounts) == ({}, {})


def test_who_waits_keeps_its_accounts_open() -> None:
    one = gate()
    one.ask(query("runs"), 0)
    one.ask(query("waits", patience=60), 0)
    one.decide(0)
    one.settle(RequestId("runs"), used(1), "done", 0)
    one.supplies = {}
    one.decide(30_000)
    one.close_idle(1_000_000)
    assert TENANT in one.books.tenants


def test_an_answer_without_a_bound_is_expected_to_be_like_those_before() -> None:
    one = gate(slots=10, tokens_per_minute=10_000)
    one.ask(query("first", sequences=2), 0)
    assert verdicts(one.decide(0))[0].tokens == 200, "nothing was learned: two answers of 50"
    for number in range(40):
        one.ask(query(f"{number}", sequences=1), 0)
        one.decide(0)
        one.settle(RequestId(f"{number}"), Usage(prompt_tokens=100, completion_tokens=20), "done", 0)
    entries = one.decide(0)
    assert any(isinstance(entry, Learned) for entry in entries)
    one.ask(query("last", sequences=1), 0)
    assert verdicts(one.decide(0))[0].tokens == 120


def test_nothing_is_learned_of_an_answer_that_was_stopped() -> None:
    one = gate()
    one.ask(query("stopped", sequences=1), 0)
    one.decide(0)
    one.settle(RequestId("stopped"), Usage(prompt_tokens=100, completion_tokens=3), "cancelled", 0)
    assert not any(isinstance(entry, Learned) for entry in one.decide(0))


def test_a_composed_prompt_corrects_its_reservation() -> None:
    one = gate()
    one.ask(query("grows", tokens=100), 0)
    one.decide(0)
    one.correct(Correction(RequestId("grows"), 140), 0)
    (corrected,) = [entry for entry in one.decide(0) if isinstance(entry, Corrected)]
    assert corrected.reservation.tokens == 140
    assert one.books.accounts[TENANT,].tokens.tokens == 860
    one.settle(RequestId("grows"), used(140), "done", 0)
    assert one.books.accounts[TENANT,].tokens.tokens == 860


def test_a_correction_of_what_has_been_settled_changes_nothing() -> None:
    one = gate()
    one.ask(query("ended", tokens=100), 0)
    one.decide(0)
    one.settle(RequestId("ended"), used(100), "done", 0)
    one.decide(0)
    one.correct(Correction(RequestId("ended"), 900), 0)
    assert one.decide(0) == []


def test_money_is_reserved_and_settled_with_the_tokens() -> None:
    one = gate()
    one.ask(query("dear", tokens=100, model="dear"), 0)
    (granted,) = [entry for entry in one.decide(0) if isinstance(entry, Granted)]
    assert granted.reservation.nanos == 100_000
    one.settle(RequestId("dear"), used(30), "done", 0)
    assert Settled(RequestId("dear"), 30, 30_000, DAY, MONTH) in one.decide(0)


def test_a_user_is_held_back_by_its_own_limit_and_others_are_not() -> None:
    caps = Caps(1000, 1000, 100)
    limits = Limits(caps, wait_seconds=60, user=Caps(150, 1000, 100))
    one = gate_of(Fair(4, room=10, room_per_tenant=10), limits, slots=10)
    for name, user in (("a1", "ana"), ("a2", "ana"), ("b1", "bo")):
        one.ask(query(name, user=user, patience=60), 0)
    told = {verdict.id: verdict.decision for verdict in verdicts(one.decide(0))}
    assert told == {"a1": "granted", "b1": "granted", "a2": "queued"}


def test_limits_that_change_hold_for_open_accounts_at_once() -> None:
    one = gate(tokens_per_minute=1000)
    one.ask(query("runs", tokens=900), 0)
    one.decide(0)
    one.limit(TENANT, Limits(Caps(2000, 1000, 100), wait_seconds=60), 0)
    assert one.books.accounts[TENANT,].tokens.tokens == 1100


def test_who_asked_another_limiter_before_gets_its_old_place() -> None:
    one = gate()
    one.ask(query("runs"), 100_000)
    one.decide(100_000)
    one.ask(query("came later", waited=1.0), 100_000)
    one.ask(query("came first", waited=3.0), 100_000)
    places = {verdict.id: verdict.position for verdict in verdicts(one.decide(100_000))}
    assert places == {"came first": 1, "came later": 2}


def test_a_tenant_may_have_its_waiting_requests_run_in_the_batch_class() -> None:
    limits = Limits(Caps(10_000, 1000, 100), wait_seconds=60, on_full="batch")
    one = gate_of(Overflow(1, room=10, room_per_tenant=10), limits)
    one.ask(query("runs", model="dear"), 0)
    one.decide(0)
    one.ask(query("overflows", model="dear"), 0)
    one.settle(RequestId("runs"), used(10), "done", 0)
    (granted,) = [entry for entry in one.decide(0) if isinstance(entry, Granted)]
    assert (granted.verdict.service_class, granted.reservation.nanos) == ("batch", 50_000)


def test_a_grant_is_looked_after_only_past_its_end_and_slack() -> None:
    one = gate()
    one.ask(query("r"), 0)
    one.decide(0)
    overdues = Overdues(slack_ms=500)
    looks = [overdues.among(one.books.held, now) for now in (15_499, 15_500, 15_600)]
    assert looks == [{}, {RequestId("r"): 15_000}, {}]


def test_who_withdraws_and_asks_again_in_one_breath_is_refunded_before_it_is_granted_anew() -> None:
    one = gate()
    one.ask(query("again", tokens=100), 0)
    one.decide(0)
    one.withdraw(withdrawal("again"), 10)
    one.ask(again("again"), 10)
    kinds = [type(entry) for entry in one.decide(10)]
    assert kinds == [Refunded, Granted, Levels]


def test_a_late_copy_of_a_withdrawal_does_not_touch_what_was_asked_for_anew() -> None:
    one = gate()
    one.ask(query("again"), 0)
    one.decide(0)
    one.withdraw(withdrawal("again"), 0)
    one.ask(again("again"), 0)
    one.decide(0)
    one.withdraw(withdrawal("again"), 0)
    assert one.decide(0) == []
    assert RequestId("again") in one.books.held


def test_a_new_attempt_ends_one_whose_withdrawal_was_lost() -> None:
    one = gate()
    one.ask(query("again"), 0)
    one.decide(0)
    one.ask(again("again"), 0)
    refunded, granted, _ = one.decide(0)
    assert refunded == Refunded(RequestId("again"))
    assert isinstance(granted, Granted)
    assert granted.verdict.attempt == 1


def test_a_late_question_of_an_earlier_attempt_is_nothing() -> None:
    one = gate()
    one.ask(again("again"), 0)
    one.decide(0)
    one.ask(query("again"), 0)
    assert one.decide(0) == []


def test_only_the_grant_that_was_found_unused_is_refunded() -> None:
    one = gate()
    one.ask(query("r"), 0)
    one.decide(0)
    one.ask(again("r"), 1000)
    one.decide(1000)
    one.refund_unused(RequestId("r"), 15_000, 20_000)
    assert RequestId("r") in one.books.held
    one.refund_unused(RequestId("r"), 16_000, 21_000)
    assert RequestId("r") not in one.books.held
