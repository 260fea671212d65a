"""Pushes through a stream of the publisher's own.

Such a stream is read by all access processes as one consumer. An entry leaves it when its message is in the
session, or was refused: a process that dies before leaves it pending, and another one takes it over. A message is put
in once by its id, however often it is delivered.

A ``prompt`` is answered first, outside of the session: a batch request may wait for long, and the session stays free
for its user meanwhile. Its answer then goes in as any message does.
"""

from __future__ import annotations

import asyncio
import functools
import random
import time
import zlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any, NoReturn

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from access.asked import Asked
from access.auth import Caller
from access.context import Context
from access.prompt import behind_summary
from access.push_entries import Order, Prompted, read_order, shown_id
from access.pushes import charge, conflict, push_once
from access.resolve import preset_of, resolve
from access.routes.bodies import Sampling
from access.whole_answers import whole_answer
from contracts import keys, logs
from contracts.connection import BLOCK, REDIS_UNAVAILABLE
from contracts.errors import DependencyDown, NotFound, Overload, PenstockError
from contracts.functions import Push
from contracts.functions.push import KNOWN_FOR
from contracts.ids import SessionId, Shard, TenantId, new_session_id, shard_of
from contracts.messages import ChatMessage, GenerationParameters
from memory import Session, fit

GROUP = CONSUMER = "access"
READ_AT_ONCE = 32
LOOKED_AT_ONCE = 500
PROMPTS_AT_ONCE = 64
KEEP_EVERY = timedelta(seconds=1)
CLAIM_AFTER = timedelta(seconds=5)
"""An entry that nobody has worked on for so long is its process's no more."""
PROMPTED_FOR = timedelta(hours=1)
"""For so long a prompt waits for room before it is refused."""
REJECTED_KEPT = 1000
REJECTED_FOR = timedelta(days=30)
PAUSE_AFTER_ERROR = timedelta(seconds=0.5)

log = logs.get()


