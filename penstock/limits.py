"""``penstock limits``: what a tenant may do and what it has done, over the admin routes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal
from urllib.parse import quote

from rich.table import Table

from penstock import target
from penstock.errors import CommandError
from penstock.target import Target

ROUTE = "/admin/limits"
SUMS = ("granted", "settled", "reserved", "refunded")
UNITS = {"tokens": "tokens", "usd": "USD"}

Kind = Literal["a whole number", "a number", "true or false", "a word"]
LIMITS: dict[str, Kind] = {
    "tokens_per_minute": "a whole number",
    "requests_per_minute": "a whole number",
    "concurrency": "a whole number",
    "user_tokens_per_minute": "a whole number",
    "user_requests_per_minute": "a whole number",
    "user_concurrency": "a whole number",
    "key_tokens_per_minute": "a whole number",
    "key_requests_per_minute": "a whole number",
    "key_concurrency": "a whole number",
    "tokens_per_day": "a whole number",
    "tokens_per_month": "a whole number",
    "usd_per_day": "a number",
    "usd_per_month": "a number",
    "wait_seconds": "a number",
    "weight": "a number",
    "on_full": "a word",
    "fail_open": "true or false",
}
"""What ``change`` may set, and what each takes; the bounds are the service's to say."""


def show(at: Target, tenant: str) -> dict[str, Any]:
    """The limits that were set and the live ledger, as ``GET /admin/limits/{tenant}`` gives them."""
    return target.get(at, _route(tenant))


def change(at: Target, tenant: str, chosen: dict[str, Any]) -> dict[str, Any]:
    """Set some limits and leave the others; ``None`` takes one away. Returns as ``show``."""
    return target.send(at, "PUT", _route(tenant), show(at, tenant)["limits"] | chosen)


def clear(at: Target, tenant: str) -> dict[str, Any]:
    """Take all limits away. Returns as ``show``."""
    return target.send(at, "PUT", _route(tenant), {})


def parse(assignments: Sequence[str]) -> dict[str, Any]:
    """``name=value`` each; ``None`` for one without a value.

    Raises:
        CommandError: an unknown name, or a value of another kind; says what there is.
    """
    return dict(_parsed(assignment) for assignment in assignments)


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """What ``show`` found: limits, the ledger in tokens and, where there is any, in money, and the periods' sums."""
    ledger = found["ledger"]
    yield limits_table(found["tenant"], found["limits"])
    yield ledger_table(ledger, "tokens")
    if ledger["total"]["granted"]["usd"]:
        yield ledger_table(ledger, "usd")
    yield spent_table(ledger)


def limits_table(tenant: str, limits: dict[str, Any]) -> Table:
    """A row per limit that was set."""
    made = _table(f"Limits of {tenant}", "limit", "value")
    for name, value in limits.items():
        made.add_row(name, _shown(value))
    if not limits:
        made.add_row("all as the limiter's settings say", "–")
    return made


def ledger_table(ledger: dict[str, Any], unit: str) -> Table:
    """A row per model; granted = settled + reserved + refunded. ``unit`` is ``tokens`` or ``usd``."""
    made = _table(f"Ledger, in {UNITS[unit]}", "model", "requests", *SUMS)
    for model, sums in ledger["models"].items():
        made.add_row(model, *_sums(sums, unit))
    made.add_row("total", *_sums(ledger["total"], unit), style="bold")
    return made


def spent_table(ledger: dict[str, Any]) -> Table:
    """What quotas count: what was settled today and this month."""
    made = _table("Used (UTC)", "period", *UNITS.values())
    for period, name in (("today", "today"), ("month", "this month")):
        made.add_row(name, *(_shown(ledger[period][unit]) for unit in UNITS))
    return made


def _parsed(assignment: str) -> tuple[str, Any]:
    name, equals, text = assignment.partition("=")
    if not equals or name not in LIMITS:
        raise CommandError(f"'{assignment}' sets no limit. Write NAME=VALUE; there are: {', '.join(LIMITS)}.")
    try:
        return name, _value(LIMITS[name], text) if text else None
    except (ValueError, KeyError):
        raise CommandError(f"'{text}' is no value for {name}: it takes {LIMITS[name]}.") from None


def _value(kind: Kind, text: str) -> Any:
    match kind:
        case "a whole number":
            return int(text)
        case "a number" if math.isfinite(float(text)):
            return float(text)
        case "true or false":
            return {"true": True, "false": False}[text]
        case "a word":
            return text
        case _:
            raise ValueError(text)


def _sums(sums: dict[str, Any], unit: str) -> list[str]:
    return [_shown(sums["requests"]), *(_shown(sums[name][unit]) for name in SUMS)]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _route(tenant: str) -> str:
    return f"{ROUTE}/{quote(tenant, safe='')}"
