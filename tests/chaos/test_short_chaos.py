"""The short form of ``make chaos``, on each kind of server. What is asked of the long form stands in ``__main__``."""

from __future__ import annotations

from pathlib import Path

import pytest
import uvloop

from tests.chaos.plan import Fault, Plan, Stretch
from tests.chaos.report import Report
from tests.chaos.run import run, say
from tests.conftest import SERVERS

EVERYTHING = {
    Fault.WORKER_KILL: 6,
    Fault.WORKER_FREEZE: 2,
    Fault.WORKER_DRAIN: 2,
    Fault.ACCESS_KILL: 2,
    Fault.LIMITER_KILL: 2,
    Fault.REDIS_KILL: 2,
    Fault.REDIS_HANG: 1,
    Fault.LINK_CUT: 3,
    Fault.LINK_DROP: 3,
    Fault.LINK_HALF_OPEN: 2,
}
SHORT = Plan(
    seed=20,
    stretches=(
        Stretch("everything", rounds=1, seconds=14, faults=EVERYTHING),
        Stretch("workers", rounds=1, seconds=6, faults={Fault.WORKER_KILL: 3}),
        Stretch("power", rounds=1, seconds=9, faults={Fault.POWER_LOSS: 2, Fault.WORKER_KILL: 1}),
    ),
    users=16,
    reply_events=2000,
)


@pytest.fixture(params=[name for name, binary in SERVERS.items() if binary])
def report(request: pytest.FixtureRequest, tmp_path: Path) -> Report:
    """What came of one run; pytest shows the table when something is wrong."""
    made = uvloop.run(run(SHORT, str(SERVERS[request.param]), tmp_path))
    say(made.table())
    return made


def test_no_token_is_lost_or_doubled_whatever_is_killed_cut_or_frozen(report: Report) -> None:
    assert report.problems == []
    assert report.totals.lost == report.totals.doubled == report.totals.reordered == 0
    assert report.totals.continued > 0, "no answer was continued, so nothing was shown"
    assert report.totals.resumes > 0, "no stream was resumed, so nothing was shown"