class PushReader:
    """Delivers what publishers write into their streams. ``reads`` is a client for blocking reads."""

    def __init__(self, context: Context, reads: Redis):
        self._context = context
        self._reads = reads
        self._publishers = context.settings.publishers
        self._shards = [Shard(number) for number in range(context.settings.shards)]
        self._working: dict[tuple[str, bytes], None] = {}
        self._prompts = 0

    async def run(self) -> None:
        """Read, take over what others left, keep what is worked on. Runs for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self._read), name="pushes.read")
            tasks.create_task(self._repeat(self._claim), name="pushes.claim")
            tasks.create_task(self._repeat(self._keep), name="pushes.keep")

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> NoReturn:
        while True:
            try:
                await step()
            except REDIS_UNAVAILABLE:
                log.warning("pushes.unreachable", sentence="Redis does not answer; pushes wait.")
                await asyncio.sleep(PAUSE_AFTER_ERROR.total_seconds())
            except ResponseError as error:
                if "NOGROUP" in str(error):
                    await self._create_groups()
                    continue
                log.warning("pushes.unreadable", sentence="Redis refuses to read pushes.", reason=str(error))
                await asyncio.sleep(PAUSE_AFTER_ERROR.total_seconds())

    async def _read(self) -> None:
        streams: dict[Any, Any] = {keys.push(name): ">" for name in self._publishers}
        answer: Any = await self._reads.xreadgroup(
            GROUP, CONSUMER, streams, count=READ_AT_ONCE, block=int(BLOCK.total_seconds() * 1000)
        )
        for publisher in self._publishers:
            await self._work(publisher, (answer or {}).get(keys.push(publisher).encode(), []))

    async def _claim(self) -> None:
        await asyncio.sleep(CLAIM_AFTER.total_seconds() / 2 * random.uniform(0.8, 1.2))  # noqa: S311  (jitter)
        idle = int(CLAIM_AFTER.total_seconds() * 1000)
        for publisher in self._publishers:
            found: Any = await self._context.redis.xautoclaim(
                keys.push(publisher), GROUP, CONSUMER, min_idle_time=idle, count=READ_AT_ONCE
            )
            await self._work(publisher, found[1])

    async def _keep(self) -> None:
        """Say that somebody works on these still."""
        await asyncio.sleep(KEEP_EVERY.total_seconds())
        async with self._context.redis.pipeline(transaction=False) as pipe:
            for stream, entry in self._working:
                pipe.xclaim(stream, GROUP, CONSUMER, 0, [entry], justid=True)
            await pipe.execute()

    async def _create_groups(self) -> None:
        """From the start of the stream: what was written while there was no group is delivered too."""
        for publisher in self._publishers:
            try:
                await self._context.redis.xgroup_create(keys.push(publisher), GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def _work(self, publisher: str, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        """Deliver entries in their order; a prompt's answer comes when it comes."""
        stream = keys.push(publisher)
        fresh = [(entry, fields) for entry, fields in entries if (stream, entry) not in self._working]
        self._working |= {(stream, entry): None for entry, _ in fresh}
        for entry, fields in fresh:
            if fields.get(b"type") != b"prompt":
                await self._settle(publisher, entry, fields)
            elif self._prompts < PROMPTS_AT_ONCE:
                self._prompts += 1
                self._context.spawn(self._settle_prompt(publisher, entry, fields), f"push {entry.decode()}")
            else:  # it stays pending, for whoever has room
                del self._working[stream, entry]

    async def _settle_prompt(self, publisher: str, entry: bytes, fields: Mapping[bytes, bytes]) -> None:
        try:
            await self._settle(publisher, entry, fields)
        finally:
            self._prompts -= 1

    async def _settle(self, publisher: str, entry: bytes, fields: Mapping[bytes, bytes]) -> None:
        """Deliver one entry, or refuse it; what may succeed later stays pending."""
        try:
            await self._deliver(read_order(publisher, self._publishers[publisher].tenants, fields))
            await self._remove(publisher, entry)
        except (DependencyDown, Overload, *REDIS_UNAVAILABLE) as error:
            if isinstance(error, Overload) and _age(entry) > PROMPTED_FOR:
                await self._refuse(publisher, entry, fields, error)
        except PenstockError as error:
            await self._refuse(publisher, entry, fields, error)
        except Exception:
            # A bug that one entry meets must not come back with it for ever.
            log.exception("push.failed", sentence="A push met a bug and was refused.")
            await self._refuse(publisher, entry, fields, PenstockError("Something went wrong on our side."))
        finally:
            self._working.pop((keys.push(publisher), entry), None)

    async def _deliver(self, order: Order) -> None:
        session = await self._target(order)
        if await self._delivered(order, session):
            return
        await charge(self._context, session, order.publisher, [order.id])
        said = order.payload
        text = await self._answer(order, said, session) if isinstance(said, Prompted) else said.text
        push = Push(order.id, order.publisher, order.tenant, session.id, text, said.metadata, order.fingerprint)
        await push_once(self._context, push)

    async def _target(self, order: Order) -> Session:
        """Its session. That of a push to a user is chosen once, so that a second delivery goes to the same."""
        sessions = self._context.sessions
        if order.session is not None:
            return await sessions.get(order.tenant, order.session)
        shard = target_shard(len(self._shards), order.tenant, order.publisher, order.id)
        newest = await sessions.newest(self._shards, order.tenant, order.user)
        chosen = newest or new_session_id(shard)
        key = keys.push_target(shard, order.tenant, order.publisher, order.id)
        before: Any = await self._context.redis.set(key, chosen, nx=True, get=True, ex=KNOWN_FOR)
        target = SessionId(before.decode()) if before else chosen
        try:
            return await sessions.get(order.tenant, target)
        except NotFound:  # a new one, or one that was deleted since
            return await sessions.create(shard_of(target), order.tenant, order.user, session_id=target)

    async def _delivered(self, order: Order, session: Session) -> bool:
        """Whether the message is in the session. Raises ``CallerError`` if its id was used for another one."""
        record = keys.pushed(shard_of(session.id), order.tenant, order.publisher, order.id)
        found: Any = await self._context.redis.hmget(record, ["fingerprint", "entry"])
        if found[0] is not None and found[0].decode() != order.fingerprint:
            raise conflict()
        return found[1] is not None

    async def _answer(self, order: Order, prompted: Prompted, session: Session) -> str:
        """What a model says to a prompt. Asked again after a crash, it is the same request.

        Raises:
            EngineError: it came to no answer.
        """
        asked = await self._asked(order, prompted, session)
        return (await whole_answer(self._context.answering, asked)).text

    async def _asked(self, order: Order, prompted: Prompted, session: Session) -> Asked:
        """The prompt as a background request of the tenant, behind what was said in the session."""
        context = self._context
        model = preset_of(context, prompted.model).model
        count = functools.cache(context.estimating.counter(model))
        past = await context.history.past(session.id)
        history = fit(past.turns, context.estimating.context(model) // 2, count)
        return await resolve(
            context,
            Caller(order.tenant, f"push-{order.publisher}", frozenset({"inference"}), session.user),
            _PromptBody(
                service_tier="flex",
                idempotency_key=f"push {keys.hashed(order.publisher, order.id)}",
                order=order.fingerprint,
            ),
            model=prompted.model,
            messages=behind_summary(past.summary, [*history, ChatMessage(role="user", content=prompted.prompt)]),
            instructions=prompted.instructions,
            parameters=GenerationParameters(max_tokens=prompted.max_output_tokens),
            conversation=None,
            vector_stores=[],
            stored=False,
            wait_header=None,
            background=True,
            about=session,
        )

    async def _remove(self, publisher: str, entry: bytes) -> None:
        stream = keys.push(publisher)
        async with self._context.redis.pipeline(transaction=True) as pipe:
            pipe.xack(stream, GROUP, entry)
            pipe.xdel(stream, entry)
            await pipe.execute()

    async def _refuse(self, publisher: str, entry: bytes, fields: Mapping[bytes, bytes], error: PenstockError) -> None:
        """Tell the publisher, and let the entry go; its payload is not repeated."""
        log.info("push.refused", sentence="A push was refused.", reason=error.code)
        stream, rejected = keys.push(publisher), keys.rejected_pushes(publisher)
        told: dict[Any, Any] = {"id": shown_id(fields), "entry": entry, "reason": error.code, "message": error.message}
        async with self._context.redis.pipeline(transaction=True) as pipe:
            pipe.xadd(rejected, told, maxlen=REJECTED_KEPT)
            pipe.expire(rejected, REJECTED_FOR)
            pipe.xack(stream, GROUP, entry)
            pipe.xdel(stream, entry)
            await pipe.execute()


def target_shard(shards: int, tenant: TenantId, publisher: str, push_id: str) -> Shard:
    """Where it is remembered which session a push to a user went to."""
    return Shard(zlib.crc32(f"{tenant}\n{publisher}\n{push_id}".encode()) % shards)


async def withdraw(
    redis: Redis, publishers: Iterable[str], tenant: TenantId, user: str, conversations: Collection[str]
) -> int:
    """Take out what publishers have to say to a user and is not delivered yet; how much there was.

    ``conversations`` are the public ids of the user's own.
    """
    withdrawn = 0
    for publisher in publishers:
        stream, after = keys.push(publisher), "-"
        while True:
            page: Any = await redis.xrange(stream, min=after, count=LOOKED_AT_ONCE)
            theirs = [entry for entry, fields in page if _is_for(fields, tenant, user, conversations)]
            if theirs:
                async with redis.pipeline(transaction=True) as pipe:
                    pipe.xdel(stream, *theirs)
                    pipe.xack(stream, GROUP, *theirs)
                    withdrawn += (await pipe.execute())[0]
            if len(page) < LOOKED_AT_ONCE:
                break
            after = f"({page[-1][0].decode()}"
    return withdrawn


class _PromptBody(Sampling):
    """What makes two prompts the same one."""

    order: str


def _age(entry: bytes) -> timedelta:
    return timedelta(seconds=time.time() - int(entry.split(b"-")[0]) / 1000)


def _is_for(fields: Mapping[bytes, bytes], tenant: TenantId, user: str, conversations: Collection[str]) -> bool:
    if fields.get(b"tenant") != tenant.encode():
        return False
    named = fields.get(b"conversation", b"").decode("utf-8", "replace")
    return fields.get(b"user") == user.encode("utf-8", "surrogatepass") or named in conversations
