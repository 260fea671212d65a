"""The worker: *take → generate → append → end*, for as many requests at once as the engine has slots."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, Literal

from redis.asyncio import Redis

from contracts import connection, logs
from contracts.functions import Grant, Library, Protocol
from contracts.ids import Shard, WorkerId
from contracts.messages import Heartbeat
from inference_worker.engines.port import Description, Engine
from inference_worker.generation import Generation, Surroundings
from inference_worker.health import Health
from inference_worker.heartbeat import Heart, Speed
from inference_worker.intake import IDLE_POLL, Intake
from inference_worker.leases import Leases
from inference_worker.metrics import Metrics
from inference_worker.replies import Replies
from inference_worker.settings import WorkerSettings
from inference_worker.tasks import for_ever
from inference_worker.watchdog import Watchdog

LAST_WORDS = timedelta(milliseconds=500)
SILENT_AFTER = IDLE_POLL * 10


class Worker:
    """One process's worth of pulling. ``run`` is its life; ``drain`` asks it to end, twice to end now."""

    def __init__(
        self,
        settings: WorkerSettings,
        engine: Engine,
        description: Description,
        *,
        redis: Redis,
        bells: Redis,
        name: WorkerId,
    ):
        self._settings = settings
        self._engine = engine
        self._description = description
        self._shards = [Shard(number) for number in range(settings.shards)]
        self._library = Library(redis)
        protocol = Protocol(self._library)
        self._redis = redis
        self._name = name
        self._metrics = Metrics()
        self._replies = Replies(protocol, settings.lease, self._shards)
        self._leases = Leases(protocol, self._replies, settings.lease)
        self._intake = Intake(
            protocol, bells, worker=name, model=description.facts.name, shards=self._shards, lease=settings.lease
        )
        self._watchdog = Watchdog(engine, timedelta(seconds=settings.stuck_after_seconds), self._silence, self._crash)
        self._around = Surroundings(
            name, engine, description.facts, self._replies, redis, self._metrics, self._watchdog.died
        )
        self._heart = Heart(redis, name, description, self._pulse)
        self._speed = Speed(time.monotonic())
        self._running: set[Generation] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._draining = asyncio.Event()
        self._hurried = asyncio.Event()

    async def run(self) -> None:
        """Serve until drained.

        Raises:
            DependencyDown: Redis does not answer at the start, or may evict keys.
            ExceptionGroup: a dead engine did not start again, or a side task ended: the process must be started anew.
        """
        await connection.verify(self._redis)
        await self._library.load()
        async with asyncio.TaskGroup() as group:
            sides = [group.create_task(for_ever(name, side), name=name) for name, side in self._side_tasks().items()]
            while not self._draining.is_set():
                await self._pull(group)
                await self._revive()
            await self._finish_or_release()
            for side in sides:
                side.cancel()
        await self._heart.leave()

    def drain(self) -> None:
        """Stop taking and end within the grace; called again, release what runs at once."""
        if self._draining.is_set():
            self._hurried.set()
        self._draining.set()
        self._changed.set()
        logs.get().info("worker.draining", sentence="Taking no more; finishing what runs.", count=len(self._serving))

    def not_ready(self) -> str:
        """Why this worker does not take requests; '' when it does."""
        if self._draining.is_set():
            return "draining"
        if self._watchdog.death is not None:
            return "the engine is being started anew"
        if self._intake.paused:
            return "the engine refuses work; pausing"
        silent = time.monotonic() - self._intake.took_at > SILENT_AFTER.total_seconds()
        return "the take loop is silent" if silent and self._free_slots else ""

    async def _pull(self, group: asyncio.TaskGroup) -> None:
        """Take and begin, until the worker drains or its engine is dead."""
        while (slots := await self._room()) and not self._is_stopped:
            for grant in await self._intake.take(slots, len(self._running)):
                if self._watchdog.death is not None:
                    await self._intake.release(grant)  # it never ran here
                    continue
                self._begin(grant, group)
            await asyncio.sleep(0)  # what was begun reaches the engine before the next take is put into words

    def _begin(self, grant: Grant, group: asyncio.TaskGroup) -> None:
        generation = Generation(grant, self._around)
        self._running.add(generation)
        task = group.create_task(self._serve(generation), name=f"serve {grant.id}")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _revive(self) -> None:
        """After the engine's death: once all that ran has been given back, start it anew.

        Raises:
            TimeoutError: the dead engine does not let go of its requests; only the end of the process helps.
        """
        if self._watchdog.death is not None:
            async with asyncio.timeout(self._settings.lease_seconds + 1):
                await self._all_served()
            await self._watchdog.revive()

    def _crash(self) -> None:
        """The engine is dead: stop taking, and give back what runs."""
        for generation in list(self._running):
            generation.interrupt("crash")
        self._changed.set()

    async def _serve(self, generation: Generation) -> None:
        """One request that was taken: generate → append → end. Its slot is free before its end is written."""
        try:
            await generation.run()
        finally:
            self._running.discard(generation)
            self._changed.set()
        if generation.outcome in ("released", "crashed"):
            await self._hand_over(generation)
        else:
            self._intake.resume()
            if not await generation.outbox.ended:
                generation.outcome = "lost"
        self._log(generation)

    async def _hand_over(self, generation: Generation) -> None:
        if generation.overload is not None:
            self._intake.pause(generation.overload)
        await self._replies.flush(generation.outbox, LAST_WORDS)
        self._replies.drop(generation.outbox)
        died = str(self._watchdog.death) if generation.outcome == "crashed" else ""
        await self._intake.release(generation.grant, died)

    async def _room(self) -> int:
        """The number of free slots, once there is one or the worker takes no more."""
        while not (free := self._free_slots) and not self._is_stopped:
            self._changed.clear()
            await self._changed.wait()
        return free

    @property
    def _is_stopped(self) -> bool:
        return self._draining.is_set() or self._watchdog.death is not None

    @property
    def _free_slots(self) -> int:
        """None beside a suspect: it runs alone. None without an engine."""
        if self._watchdog.death is not None or any(generation.grant.is_suspect for generation in self._running):
            return 0
        return self._description.slots - len(self._running)

    async def _finish_or_release(self) -> None:
        hurried = asyncio.create_task(self._hurried.wait(), name="second signal")
        finished = asyncio.create_task(self._all_served(), name="drain")
        await asyncio.wait({hurried, finished}, timeout=self._settings.grace_seconds, return_when="FIRST_COMPLETED")
        for generation in list(self._running):
            generation.interrupt("release")
        await asyncio.wait({finished}, timeout=self._settings.lease_seconds + 1)
        for task in (hurried, finished, *self._serving):
            task.cancel()

    async def _all_served(self) -> None:
        while self._serving:
            await asyncio.wait(self._serving)

    def _side_tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        tasks: dict[str, Coroutine[Any, Any, None]] = {
            "heartbeat": self._heart.beat(),
            "watchdog": self._watchdog.watch(),
        }
        for shard in self._shards:
            tasks[f"replies {shard}"] = self._replies.run(shard)
            tasks[f"leases {shard}"] = self._leases.renew(shard)
            tasks[f"sweep {shard}"] = self._leases.sweep(shard)
        if self._settings.port:
            health = Health(self.not_ready, self._metrics.registry)
            tasks["health"] = health.serve(self._settings.host, self._settings.port)
        return tasks

    def _silence(self) -> float:
        """For how many seconds requests have run without a token."""
        now = time.monotonic()
        began = min((generation.taken_at for generation in self._running), default=now)
        return now - max(began, self._metrics.moved_at)

    def _pulse(self) -> Heartbeat:
        now = time.monotonic()
        self._metrics.free_slots(self._free_slots)
        return Heartbeat(
            worker=self._name,
            model=self._description.facts,
            state=self._state,
            slots=self._description.slots,
            free_slots=self._free_slots,
            cache_room=self._engine.cache_room(),
            tokens_per_second=round(self._speed.tell(self._metrics.tokens, now), 1),
            shards=tuple(self._shards),
            at=time.time(),
        )

    @property
    def _state(self) -> Literal["loading", "ready", "draining"]:
        if self._draining.is_set():
            return "draining"
        return "ready" if self._watchdog.death is None else "loading"

    def _log(self, generation: Generation) -> None:
        """The canonical line of one request in this process."""
        grant, usage = generation.grant, generation.usage
        seconds = time.monotonic() - generation.taken_at
        first = generation.first_token_at
        first_seconds = None if first is None else first - generation.taken_at
        self._metrics.ended(generation.outcome, seconds, first_seconds)
        logs.get().info(
            "request.ended",
            sentence=f"{grant.request.model} answered with {usage.completion_tokens} tokens: {generation.outcome}.",
            request=grant.id,
            tenant=grant.request.tenant,
            model=grant.request.model,
            service_class=grant.request.service_class,
            outcome=generation.outcome,
            seconds=round(seconds, 4),
            queue_seconds=round(max(0.0, time.time() - seconds - grant.request.created_at), 4),
            first_token_seconds=None if first_seconds is None else round(first_seconds, 4),
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            replies=generation.outbox.written,
            generation=grant.generation,
            continued_from=grant.tail,
            deaths=grant.deaths,
        )
