"""How loaded each model is: its queues and leases in Redis, the gate's published word, the workers' heartbeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from access.fleet import Fleet
from contracts import keys
from contracts.ids import Shard
from contracts.messages import CLASSES, Heartbeat, ModelStatus, ServiceClass


@dataclass(frozen=True)
class ModelLoad:
    """One model at one moment. ``depth`` is queued and not taken, by class.

    ``waiting`` stands at the gate, ``outstanding`` is granted and not settled: their sum is the number to scale on.
    ``eta_error`` and ``estimate_error`` are the gate's own (see ``ModelStatus``).
    """

    model: str
    depth: Mapping[ServiceClass, int]
    running: int
    waiting: int
    waiting_tokens: int
    outstanding: int
    slots: int
    free_slots: int
    tokens_per_second: float
    workers: Mapping[str, int]
    eta_error: float
    estimate_error: float


async def loads(redis: Redis, fleet: Fleet, shards: int) -> list[ModelLoad]:
    """Every model that the fleet or the gate has named, in alphabetical order."""
    at_gate = await gate_status(redis)
    models = sorted({*at_gate, *(facts.name for facts in fleet.models())})
    return [
        _load(model, await _queues(redis, model, shards), at_gate.get(model, ModelStatus()), fleet.heartbeats)
        for model in models
    ]


async def gate_status(redis: Redis) -> dict[str, ModelStatus]:
    """What the limiter has published about each model; empty when there is none."""
    published: Any = await redis.hgetall(keys.gate_status())
    return {name.decode(): ModelStatus.decode(wire) for name, wire in published.items()}


@dataclass(frozen=True)
class _Queues:
    depth: Mapping[ServiceClass, int]
    running: int


async def _queues(redis: Redis, model: str, shards: int) -> _Queues:
    depth: Counter[ServiceClass] = Counter()
    running = 0
    for shard in map(Shard, range(shards)):
        async with redis.pipeline(transaction=False) as pipe:
            for service_class in CLASSES:
                pipe.xinfo_groups(keys.requests(shard, model, service_class))
                pipe.xlen(keys.requests(shard, model, service_class))
            pipe.zcard(keys.leases(shard, model))
            *rows, leases = await pipe.execute(raise_on_error=False)
        running += leases
        for at, service_class in enumerate(CLASSES):
            depth[service_class] += _lag(rows[2 * at], rows[2 * at + 1])
    return _Queues({name: depth[name] for name in CLASSES}, running)


def _lag(groups: Any, length: int) -> int:
    """Entries not yet taken. Without a group none ever was; where Redis lost count, what is taken tells."""
    if isinstance(groups, ResponseError) or not groups:
        return length
    lag = groups[0]["lag"]
    return max(0, length - groups[0]["pending"]) if lag is None else lag


def _load(model: str, queues: _Queues, gate: ModelStatus, heartbeats: Sequence[Heartbeat]) -> ModelLoad:
    ours = [beat for beat in heartbeats if beat.model.name == model]
    ready = [beat for beat in ours if beat.state == "ready"]
    return ModelLoad(
        model=model,
        depth=queues.depth,
        running=queues.running,
        waiting=gate.waiting,
        waiting_tokens=gate.waiting_tokens,
        outstanding=gate.outstanding,
        slots=sum(beat.slots for beat in ready),
        free_slots=sum(beat.free_slots for beat in ready),
        tokens_per_second=sum(beat.tokens_per_second for beat in ours),
        workers=dict(Counter(beat.state for beat in ours)),
        eta_error=gate.eta_error,
        estimate_error=gate.estimate_error,
    )
