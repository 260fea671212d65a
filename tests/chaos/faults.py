"""Doing what the plan says, at the time it says, and counting what was really done."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

from redis.asyncio import Redis

from tests.chaos.fleet import LEASE_SECONDS, Fleet
from tests.chaos.helper import Helper
from tests.chaos.plan import Fault, Round
from tests.chaos.recovery import Recoveries
from tests.chaos.store import Store

DRAIN_SECONDS = 30.0
"""Where Redis hangs, the take that is under way gives up after four tries of five seconds; then comes the grace."""
AT_ONCE = {Fault.WORKER_FREEZE, Fault.WORKER_DRAIN, Fault.LINK_HALF_OPEN}
"""Faults that last, and during which the next ones may happen."""
CALM_SECONDS = 2.0
"""How long after the end of such a fault its effects may last."""
_STORE_FAULTS = {Fault.REDIS_KILL, Fault.REDIS_HANG, Fault.POWER_LOSS}
_LINK_FAULTS = {Fault.LINK_CUT, Fault.LINK_DROP, Fault.LINK_HALF_OPEN}


class Injector:
    """Breaks one fleet. ``done`` counts faults that happened, ``wrong`` says what did not go as it should."""

    def __init__(self, fleet: Fleet, store: Store, link: Helper, redis: Redis, random: Random):
        self.done: Counter[Fault] = Counter()
        self.wrong: list[str] = []
        self.disturbances = 0
        self._lasting = 0
        self._calm_since = 0.0
        self._fleet = fleet
        self._store = store
        self._link = link
        self._random = random
        self._recoveries = Recoveries(redis, lambda: self.disturbances)
        self._acts: dict[Fault, Callable[[], Awaitable[None]]] = {
            Fault.WORKER_KILL: self._kill_worker,
            Fault.WORKER_FREEZE: self._freeze_worker,
            Fault.WORKER_DRAIN: self._drain_worker,
            Fault.ACCESS_KILL: lambda: self._kill("access"),
            Fault.LIMITER_KILL: lambda: self._kill("limiter"),
            Fault.REDIS_KILL: lambda: store.kill(random.uniform(0, 1)),
            Fault.REDIS_HANG: lambda: store.hang(random.triangular(2, 10, 2)),
            Fault.POWER_LOSS: lambda: store.lose_power(random, random.uniform(0, 1)),
            Fault.LINK_CUT: lambda: self._break("cut"),
            Fault.LINK_DROP: lambda: self._break("drop"),
            Fault.LINK_HALF_OPEN: lambda: self._break("half_open", seconds=random.uniform(1, 7)),
        }
        self._watching: set[asyncio.Task[None]] = set()

    @property
    def recoveries(self) -> list[float]:
        """Seconds from the kill of a worker to the next reply, per request."""
        return self._recoveries.seconds

    async def run(self, round_: Round) -> None:
        """All faults of a round. What concerns the same thing happens one after the other, the rest side by side."""
        began = time.monotonic()
        lanes: dict[str, list[tuple[float, Fault]]] = {}
        for at, fault in round_.faults:
            lanes.setdefault(_lane(fault), []).append((at, fault))
        async with asyncio.TaskGroup() as group:
            for faults in lanes.values():
                group.create_task(self._follow(faults, began))
        await asyncio.gather(*self._watching)

    async def _follow(self, faults: list[tuple[float, Fault]], began: float) -> None:
        async with asyncio.TaskGroup() as group:
            for at, fault in faults:
                await asyncio.sleep(began + at - time.monotonic())
                if fault in AT_ONCE:
                    group.create_task(self._do(fault))
                else:
                    await self._do(fault)

    async def _do(self, fault: Fault) -> None:
        self.disturbances += 1
        lasts = fault in _STORE_FAULTS | _LINK_FAULTS | AT_ONCE
        self._lasting += lasts
        await self._acts[fault]()
        if lasts:
            self._lasting -= 1
            self._calm_since = time.monotonic()
        self.done[fault] += 1

    @property
    def _calm(self) -> bool:
        """Whether nothing but a worker is broken: then it can be told how long a recovery takes."""
        return not self._lasting and time.monotonic() - self._calm_since > CALM_SECONDS

    async def _kill_worker(self) -> None:
        member = await self._fleet.victim("inference_worker", self._random)
        owned = await self._recoveries.owned(member.process) if self._calm else {}
        killed_at = time.monotonic()
        await self._fleet.kill(member)
        if owned:
            watching = asyncio.create_task(self._recoveries.watch(owned, killed_at), name=f"watch {member.name}")
            self._watching.add(watching)
            watching.add_done_callback(self._watching.discard)

    async def _freeze_worker(self) -> None:
        """Long enough for others to take what it runs, and to write beyond it."""
        member = await self._fleet.victim("inference_worker", self._random)
        member.signal(signal.SIGSTOP)
        await asyncio.sleep(LEASE_SECONDS * self._random.uniform(1.5, 3))
        member.signal(signal.SIGCONT)
        member.busy = member.ended.is_set()

    async def _drain_worker(self) -> None:
        """SIGTERM; sometimes a second one, sometimes SIGKILL while it drains."""
        member = await self._fleet.victim("inference_worker", self._random)
        process, ended = member.process, member.ended
        member.killed = True
        member.signal(signal.SIGTERM)
        way = self._random.choice(("patient", "patient", "twice", "killed"))
        await asyncio.sleep(0 if way == "patient" else self._random.uniform(0.05, 0.5))
        if way != "patient" and not ended.is_set():  # else it has been born again, and that one was not meant
            member.signal(signal.SIGTERM if way == "twice" else signal.SIGKILL)
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await ended.wait()
        except TimeoutError:
            self.wrong.append(f"{process} did not end within {DRAIN_SECONDS:.0f} s of its SIGTERM ({way})")
            await self._fleet.kill(member)

    async def _kill(self, role: str) -> None:
        await self._fleet.kill(await self._fleet.victim(role, self._random))

    async def _break(self, act: str, seconds: float = 0.0) -> None:
        share = self._random.uniform(0.05, 0.5)
        await self._link.ask(act=act, share=share, seed=self._random.getrandbits(32), seconds=seconds)
        await asyncio.sleep(seconds)


def _lane(fault: Fault) -> str:
    if fault in _STORE_FAULTS:
        return "store"
    return "links" if fault in _LINK_FAULTS else fault.name.split("_")[0]
