"""The whole gate in virtual time: no server, no clock."""

from __future__ import annotations

from datetime import timedelta

from contracts.functions.gate import Answered, Entry, Granted, Levels, Refunded, Settled
from contracts.ids import AccessId, RequestId, TenantId
from contracts.messages import AdmissionQuery, Verdict
from limiter.account import Account, Limits
from limiter.gate import Gate, Reservation
from limiter.policy import ShortStreams, Supply
from limiter.sweeper import Overdues

TENANT = TenantId("acme")


def gate(slots: int = 1, grants_per_slot: int = 1, tokens_per_minute: int = 1000, room: int = 10) -> Gate:
    limits = Limits(tokens_per_minute, requests_per_minute=1000, concurrency=100, wait_seconds=60)
    made = Gate(ShortStreams(grants_per_slot, room=room, room_per_tenant=room), timedelta(seconds=15))
    made.supplies = {"tiny": Supply(slots, tokens_per_second=50.0)}
    made.open([Account.fresh(TENANT, limits, 0)])
    return made


def query(name: str, tokens: int = 100, patience: float = 10.0) -> AdmissionQuery:
    return AdmissionQuery(
        id=RequestId(name),
        access=AccessId("access-1"),
        tenant=TENANT,
        user="",
        key="",
        model="tiny",
        service_class="interactive",
        tokens=tokens,
        patience_seconds=patience,
    )


def verdicts(entries: list[Entry]) -> list[Verdict]:
    return [entry.verdict for entry in entries if isinstance(entry, Granted | Answered)]


def test_streams_stay_as_short_as_the_fleet_can_take() -> None:
    one = gate(slots=2, grants_per_slot=2)
    for n in range(6):
        one.ask(query(str(n)), 0)
    assert [verdict.decision for verdict in verdicts(one.decide(0))] == ["granted"] * 4 + ["queued"] * 2


def test_a_settled_request_makes_room_for_the_next() -> None:
    one = gate()
    one.ask(query("first"), 0)
    one.ask(query("second"), 0)
    one.decide(0)
    one.settle(RequestId("first"), 40, 10)
    entries = one.decide(10)
    assert Settled(RequestId("first"), 40) in entries
    assert [(verdict.id, verdict.decision) for verdict in verdicts(entries)] == [("second", "granted")]


def test_who_waits_is_told_when_it_moves() -> None:
    one = gate()
    for name in ("runs", "next", "last"):
        one.ask(query(name), 0)
    one.decide(0)
    one.withdraw(RequestId("next"), 600)
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
    one.settle(RequestId("first"), 600, 0)
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
    assert one.status()["tiny"].waiting == 1


def test_a_withdrawn_grant_is_as_if_it_had_never_been() -> None:
    one = gate()
    one.ask(query("gone", tokens=100), 0)
    one.decide(0)
    one.withdraw(RequestId("gone"), 0)
    assert one.decide(0)[0] == Refunded(RequestId("gone"))
    assert one.accounts[TENANT].tokens.tokens == 1000


def test_a_decision_the_book_did_not_take_is_taken_back() -> None:
    one = gate()
    one.ask(query("known", tokens=100), 0)
    one.decide(0)
    one.take_back([RequestId("known")], 0)
    assert one.decide(0) == [Levels(TENANT, 1000 * 60_000, 1000 * 60_000, 0)]


def test_idle_accounts_are_closed_and_busy_ones_kept() -> None:
    one = gate()
    one.ask(query("runs"), 0)
    one.decide(0)
    one.close_idle_accounts(100_000)
    assert TENANT in one.accounts
    one.settle(RequestId("runs"), 1, 100_000)
    one.close_idle_accounts(200_000)
    assert TENANT not in one.accounts


def test_a_grant_is_looked_after_only_past_its_end_and_slack() -> None:
    held = {RequestId("r"): Reservation(100, TENANT, "tiny", grant_end_ms=1000)}
    overdues = Overdues(slack_ms=500)
    looks = [overdues.among(held, now) for now in (1499, 1500, 1600)]
    assert looks == [[], [RequestId("r")], []]
