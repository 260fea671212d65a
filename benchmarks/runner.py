"""What every benchmark does around its measuring: options, children, one table, one file, plots, the exit status."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from benchmarks import plots, report
from benchmarks.load import Leg
from benchmarks.plots import Plot
from benchmarks.processes import ROOT, Processes, ProcessFailed
from benchmarks.report import Figure


class _UsesCpu(Protocol):
    """A leg of any kind."""

    @property
    def cpu(self) -> dict[str, float]: ...


L = TypeVar("L", bound=_UsesCpu)


@dataclass(frozen=True)
class Result:
    """What a benchmark found. ``cpu`` is by side and process, in ``cpu_unit``; ``problems`` are losses and errors of
    ours, ``rivals_problems`` those of the others, which are told and fail nothing."""

    title: str
    figures: Sequence[Figure]
    problems: Counter[str]
    rivals_problems: Counter[str] = field(default_factory=Counter[str])
    cpu: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    cpu_unit: str = ""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    plots: Sequence[Plot] = ()


def options(
    name: str, about: str, arguments: Sequence[str] | None, quick: Mapping[str, Any], add: Callable[[Any], None]
) -> argparse.Namespace:
    """The command line: ``--rounds`` and ``--quick`` for all, ``add`` for what is the benchmark's own.

    ``quick`` holds the values that ``--quick`` takes as defaults: they show that everything runs, and measure nothing.
    """
    parser = argparse.ArgumentParser(prog=f"benchmarks.{name}", description=about)
    parser.add_argument("--rounds", type=int, default=5, help="there and back so many times")
    parser.add_argument("--quick", action="store_true", help="see that it runs; its figures mean nothing")
    add(parser)
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(**{"rounds": 1, **quick})
    return parser.parse_args(arguments)


def run(name: str, given: argparse.Namespace, measure: Callable[[Processes, Path], Result]) -> int:
    """Measure, tell, keep. 0: nothing was lost; 1: a token was lost or doubled or an answer broke; 2: not measured."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the children are ended then, too
    try:
        with (
            tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder,
            Processes(report.RESULTS / "logs") as all_,
        ):
            result = measure(all_, Path(folder))
    except (ProcessFailed, TimeoutError, OSError) as error:
        print(f"{name}: {error or 'a leg did not end'}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return _tell(name, given, result)


def problems_of(legs: Iterable[Leg]) -> Counter[str]:
    """How often what went wrong."""
    return Counter(answer.problem for leg in legs for answer in leg.answers if answer.problem)


def nothing_lost() -> Counter[str]:
    """The problems of a benchmark that asks nothing."""
    return Counter()


def cpu_per(legs: Mapping[str, Sequence[L]], units: Callable[[L], float]) -> dict[str, dict[str, float]]:
    """CPU seconds of each process of each side, the client's too, divided by the sum of ``units`` over its legs."""
    return {
        side: {name: sum(leg.cpu[name] for leg in mine) / sum(map(units, mine)) for name in mine[0].cpu}
        for side, mine in legs.items()
    }


def cpu_of(legs: Iterable[_UsesCpu]) -> dict[str, float]:
    """CPU seconds by process over all legs; of a process that died on the way, what could be read."""
    seconds: dict[str, float] = {}
    for leg in legs:
        for name, used in leg.cpu.items():
            seconds[name] = seconds.get(name, 0.0) + max(0.0, used)
    return seconds


def refuse_broken(leg: Leg) -> None:
    """A server that cannot answer when nobody else asks would only fill the tables with errors.

    Raises:
        ProcessFailed: an answer of the warm-up is not whole.
    """
    if problem := next((answer.problem for answer in leg.answers if answer.problem), ""):
        raise ProcessFailed(f"{leg.server} does not answer as it should: {problem}")


def _tell(name: str, given: argparse.Namespace, result: Result) -> int:
    report.show(result.title, result.figures, ours="penstock", theirs="rival")
    if result.cpu:
        report.show_cpu(f"CPU {result.cpu_unit}:", result.cpu, "in all")
    print(f"Errors, lost or doubled tokens: {_listed(result.problems)}")
    if result.rivals_problems:
        print(f"Of the rivals: {_listed(result.rivals_problems)}")
    path = report.write(
        name,
        {
            "options": vars(given),
            "figures": result.figures,
            "problems": result.problems,
            "rivals_problems": result.rivals_problems,
            "cpu": {"unit": result.cpu_unit, "by_process": result.cpu},
            **result.data,
        },
    )
    print(f"Everything measured: {path.relative_to(ROOT)}")
    for drawn in plots.draw(result.plots, path.with_suffix("")):
        print(f"Plot: {drawn.relative_to(ROOT)}")
    if given.quick:
        print("A quick run: these figures mean nothing.")
    return 1 if result.problems else 0


def _listed(problems: Counter[str]) -> str:
    return ", ".join(f"{count}× {what}" for what, count in problems.most_common(8)) or "none"
