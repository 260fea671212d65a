"""``cold``: from the start of a process to its first 200, and the memory it then has.

Access and limiter, the naive build's access and LiteLLM's proxy, one after the other, there and back. Everything they
need already runs; the files they read are in the page cache after the first start, which is not counted.

Usage: ``python -m benchmarks.cold --rounds 5``
"""

from __future__ import annotations

import http.client
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import rivals, runner, servers, stats
from benchmarks.chat import MODEL
from benchmarks.environments import CannotInstall
from benchmarks.processes import Process, Processes, ProcessFailed
from benchmarks.report import Figure
from benchmarks.servers import Fleet
from penstock import ports

QUICK = {"rivals": ["naive"]}
GOALS = {"access": (1.5, 150), "limiter": (0.5, 60)}
"""Seconds to the first 200, and MB."""
LONGEST_SECONDS = 120.0
_LOOK_SECONDS = 0.005


@dataclass(frozen=True)
class Program:
    """What is started: ``start`` begins it, ``live`` is asked until it answers 200, ``ready`` after that."""

    start: Callable[[], Process]
    port: int
    live: str
    ready: str


@dataclass(frozen=True)
class Start:
    """One start: seconds to the first 200 of either question, memory in MB, CPU seconds until then."""

    live: float
    ready: float
    megabytes: float
    cpu_seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see ``runner.run`` for the exit status."""
    given = runner.options("cold", "From start to first 200.", arguments, QUICK, _add)
    return runner.run("cold", given, lambda processes, folder: _measure(processes, folder, given))


def figures(starts: Mapping[str, Sequence[Start]]) -> list[Figure]:
    found: list[Figure] = []
    for name, mine in starts.items():
        seconds, megabytes = GOALS.get(name, (None, None))
        found.append(_figure(f"{name}: start to first 200", "s", [start.live for start in mine], seconds))
        found.append(_figure(f"{name}: start to ready", "s", [start.ready for start in mine], None))
        found.append(_figure(f"{name}: memory", "MB", [start.megabytes for start in mine], megabytes))
    return found


def _figure(name: str, unit: str, values: Sequence[float], goal: float | None) -> Figure:
    spread = stats.spread(values)
    reached = goal is None or spread.value <= goal
    return Figure(name, unit, spread.value, spread=spread, goal=f"≤ {goal:g}" if goal else "", reached=reached)


def _measure(processes: Processes, folder: Path, given: Namespace) -> runner.Result:
    programs, left_out = _programs(processes, folder, given)
    starts: dict[str, list[Start]] = {name: [] for name in programs}
    for program in programs.values():
        _once(processes, program)
    for number in range(2 * given.rounds):
        for name in list(programs) if number % 2 == 0 else list(reversed(programs)):
            starts[name].append(_once(processes, programs[name]))
        brought = ", ".join(f"{name} {mine[-1].live:.2f} s" for name, mine in starts.items())
        print(f"start {number + 1} of {2 * given.rounds}: {brought}", flush=True)
    return runner.Result(
        f"cold: {2 * given.rounds} starts of each",
        figures(starts),
        runner.nothing_lost(),
        cpu={
            name: {"until ready": stats.spread([start.cpu_seconds for start in mine]).value}
            for name, mine in starts.items()
        },
        cpu_unit="in s, one start",
        data={
            "left_out": left_out,
            "starts": {name: [asdict(start) for start in mine] for name, mine in starts.items()},
        },
    )


def _once(processes: Processes, program: Program) -> Start:
    began = time.perf_counter()
    child = program.start()
    try:
        live = _until_ok(child, program.port, program.live) - began
        ready = _until_ok(child, program.port, program.ready) - began
        return Start(live, ready, child.resident_bytes() / 1e6, child.cpu_seconds()[child.name])
    finally:
        child.stop()
        processes.forget(child)


def _until_ok(child: Process, port: int, path: str) -> float:
    """The moment of the first 200.

    Raises:
        ProcessFailed: the child ended, or did not answer in time.
    """
    end = time.perf_counter() + LONGEST_SECONDS
    while time.perf_counter() < end and child.popen.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return time.perf_counter()
        except (OSError, http.client.HTTPException):
            pass  # it does not listen yet
        finally:
            connection.close()
        time.sleep(_LOOK_SECONDS)
    raise ProcessFailed(f"{child.name} did not answer {path} with 200:\n{child.last_words()}")


def _programs(processes: Processes, folder: Path, given: Namespace) -> tuple[dict[str, Program], dict[str, str]]:
    """Ours around a running fleet, whose own access and limiter stay up, and the rivals by name; who is left out.

    The limiter that is measured has a Redis of its own, where it need not wait for another to give way.
    """
    for name in ("redis", "limiter"):
        (folder / name).mkdir()
    fleet = Fleet(processes, folder / "redis", MODEL)
    fleet.scripted_worker(16)
    fleet.ready()
    redis_port, limiter_port, access_port, naive_port = ports.free(4)
    servers.redis(processes, "limiter redis", folder / "limiter", redis_port)
    own = {"REDIS_URL": f"redis://127.0.0.1:{redis_port}/0"}
    access = {"PENSTOCK_ACCESS__PORT": str(access_port)}
    programs = {
        "access": Program(lambda: fleet.start_access(**access), access_port, "/livez", "/readyz"),
        "limiter": Program(
            lambda: processes.start(
                "limiter", servers.module("limiter"), own | {"PENSTOCK_LIMITER__HEALTH_PORT": str(limiter_port)}
            ),
            limiter_port,
            "/livez",
            "/readyz",
        ),
    }
    left_out: dict[str, str] = {}
    if "naive" in given.rivals:
        serve = rivals.naive_access(naive_port)
        programs["naive access"] = Program(
            lambda: processes.start("naive access", serve, own), naive_port, "/readyz", "/readyz"
        )
    if "litellm" in given.rivals:
        try:
            proxy = rivals.LiteLlm.configured(folder, upstream_port=access_port)
        except CannotInstall as error:
            left_out["litellm"] = str(error)
        else:
            programs["litellm"] = Program(
                lambda: proxy.start(processes), proxy.port, "/health/liveliness", "/health/readiness"
            )
    return programs, left_out


def _add(parser: Any) -> None:
    parser.add_argument("--rivals", nargs="*", default=["naive", "litellm"], choices=["naive", "litellm"])


if __name__ == "__main__":
    sys.exit(main())
