"""What ``penstock limits`` understands and shows."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from access.routes.limits import LimitsBody
from penstock.errors import CommandError
from penstock.limits import LIMITS, parse, tables


def sums(granted: int, settled: int, reserved: int, refunded: int, usd: float = 0.0) -> dict[str, Any]:
    tokens = {"granted": granted, "settled": settled, "reserved": reserved, "refunded": refunded}
    return {"requests": 3, **{name: {"tokens": value, "usd": usd} for name, value in tokens.items()}}


def found(usd: float = 0.0, **limits: Any) -> dict[str, Any]:
    spent = {"tokens": 7_000, "usd": 0.25}
    ledger = {
        "models": {"m-1": sums(10_000, 7_000, 1_000, 2_000, usd)},
        "total": sums(10_000, 7_000, 1_000, 2_000, usd),
    }
    return {"tenant": "acme", "limits": limits, "ledger": {**ledger, "today": spent, "month": spent}}


def shown(answer: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=120, record=True)
    for table in tables(answer):
        console.print(table)
    return console.export_text()


def test_the_command_knows_the_limits_of_the_service() -> None:
    assert list(LIMITS) == list(LimitsBody.model_fields)


def test_each_value_is_read_as_its_limit_takes_it() -> None:
    assert parse(["concurrency=2", "usd_per_day=0.5", "on_full=batch", "fail_open=true", "weight="]) == {
        "concurrency": 2,
        "usd_per_day": 0.5,
        "on_full": "batch",
        "fail_open": True,
        "weight": None,
    }


@pytest.mark.parametrize("assignment", ["concurency=2", "concurrency", "=2", ""])
def test_what_sets_no_limit_is_told_which_there_are(assignment: str) -> None:
    with pytest.raises(CommandError, match="tokens_per_minute, requests_per_minute"):
        parse([assignment])


@pytest.mark.parametrize(
    ("assignment", "takes"),
    [
        ("concurrency=many", "a whole number"),
        ("concurrency=1.5", "a whole number"),
        ("usd_per_day=nan", "a number"),
        ("usd_per_day=free", "a number"),
        ("fail_open=1", "true or false"),
    ],
)
def test_a_value_of_another_kind_is_told_what_the_limit_takes(assignment: str, takes: str) -> None:
    with pytest.raises(CommandError, match=takes):
        parse([assignment])


def test_the_ledger_is_shown_with_what_makes_it_up() -> None:
    row = next(line for line in shown(found()).splitlines() if "m-1" in line)
    assert row.replace("│", " ").split() == ["m-1", "3", "10,000", "7,000", "1,000", "2,000"]


def test_limits_and_what_was_used_are_shown() -> None:
    said = shown(found(tokens_per_minute=200_000, fail_open=True))
    assert [word for word in ("200,000", "fail_open", "yes", "this month", "7,000", "0.25") if word not in said] == []


def test_money_is_shown_where_there_is_a_price() -> None:
    assert "Ledger, in USD" not in shown(found())
    assert "Ledger, in USD" in shown(found(usd=0.125))


def test_a_tenant_without_limits_is_shown_as_such() -> None:
    assert "limiter's settings" in shown(found())
