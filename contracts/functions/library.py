"""Loading and calling the function library.

Functions, unlike scripts, survive restarts and flushes of the data, and a service's ACL can allow them alone. The
library is named by the hash of its source and so are its functions: two releases of Penstock may share a server.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from contracts import keys
from contracts.errors import DependencyDown

_PARTS = ("common", "submit", "take", "append", "follow", "gate", "register")


def _body() -> str:
    folder = resources.files("contracts.functions")
    return "\n".join(folder.joinpath(f"{part}.lua").read_text(encoding="utf-8") for part in _PARTS)


BODY = _body()
SHA256 = hashlib.sha256(BODY.encode()).hexdigest()
VERSION = SHA256[:12]
SOURCE = f"#!lua name={keys.library_name(SHA256)}\nlocal VERSION = '{VERSION}'\n{BODY}"


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
        try:
            return await self._call(name, redis_keys, args)
        except ResponseError as error:
            if "Function not found" not in str(error):
                raise
            await self.load()
            return await self._call(name, redis_keys, args)

    async def _call(self, name: str, redis_keys: tuple[str, ...], args: tuple[Any, ...]) -> Any:
        return await self._redis.execute_command("FCALL", f"{name}_{VERSION}", len(redis_keys), *redis_keys, *args)
