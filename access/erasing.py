"""Erasing a user: everything of theirs leaves Redis.

    what may bring more (keys, undelivered pushes) → stop what runs → what is found through it → itself

Requests are found through the index of the user's requests and through their conversations; records of pushes and
finished turns through conversations. So those go last, and a call that is broken off is finished by calling again. A
conversation stays for that call while something runs on that was asked in it for nobody, before it was the user's: no
index names that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from access.context import Context
from access.finished_turns import remove_finished_turns
from access.stream_pushes import target_shard, withdraw
from contracts import keys
from contracts.errors import NotFound, PenstockError
from contracts.ids import CONVERSATION_PREFIX, RequestId, SessionId, Shard, TenantId, shard_of
from contracts.states import TERMINAL
from memory import Session

STOPPED_WITHIN = timedelta(seconds=8)
AT_ONCE = 200

REMAINS = (
    ("usage", "The tenant's sums of tokens and money: numbers, without names or texts."),
    ("levels", "How full the user's rate limits are, under a hash of the name, until they are full again."),
    ("reservations", "What the limiter holds for an ended request names its user until it is settled: a moment."),
    ("mailboxes", "Copies of answers on their way to access processes: up to ten seconds."),
    ("embeddings", "Texts embedded for a search, under nobody's name: two minutes."),
    ("records", "Hashes of questions that were counted, one minute, and of pushes that were deleted before: 24 hours."),
    (
        "earlier requests",
        "Summaries and pushed answers asked for while a conversation was nobody's: until they expire.",
    ),
    ("deleted conversations", "What was asked in one while it was nobody's: until it expires."),
    ("refused pushes", "What their publishers called them, and why they were refused: 30 days."),
    ("knowledge", "Files and vector stores: they are the tenant's, and do not say who brought them."),
    ("copies", "Backups, and the Redis server's own memory and files until it rewrites them."),
)
"""What is not erased, and why: the same for everybody."""


@dataclass
class Erased:
    """How many of each there were. ``turns`` are entries of conversations; ``still_running`` requests are left."""

    api_keys: int = 0
    undelivered_pushes: int = 0
    requests: int = 0
    idempotency_records: int = 0
    dead_letters: int = 0
    finished_turns: int = 0
    push_records: int = 0
    turns: int = 0
    conversations: int = 0
    profile_facts: int = 0
    learned_facts: int = 0
    still_running: int = 0


class Erasure:
    """Erases one user of one tenant. ``last_key``: the prefix of a key that must be good until all else is gone."""

    def __init__(self, context: Context, tenant: TenantId, user: str, last_key: str = ""):
        self._context = context
        self._tenant = tenant
        self._user = user
        self._last_key = last_key
        self._shards = [Shard(number) for number in range(context.settings.shards)]
        self._erased = Erased()

    async def run(self) -> Erased:
        """Do it; what there was. Called again it finds what was left, or nothing."""
        await self._revoke(last=False)
        conversations = [one for shard in self._shards for one in await self._conversations(shard)]
        await self._withdraw(conversations)
        indexed = await self._indexed()
        asked = {one: await self._asked_in(one) for one in conversations}
        requests = indexed.union(*asked.values())
        left = await self._stop(list(requests))
        left |= await self._forget(requests - left)
        self._erased.still_running = len(left)
        await self._remove_finished_turns(conversations)
        for conversation in conversations:
            if asked[conversation].isdisjoint(left - indexed):
                await self._remove(conversation)
        await self._forget_profile()
        if not self._erased.still_running:
            await self._revoke(last=True)
        return self._erased

    async def _revoke(self, *, last: bool) -> None:
        """The keys that are bound to the user."""
        for key in await self._context.keys.list():
            theirs = key.tenant == self._tenant and key.user == self._user
            if theirs and (key.prefix == self._last_key) is last:
                with suppress(NotFound):  # somebody else was faster
                    await self._context.keys.revoke(key.prefix)
                    self._erased.api_keys += 1

    async def _conversations(self, shard: Shard) -> list[SessionId]:
        return await self._context.sessions.all_ids(shard, self._tenant, self._user)

    async def _withdraw(self, conversations: Sequence[SessionId]) -> None:
        publishers, public = self._context.settings.publishers, _public(conversations)
        self._erased.undelivered_pushes = await withdraw(
            self._context.redis, publishers, self._tenant, self._user, public
        )

    async def _indexed(self) -> set[RequestId]:
        found: set[RequestId] = set()
        for shard in self._shards:
            ids: Any = await self._context.redis.zrange(keys.user_requests(shard, self._tenant, self._user), 0, -1)
            found |= {RequestId(raw.decode()) for raw in ids}
        return found

    async def _asked_in(self, conversation: SessionId) -> set[RequestId]:
        """Also what was asked for nobody, before the conversation was the user's."""
        return {entry.request async for entry in self._context.history.all(conversation) if entry.request}

    async def _stop(self, requests: Sequence[RequestId]) -> set[RequestId]:
        """Cancel those that run; those that have not ended in time."""
        running = await self._running(requests)
        for request_id in running:
            await self._context.protocol.cancel(request_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOPPED_WITHIN.total_seconds()):
                await asyncio.gather(*(self._end_of(request_id) for request_id in running))
        return await self._running(list(running))

    async def _end_of(self, request_id: RequestId) -> None:
        with suppress(PenstockError):  # it is gone already
            async with aclosing(self._context.mailbox.follow(request_id)) as replies:
                async for _ in replies:
                    pass

    async def _running(self, requests: Sequence[RequestId]) -> set[RequestId]:
        running: set[RequestId] = set()
        for first in range(0, len(requests), AT_ONCE):
            some = requests[first : first + AT_ONCE]
            async with self._context.redis.pipeline(transaction=False) as pipe:
                for request_id in some:
                    pipe.hget(keys.request(request_id), "state")
                states: list[bytes | None] = await pipe.execute()
            running |= {
                one for one, state in zip(some, states, strict=True) if state and state.decode() not in TERMINAL
            }
        return running

    async def _forget(self, requests: Iterable[RequestId]) -> set[RequestId]:
        """Remove those that have ended; those that have not: somebody has sent them again."""
        left: set[RequestId] = set()
        for request_id in requests:
            gone = await self._context.protocol.forget(request_id)
            if gone is None:
                left.add(request_id)
                continue
            self._erased.requests += gone.requests
            self._erased.dead_letters += gone.dead_letters
            self._erased.idempotency_records += gone.idempotency_records
            # The index names some that have expired, too.
            index = keys.user_requests(shard_of(request_id), self._tenant, self._user)
            await self._context.redis.zrem(index, request_id)
        return left

    async def _remove_finished_turns(self, conversations: Sequence[SessionId]) -> None:
        public = _public(conversations)
        for shard in self._shards:
            stream = keys.finished_turns(shard, self._tenant)
            self._erased.finished_turns += await remove_finished_turns(self._context.redis, stream, public)

    async def _remove(self, conversation: SessionId) -> None:
        """A conversation with its turns, after the records of what was pushed into it."""
        async for entry in self._context.history.all(conversation):
            self._erased.turns += entry.kind != "deleted"
            if entry.kind == "push":
                await self._forget_push(conversation, entry.publisher, entry.push)
        existed = await self._context.redis.exists(keys.session(conversation))
        await self._context.sessions.delete(Session(conversation, self._tenant, self._user))
        self._erased.conversations += existed

    async def _forget_push(self, conversation: SessionId, publisher: str, push_id: str) -> None:
        record = keys.pushed(shard_of(conversation), self._tenant, publisher, push_id)
        shard = target_shard(len(self._shards), self._tenant, publisher, push_id)
        target = keys.push_target(shard, self._tenant, publisher, push_id)
        self._erased.push_records += await self._context.redis.delete(record)
        self._erased.push_records += await self._context.redis.delete(target)
        await self._context.redis.delete(keys.counted_push(self._tenant, publisher, conversation, push_id))

    async def _forget_profile(self) -> None:
        known = await self._context.profiles.known(self._tenant, self._user)
        if await self._context.profiles.delete(self._tenant, self._user):
            self._erased.profile_facts = len(known.facts)
            self._erased.learned_facts = len(known.learned)


def erased_object(tenant: TenantId, user: str, erased: Erased) -> dict[str, Any]:
    """What the routes answer: how many of each kind were erased, and what remains, with the reason."""
    counts = asdict(erased)
    running: int = counts.pop("still_running")
    left = [("requests", f"{running} did not stop in time. Call again in a moment.")] if running else []
    return {
        "object": "user.erased",
        "tenant": tenant,
        "user": user,
        "complete": not running,
        "erased": counts,
        "remains": [{"what": what, "why": why} for what, why in (*left, *REMAINS)],
    }


def _public(conversations: Iterable[SessionId]) -> set[str]:
    return {f"{CONVERSATION_PREFIX}{one}" for one in conversations}
