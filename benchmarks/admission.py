"""``admission``: how fast the gate decides, and what it survives.

One Redis, a limiter process, and four processes that ask through access's own code, open loop. In the same run, there
and back: the bare pub/sub round trip, which is the floor, and the two schemes that everybody starts with, a counter
with INCR and EXPIRE and a list with BLPOP. Then races for the last tokens, verdicts that are lost, limiters that are
killed.

Usage: ``python -m benchmarks.admission --rounds 5 --kills 10``
"""

from __future__ import annotations

import asyncio
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from benchmarks import runner, stats
from benchmarks.asking import COST, GRANTED, HANG, MIXED
from benchmarks.gatehouse import ASKERS, Gatehouse
from benchmarks.plots import Plot, distribution
from benchmarks.processes import Processes
from benchmarks.report import Figure
from benchmarks.verdicts import (
    Leg,
    Sums,
    answered_per_second,
    asked_per_second,
    growth,
    invariant_faults,
    ledger_faults,
    longest_wait,
    milliseconds,
)

QUICK = {"seconds": 1.0, "rates": [400.0, 1000.0], "races": 2, "kills": 1, "calm_rate": 100.0}
WAYS = ("bare", "gate", "window", "bucket")
TENANTS = tuple(f"tenant {number}" for number in range(10))
RACERS, RACE_TOKENS = 64, 10 * COST
Legs = dict[str, list[Leg]]
"""By the way in which was asked."""
AT_ONCE = 1e9
GOAL_RATE = 2000.0
_KILL_AFTER, _AFTER_KILL = 1.5, 4.0
_SETTLED_WITHIN = 40.0
"""A withdrawal may be lost with a limiter; then the grant runs out, and is refunded some seconds after that."""


@dataclass(frozen=True)
class Kill:
    """One takeover under load. ``pause`` is the longest wait of one who asked about then, in seconds."""

    leg: Leg
    pause: float
    sums: Sums


