"""``make chaos``: the long form, one hour. ``ARGS="--scale 0.02 --events 0"`` is three minutes of it."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from math import ceil
from pathlib import Path

import uvloop

from penstock import embedded_redis
from tests.chaos.plan import Fault, Plan, Stretch
from tests.chaos.run import run, say
from tests.stack import ROOT

LONG = (
    Stretch(
        "everything",
        rounds=40,
        seconds=45,
        faults={
            Fault.WORKER_KILL: 1700,
            Fault.WORKER_FREEZE: 300,
            Fault.WORKER_DRAIN: 300,
            Fault.ACCESS_KILL: 210,
            Fault.LIMITER_KILL: 200,
            Fault.REDIS_KILL: 500,
            Fault.REDIS_HANG: 60,
            Fault.LINK_CUT: 500,
            Fault.LINK_DROP: 500,
            Fault.LINK_HALF_OPEN: 200,
        },
    ),
    Stretch("workers", rounds=10, seconds=35, faults={Fault.WORKER_KILL: 300}),
    Stretch("power", rounds=10, seconds=32, faults={Fault.POWER_LOSS: 50, Fault.WORKER_KILL: 50}),
)
REPLY_EVENTS = 1_000_000
USERS = 24
WORKERS = 5
"""With fewer, one in some thousand requests is killed three times, and given up."""


def main() -> int:
    """Run, print the table, write it as JSON; 1 when something is wrong."""
    chosen = _arguments()
    stretches = tuple(scaled(stretch, chosen.scale) for stretch in LONG if stretch.name in chosen.stretches)
    plan = Plan(chosen.seed, stretches, users=chosen.users, reply_events=chosen.events, workers=WORKERS)
    folder = Path(tempfile.mkdtemp(prefix="penstock-chaos-"))
    try:
        report = uvloop.run(run(plan, chosen.server, folder))
    finally:
        if not chosen.keep:
            shutil.rmtree(folder)
    report.write(chosen.out)
    say(f"\n{report.table()}\n")
    return 1 if report.problems else 0


def scaled(stretch: Stretch, scale: float) -> Stretch:
    """Fewer or more rounds, and as many faults in each."""
    faults = {fault: ceil(count * scale) for fault, count in stretch.faults.items()}
    return Stretch(stretch.name, ceil(stretch.rounds * scale), stretch.seconds, faults)


def _arguments() -> argparse.Namespace:
    names = [stretch.name for stretch in LONG]
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of rounds and faults")
    parser.add_argument("--events", type=int, default=REPLY_EVENTS, help="reply events without which it has failed")
    parser.add_argument("--users", type=int, default=USERS, help="clients that ask at the same time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stretches", nargs="+", default=names, choices=names, help="only these")
    parser.add_argument("--server", default=embedded_redis.bundled_binary(), help="redis-server or valkey-server")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "chaos.json")
    parser.add_argument("--keep", action="store_true", help="keep the logs and the data")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
