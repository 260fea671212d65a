"""What is in Redis when all is quiet: every request with its log, and everything that should not be there any more."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from contracts import keys
from contracts.functions.protocol import DEATHS_ALLOWED
from contracts.ids import RequestId, Shard, TenantId
from contracts.messages import CLASSES, InferenceRequest, Reply, decode_reply
from tests.chaos.fleet import MODEL

SHARD = Shard(0)
TENANT = TenantId("default")
SUMS = ("granted", "settled", "reserved", "refunded")
AT_ONCE = 500
LOOK_SECONDS = 0.2
ENDLESS = ("request:", "replies:", "grants:", "mailbox:", "idempotency:", "verdict:")
"""Kinds of keys that come with every request or process, and so must each have an end."""


@dataclass(frozen=True)
class Entry:
    """One entry of a log."""

    seq: int
    generation: str
    letter: str
    reply: Reply


@dataclass(frozen=True)
class Found:
    """One request as Redis has it."""

    id: RequestId
    state: str
    request: InferenceRequest
    log: tuple[Entry, ...]


@dataclass(frozen=True)
class Evidence:
    """All requests by id, those of them that were given up because workers died, and in words whatever is still pending
    or will never leave by itself."""

    requests: dict[str, Found] = field(default_factory=dict[str, Found])
    given_up: frozenset[str] = frozenset()
    pending: tuple[str, ...] = ()
    leaked: tuple[str, ...] = ()


async def gather(redis: Redis) -> Evidence:
    """Read everything."""
    names = [name.decode() async for name in redis.scan_iter(match=f"{keys.PREFIX}*", count=1000)]
    requests = await _requests(redis, [name for name in names if ":request:" in name])
    letters: Any = await redis.xrange(keys.deadletters(SHARD))
    given_up, unexplained = _sorted([fields for _, fields in letters])
    leaked = [*await _leaked(redis, names), *unexplained]
    return Evidence(requests, given_up, tuple(await pending(redis)), tuple(leaked))


async def until_quiet(redis: Redis, seconds: float) -> None:
    """Wait until nothing is pending, at most ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not await pending(redis):
            return
        await asyncio.sleep(LOOK_SECONDS)


async def pending(redis: Redis) -> list[str]:
    """What is still to be done, in words."""
    prefix = keys.shard_prefix(SHARD)
    async with redis.pipeline(transaction=False) as pipe:
        for service_class in CLASSES:
            pipe.xlen(keys.requests(SHARD, MODEL, service_class))
        for key in (keys.leases(SHARD, MODEL), keys.deadlines(SHARD)):
            pipe.zcard(key)
        pipe.xlen(keys.usage(SHARD))
        pipe.hlen(keys.reservations())
        pipe.hmget(keys.ledger(TENANT), [f"{name}:tokens:{MODEL}" for name in SUMS])
        *counts, sums = await pipe.execute()
    things = [*(f"{name} in the queue" for name in CLASSES), "leases", "deadlines", "usage entries", "reservations"]
    found = [f"{count} {thing} ({prefix})" for count, thing in zip(counts, things, strict=True) if count]
    granted, settled, reserved, refunded = (int(number or 0) for number in sums)
    if granted != settled + refunded or reserved:
        found.append(f"ledger: {granted} granted, {settled} settled, {refunded} refunded, {reserved} reserved")
    return found


async def forget(redis: Redis) -> None:
    """Remove what was judged: requests, logs, verdicts. The append-only file is written anew, so it stays short."""
    for kind in ("request:", "replies:", "idempotency:", "verdict:"):
        async for name in redis.scan_iter(match=f"{keys.PREFIX}*{kind}*", count=1000):
            await redis.unlink(name)
    await redis.unlink(keys.deadletters(SHARD))
    await redis.bgrewriteaof()


async def _requests(redis: Redis, names: list[str]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for first in range(0, len(names), AT_ONCE):
        ids = [RequestId(name.rsplit(":", 1)[1]) for name in names[first : first + AT_ONCE]]
        async with redis.pipeline(transaction=False) as pipe:
            for request_id in ids:
                pipe.hmget(keys.request(request_id), ["state", "body"])
                pipe.xrange(keys.replies(request_id))
            rows: list[Any] = await pipe.execute()
        for request_id, (state, body), log in zip(ids, rows[::2], rows[1::2], strict=True):
            entries = tuple(_entry(number, fields) for number, fields in log)
            found[request_id] = Found(request_id, state.decode(), InferenceRequest.decode(body), entries)
    return found


async def _leaked(redis: Redis, names: list[str]) -> list[str]:
    """Keys of requests and processes without an end."""
    suspects = [name for name in names if any(kind in name for kind in ENDLESS)]
    leaked: list[str] = []
    for first in range(0, len(suspects), AT_ONCE):
        some = suspects[first : first + AT_ONCE]
        async with redis.pipeline(transaction=False) as pipe:
            for name in some:
                pipe.ttl(name)
            ends = await pipe.execute()
        leaked += [f"{name} has no end" for name, seconds in zip(some, ends, strict=True) if seconds == -1]
    return leaked


def _sorted(letters: list[dict[bytes, bytes]]) -> tuple[frozenset[str], list[str]]:
    """Requests whose dead letter says that enough workers died, and the letters that say anything else."""
    died = [letter for letter in letters if int(letter.get(b"deaths", b"0")) >= DEATHS_ALLOWED]
    others = [f"dead letter {letter}" for letter in letters if letter not in died]
    return frozenset(letter[b"id"].decode() for letter in died), others


def _entry(number: bytes, fields: dict[bytes, bytes]) -> Entry:
    ((name, payload),) = fields.items()
    generation, letter = name.decode().split(":")
    return Entry(int(number.split(b"-")[0]), generation, letter, decode_reply(payload))
