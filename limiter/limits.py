"""What one tenant may do, as it was set for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

from limiter.tariff import NANOS

Whose = Literal["tenant", "user", "key"]


@dataclass(frozen=True)
class Caps:
    """Of one account: a tenant's, one user's, one key's. ``concurrency`` counts granted and unsettled requests."""

    tokens_per_minute: int
    requests_per_minute: int
    concurrency: int


@dataclass(frozen=True)
class Quota:
    """What may be used within a period; ``None`` is without end. A day and a month are UTC's."""

    tokens: int | None = None
    nanos: int | None = None

    @property
    def is_endless(self) -> bool:
        return self.tokens is None and self.nanos is None


@dataclass(frozen=True)
class Limits:
    """``user`` and ``key`` bound each of the tenant's users and keys. ``wait_seconds`` bounds its callers' patience,
    ``weight`` is its share against others who wait. ``on_full`` says whether its requests would rather run in the batch
    class than wait, where the policy offers that.
    """

    tenant: Caps
    wait_seconds: float
    user: Caps | None = None
    key: Caps | None = None
    day: Quota = Quota()
    month: Quota = Quota()
    weight: float = 1.0
    on_full: Literal["refuse", "batch"] = "refuse"


def limits_of(row: Mapping[str, str], defaults: Limits) -> tuple[Limits, list[str]]:
    """The limits that were set (``keys.limits``), ``defaults`` for the others; and the names of those without sense."""
    reading = _Reading(row)
    caps = reading.caps("", defaults.tenant) or defaults.tenant
    limits = replace(
        defaults,
        tenant=caps,
        user=reading.caps("user_", caps),
        key=reading.caps("key_", caps),
        day=Quota(reading.whole("tokens_per_day"), reading.nanos("usd_per_day")),
        month=Quota(reading.whole("tokens_per_month"), reading.nanos("usd_per_month")),
        wait_seconds=reading.number("wait_seconds", defaults.wait_seconds),
        weight=max(0.001, reading.number("weight", defaults.weight)),
        on_full="batch" if row.get("on_full", defaults.on_full) == "batch" else "refuse",
    )
    return limits, reading.bad


class _Reading:
    """Reads numbers, and notes what is none."""

    def __init__(self, row: Mapping[str, str]):
        self._row = row
        self.bad: list[str] = []

    def caps(self, prefix: str, otherwise: Caps) -> Caps | None:
        """``None`` where none of them was set."""
        names = [field.name for field in fields(Caps)]
        if not any(prefix + name in self._row for name in names):
            return None
        chosen = {name: max(1, int(self.number(prefix + name, getattr(otherwise, name)))) for name in names}
        return Caps(**chosen)

    def whole(self, name: str) -> int | None:
        number = self.number(name, -1.0)
        return int(number) if number >= 0 else None

    def nanos(self, name: str) -> int | None:
        number = self.number(name, -1.0)
        return round(number * NANOS) if number >= 0 else None

    def number(self, name: str, otherwise: float) -> float:
        try:
            number = float(self._row.get(name, otherwise))
        except ValueError:
            number = float("nan")
        if number >= 0 or name not in self._row:
            return number
        self.bad.append(name)
        return otherwise
