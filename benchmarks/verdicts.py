"""Legs of asks at the gate, and its ledger after them: what they show. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from benchmarks import stats

BESIDE_SECONDS = 1.0
"""Who asks so soon after a kill may still have to wait for its end."""


@dataclass(frozen=True)
class Leg:
    """What all askers brought of one order: for each ask when it was ``due``, after the beginning, and the ``seconds``
    from then to its answer. ``granted``, ``used`` and ``running`` are tokens; ``began`` is by ``time.perf_counter``.
    """

    way: str
    lasted: float
    due: list[float]
    seconds: list[float]
    told: Counter[str]
    cpu: dict[str, float]
    granted: int
    used: int
    running: int
    dropped: int
    began: float

    def data(self) -> dict[str, Any]:
        """For the results file."""
        return {
            "way": self.way,
            "lasted": self.lasted,
            "told": self.told,
            "cpu_seconds": self.cpu,
            "dropped": self.dropped,
            "due": [round(due, 6) for due in self.due],
            "seconds": [round(seconds, 6) for seconds in self.seconds],
        }


@dataclass(frozen=True)
class Sums:
    """Tokens in the ledger of some tenants, and in the reservations that are theirs."""

    granted: int
    settled: int
    reserved: int
    refunded: int
    held: int


def milliseconds(leg: Leg, share: float) -> float:
    """A percentile of the time from the moment an ask was due to its answer."""
    return 1000 * stats.percentile(leg.seconds, share)


def answered_per_second(leg: Leg) -> float:
    """Answers that came while asks came."""
    until = max(leg.due)
    return sum(moment <= until for moment in _answered(leg)) / until


def asked_per_second(leg: Leg) -> float:
    return len(leg.due) / max(leg.due)


def growth(leg: Leg) -> float:
    """How much faster asks came than answers in the second half of a leg: by so many a second more were open."""
    until = max(leg.due)
    return (_open(leg, until) - _open(leg, until / 2)) / (until / 2)


def longest_wait(leg: Leg, moment: float) -> float:
    """Of those who were waiting at ``moment`` (seconds after the beginning), or asked soon after it."""
    asks = zip(leg.due, leg.seconds, strict=True)
    beside = (seconds for due, seconds in asks if due <= moment + BESIDE_SECONDS and due + seconds >= moment)
    return max(beside, default=0.0)


def ledger_faults(sums: Sums, *, settled: int, running: int) -> list[str]:
    """What is wrong in the ledger once all that ended is settled."""
    faults = invariant_faults(sums)
    if sums.settled != settled:
        faults.append(f"settled are {sums.settled} tokens, used were {settled}")
    if sums.reserved != running:
        faults.append(f"reserved are {sums.reserved} tokens, running are {running}")
    return faults


def invariant_faults(sums: Sums) -> list[str]:
    """What is wrong in the ledger, whatever is on its way."""
    faults: list[str] = []
    if sums.granted != sums.settled + sums.reserved + sums.refunded:
        faults.append("granted is not settled + reserved + refunded")
    if sums.reserved != sums.held:
        faults.append("reserved is not what is held")
    return faults


def _answered(leg: Leg) -> list[float]:
    return [due + seconds for due, seconds in zip(leg.due, leg.seconds, strict=True)]


def _open(leg: Leg, moment: float) -> int:
    return sum(due <= moment for due in leg.due) - sum(answered <= moment for answered in _answered(leg))
