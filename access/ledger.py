"""What the gate has written down of a tenant, for people: its limits, its ledger, what it has used. Pure.

Each takes a hash as Redis gives it (see ``keys.limits``, ``keys.ledger``, ``keys.spent``). Money stands there in nanos.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

Row = Mapping[bytes, bytes]

SUMS = ("granted", "settled", "reserved", "refunded")
"""Of each model and of all: granted = settled + reserved + refunded."""
NANOS = 1_000_000_000
_FIELD = re.compile(rf"(requests|(?:{'|'.join(SUMS)}):(?:tokens|nanos)):(.+)")


def day_and_month(now: datetime) -> tuple[str, str]:
    """The names of the periods that quotas are for. ``now`` is UTC."""
    return f"{now:%Y-%m-%d}", f"{now:%Y-%m}"


def limits_of(row: Row) -> dict[str, int | float | bool | str]:
    """The limits that were set, by name."""
    return {name: _limit(name, raw) for name, raw in sorted(_texts(row).items())}


def ledger_of(row: Row) -> dict[str, Any]:
    """``models``, each with its number of requests and its sums, and their ``total``; sums are tokens and usd."""
    models: dict[str, Counter[str]] = {}
    total: Counter[str] = Counter()
    for field, raw in sorted(_texts(row).items()):
        if (match := _FIELD.fullmatch(field)) is not None:
            what, model = match.groups()
            models.setdefault(model, Counter())[what] = int(raw)
            total[what] += int(raw)
    return {"models": {model: _sums(counts) for model, counts in models.items()}, "total": _sums(total)}


def spent_of(row: Row) -> dict[str, int | float]:
    """What was used in a period."""
    spent = _texts(row)
    return _amount(int(spent.get("tokens", 0)), int(spent.get("nanos", 0)))


def _sums(counts: Counter[str]) -> dict[str, Any]:
    sums = {name: _amount(counts[f"{name}:tokens"], counts[f"{name}:nanos"]) for name in SUMS}
    return {"requests": counts["requests"], **sums}


def _amount(tokens: int, nanos: int) -> dict[str, int | float]:
    return {"tokens": tokens, "usd": nanos / NANOS}


def _limit(name: str, raw: str) -> int | float | bool | str:
    if name == "fail_open":
        return raw == "1"
    try:
        return int(raw)
    except ValueError:
        pass
    try:
        return float(raw)
    except ValueError:
        return raw


def _texts(row: Row) -> dict[str, str]:
    return {name.decode(): raw.decode() for name, raw in row.items()}
