"""What is shown of a tenant's limits and of its ledger, read from the hashes that the gate writes."""

from __future__ import annotations

from datetime import UTC, datetime

from access.ledger import day_and_month, ledger_of, limits_of, spent_of

LEDGER = {
    b"requests:m": b"2",
    b"granted:tokens:m": b"100",
    b"settled:tokens:m": b"60",
    b"refunded:tokens:m": b"40",
    b"granted:nanos:m": b"1500000000",
    b"settled:nanos:m": b"1500000000",
    b"requests:org/x:7b": b"1",
    b"granted:tokens:org/x:7b": b"30",
    b"reserved:tokens:org/x:7b": b"30",
}


def test_each_model_has_its_own_sums_and_all_have_a_total() -> None:
    ledger = ledger_of(LEDGER)
    assert ledger["models"]["m"] == {
        "requests": 2,
        "granted": {"tokens": 100, "usd": 1.5},
        "settled": {"tokens": 60, "usd": 1.5},
        "reserved": {"tokens": 0, "usd": 0},
        "refunded": {"tokens": 40, "usd": 0},
    }
    assert (ledger["total"]["requests"], ledger["total"]["granted"]["tokens"]) == (3, 130)


def test_a_models_name_may_hold_a_colon() -> None:
    assert ledger_of(LEDGER)["models"]["org/x:7b"]["reserved"] == {"tokens": 30, "usd": 0}


def test_a_tenant_without_a_ledger_has_used_nothing() -> None:
    ledger = ledger_of({})
    assert (ledger["models"], ledger["total"]["granted"]) == ({}, {"tokens": 0, "usd": 0})
    assert spent_of({}) == {"tokens": 0, "usd": 0}


def test_fields_of_another_release_are_passed_over() -> None:
    assert ledger_of({b"granted": b"7", b"level_at": b"1.5", b"granted:grams:m": b"1"})["models"] == {}


def test_limits_are_shown_as_what_they_are() -> None:
    row = {b"concurrency": b"2", b"usd_per_day": b"0.5", b"on_full": b"batch", b"fail_open": b"1"}
    assert limits_of(row) == {"concurrency": 2, "usd_per_day": 0.5, "on_full": "batch", "fail_open": True}


def test_what_was_used_is_in_tokens_and_money() -> None:
    assert spent_of({b"tokens": b"1200", b"nanos": b"250000000"}) == {"tokens": 1200, "usd": 0.25}


def test_periods_are_named_as_the_gate_names_them() -> None:
    assert day_and_month(datetime(2026, 2, 3, 23, 59, tzinfo=UTC)) == ("2026-02-03", "2026-02")