@dataclass(frozen=True)
class Found:
    """``races``: the tokens granted of ``RACE_TOKENS``. ``loss``: a leg without, and one with lost verdicts."""

    by_rate: dict[float, Legs]
    races: list[int]
    loss: list[tuple[Leg, Leg]]
    kills: list[Kill]

    @property
    def ours(self) -> list[Leg]:
        decided = [leg for legs in self.by_rate.values() for leg in legs["gate"]]
        return decided + [leg for pair in self.loss for leg in pair] + [kill.leg for kill in self.kills]

    @property
    def rivals(self) -> list[Leg]:
        return [leg for legs in self.by_rate.values() for way, mine in legs.items() if way != "gate" for leg in mine]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see ``runner.run`` for the exit status."""
    given = runner.options("admission", "How fast the gate decides, and what it survives.", arguments, QUICK, _add)
    return runner.run("admission", given, lambda processes, folder: uvloop.run(_measure(processes, folder, given)))


def figures(found: Found) -> list[Figure]:
    decided = [figure for rate, legs in found.by_rate.items() for figure in _decisions(legs, rate)]
    sustained = [figure for rate, legs in found.by_rate.items() for figure in _sustained(legs["gate"], rate)]
    return [*decided, *sustained, *_surviving(found)]


async def _measure(processes: Processes, folder: Path, given: Namespace) -> runner.Result:
    (folder / "redis").mkdir()
    async with Gatehouse.opened(processes, folder / "redis") as house:
        by_rate = {rate: await _at(house, rate, given) for rate in given.rates}
        races = [await _race(house, number) for number in range(given.races)]
        loss = [await _loss(house, number, given) for number in range(2 * given.rounds)]
        kills = await _kills(house, given)
        found = Found(by_rate, races, loss, kills)
        left = await _settled(house, found)
    return runner.Result(
        f"admission: {ASKERS} asking processes, {given.rounds} rounds, {given.kills} kills",
        figures(found),
        _problems(found, left),
        Counter({told: count for leg in found.rivals for told, count in leg.told.items() if told != GRANTED}),
        cpu=_cpu(by_rate),
        cpu_unit="in s per 1,000 answers",
        data=_data(found, left),
        plots=_plots(by_rate[given.rates[0]], given.rates[0]),
    )


async def _at(house: Gatehouse, rate: float, given: Namespace) -> Legs:
    """Every way there and back at the first rate; at the others the floor and the gate."""
    ways = WAYS if rate == given.rates[0] else WAYS[:2]
    legs: Legs = {way: [] for way in ways}
    for way in ways:
        await house.leg(way, min(rate, 200.0), 1.0, -1, tenants=("warm-up",))
    for number in range(2 * given.rounds):
        for way in ways if number % 2 == 0 else tuple(reversed(ways)):
            legs[way].append(await house.leg(way, rate, given.seconds, number, tenants=TENANTS))
        brought = ", ".join(f"{way} {milliseconds(mine[-1], 0.5):.2f} ms" for way, mine in legs.items())
        print(f"{rate:g}/s, {number + 1} of {2 * given.rounds}: {brought}", flush=True)
    return legs


async def _race(house: Gatehouse, number: int) -> int:
    """64 callers, ten of whom can be paid for; the tokens that were granted."""
    tenant = f"racer {number}"
    await house.limit(tenant, tokens_per_minute=RACE_TOKENS)
    alone = {"tenants": (tenant,), "patience_seconds": 0.0, "fates": ("runs on",)}
    await house.order("gate", RACERS // ASKERS, AT_ONCE, number, **alone)
    return (await house.sums([tenant])).granted


async def _loss(house: Gatehouse, number: int, given: Namespace) -> tuple[Leg, Leg]:
    """A leg in which all is heard, and one in which some is not; every other time the other way round."""
    shares = (0.0, given.loss) if number % 2 == 0 else (given.loss, 0.0)
    legs = {
        deaf: await house.leg("gate", given.calm_rate, given.seconds, number, tenants=TENANTS, deaf=deaf)
        for deaf in shares
    }
    calm, lossy = legs[0.0], legs[given.loss]
    print(f"{lossy.dropped} messages dropped: p99 {milliseconds(lossy, 0.99):.0f} ms", flush=True)
    return calm, lossy


async def _kills(house: Gatehouse, given: Namespace) -> list[Kill]:
    if given.kills:
        await house.add_limiter()
    return [await _kill(house, number, given) for number in range(given.kills)]


async def _kill(house: Gatehouse, number: int, given: Namespace) -> Kill:
    order = asyncio.create_task(
        house.leg("gate", given.calm_rate, _KILL_AFTER + _AFTER_KILL, number, tenants=TENANTS, fates=MIXED)
    )
    await asyncio.sleep(_KILL_AFTER)
    moment = await house.kill_active()
    await house.add_limiter()
    leg = await order
    kill = Kill(leg, longest_wait(leg, moment - leg.began), await house.sums(TENANTS))
    print(f"kill {number + 1} of {given.kills}: longest wait {kill.pause:.2f} s", flush=True)
    return kill


async def _settled(house: Gatehouse, found: Found) -> Sums:
    """The ledger when all that ended is in it; as it stands when that takes too long."""
    end = time.monotonic() + _SETTLED_WITHIN
    while True:
        sums = await house.sums(TENANTS)
        if not _faults(found, sums) or time.monotonic() > end:
            return sums
        await asyncio.sleep(0.2)


def _faults(found: Found, sums: Sums) -> list[str]:
    used, running = sum(leg.used for leg in found.ours), sum(leg.running for leg in found.ours)
    return ledger_faults(sums, settled=used, running=running)


def _problems(found: Found, left: Sums) -> Counter[str]:
    """Callers that were never answered, tokens granted twice or lost."""
    hangs = sum(leg.told[HANG] for leg in found.ours)
    over = sum(tokens != RACE_TOKENS for tokens in found.races)
    problems = Counter({"callers who were never answered": hangs, "races that granted other than was there": over})
    problems.update(fault for kill in found.kills for fault in invariant_faults(kill.sums))
    problems.update(_faults(found, left))
    return +problems


def _decisions(legs: Legs, rate: float) -> list[Figure]:
    """How much later an answer comes than over the bare round trip."""
    found: list[Figure] = []
    for way, mine in legs.items():
        for share, goal in ((0.5, 0.15), (0.99, 1.0)):
            taken = [[milliseconds(leg, share) for leg in side] for side in (mine, legs["bare"])]
            name = f"{way}, {rate:,.0f}/s: p{100 * share:.0f}"
            if way == "bare":
                found.append(_figure(name, "ms", taken[0]))
                continue
            more = stats.added(*taken)
            ours = way == "gate" and rate <= GOAL_RATE
            told = f"≤ +{goal:g}" if ours else ""
            found.append(Figure(f"{name} more", "ms", more.value, spread=more, goal=told, reached=more.value <= goal))
    return found


def _sustained(legs: Sequence[Leg], rate: float) -> list[Figure]:
    """Whether the gate keeps up."""
    answered, asked = [answered_per_second(leg) for leg in legs], [asked_per_second(leg) for leg in legs]
    share = stats.paired(answered, asked)
    return [
        Figure(
            f"gate, {rate:,.0f}/s: answered",
            "1/s",
            median(answered),
            median(asked),
            share,
            goal="ratio ≥ 0.99",
            reached=share.value >= 0.99,
            rival="asked",
        ),
        _figure(f"gate, {rate:,.0f}/s: more open after each second", "", [growth(leg) for leg in legs], 0.01 * rate),
        _figure(f"gate, {rate:,.0f}/s: not granted", "", [float(_others(leg)) for leg in legs], 0),
    ]


def _surviving(found: Found) -> list[Figure]:
    extra = [[milliseconds(leg, 0.99) for leg in side] for side in zip(*found.loss, strict=True)]
    figures = [
        Figure(
            f"races won by other than {RACE_TOKENS // COST} of {RACERS}, of {len(found.races)}",
            "",
            sum(tokens != RACE_TOKENS for tokens in found.races),
            goal="0",
            reached=all(tokens == RACE_TOKENS for tokens in found.races),
        ),
        _added("verdicts lost: p99 more", "ms", extra, 150),
        Figure("never answered", "", hangs := sum(leg.told[HANG] for leg in found.ours), goal="0", reached=not hangs),
    ]
    if found.kills:
        figures.append(
            _figure("limiter killed: longest wait", "s", [kill.pause for kill in found.kills], 2.0, worst=True)
        )
        figures.append(
            _figure("limiter killed: not granted", "", [float(_others(kill.leg)) for kill in found.kills], 0)
        )
    return figures


def _added(name: str, unit: str, sides: Sequence[Sequence[float]], most: float) -> Figure:
    without, with_ = sides
    more = stats.added(with_, without)
    return Figure(name, unit, more.value, spread=more, goal=f"≤ +{most:g}", reached=more.value <= most)


def _figure(name: str, unit: str, values: Sequence[float], most: float | None = None, *, worst: bool = False) -> Figure:
    """The median over legs; with ``worst`` the goal is for the worst of them, and so is the figure."""
    spread = stats.spread(values)
    told = spread.most if worst else spread.value
    reached = most is None or told <= most
    return Figure(name, unit, told, spread=spread, goal="" if most is None else f"≤ {most:g}", reached=reached)


def _others(leg: Leg) -> int:
    return sum(leg.told.values()) - leg.told[GRANTED]


def _cpu(by_rate: Mapping[float, Legs]) -> dict[str, dict[str, float]]:
    """Of each process, for a thousand answers; the limiter's includes settling them, Redis's the usage entries."""
    found: dict[str, dict[str, float]] = {}
    for rate, legs in by_rate.items():
        for way, mine in legs.items():
            thousands = sum(len(leg.seconds) for leg in mine) / 1000
            found[f"{way}, {rate:,.0f}/s"] = {
                name: used / thousands for name, used in runner.cpu_of(mine).items() if name != "echo" or way == "bare"
            }
    return found


def _data(found: Found, left: Sums) -> dict[str, Any]:
    return {
        "races": found.races,
        "ledger": left,
        "loss": [[leg.data() for leg in pair] for pair in found.loss],
        "kills": [{"pause": kill.pause, "sums": kill.sums, "leg": kill.leg.data()} for kill in found.kills],
        "legs": {
            f"{rate:g}": {way: [leg.data() for leg in mine] for way, mine in legs.items()}
            for rate, legs in found.by_rate.items()
        },
    }


def _plots(legs: Legs, rate: float) -> list[Plot]:
    waits = {way: [1000 * seconds for leg in mine for seconds in leg.seconds] for way, mine in legs.items()}
    return [distribution("decisions", f"From asking to the answer, {rate:,.0f}/s", "ms", waits)]


def _add(parser: Any) -> None:
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[2000.0, 10_000.0], help="asks a second; at the first with rivals"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="how long a leg lasts")
    parser.add_argument("--races", type=int, default=20, help="races for the last tokens")
    parser.add_argument("--loss", type=float, default=0.1, help="share of the verdict messages that is lost")
    parser.add_argument("--calm-rate", type=float, default=500.0, help="asks a second under loss and kills")
    parser.add_argument("--kills", type=int, default=10, help="limiters that are killed")


if __name__ == "__main__":
    sys.exit(main())
