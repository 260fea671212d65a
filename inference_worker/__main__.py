"""The composition root: ``python -m inference_worker --engine vllm --model PATH --served-name NAME``."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import uvloop
from redis.asyncio import Redis

from contracts import connection, keys, logs
from contracts.configuration import BadSettings, load
from contracts.errors import EngineError, PenstockError
from contracts.ids import WorkerId, new_process_id
from inference_worker import engines
from inference_worker.engines.port import Description, Engine
from inference_worker.heartbeat import announce_loading
from inference_worker.settings import WorkerSettings
from inference_worker.worker import Worker


def main() -> int:
    """Run one worker; 0 after a drain, 1 when it must be started anew, 2 when a setting is wrong."""
    try:
        settings = load(WorkerSettings, **_arguments())
    except BadSettings as error:
        sys.stderr.write(f"inference_worker: {error}\n")
        return 2
    name = WorkerId(new_process_id("worker"))
    logs.configure("inference_worker", name)
    try:
        uvloop.run(_serve(settings, name))
    except Exception as error:  # noqa: BLE001  (whatever it was: say it, and let a supervisor restart)
        for cause in _leaves(error):
            sentence = str(cause) if isinstance(cause, PenstockError) else "The worker stopped on purpose."
            logs.get().error("worker.stopped", sentence=sentence, exc_info=cause)
        return 1
    return 0


async def _serve(settings: WorkerSettings, name: WorkerId) -> None:
    began = time.monotonic()
    engine = engines.build(settings)
    redis = connection.commands(settings.redis_url)
    bells = connection.blocking(settings.redis_url)
    try:
        description = await _loaded(engine, redis, name, settings)
        worker = Worker(settings, engine, description, redis=redis, bells=bells, name=name)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, worker.drain)
        logs.get().info(
            "worker.started",
            sentence=f"Taking requests for {description.facts.name}.",
            model=description.facts.name,
            engine=settings.engine,
            slots=description.slots,
            seconds=round(time.monotonic() - began, 2),
        )
        await worker.run()
    finally:
        await engine.stop()
        await bells.aclose()
        await redis.aclose()


async def _loaded(engine: Engine, redis: Redis, name: WorkerId, settings: WorkerSettings) -> Description:
    """Start the engine while the fleet is told so. A signal in the meantime ends the process at once: nothing runs."""
    kind = "embed" if settings.engine == "embedder" else "generate"
    telling = asyncio.create_task(announce_loading(redis, name, settings.served_name, kind), name="loading")
    try:
        return await engine.start()
    except EngineError:
        await redis.hdel(keys.fleet(), name)
        raise
    finally:
        telling.cancel()


def _arguments() -> dict[str, Any]:
    """The command line. Every setting is an option: ``served_name`` is ``--served-name``."""
    parser = argparse.ArgumentParser(prog="python -m inference_worker", description=WorkerSettings.__doc__)
    for name, field in WorkerSettings.model_fields.items():
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, help=field.description)
    return {name: value for name, value in vars(parser.parse_args()).items() if value is not None}


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _leaves(inner)


if __name__ == "__main__":
    sys.exit(main())
