"""``fair``: ten tenants share a fleet, and one of them asks ten times as much as each of the others.

Simulated: the limiter's own gate in virtual time, on the requests of Azure's conversation trace; the schemes that
everybody starts with on the same requests, dealt to the same tenants. Four stories: ``isolation``, in which only the
heavy tenant wants more than its share; ``shares``, in which all do; ``steady``, in which everybody waits until it is
granted; ``classes``, in which interactive and batch requests compete.

Usage: ``python -m benchmarks.fair --rounds 5``
"""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks import runner, stats, traces
from benchmarks.plots import Plot, distribution
from benchmarks.processes import Processes
from benchmarks.report import Figure
from benchmarks.schemes import Scheme
from benchmarks.schemes.bucket import TokenBucket
from benchmarks.schemes.fcfs import FirstCome
from benchmarks.schemes.gate import Penstock
from benchmarks.schemes.window import WINDOW_MS, FixedWindow
from benchmarks.simulation import Outcome, Request, Shape, Simulation
from benchmarks.tales import BATCH, HEAVY, LIGHT, TALES, TENANTS, WARM_UP_MS, Leg, deal, read
from benchmarks.traces import Row
from limiter.policy import Supply
from limiter.waiting_room import CLASS_WEIGHTS

QUICK = {"slots": 20, "requests": 600, "synthetic": True}
OURS = "penstock"
_BATCH_SHARE = CLASS_WEIGHTS["batch"] / (CLASS_WEIGHTS["interactive"] + CLASS_WEIGHTS["batch"])


