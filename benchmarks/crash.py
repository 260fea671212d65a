"""``crash``: a worker is killed with -9 in mid-answer; how long until the next token, and is one lost or doubled?

200 streams on four workers; one worker is killed while all are open, and another takes its place before the next leg.
Every answer is compared word for word with what the engine would have said uninterrupted. The naive build, killed the
same way, shows what happens without leases: its losses are told and fail nothing.

Usage: ``python -m benchmarks.crash --rounds 5``
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
import urllib.request
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import rivals, runner, scripts, stats
from benchmarks.answers import pieces, read
from benchmarks.chat import MODEL
from benchmarks.load import Leg
from benchmarks.plots import distribution
from benchmarks.pool import Messages, Pool, chat_requests, cpu_seconds, outcomes, undisturbed, used_since
from benchmarks.processes import Process, Processes
from benchmarks.report import Figure
from benchmarks.rivals import Shape
from benchmarks.servers import Fleet, Server
from benchmarks.wire import Recorded
from penstock import ports

QUICK = {"streams": 8, "ramp": 0.5, "lease": 1.0, "naive": False}
WORKERS = 4
SETTLE_SECONDS = 1.0
"""Between the begin of the last stream and the kill."""
AFTER_SECONDS = 4.0
"""How long answers go on behind the moment at which the last should have been taken over."""
ON_THE_WAY = 0.5
"""Seconds in which tokens that a dead worker wrote may still arrive."""


@dataclass(frozen=True)
class Pause:
    """Between two tokens of a stream: how long, and when it ended, in seconds from the kill."""

    seconds: float
    ended: float


@dataclass(frozen=True)
class Crash:
    """One leg. ``pauses`` are the longest about the kill, one a stream that saw another token."""

    leg: Leg
    pauses: tuple[Pause, ...]

    def struck(self, pace: float) -> list[float]:
        """Seconds from the kill to the next token, of the streams that noticed: that paused far beyond the pace."""
        return [pause.ended for pause in self.pauses if pause.seconds > 10 * pace]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see ``runner.run`` for the exit status."""
    given = runner.options("crash", "kill -9 of one of four workers.", arguments, QUICK, _add)
    return runner.run("crash", given, lambda processes, folder: _measure(processes, folder, given))


def figures(crashes: Sequence[Crash], given: Namespace) -> list[Figure]:
    struck = [crash.struck(given.pause) for crash in crashes]
    if not all(struck):
        return [
            Figure(
                "legs in which no stream noticed: nothing was measured",
                "",
                sum(not one for one in struck),
                reached=False,
            )
        ]
    slowest = stats.spread([stats.percentile(one, 0.99) for one in struck])
    bound, everyone = given.lease + 0.5, stats.percentile(stats.flat(struck), 0.99)
    return [
        Figure(
            "next token p99, streams of the killed worker",
            "s",
            everyone,
            goal=f"≤ {bound:g}",
            reached=everyone <= bound,
        ),
        Figure("the same, leg by leg", "s", slowest.value, spread=slowest),
        Figure("next token p50, streams of the killed worker", "s", stats.percentile(stats.flat(struck), 0.5)),
        Figure("streams taken over in a leg", "", stats.spread([float(len(one)) for one in struck]).value),
    ]


def longest_pause(moments: Sequence[float], killed: float) -> Pause | None:
    """The longest pause that began before the kill or soon after it; ``None`` when no token came after the kill.

    Soon after: tokens that were on their way when their worker died still arrive.
    """
    pauses = [
        (later - earlier, later)
        for earlier, later in pairwise(moments)
        if earlier < killed + ON_THE_WAY and later > killed
    ]
    if not pauses:
        return None
    seconds, ended = max(pauses)
    return Pause(seconds, ended - killed)


def _measure(processes: Processes, folder: Path, given: Namespace) -> runner.Result:
    (folder / "redis").mkdir()
    fleet = Fleet(processes, folder / "redis", MODEL)
    workers = dict(_add_worker(processes, fleet, given) for _ in range(WORKERS))
    fleet.ready()

    def kill() -> float:
        victim = workers.pop(min(workers, key=_free_slots))
        fleet.workers.remove(victim)
        return _end(processes, victim)

    crashes: list[Crash] = []
    for number in range(2 * given.rounds):
        crashes.append(uvloop.run(_leg(fleet.ready(), given, number, kill)))
        workers.update([_add_worker(processes, fleet, given)])
        print(f"kill {number + 1} of {2 * given.rounds}: {_told(crashes[-1], given)}", flush=True)
    naive = [_naive(processes, folder, given)] if given.naive else []
    return runner.Result(
        f"crash: {given.streams} streams on {WORKERS} workers, {len(crashes)} kills, lease {given.lease:g} s",
        figures(crashes, given),
        runner.problems_of(crash.leg for crash in crashes),
        runner.problems_of(crash.leg for crash in naive),
        cpu={"penstock": runner.cpu_of(crash.leg for crash in crashes)},
        cpu_unit="in s, all legs",
        data={"pauses": [[asdict(pause) for pause in crash.pauses] for crash in crashes]},
        plots=[distribution("next-token", "From the kill to the next token", "s", _sides(crashes, given))],
    )


