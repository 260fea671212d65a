"""Profiles: typed, bounded facts about one end user, such as name, language or plan."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from redis.asyncio import Redis

from contracts import keys
from contracts.errors import CallerError
from contracts.ids import TenantId
from memory.learned import Known, learned_from

MAX_FACTS = 32
MAX_CHARACTERS = 256
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


class Profiles:
    """The profiles of all tenants' users."""

    def __init__(self, redis: Redis):
        self._redis = redis

    async def get(self, tenant: TenantId, user: str) -> dict[str, str]:
        """One user's facts, by name; empty if there are none."""
        return (await self.get_many(tenant, [user]))[0]

    async def known(self, tenant: TenantId, user: str) -> Known:
        """All that is known of one user, registered and learned, in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(keys.profile(tenant, user))
            pipe.hgetall(keys.learned(tenant, user))
            registered, told = await pipe.execute()
        learned, since = learned_from(told)
        return Known(_facts(registered), learned, since)

    async def get_many(self, tenant: TenantId, users: Sequence[str]) -> list[dict[str, str]]:
        """Several users' facts in one round trip, in the order asked."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for user in users:
                pipe.hgetall(keys.profile(tenant, user))
            rows: list[dict[bytes, bytes]] = await pipe.execute()
        return [_facts(row) for row in rows]

    async def put(self, tenant: TenantId, user: str, facts: Mapping[str, str]) -> dict[str, str]:
        """Replace all facts.

        Raises:
            CallerError: too many facts, a bad name, or a value that is too long.
        """
        checked = check(facts)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(keys.profile(tenant, user))
            if checked:
                pipe.hset(keys.profile(tenant, user), mapping=cast(Any, checked))
            await pipe.execute()
        return checked

    async def patch(self, tenant: TenantId, user: str, changes: Mapping[str, str | None]) -> dict[str, str]:
        """Change some facts; ``None`` removes one.

        Raises:
            CallerError: as ``put``.
        """
        facts: dict[str, str] = await self.get(tenant, user)
        for name, value in changes.items():
            if value is None:
                facts.pop(name, None)
            else:
                facts[name] = value
        return await self.put(tenant, user, facts)

    async def delete(self, tenant: TenantId, user: str) -> bool:
        """Forget a user's facts, learned ones too, and learn no more; whether there were any."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.delete(keys.profile(tenant, user))
            pipe.delete(keys.learned(tenant, user))
            return any(await pipe.execute())


def check(facts: Mapping[str, str]) -> dict[str, str]:
    """The facts, sorted by name so that prompts are stable.

    Raises:
        CallerError: naming the fact and the bound.
    """
    if len(facts) > MAX_FACTS:
        raise CallerError(f"A profile holds at most {MAX_FACTS} facts; this one has {len(facts)}.", param="facts")
    for name, value in facts.items():
        if not _NAME.fullmatch(name):
            raise CallerError(
                f"'{name[:40]}' cannot name a fact: use lower-case letters, digits and '_', at most 32.",
                param=f"facts.{name[:40]}",
            )
        if len(value) > MAX_CHARACTERS or value.splitlines() not in ([], [value]):
            raise CallerError(
                f"Fact '{name}' must be one line of at most {MAX_CHARACTERS} characters.", param=f"facts.{name}"
            )
    return {name: facts[name] for name in sorted(facts)}


def _facts(row: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): row[name].decode() for name in sorted(row)}
