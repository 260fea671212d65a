"""``tokens``: how many tokens can be carried when they are merged on the way, and how long do they wait for it?

1,000 streams are open at once and the engine gives each a token every ``--steps`` seconds, from slow to fast. Tokens a
core-second are those of a window over the CPU of all processes in it. The pause between two events, beyond the engine's
own, is what merging adds; a rate counts only while 99 % of the pauses stay within 50 ms.

Usage: ``python -m benchmarks.tokens --rounds 5``
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import events, rivals, runner, stats
from benchmarks.held import Held
from benchmarks.plots import Plot
from benchmarks.processes import Processes
from benchmarks.report import Figure
from benchmarks.rivals import Shape

QUICK = {"streams": 10, "ramp": 0.5, "seconds": 1.0, "steps": [0.05, 0.02], "rivals": ["naive"]}
PAUSE_MS = 50.0
GOAL = 150_000


@dataclass(frozen=True)
class Step:
    """All legs at one pace of the engine."""

    seconds: float
    streams: int
    legs: Mapping[str, Sequence[Held]]

    @property
    def offered(self) -> float:
        """Tokens a second that the engine wants to give."""
        return self.streams / self.seconds

    def per_core(self, name: str) -> stats.Spread:
        return stats.spread([leg.tokens_per_core_second for leg in self.legs[name]])

    def carried(self, name: str) -> float:
        return stats.spread([leg.tokens / leg.seconds for leg in self.legs[name]]).value

    def added_pause(self, name: str) -> float:
        """99th percentile of the pauses between two events beyond the engine's own, in milliseconds."""
        pauses = [gap for leg in self.legs[name] for gap in leg.gaps]
        return 1000 * (stats.percentile(pauses, 0.99) - self.seconds) if pauses else float("inf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see ``runner.run`` for the exit status."""
    given = runner.options("tokens", "Tokens per core when they are merged.", arguments, QUICK, _add)
    return runner.run("tokens", given, lambda processes, folder: _measure(processes, folder, given))


def figures(steps: Sequence[Step]) -> list[Figure]:
    found: list[Figure] = []
    for step in steps:
        per_core, load = step.per_core("penstock"), f"{step.offered:,.0f} offered"
        found.append(Figure(f"tokens/s carried, {load}", "1/s", step.carried("penstock")))
        found.append(Figure(f"added pause p99, {load}", "ms", step.added_pause("penstock")))
        found.append(Figure(f"tokens per core-second, {load}", "1/s", per_core.value, spread=per_core))
        for name in step.legs:
            if name != "penstock":
                ratio = stats.paired(
                    *([leg.tokens_per_core_second for leg in step.legs[n]] for n in ("penstock", name))
                )
                found.append(
                    Figure(
                        f"tokens per core-second, {load}",
                        "1/s",
                        per_core.value,
                        step.per_core(name).value,
                        ratio,
                        rival=name,
                    )
                )
    return [*found, _best(steps)]


def _best(steps: Sequence[Step]) -> Figure:
    good = [step.per_core("penstock") for step in steps if step.added_pause("penstock") <= PAUSE_MS]
    best = max(good, key=lambda spread: spread.value, default=None)
    value = best.value if best else 0.0
    title = f"tokens per core-second, best with an added pause p99 ≤ {PAUSE_MS:.0f} ms"
    return Figure(title, "1/s", value, spread=best, goal=f"≥ {GOAL:,}", reached=value >= GOAL)


def _measure(processes: Processes, folder: Path, given: Namespace) -> runner.Result:
    steps: list[Step] = []
    left_out: dict[str, str] = {}
    for seconds in given.steps:
        at = Namespace(**{**vars(given), "step": seconds})
        part = folder / f"{seconds:g}"
        part.mkdir()
        with Processes(processes.logs / f"{seconds:g}") as own:  # the engine's pace is set at its start
            taking_part = rivals.contenders(own, part, given.rivals, Shape(given.streams, seconds))
            left_out |= taking_part.left_out
            steps.append(Step(seconds, given.streams, uvloop.run(events.all_legs(taking_part, at))))
    every = [(name, leg) for step in steps for name, mine in step.legs.items() for leg in mine]
    return runner.Result(
        f"tokens: {given.streams} streams, {given.rounds} rounds",
        figures(steps),
        runner.problems_of(leg.leg for name, leg in every if name == "penstock"),
        runner.problems_of(leg.leg for name, leg in every if name != "penstock"),
        cpu=runner.cpu_per(steps[-1].legs, lambda leg: leg.tokens / 1e6),
        cpu_unit="in µs per token, at the highest pace",
        data={"left_out": left_out, "steps": [_data(step) for step in steps]},
        plots=[_plot(steps)],
    )


def _plot(steps: Sequence[Step]) -> Plot:
    names = list(steps[0].legs)
    lines = {name: [(step.offered, step.carried(name)) for step in steps] for name in names}
    return Plot(
        "throughput", f"Tokens carried, {steps[0].streams} streams", "offered tokens/s", "carried tokens/s", lines
    )


def _data(step: Step) -> dict[str, Any]:
    legs = {name: [leg.data() for leg in mine] for name, mine in step.legs.items()}
    return {"step_seconds": step.seconds, "offered_per_second": step.offered, "legs": legs}


def _add(parser: Any) -> None:
    events.add_options(parser)
    parser.set_defaults(rivals=["direct"], seconds=5.0)
    parser.add_argument("--steps", type=float, nargs="+", default=[0.2, 0.1, 0.05, 0.02], help="paces of the engine")


if __name__ == "__main__":
    sys.exit(main())