def _naive(processes: Processes, folder: Path, given: Namespace) -> Crash:
    shape = Shape(_slots(given), workers=WORKERS)
    server = rivals.naive(processes, folder, shape)
    crash = uvloop.run(_leg(server, given, -1, lambda: _end(processes, server.processes[-1])))
    print(f"naive, one kill: {len(crash.pauses)} of {given.streams} streams saw another token", flush=True)
    return crash


def _end(processes: Processes, victim: Process) -> float:
    """Kill with -9; the moment of it."""
    moment = time.perf_counter()
    victim.kill()
    processes.forget(victim)
    return moment


def _add_worker(processes: Processes, fleet: Fleet, given: Namespace) -> tuple[int, Process]:
    """One more worker by its port, ready."""
    (port,) = ports.free(1)
    flags = ("--lease-seconds", str(given.lease), "--port", str(port))
    worker = fleet.scripted_worker(_slots(given), 0.0, *flags)
    processes.until_ok(f"http://127.0.0.1:{port}/readyz", 60)
    return port, worker


def _slots(given: Namespace) -> int:
    """Three workers have room for all streams."""
    return math.ceil(given.streams / (WORKERS - 1))


def _free_slots(port: int) -> float:
    """What a worker says about itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        told = answer.read().decode()
    return next(float(line.split()[1]) for line in told.splitlines() if line.startswith("penstock_worker_free_slots"))


async def _leg(server: Server, given: Namespace, number: int, kill: Callable[[], float]) -> Crash:
    tokens = round((given.ramp + SETTLE_SECONDS + given.lease + AFTER_SECONDS) / given.pause)
    asked = scripts.ask(given.streams, number, tokens=tokens, pause=given.pause)
    leg, recorded, killed = await _through(server, asked, tokens, given, kill)
    pauses = [longest_pause([moment for moment, _ in pieces(one)], killed) for one in recorded]
    return Crash(scripts.checked(leg, asked, tokens), tuple(pause for pause in pauses if pause is not None))


async def _through(
    server: Server, asked: Sequence[Messages], tokens: int, given: Namespace, kill: Callable[[], float]
) -> tuple[Leg, list[Recorded], float]:
    """Begin all streams one after the other, kill, and wait for the ends; the moment of the kill comes along."""
    bodies = chat_requests(server, asked, tokens)
    async with Pool.opened(server.port, 1) as pool:
        with undisturbed():
            began, before = time.perf_counter(), cpu_seconds(server)
            tasks = [
                asyncio.create_task(pool.ask_at(body, began + number * given.ramp / len(bodies)))
                for number, body in enumerate(bodies)
            ]
            await asyncio.sleep(began + given.ramp + SETTLE_SECONDS - time.perf_counter())
            killed = await asyncio.to_thread(kill)  # a worker is asked first, and a dead one waited for
            recorded = await outcomes(tasks, 2 * (given.lease + AFTER_SECONDS) + 10)
            ended, after = time.perf_counter(), cpu_seconds(server)
    answers = tuple(read(exchange, tokens) for exchange in recorded)
    return Leg(server.name, ended - began, answers, used_since(before, after)), recorded, killed


def _sides(crashes: Sequence[Crash], given: Namespace) -> dict[str, list[float]]:
    return {"streams of the killed worker": [seconds for crash in crashes for seconds in crash.struck(given.pause)]}


def _told(crash: Crash, given: Namespace) -> str:
    struck = crash.struck(given.pause)
    return f"{len(struck)} streams went on after at most {max(struck, default=0):.2f} s"


def _add(parser: Any) -> None:
    parser.add_argument("--streams", type=int, default=200, help="streams that are open at once")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two tokens of the engine")
    parser.add_argument("--lease", type=float, default=5.0, help="seconds of a worker's lease")
    parser.add_argument("--ramp", type=float, default=2.0, help="seconds over which the streams begin")
    parser.add_argument("--no-naive", dest="naive", action="store_false", help="leave the naive build out")


if __name__ == "__main__":
    sys.exit(main())