Legs = dict[str, list[Leg]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see ``runner.run`` for the exit status."""
    given = runner.options("fair", "One tenant at ten times the load of nine others.", arguments, QUICK, _add)
    return runner.run("fair", given, lambda processes, folder: _measure(processes, folder, given))


def figures(legs: Mapping[str, Legs]) -> list[Figure]:
    return [
        *_isolation(legs["isolation"]),
        *_shares(legs["shares"]),
        *_steady(legs["steady"]),
        *_classes(legs["classes"]),
    ]


def _measure(processes: Processes, folder: Path, given: Namespace) -> runner.Result:  # noqa: ARG001  (it starts none)
    shape = Shape(given.slots)
    legs: dict[str, Legs] = {name: {} for name in TALES}
    for number in range(given.rounds):
        began, rows = time.process_time(), _rows(given, number)
        for name, tale in TALES.items():
            for scheme, leg in _leg(name, deal(rows, tale, shape, number), shape, given).items():
                legs[name].setdefault(scheme, []).append(leg)
        print(f"round {number + 1} of {given.rounds}: {time.process_time() - began:.0f} s of CPU", flush=True)
    return runner.Result(
        f"fair: {given.slots} slots, {TENANTS} tenants, {given.rounds} rounds of {given.requests:,} requests",
        figures(legs),
        runner.nothing_lost(),
        data={"legs": {name: _data(by) for name, by in legs.items()}},
        plots=_plots(legs),
    )


def _data(legs: Legs) -> dict[str, list[dict[str, Any]]]:
    return {name: [asdict(leg) for leg in mine] for name, mine in legs.items()}


def _rows(given: Namespace, number: int) -> list[Row]:
    """Each round begins elsewhere in the trace."""
    if given.synthetic:
        return traces.synthetic(given.requests, number)
    rows = traces.conversations(traces.folder())
    first = (number * len(rows) // given.rounds) if given.requests < len(rows) else 0
    first = min(first, len(rows) - min(given.requests, len(rows)))
    return rows[first : first + given.requests]


def _leg(tale: str, requests: Sequence[Request], shape: Shape, given: Namespace) -> dict[str, Leg]:
    """Every contender once on the same requests; in ``isolation`` also what "alone" is."""
    made = _contenders(requests, shape, given)
    if tale == "steady":
        made = {name: make for name, make in made.items() if name.startswith(OURS)}
    legs = {name: read(_run(make(), shape, requests), shape) for name, make in made.items()}
    if tale == "isolation":
        light = [request for request in requests if request.tenant != HEAVY]
        legs["alone"] = read(_run(made[OURS](), shape, light), shape)
        legs["tenths"] = read(_tenths(light, shape), shape)
    return legs


def _contenders(requests: Sequence[Request], shape: Shape, given: Namespace) -> dict[str, Callable[[], Scheme]]:
    """Ours as it is shipped and as ``--grants-per-slot`` says; the rivals set to what the fleet can serve."""
    supply = Supply(shape.slots, shape.slots * shape.tokens_per_second)
    capacity = shape.requests_per_second((request.prompt_tokens, request.answer_tokens) for request in requests)
    tenants = len({request.tenant for request in requests})
    made: dict[str, Callable[[], Scheme]] = {OURS: lambda: Penstock(supply)}
    for grants in given.grants_per_slot:
        made[f"{OURS}, {grants} a slot"] = lambda grants=grants: Penstock(supply, grants)
    return made | {
        "first come": lambda: FirstCome(shape.slots),
        "fixed window": lambda: FixedWindow(round(capacity * WINDOW_MS / 1000 / tenants)),
        "token bucket": lambda: TokenBucket(capacity, shape.slots),
    }


def _tenths(light: Sequence[Request], shape: Shape) -> Outcome:
    """Each light tenant on a tenth of the fleet that nobody else may use."""
    own = replace(shape, slots=shape.slots // TENANTS)
    outcomes = [
        _run(FirstCome(own.slots), own, [request for request in light if request.tenant == tenant]) for tenant in LIGHT
    ]
    return Outcome(
        [story for outcome in outcomes for story in outcome.stories], fmean(one.idle_share for one in outcomes)
    )


def _run(scheme: Scheme, shape: Shape, requests: Sequence[Request]) -> Outcome:
    return Simulation(scheme, shape, requests, from_ms=WARM_UP_MS).run()


def _isolation(legs: Legs) -> list[Figure]:
    found: list[Figure] = []
    for name, mine in _schemes(legs):
        ours = name == OURS
        found += [
            _against(f"{name}: light answers p99", (mine, legs["alone"]), "alone", _answer, 1.2 if ours else None),
            _against(f"{name}: light waits p99", (mine, legs["tenths"]), "a tenth", _wait, 1.2 if ours else None),
            _figure(f"{name}: light waits p50", "s", [stats.percentile(leg.light_waits, 0.5) for leg in mine]),
            _figure(f"{name}: light requests given up", "", [leg.lost for leg in mine]),
            _figure(f"{name}: idle while somebody waits", "", [leg.idle for leg in mine], 0.01 if ours else None),
            _figure(f"{name}: refusals per request", "", [leg.refusals_per_request for leg in mine]),
            _figure(f"{name}: asks per answer", "", [leg.asks_per_answer for leg in mine]),
        ]
    return found


def _shares(legs: Legs) -> list[Figure]:
    found: list[Figure] = []
    for name, mine in _schemes(legs):
        if not all(leg.jain for leg in mine):
            found.append(Figure(f"{name}: rounds in which nobody was backlogged for 10 s", "", len(mine)))
            continue
        even = stats.spread([fmean(leg.jain) for leg in mine])
        goal, reached = ("≥ 0.99", even.value >= 0.99) if name == OURS else ("", True)
        found.append(Figure(f"{name}: Jain's index", "", even.value, spread=even, goal=goal, reached=reached))
        found.append(_figure(f"{name}: Jain's index, worst window", "", [min(leg.jain) for leg in mine]))
    return found


def _steady(legs: Legs) -> list[Figure]:
    found: list[Figure] = []
    for name, mine in _schemes(legs):
        if all(leg.eta_errors for leg in mine):
            errors = [median(leg.eta_errors) for leg in mine]
            found.append(_figure(f"{name}: ETA off by, median", "", errors, 0.2 if name == OURS else None))
        if all(leg.long_eta_errors for leg in mine):
            errors = [median(leg.long_eta_errors) for leg in mine]
            found.append(_figure(f"{name}: ETA off by, waits of 1 s and more", "", errors))
    return found


def _classes(legs: Legs) -> list[Figure]:
    found: list[Figure] = []
    for name, mine in _schemes(legs):
        if all(leg.batch_shares for leg in mine):
            shares = [fmean(leg.batch_shares) for leg in mine]
            found.append(_figure(f"{name}: batch's share, due {_BATCH_SHARE:.3f}", "", shares))
        found.append(_figure(f"{name}: longest wait of batch", "s", [max(leg.waits[BATCH]) for leg in mine]))
    return found


def _schemes(legs: Legs) -> Iterable[tuple[str, list[Leg]]]:
    return ((name, mine) for name, mine in legs.items() if name not in ("alone", "tenths"))


def _answer(leg: Leg) -> float:
    return leg.light_answer_p99


def _wait(leg: Leg) -> float:
    return leg.light_wait_p99


def _against(
    name: str, legs: tuple[Sequence[Leg], Sequence[Leg]], rival: str, of: Callable[[Leg], float], most: float | None
) -> Figure:
    mine, other = ([of(leg) for leg in side] for side in legs)
    ratio = stats.paired(mine, other)
    goal = "" if most is None else f"ratio ≤ {most:g}"
    reached = most is None or ratio.value <= most
    return Figure(name, "s", median(mine), median(other), ratio, goal=goal, reached=reached, rival=rival)


def _figure(name: str, unit: str, values: Sequence[float], most: float | None = None) -> Figure:
    spread = stats.spread(values)
    reached = most is None or spread.value <= most
    return Figure(name, unit, spread.value, spread=spread, goal="" if most is None else f"≤ {most:g}", reached=reached)


def _plots(legs: Mapping[str, Legs]) -> list[Plot]:
    waits = {
        name: [max(0.01, wait) for leg in mine for wait in leg.light_waits] for name, mine in legs["isolation"].items()
    }
    drawn = [distribution("waits", "Waits of the light tenants beside a heavy one", "s", waits)]
    for number, name in enumerate((OURS, "first come")):
        lines = _lines(legs["shares"][name][0])
        title = f"Service of ten tenants who all want more: {name}"
        drawn.append(Plot(f"service-{number}", title, "s", "tokens in 10 s", lines))
    return drawn


def _lines(leg: Leg) -> dict[str, list[tuple[float, float]]]:
    tenants = sorted({tenant for window in leg.series for tenant in window})
    return {
        tenant: [(10.0 * number, window.get(tenant, 0.0)) for number, window in enumerate(leg.series)]
        for tenant in tenants
    }


def _add(parser: Any) -> None:
    parser.add_argument("--slots", type=int, default=80, help="of the fleet, in tens: a tenth is a tenant's share")
    parser.add_argument("--requests", type=int, default=6000, help="requests of a round")
    parser.add_argument("--grants-per-slot", type=int, nargs="*", default=[1], help="ours with other settings, too")
    parser.add_argument("--synthetic", action="store_true", help="made-up requests in place of the trace")


if __name__ == "__main__":
    sys.exit(main())
