"""``engine``: is the pipeline free? Our whole path against vLLM's own OpenAI server, on the same model.

Both are up at the same time, with the same engine settings, and asked by the same client, one at a time, A-B-B-A. For
each number of streams two kinds of leg: ``closed`` ones, so many streams always open, give tokens a second, the pace of
tokens, and CPU; ``paced`` ones, arrivals at 60 % of the rate that vLLM's server managed, give the time to the first
token, counted from the moment a question was due. Evenly spaced for one stream, so that it is alone, else Poisson.

Usage: ``python -m benchmarks.engine --rounds 5 --model models/penstock-faq``
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from benchmarks import questions, report, servers, stats
from benchmarks.load import Leg, arrivals, closed, paced
from benchmarks.processes import ROOT, Processes, ProcessFailed
from benchmarks.report import Figure
from benchmarks.rounds import Pair, interleave, of_answers, of_legs
from benchmarks.servers import Server

LOAD = 0.6
WARM_UP = 4
"""Questions per stream that are asked before anything is measured."""
_SEEDS_APART = 1000


@dataclass(frozen=True)
class Options:
    """What the command line says. ``seconds`` is about how long a leg lasts."""

    model: Path
    rounds: int
    streams: tuple[int, ...]
    seconds: float
    answer_tokens: int


@dataclass(frozen=True)
class Measured:
    """Everything measured with one number of streams. ``rate`` is that of the paced legs, questions a second."""

    streams: int
    rate: float
    closed: list[Pair]
    paced: list[Pair]

    @property
    def pairs(self) -> list[Pair]:
        return self.closed + self.paced

    @property
    def problems(self) -> Counter[str]:
        return Counter(problem for pair in self.pairs for problem in pair.problems)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 when a token was lost or doubled or an answer was not whole, 2 when nothing was measured."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the children are ended then, too
    try:
        measured = _measure(options)
    except (ProcessFailed, TimeoutError) as error:
        print(f"engine: {error or 'a leg did not end'}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    for part in measured:
        _show(part, options)
    path = report.write("engine", {"options": _plain(options), "streams": [_data(part) for part in measured]})
    print(f"Everything measured: {path.relative_to(ROOT)}")
    return 1 if any(part.problems for part in measured) else 0


def figures(measured: Measured) -> list[Figure]:
    """The comparison, with the goals of the speed budget."""
    slow, fast = measured.paced, measured.closed
    speed = of_legs(fast, lambda leg: leg.tokens_per_second)
    first = of_legs(slow, lambda leg: stats.percentile(_first_tokens(leg), 0.5))
    tail = of_answers(slow, _first_tokens, 0.99)
    burst = of_legs(fast, lambda leg: stats.percentile(_first_tokens(leg), 0.5))
    pace = of_legs(fast, lambda leg: median(1000 * answer.per_token for answer in leg.answers))
    gaps = of_answers(fast, _gaps, 0.99)
    cpu = of_legs(fast, lambda leg: 1e6 * sum(leg.served_cpu.values()) / leg.tokens)
    return [
        Figure("tokens per second", "1/s", *speed, goal="ratio ≥ 1.0", reached=speed[2].value >= 1.0),
        Figure("first token p50", "ms", *first, goal="interval ≤ 1.05", reached=first[2].high <= 1.05),
        Figure("first token p99", "ms", *tail, goal="ratio ≤ 1.2", reached=tail[2].value <= 1.2),
        Figure("first token p50, all streams open", "ms", *burst),
        Figure("pause per token, median answer", "ms", *pace),
        Figure("pause between events p99", "ms", *gaps),
        Figure("tokens per answer", "", *of_legs(fast, lambda leg: leg.tokens / len(leg.answers))),
        Figure("events per answer", "", *of_legs(fast, _events_per_answer)),
        Figure("CPU per 1000 tokens, all processes", "ms", *cpu),
    ]


def _measure(options: Options) -> list[Measured]:
    if not (options.model / "config.json").is_file():
        raise ProcessFailed(f"{options.model} holds no model; name a folder with --model")
    model = servers.Model(options.model.resolve(), slots=max(options.streams))
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as data, Processes(report.RESULTS / "logs") as processes:
        print(f"Starting both servers on {model.name}; their logs: benchmarks/results/logs")
        theirs = servers.vllm(processes, model)
        ours = servers.penstock(processes, Path(data), model)
        return uvloop.run(_all_streams(options, ours, theirs))


async def _all_streams(options: Options, ours: Server, theirs: Server) -> list[Measured]:
    return [await _with_streams(options, streams, ours, theirs) for streams in options.streams]


async def _with_streams(options: Options, streams: int, ours: Server, theirs: Server) -> Measured:
    base = streams * _SEEDS_APART

    async def full(server: Server, number: int, count: int) -> Leg:
        asked = questions.draw(count, base + number)
        return await closed(server, asked, streams=streams, answer_tokens=options.answer_tokens)

    for server in (ours, theirs):
        _refuse_broken(await full(server, -1, WARM_UP * streams))
    calibration = await full(theirs, -2, WARM_UP * streams)
    capacity = len(calibration.answers) / calibration.seconds
    count = max(WARM_UP * streams, round(capacity * options.seconds))
    rate, arriving = LOAD * capacity, max(2 * WARM_UP, round(LOAD * capacity * options.seconds))

    async def calm(server: Server, number: int) -> Leg:
        moments = arrivals(arriving, rate, seed=base + number, even=streams == 1)
        asked = questions.draw(arriving, base + _SEEDS_APART // 2 + number)
        return await paced(server, asked, moments, answer_tokens=options.answer_tokens, connections=streams)

    async def busy(server: Server, number: int) -> Leg:
        return await full(server, number, count)

    return Measured(
        streams,
        rate,
        closed=await interleave(f"{streams} streams, closed", options.rounds, ours, theirs, busy),
        paced=await interleave(f"{streams} streams, paced", options.rounds, ours, theirs, calm),
    )


def _refuse_broken(warm_up: Leg) -> None:
    """A server that cannot answer now would only fill the tables with errors."""
    if problem := next((answer.problem for answer in warm_up.answers if answer.problem), ""):
        raise ProcessFailed(f"{warm_up.server} does not answer as it should: {problem}")


def _show(measured: Measured, options: Options) -> None:
    title = f"{measured.streams} streams, {options.rounds} rounds, paced at {measured.rate:.1f} questions/s"
    report.show(title, figures(measured), ours="penstock", theirs="vllm")
    sides = {
        name: _cpu_per_1000_tokens(
            [leg for pair in measured.closed for leg in (pair.ours, pair.theirs) if leg.server == name]
        )
        for name in ("penstock", "vllm")
    }
    report.show_cpu("CPU per 1000 tokens, all streams open:", sides, "s")
    asked = sum(len(pair.ours.answers) for pair in measured.pairs)
    same = sum(pair.same for pair in measured.pairs)
    print(f"{asked} questions to each side; {same} answers are the same text on both.")
    problems = measured.problems
    print(
        "Errors, lost or doubled tokens: "
        + (", ".join(f"{n}× {what}" for what, n in problems.items()) or "none")
        + "\n"
    )


def _first_tokens(leg: Leg) -> list[float]:
    """In milliseconds."""
    return [1000 * answer.first_token for answer in leg.answers]


def _gaps(leg: Leg) -> list[float]:
    """In milliseconds."""
    return [1000 * gap for answer in leg.answers for gap in answer.gaps]


def _events_per_answer(leg: Leg) -> float:
    return sum(len(answer.gaps) + 1 for answer in leg.answers) / len(leg.answers)


def _cpu_per_1000_tokens(legs: list[Leg]) -> dict[str, float]:
    tokens = sum(leg.tokens for leg in legs)
    return {name: 1000 * sum(leg.served_cpu[name] for leg in legs) / tokens for name in legs[0].served_cpu}


def _data(measured: Measured) -> dict[str, Any]:
    return {
        "streams": measured.streams,
        "paced_per_second": measured.rate,
        "figures": figures(measured),
        "problems": measured.problems,
        "closed": [pair.data() for pair in measured.closed],
        "paced": [pair.data() for pair in measured.paced],
    }


def _options(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="benchmarks.engine", description="Our whole path against vLLM's own server.")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "penstock-faq", help="folder with the weights")
    parser.add_argument("--rounds", type=int, default=5, help="A-B-B-A so many times")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 16, 64], help="streams that are open at once")
    parser.add_argument("--seconds", type=float, default=4.0, help="about how long a leg lasts")
    parser.add_argument("--answer-tokens", type=int, default=64, help="longest answer")
    given = parser.parse_args(arguments)
    return Options(given.model, given.rounds, tuple(given.streams), given.seconds, given.answer_tokens)


def _plain(options: Options) -> dict[str, Any]:
    return {"model": options.model.name, **{k: v for k, v in vars(options).items() if k != "model"}}


if __name__ == "__main__":
    sys.exit(main())
