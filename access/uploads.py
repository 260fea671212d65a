"""Uploaded files, kept in Redis for a while: bytes with a name, until they are loaded as knowledge or fetched."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from redis.asyncio import Redis

from contracts import keys
from contracts.errors import NotFound
from contracts.ids import TenantId

RETENTION = timedelta(days=30)
LONGEST_NAME = 200
_SHOWN = ("name", "purpose", "size", "created_at")


@dataclass(frozen=True)
class Upload:
    """What is known of a file without reading it. ``created_at`` is Unix seconds."""

    id: str
    name: str
    purpose: str
    size_bytes: int
    created_at: float


class Uploads:
    """The files of all tenants; another tenant's is not found."""

    def __init__(self, redis: Redis):
        self._redis = redis

    async def put(self, tenant: TenantId, name: str, purpose: str, content: bytes) -> Upload:
        """Keep ``content`` under a fresh id."""
        upload = Upload(f"file-{secrets.token_hex(16)}", plain_name(name), purpose, len(content), time.time())
        fields: dict[Any, Any] = {
            "name": upload.name,
            "purpose": purpose,
            "size": upload.size_bytes,
            "created_at": upload.created_at,
            "content": content,
        }
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hset(keys.stored_file(tenant, upload.id), mapping=fields)
            pipe.expire(keys.stored_file(tenant, upload.id), RETENTION)
            pipe.zadd(keys.stored_files(tenant), {upload.id: upload.created_at})
            pipe.expire(keys.stored_files(tenant), RETENTION)
            await pipe.execute()
        return upload

    async def get(self, tenant: TenantId, file_id: str) -> Upload:
        """One file.

        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        row = await self._redis.hmget(keys.stored_file(tenant, file_id), list(_SHOWN))
        if row[0] is None:
            raise _unknown(file_id)
        return _upload(file_id, row)

    async def content(self, tenant: TenantId, file_id: str) -> bytes:
        """What is in it. Raises as ``get``."""
        content: Any = await self._redis.hget(keys.stored_file(tenant, file_id), "content")
        if content is None:
            raise _unknown(file_id)
        return content

    async def list(self, tenant: TenantId) -> list[Upload]:
        """A tenant's files, newest first."""
        await self._redis.zremrangebyscore(keys.stored_files(tenant), "-inf", time.time() - RETENTION.total_seconds())
        newest_first: Any = await self._redis.zrange(keys.stored_files(tenant), 0, -1, desc=True)
        ids: list[str] = [raw.decode() for raw in newest_first]
        async with self._redis.pipeline(transaction=False) as pipe:
            for file_id in ids:
                pipe.hmget(keys.stored_file(tenant, file_id), list(_SHOWN))
            rows = await pipe.execute()
        return [_upload(file_id, row) for file_id, row in zip(ids, rows, strict=True) if row[0] is not None]

    async def delete(self, tenant: TenantId, file_id: str) -> None:
        """Forget a file; what was loaded from it stays where it was loaded. Raises as ``get``."""
        await self._redis.zrem(keys.stored_files(tenant), file_id)
        if not await self._redis.delete(keys.stored_file(tenant, file_id)):
            raise _unknown(file_id)


def plain_name(name: str) -> str:
    """A file name without folders and unprintable characters."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return "".join(c for c in last if c.isprintable())[-LONGEST_NAME:] or "upload"


def _upload(file_id: str, row: list[Any]) -> Upload:
    name, purpose, size, created_at = row
    return Upload(file_id, name.decode(), purpose.decode(), int(size), float(created_at))


def _unknown(file_id: str) -> NotFound:
    return NotFound(f"No file with id '{file_id[:80]}'.", code="file_not_found", param="file_id")
