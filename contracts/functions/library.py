"""Loading and calling the function library.

Functions, unlike scripts, survive restarts and flushes of the data, and a service's ACL can allow them alone. The
library is named by the hash of its source and so are its functions: two releases of Penstock may share a server.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from contracts import keys
from contracts.errors import DependencyDown

_PARTS = (
    "common",
    "submit",
    "deadletters",
    "take",
    "append",
    "follow",
    "push",
    "push_quota",
    "turns",
    "summary",
    "learned",
    "sweep",
    "gate",
    "register",
)


def _body() -> str:
    folder = resources.files("contracts.functions")
    return "\n".join(folder.joinpath(f"{part}.lua").read_text(encoding="utf-8") for part in _PARTS)


BODY = _body()
SHA256 = hashlib.sha256(BODY.encode()).hexdigest()
VERSION = SHA256[:12]
SOURCE = f"#!lua name={keys.library_name(SHA256)}\nlocal VERSION = '{VERSION}'\n{BODY}"


@dataclass(frozen=True)
class Replicas:
    """How many replicas are to confirm a write, and how long they may take: less than the client waits (5 s)."""

    count: int
    patience: timedelta = timedelta(milliseconds=200)


class Library:
    """Calls functions by their short name, and loads the library where a server does not have it (yet, or any more)."""

    def __init__(self, redis: Redis):
        self._redis = redis

    async def load(self) -> None:
        """Put the library on the server. Harmless when it is there.

        Raises:
            DependencyDown: the server knows no functions (Redis older than 7.0).
        """
        try:
            await self._redis.execute_command("FUNCTION", "LOAD", SOURCE)
        except ResponseError as error:
            if "already exists" in str(error):
                return
            raise DependencyDown(
                f"Redis refused our function library ({error}); Redis 7.0 or Valkey is needed"
            ) from error

    async def call(self, name: str, *redis_keys: str, args: tuple[Any, ...] = ()) -> Any:
        """Run one function; ``redis_keys`` all carry one hash tag."""
        command = _command(name, redis_keys, args)
        try:
            return await self._redis.execute_command(*command)
        except ResponseError as error:
            await self._load_if_missing(error)
            return await self._redis.execute_command(*command)

    async def call_and_wait(
        self, name: str, *redis_keys: str, args: tuple[Any, ...], replicas: Replicas
    ) -> tuple[Any, int]:
        """As ``call``; and how many replicas have confirmed it.

        WAIT speaks of the writes of its own connection, so it goes with the call in one pipeline: on another pooled
        connection it would return at once, and prove nothing.
        """
        command = _command(name, redis_keys, args)
        try:
            return await self._in_one_pipeline(command, replicas)
        except ResponseError as error:
            await self._load_if_missing(error)
            return await self._in_one_pipeline(command, replicas)

    async def _in_one_pipeline(self, command: tuple[Any, ...], replicas: Replicas) -> tuple[Any, int]:
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.execute_command(*command)
            pipe.execute_command("WAIT", replicas.count, int(replicas.patience.total_seconds() * 1000))
            answer, confirmed = await pipe.execute()
        return answer, int(confirmed)

    async def _load_if_missing(self, error: ResponseError) -> None:
        if "Function not found" not in str(error):
            raise error
        await self.load()


def _command(name: str, redis_keys: tuple[str, ...], args: tuple[Any, ...]) -> tuple[Any, ...]:
    return "FCALL", f"{name}_{VERSION}", len(redis_keys), *redis_keys, *args
