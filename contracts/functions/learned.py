"""Learned facts: what a user's conversations have told, as long as that is wanted. ``learned.lua`` has the steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts import keys
from contracts.functions.library import Library
from contracts.ids import SessionId, TenantId, shard_of


class LearnedFacts:
    """The steps on one Redis. Each may be called again after a lost answer."""

    def __init__(self, library: Library):
        self._library = library

    async def switch(self, tenant: TenantId, user: str, *, on: bool) -> None:
        """Learn from what is said from now on; or stop it, and forget what was learned."""
        await self._library.call("profile_switch_learning", keys.learned(tenant, user), args=("1" if on else "0",))

    async def learn(self, tenant: TenantId, user: str, first_ms: int, facts: Mapping[str, bytes]) -> bool:
        """Keep facts by name, as JSON with an ``at``; ``first_ms`` is when the first turn began that they are from.

        Whether they were wanted: not if learning is off, or something was forgotten since that turn.
        """
        pairs: list[Any] = [part for pair in facts.items() for part in pair]
        [outcome] = await self._library.call("profile_learn", keys.learned(tenant, user), args=(first_ms, *pairs))
        return outcome == b"OK"

    async def forget(self, tenant: TenantId, user: str, name: str | None = None) -> None:
        """Forget one fact, or all. What was said until now teaches nothing again."""
        args = (name,) if name is not None else ()
        await self._library.call("profile_forget", keys.learned(tenant, user), args=args)

    async def advance(self, session: SessionId, tenant: TenantId, until: str) -> None:
        """Note that the turns up to and with ``until`` were learned from."""
        prefix = keys.shard_prefix(shard_of(session))
        await self._library.call("advance_learning", prefix, args=(session, tenant, until))
