"""A run: start everything, break it while it is being used, let it come to rest, look at everything; round by round."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

from redis.asyncio import Redis

from contracts import connection
from tests.chaos import evidence
from tests.chaos.clients import Load
from tests.chaos.faults import Injector
from tests.chaos.fleet import Fleet
from tests.chaos.helper import Helper
from tests.chaos.oracle import judge
from tests.chaos.plan import Plan, Round
from tests.chaos.report import Report
from tests.chaos.store import Store

QUIET_SECONDS = 60.0
"""How long the fleet may take to come to rest: a grant nobody used is refunded after some seconds, usage is settled."""

SHOWN_PROBLEMS = 20
"""Of each round; the rest stand in the report."""


def say(text: str) -> None:
    """To whoever watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def run(plan: Plan, binary: str, folder: Path) -> Report:
    """All rounds of ``plan`` on the Redis-compatible server ``binary``, with its files in ``folder``."""
    report = Report(Path(binary).name, plan.seed)
    began = time.monotonic()
    async with AsyncExitStack() as opened:
        store = Store(binary, folder)
        await store.start()
        opened.push_async_callback(store.stop)
        sampling = asyncio.create_task(store.sample(), name="sample")
        opened.callback(sampling.cancel)
        link = await Helper.start("tests.chaos.link", str(store.port), log=folder / "link.log")
        opened.push_async_callback(link.stop)
        port = await link.answer()
        fleet = Fleet(f"redis://127.0.0.1:{port}/0", folder)
        opened.push_async_callback(_stop, fleet, report)
        await fleet.start(limiters=plan.limiters, workers=plan.workers, access=plan.access)
        redis = connection.commands(store.url)
        opened.push_async_callback(redis.aclose)
        stage = _Stage(plan, store, link, fleet, redis, report)
        for round_ in plan.rounds:
            known = len(report.problems)
            await stage.play(round_)
            say(_progress(round_, report, time.monotonic() - began))
            for problem in report.problems[known : known + SHOWN_PROBLEMS]:
                say(f"- {problem}")
        report.restarts = {**fleet.restarts, "redis": store.restarts}
    report.seconds = time.monotonic() - began
    report.check_enough(plan)
    return report


class _Stage:
    """What all rounds share."""

    def __init__(self, plan: Plan, store: Store, link: Helper, fleet: Fleet, redis: Redis, report: Report):
        self._plan = plan
        self._fleet = fleet
        self._redis = redis
        self._report = report
        self._injector = Injector(fleet, store, link, redis, Random(plan.seed))

    async def play(self, round_: Round) -> None:
        """Load and faults, then rest, then judgement."""
        random = Random(f"{self._plan.seed} load {round_.number}")
        load = Load(self._fleet.ports, random, careful=round_.lossy, first_number=round_.number * 1_000_000)
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(self._plan.users, over))
            await asyncio.gather(self._injector.run(round_), asyncio.sleep(round_.seconds))
            over.set()
        await evidence.until_quiet(self._redis, QUIET_SECONDS)
        report = self._report
        report.questions += len(load.questions)
        report.add(round_.name, judge(await evidence.gather(self._redis), load.questions, lossy=round_.lossy))
        report.faults = self._injector.done.copy()
        report.recovery = self._injector.recoveries
        report.problems += self._injector.wrong
        self._injector.wrong.clear()
        self._note_deaths()
        await evidence.forget(self._redis)

    def _note_deaths(self) -> None:
        """Where Redis is away at its start, a process ends and is started anew; for no other reason."""
        for death in self._fleet.deaths:
            if not death.at_start:
                self._report.problems.append(f"{death.name} ended by itself with {death.code}: {death.said}")
            else:
                self._report.false_starts += 1
        self._fleet.deaths.clear()


async def _stop(fleet: Fleet, report: Report) -> None:
    report.problems += await fleet.stop()


def _progress(round_: Round, report: Report, seconds: float) -> str:
    totals = report.totals
    return (
        f"{seconds:6.0f} s  {round_.name}: {totals.requests} requests, {totals.reply_events} reply events, "
        f"{report.faults.total()} faults, {len(report.problems)} problems"
    )
