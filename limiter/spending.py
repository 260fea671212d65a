"""What a tenant has used of its quotas, today and this month (UTC), and what it has reserved beyond that. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

from limiter.limits import Quota
from limiter.tariff import NOTHING, Cost

PeriodKind = Literal["day", "month"]
DAY_MS = 86_400_000
KINDS: tuple[PeriodKind, ...] = ("day", "month")


def period(kind: PeriodKind, now_ms: int) -> str:
    """The name of the day (``2026-02-28``) or month (``2026-02``) at ``now_ms``."""
    return _names(now_ms // DAY_MS)[kind]


def seconds_left(kind: PeriodKind, now_ms: int) -> float:
    """Until the next day or month begins."""
    moment = _moment(now_ms)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "day":
        next_one = midnight + timedelta(days=1)
    else:
        next_one = (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
    return (next_one - moment).total_seconds()


@dataclass
class Spending:
    """``used`` holds the settled cost by the period's name."""

    used: dict[str, Cost] = field(default_factory=dict[str, Cost])
    reserved: Cost = NOTHING

    def settle(self, reserved: Cost, used: Cost, now_ms: int) -> None:
        """Real usage takes the place of a reservation, in the periods of its end."""
        self.reserved -= reserved
        names = [period(kind, now_ms) for kind in KINDS]
        self.used = {name: self.used.get(name, NOTHING) + used for name in names}

    def left(self, kind: PeriodKind, quota: Quota, now_ms: int) -> Quota:
        """What of a quota may still be reserved; ``None`` is without end."""
        taken = self.used.get(period(kind, now_ms), NOTHING) + self.reserved
        return Quota(
            None if quota.tokens is None else quota.tokens - taken.tokens,
            None if quota.nanos is None else quota.nanos - taken.nanos,
        )


@lru_cache(maxsize=4)
def _names(day: int) -> dict[PeriodKind, str]:
    moment = _moment(day * DAY_MS)
    return {"day": f"{moment:%Y-%m-%d}", "month": f"{moment:%Y-%m}"}


def _moment(now_ms: int) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, UTC)
