"""A-B-B-A: every round measures both sides twice, so that a drift of the machine falls on both alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

from benchmarks import stats
from benchmarks.answers import compare
from benchmarks.load import Leg
from benchmarks.servers import Server

T = TypeVar("T")
Run = Callable[[Server, int], Awaitable[Leg]]


@dataclass(frozen=True)
class Pair:
    """Two legs with the same questions, one right after the other."""

    ours: Leg
    theirs: Leg

    @property
    def problems(self) -> list[str]:
        """What makes this pair no measurement: answers that are not whole, and tokens lost or doubled."""
        broken = [
            f"{leg.server}: {answer.problem}"
            for leg in (self.ours, self.theirs)
            for answer in leg.answers
            if answer.problem
        ]
        differences = (compare(*both) for both in zip(self.ours.answers, self.theirs.answers, strict=True))
        return broken + [f"{self.ours.server}: tokens {what}" for what in differences if what in ("lost", "doubled")]

    @property
    def same(self) -> int:
        """Answers with the same text on both sides."""
        return sum(a.text == b.text for a, b in zip(self.ours.answers, self.theirs.answers, strict=True))

    def data(self) -> dict[str, Any]:
        """For the results file."""
        return {"same_text": self.same, "ours": self.ours.data(), "theirs": self.theirs.data()}


async def interleave(what: str, rounds: int, ours: Server, theirs: Server, run: Run) -> list[Pair]:
    """Two pairs a round. ``run(server, number)`` is one leg; the legs of a pair are given the same number."""
    legs = await take_turns(what, rounds, (ours, theirs), run, lambda leg: f"{leg.tokens_per_second:,.0f} tokens/s")
    return against(legs, ours.name, theirs.name)


async def take_turns(
    what: str,
    rounds: int,
    servers: Sequence[Server],
    run: Callable[[Server, int], Awaitable[T]],
    told: Callable[[T], str],
) -> dict[str, list[T]]:
    """Every server twice a round, there and back: A-B-C-C-B-A. ``told`` says in a few words what a leg brought."""
    legs: dict[str, list[T]] = {server.name: [] for server in servers}
    for number in range(2 * rounds):
        for server in servers if number % 2 == 0 else reversed(servers):
            legs[server.name].append(await run(server, number))
        brought = ", ".join(f"{name} {told(mine[-1])}" for name, mine in legs.items())
        print(f"{what}, {number + 1} of {2 * rounds}: {brought}", flush=True)
    return legs


def against(legs: Mapping[str, Sequence[Leg]], ours: str, theirs: str) -> list[Pair]:
    """The pairs of two of the servers that took turns."""
    return [Pair(*both) for both in zip(legs[ours], legs[theirs], strict=True)]


def of_legs(pairs: Sequence[Pair], of: Callable[[Leg], float]) -> tuple[float, float, stats.Spread]:
    """A figure that a leg has one of: the median of ours, of theirs, and the ratio."""
    ours, theirs = [of(pair.ours) for pair in pairs], [of(pair.theirs) for pair in pairs]
    return median(ours), median(theirs), stats.paired(ours, theirs)


def of_answers(
    pairs: Sequence[Pair], of: Callable[[Leg], Sequence[float]], share: float
) -> tuple[float, float, stats.Spread]:
    """A percentile of what a leg has many of, over all legs: ours, theirs, and the ratio."""
    ours, theirs = [of(pair.ours) for pair in pairs], [of(pair.theirs) for pair in pairs]
    return (
        stats.percentile(stats.flat(ours), share),
        stats.percentile(stats.flat(theirs), share),
        stats.pooled(ours, theirs, share),
    )
