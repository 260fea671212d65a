"""``requests``: how many short answers a second, and what does each cost?

Answers of 16 tokens from an engine that takes no time, ``--streams`` at once, each asked as soon as one has ended: what
is measured is the way in and out, not the tokens.

Usage: ``python -m benchmarks.requests --rounds 5``
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import rivals, runner, scripts, stats
from benchmarks.load import Leg, closed
from benchmarks.plots import distribution
from benchmarks.processes import Processes
from benchmarks.report import Figure
from benchmarks.rivals import Contenders, Shape
from benchmarks.rounds import against, of_legs, take_turns
from benchmarks.servers import Server

QUICK = {"streams": 4, "seconds": 0.3, "rivals": ["direct", "naive"]}
Legs = dict[str, list[Leg]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see ``runner.run`` for the exit status."""
    given = runner.options("requests", "Short answers at the highest rate.", arguments, QUICK, _add)
    return runner.run("requests", given, lambda processes, folder: _measure(processes, folder, given))


def figures(legs: Legs) -> list[Figure]:
    rate, cost = (
        stats.spread([_rate(leg) for leg in legs["penstock"]]),
        stats.spread([_cost(leg) for leg in legs["penstock"]]),
    )
    found = [
        Figure("requests per second", "1/s", rate.value, spread=rate, goal="≥ 800", reached=rate.value >= 800),
        Figure("CPU per request, all services", "ms", cost.value, spread=cost, goal="≤ 1.5", reached=cost.value <= 1.5),
    ]
    for name in legs:
        if name != "penstock":
            pairs = against(legs, "penstock", name)
            found.append(Figure("requests per second", "1/s", *of_legs(pairs, _rate), rival=name))
            found.append(Figure("CPU per request", "ms", *of_legs(pairs, _cost), rival=name))
    return found


def _rate(leg: Leg) -> float:
    return len(leg.answers) / leg.seconds


def _cost(leg: Leg) -> float:
    """CPU milliseconds per request, over all processes of the server."""
    return 1000 * sum(leg.served_cpu.values()) / len(leg.answers)


def _measure(processes: Processes, folder: Path, given: Namespace) -> runner.Result:
    taking_part = rivals.contenders(processes, folder, given.rivals, Shape(given.streams))
    legs = uvloop.run(_all(taking_part, given))
    answered = {name: [1000 * answer.ended for leg in mine for answer in leg.answers] for name, mine in legs.items()}
    return runner.Result(
        f"requests: answers of {given.tokens} tokens, {given.streams} at once, {given.rounds} rounds",
        figures(legs),
        runner.problems_of(legs["penstock"]),
        runner.problems_of(leg for name, mine in legs.items() if name != "penstock" for leg in mine),
        cpu=runner.cpu_per(legs, lambda leg: len(leg.answers) / 1000),
        cpu_unit="in ms per request",
        data={
            "left_out": taking_part.left_out,
            "legs": {name: [leg.data() for leg in mine] for name, mine in legs.items()},
        },
        plots=[distribution("answers", f"Time to the whole answer, {given.streams} at once", "ms", answered)],
    )


async def _all(taking_part: Contenders, given: Namespace) -> Legs:
    least: int = 4 * given.streams
    counts: dict[str, int] = {}

    async def run(server: Server, number: int) -> Leg:
        asked = scripts.ask(counts.get(server.name, least), number, tokens=given.tokens)
        leg = await closed(server, asked, streams=given.streams, answer_tokens=given.tokens)
        return scripts.checked(leg, asked, given.tokens)

    for server in taking_part.all:
        runner.refuse_broken(await run(server, -1))
        calibration = await run(server, -2)
        counts[server.name] = max(least, round(_rate(calibration) * given.seconds))
    return await take_turns(f"{given.streams} at once", given.rounds, taking_part.all, run, _told)


def _told(leg: Leg) -> str:
    return f"{_rate(leg):,.0f}/s"


def _add(parser: Any) -> None:
    parser.add_argument("--rivals", nargs="*", default=list(rivals.NAMES), choices=rivals.NAMES)
    parser.add_argument("--streams", type=int, default=64, help="requests that are open at once")
    parser.add_argument("--seconds", type=float, default=5.0, help="about how long a leg lasts")
    parser.add_argument("--tokens", type=int, default=16, help="length of an answer")


if __name__ == "__main__":
    sys.exit(main())
