"""What a run does to the fleet, and when. Pure: the same seed gives the same plan."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from random import Random

EVERYSEC_LOSS = 2.0
"""Seconds of writes that a power loss may cost under ``appendfsync everysec``."""


class Fault(StrEnum):
    """What can go wrong. The value is its name in the table."""

    WORKER_KILL = "worker kill -9"
    WORKER_FREEZE = "worker frozen beyond its lease, then thawed"
    WORKER_DRAIN = "worker SIGTERM under load"
    ACCESS_KILL = "access kill -9"
    LIMITER_KILL = "limiter kill -9"
    REDIS_KILL = "Redis kill -9 and restart"
    REDIS_HANG = "Redis hung for 2 to 10 s"
    POWER_LOSS = "power loss: the file's tail cut"
    LINK_CUT = "connections to Redis cut"
    LINK_DROP = "replies of Redis dropped"
    LINK_HALF_OPEN = "connections to Redis half-open, delivered late"


@dataclass(frozen=True)
class Stretch:
    """Rounds of one kind. ``faults`` counts those of all its rounds together.

    A stretch with power losses is ``lossy``: what was written in the last two seconds before one may be gone.
    """

    name: str
    rounds: int
    seconds: float
    faults: dict[Fault, int]

    @property
    def lossy(self) -> bool:
        return Fault.POWER_LOSS in self.faults


@dataclass(frozen=True)
class Round:
    """One stretch of load; its faults by the second in which they happen."""

    name: str
    number: int
    seconds: float
    lossy: bool
    faults: tuple[tuple[float, Fault], ...]


@dataclass(frozen=True)
class Plan:
    """A run: rounds of load, after each of which everything is looked at.

    ``users`` ask one question after the other, all at the same time. Fewer than ``reply_events`` show nothing.
    """

    seed: int
    stretches: tuple[Stretch, ...]
    users: int
    reply_events: int
    limiters: int = 2
    workers: int = 3
    access: int = 2

    @property
    def rounds(self) -> list[Round]:
        """All rounds, each kind of fault spread evenly over those of its stretch."""
        parts = [(stretch, part) for stretch in self.stretches for part in range(stretch.rounds)]
        return [self._round(number, stretch, part) for number, (stretch, part) in enumerate(parts)]

    @property
    def required(self) -> Counter[Fault]:
        """The number of each kind of fault without which a run proves nothing."""
        return sum((Counter(stretch.faults) for stretch in self.stretches), Counter[Fault]())

    def _round(self, number: int, stretch: Stretch, part: int) -> Round:
        random = Random(f"{self.seed} {number}")
        # What was there before the round is not to be lost: nobody could be told.
        first = EVERYSEC_LOSS if stretch.lossy else 0.0
        faults = [
            (first + (stretch.seconds - first) * (at + random.random()) / count, fault)
            for fault, total in stretch.faults.items()
            for count in [share(total, part, stretch.rounds)]
            for at in range(count)
        ]
        return Round(f"{stretch.name} {part}", number, stretch.seconds, stretch.lossy, tuple(sorted(faults)))


def share(total: int, part: int, parts: int) -> int:
    """How many of ``total`` fall into part number ``part`` of ``parts``; all parts together get exactly ``total``."""
    return total * (part + 1) // parts - total * part // parts
