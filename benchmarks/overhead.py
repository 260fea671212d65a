"""``overhead``: how much later does the first token come through us than from the engine itself?

The scripted engine, called directly, and through our whole path, LiteLLM and vLLM's router, in the same run. Questions
come one at a time, evenly spaced, so that each is alone; and at a higher rate, as Poisson arrivals. Time counts from
the moment a question was due.

Usage: ``python -m benchmarks.overhead --rounds 5``
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import rivals, runner, scripts, stats
from benchmarks.load import Leg, arrivals, paced
from benchmarks.plots import distribution
from benchmarks.processes import Processes
from benchmarks.report import Figure
from benchmarks.rivals import Contenders, Shape
from benchmarks.rounds import take_turns
from benchmarks.servers import Server

QUICK = {"seconds": 0.5, "rates": [20.0], "rivals": ["direct", "naive"]}
SLOTS = 256
Legs = dict[str, list[Leg]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see ``runner.run`` for the exit status."""
    given = runner.options("overhead", "What a pipeline adds to the first token.", arguments, QUICK, _add)
    return runner.run("overhead", given, lambda processes, folder: _measure(processes, folder, given))


def figures(legs: Legs, rate: float) -> list[Figure]:
    """What each contender adds to a direct call; the goals are of the calm rate alone."""
    load = f"at {rate:g}/s"
    found: list[Figure] = []
    for name in legs:
        if name == "direct":
            continue
        for share, goal in ((0.5, 0.8), (0.99, 3.0)):
            added = stats.added(_first(legs[name], share), _first(legs["direct"], share))
            ours = name == "penstock"
            found.append(
                Figure(
                    f"{name} adds to the first token p{100 * share:.0f}, {load}",
                    "ms",
                    added.value,
                    spread=added,
                    goal=f"≤ +{goal}" if ours else "",
                    reached=added.value <= goal,
                )
            )
    if "litellm" in legs:
        found.append(_less_than_litellm(legs, load))
    return found


def _less_than_litellm(legs: Legs, load: str) -> Figure:
    direct = _first(legs["direct"], 0.5)
    ours, theirs = (stats.added(_first(legs[name], 0.5), direct).value for name in ("penstock", "litellm"))
    # Where ours adds less than can be measured, the comparison is with what can.
    times = theirs / max(ours, 0.01)
    return Figure(f"LiteLLM adds so many times as much, {load}", "", times, goal="≥ 10", reached=times >= 10)


def _first(legs: Sequence[Leg], share: float) -> list[float]:
    """A percentile of the time to the first token of each leg, in milliseconds."""
    return [stats.percentile([1000 * answer.first_token for answer in leg.answers], share) for leg in legs]


def _measure(processes: Processes, folder: Path, given: Namespace) -> runner.Result:
    taking_part = rivals.contenders(processes, folder, {"direct", *given.rivals}, Shape(SLOTS))
    by_rate: dict[float, Legs] = uvloop.run(_all_rates(taking_part, given))
    every = [leg for legs in by_rate.values() for mine in legs.values() for leg in mine]
    return runner.Result(
        f"overhead: {given.rounds} rounds, answers of {given.tokens} tokens",
        [figure for rate, legs in by_rate.items() for figure in figures(legs, rate)],
        runner.problems_of(leg for leg in every if leg.server == "penstock"),
        runner.problems_of(leg for leg in every if leg.server != "penstock"),
        cpu=runner.cpu_per(by_rate[given.rates[0]], lambda leg: len(leg.answers) / 1000),
        cpu_unit="in ms per request",
        data={"left_out": taking_part.left_out, "legs": {f"{rate:g}": _data(legs) for rate, legs in by_rate.items()}},
        plots=[
            distribution(
                f"{rate:g}-per-second",
                f"Time to the first token, {rate:g} questions/s",
                "ms",
                {
                    name: [1000 * answer.first_token for leg in mine for answer in leg.answers]
                    for name, mine in legs.items()
                },
            )
            for rate, legs in by_rate.items()
        ],
    )


async def _all_rates(taking_part: Contenders, given: Namespace) -> dict[float, Legs]:
    return {rate: await _at(taking_part, given, rate, even=rate == given.rates[0]) for rate in given.rates}


async def _at(taking_part: Contenders, given: Namespace, rate: float, *, even: bool) -> Legs:
    count = max(4, round(rate * given.seconds))

    async def run(server: Server, number: int) -> Leg:
        asked = scripts.ask(count, number, tokens=given.tokens, pause=given.pause)
        moments = arrivals(count, rate, seed=number, even=even)
        leg = await paced(server, asked, moments, answer_tokens=given.tokens, connections=8)
        return scripts.checked(leg, asked, given.tokens)

    for server in taking_part.all:
        runner.refuse_broken(await run(server, -1))
    return await take_turns(f"{rate:g} questions/s", given.rounds, taking_part.all, run, _told)


def _told(leg: Leg) -> str:
    return f"{_first([leg], 0.5)[0]:.2f} ms"


def _data(legs: Legs) -> dict[str, list[dict[str, Any]]]:
    return {name: [leg.data() for leg in mine] for name, mine in legs.items()}


def _add(parser: Any) -> None:
    parser.add_argument("--rivals", nargs="*", default=list(rivals.NAMES), choices=rivals.NAMES)
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[20.0, 100.0], help="questions a second; the first even"
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="how long a leg lasts")
    parser.add_argument("--tokens", type=int, default=16, help="length of an answer")
    parser.add_argument("--pause", type=float, default=0.002, help="seconds between two tokens of the engine")


if __name__ == "__main__":
    sys.exit(main())
