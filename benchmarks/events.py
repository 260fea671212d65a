"""``events``: what does one event cost? CPU over access, Redis, limiter and worker, from token to frame.

1,000 streams are open at once and each gets four tokens a second, a slow reader's pace; nothing holds a token back, so
hardly any two share an event. A window in which no request begins or ends gives CPU per event: for LiteLLM, which gets
a tenth of the streams, and for vLLM's router that is their own CPU alone, for the others that of the engine too.

Usage: ``python -m benchmarks.events --rounds 5``
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import held, rivals, runner, scripts, stats
from benchmarks.held import Held, Plan
from benchmarks.load import closed
from benchmarks.processes import Processes
from benchmarks.report import Figure
from benchmarks.rivals import Contenders, Shape
from benchmarks.rounds import take_turns
from benchmarks.servers import Server

QUICK = {"streams": 20, "ramp": 0.5, "seconds": 2.0, "step": 0.1, "rivals": ["direct", "naive"]}
UNMERGED = {"PENSTOCK_ACCESS__HOLD_AT_MOST": "0"}
"""Every token is sent as soon as access hears of it."""
WARM_UP = 20
"""Short answers from each contender before anything is measured."""
GOALS = {"naive": 5.0, "litellm": 25.0}
"""How many times as much a rival's event must cost."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see ``runner.run`` for the exit status."""
    given = runner.options("events", "CPU per event.", arguments, QUICK, add_options)
    return runner.run("events", given, lambda processes, folder: _measure(processes, folder, given))


def figures(legs: Mapping[str, Sequence[Held]]) -> list[Figure]:
    ours = [leg.cpu_per_event for leg in legs["penstock"]]
    spread = stats.spread(ours)
    merged = stats.spread([leg.tokens / max(1, leg.events) for leg in legs["penstock"]])
    found = [
        Figure("CPU per event", "µs", spread.value, spread=spread, goal="≤ 25", reached=spread.value <= 25),
        Figure("tokens per event", "", merged.value, spread=merged),
    ]
    for name, mine in legs.items():
        if name != "penstock":
            theirs = [leg.cpu_per_event for leg in mine]
            ratio, times = stats.paired(ours, theirs), GOALS.get(name)
            found.append(
                Figure(
                    "CPU per event",
                    "µs",
                    spread.value,
                    stats.spread(theirs).value,
                    ratio,
                    goal=f"theirs ≥ {times:g}×" if times else "",
                    reached=times is None or ratio.value * times <= 1,
                    rival=name,
                )
            )
    return found


async def all_legs(taking_part: Contenders, given: Namespace) -> dict[str, list[Held]]:
    """Every contender in turn, each leg with streams of its own questions."""

    async def run(server: Server, number: int) -> Held:
        plan = _plan(server, given)
        asked = scripts.ask(plan.streams, number, tokens=plan.tokens)
        leg = await held.held(server, asked, plan)
        return leg.checked(asked, plan.tokens)

    for server in taking_part.all:
        runner.refuse_broken(await closed(server, scripts.ask(WARM_UP, -1, tokens=2), streams=WARM_UP, answer_tokens=2))
    return await take_turns(f"{given.streams} streams", given.rounds, taking_part.all, run, _told)


def _plan(server: Server, given: Namespace) -> Plan:
    streams = min(given.streams, given.litellm_streams) if server.name == "litellm" else given.streams
    return Plan(streams, 1 / given.step, given.ramp, given.seconds)


def add_options(parser: Any) -> None:
    """The options of this benchmark and of ``tokens``."""
    parser.add_argument("--rivals", nargs="*", default=list(rivals.NAMES), choices=rivals.NAMES)
    parser.add_argument("--streams", type=int, default=1000, help="streams that are open at once")
    # All of them would keep it busy with their beginning until long after the window.
    parser.add_argument("--litellm-streams", type=int, default=100, help="streams through LiteLLM")
    parser.add_argument("--step", type=float, default=0.25, help="seconds between two tokens of a stream")
    parser.add_argument("--ramp", type=float, default=5.0, help="seconds over which the streams begin")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long the window lasts")


def _measure(processes: Processes, folder: Path, given: Namespace) -> runner.Result:
    taking_part = rivals.contenders(processes, folder, given.rivals, Shape(given.streams, given.step), **UNMERGED)
    legs = uvloop.run(all_legs(taking_part, given))
    return runner.Result(
        f"events: {given.streams} streams, a token each {given.step:g} s, {given.rounds} rounds",
        figures(legs),
        runner.problems_of(leg.leg for leg in legs["penstock"]),
        runner.problems_of(leg.leg for name, mine in legs.items() if name != "penstock" for leg in mine),
        cpu=runner.cpu_per(legs, lambda leg: leg.events / 1e6),
        cpu_unit="in µs per event",
        data={
            "left_out": taking_part.left_out,
            "legs": {name: [leg.data() for leg in mine] for name, mine in legs.items()},
        },
    )


def _told(leg: Held) -> str:
    return f"{leg.cpu_per_event:.0f} µs"


if __name__ == "__main__":
    sys.exit(main())
