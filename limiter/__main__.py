"""``python -m limiter``: the composition root. Runs until SIGTERM or SIGINT, then hands the gate to a standby."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta

import uvloop
from redis.asyncio import Redis

from contracts import configuration, connection, keys, logs
from contracts.errors import DependencyDown
from contracts.functions import GateBook, Library, Protocol
from contracts.ids import Shard, new_process_id
from contracts.subscription import Subscription
from limiter.books import Books
from limiter.fleet import Fleet
from limiter.gate import Gate
from limiter.health import Health
from limiter.leadership import Leadership
from limiter.ledger import Ledger
from limiter.metrics import Metrics
from limiter.policies import load
from limiter.policy import Policy
from limiter.service import Limiter, Parts
from limiter.settings import LimiterSettings
from limiter.settlement import Settlement
from limiter.sweeper import Overdues, Sweeper


async def run(settings: LimiterSettings, process: str) -> None:
    """Be a limiter until cancelled.

    Raises:
        DependencyDown: Redis does not answer at the start, or may lose data.
    """
    redis, listening = connection.commands(settings.redis_url), connection.blocking(settings.redis_url, connections=64)
    try:
        await connection.verify(redis)
        library = Library(redis)
        await library.load()
        parts = _parts(settings, process, library, redis, listening)
        limiter = Limiter(parts)
        asks = Subscription(listening, keys.asks_channel(), limiter.hear)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asks.run(), name="limiter-hear")
            await asks.ready()
            tasks.create_task(limiter.run(), name="limiter")
            if settings.health_port is not None:
                health = Health(
                    settings.health_port, lambda: asks.listening and parts.leadership.settled, parts.metrics.text
                )
                tasks.create_task(health.run(), name="limiter-health")
    finally:
        await redis.aclose()
        await listening.aclose()


def _parts(settings: LimiterSettings, process: str, library: Library, redis: Redis, listening: Redis) -> Parts:
    book, policy = GateBook(library), load(settings.policy)(settings)
    return Parts(
        leadership=Leadership(book, process, settings.lock),
        ledger=Ledger(redis, book, settings.default_limits, settings.lock),
        fleet=Fleet(redis, settings.heartbeat_stale_seconds),
        sweeper=Sweeper(redis, Protocol(library), settings.shards),
        settlements=[Settlement(redis, listening, Shard(number)) for number in range(settings.shards)],
        new_gate=lambda: _new_gate(settings, policy),
        new_overdues=lambda: Overdues(int(settings.grant_slack_seconds * 1000)),
        metrics=Metrics(),
    )


def _new_gate(settings: LimiterSettings, policy: Policy) -> Gate:
    return Gate(policy, Books(settings.tariff, settings.answer_tokens), timedelta(seconds=settings.grant_seconds))


async def _until_signalled(settings: LimiterSettings, process: str) -> None:
    task = asyncio.ensure_future(run(settings, process))
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        logs.get().info("limiter.stopped", sentence="The limiter has stopped; a standby may take over at once.")


def main() -> int:
    process = new_process_id("limiter")
    logs.configure("limiter", process)
    try:
        uvloop.run(_until_signalled(configuration.load(LimiterSettings), process))
    except (configuration.BadSettings, DependencyDown) as error:
        logs.get().error("limiter.cannot_start", sentence=str(error))
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
