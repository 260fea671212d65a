"""A worker whose engine says the time: every token is its number and the moment at which the engine gave it.

So a client can tell how long each token was on its way, and that none is missing. The clock is the machine's monotonic
one, the same in all processes. ``python -m benchmarks.stamped`` takes the options of ``python -m inference_worker``.
"""

from __future__ import annotations

import signal
import sys
import time
from asyncio import get_running_loop
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

import uvloop

from contracts import connection, logs
from contracts.configuration import load
from contracts.ids import WorkerId, new_process_id
from contracts.messages import InferenceRequest
from inference_worker.engines.port import EngineDelta
from inference_worker.engines.scripted import ScriptedEngine
from inference_worker.settings import WorkerSettings
from inference_worker.worker import Worker


class StampedEngine(ScriptedEngine):
    """The scripted engine with other words."""

    async def generate(
        self, request: InferenceRequest, continue_from: Sequence[int] = ()
    ) -> AsyncGenerator[EngineDelta, None]:
        number = len(continue_from)
        async with aclosing(super().generate(request, continue_from)) as deltas:
            async for delta in deltas:
                if delta.text:
                    delta, number = replace(delta, text=stamp(number, time.perf_counter_ns())), number + 1  # noqa: PLW2901
                yield delta


def stamp(number: int, moment_ns: int) -> str:
    """The text of one token."""
    return f"{number}:{moment_ns} "


def stamps(text: str) -> list[tuple[int, float]]:
    """Number and moment (``time.perf_counter`` seconds) of each token in a text."""
    return [(int(number), int(moment) / 1e9) for number, moment in (word.split(":") for word in text.split())]


async def _serve(settings: WorkerSettings, name: WorkerId) -> None:
    engine = StampedEngine(settings.served_name, slots=settings.slots, step_seconds=settings.scripted_step_seconds)
    redis, bells = connection.commands(settings.redis_url), connection.blocking(settings.redis_url)
    try:
        worker = Worker(settings, engine, await engine.start(), redis=redis, bells=bells, name=name)
        get_running_loop().add_signal_handler(signal.SIGTERM, worker.drain)
        await worker.run()
    finally:
        await engine.stop()
        await bells.aclose()
        await redis.aclose()


def main() -> None:
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    settings = load(WorkerSettings, **{name[2:].replace("-", "_"): value for name, value in options.items()})
    name = WorkerId(new_process_id("worker"))
    logs.configure("inference_worker", name)
    uvloop.run(_serve(settings, name))


if __name__ == "__main__":
    main()
