"""The connection to Milvus, and the only place that knows its client library and its errors.

The asynchronous client cannot create collections on Milvus Lite, so definitions go through the synchronous client in a
thread, and rows and searches through the asynchronous one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, cast

import grpc
from pymilvus import AsyncMilvusClient, MilvusClient, MilvusException
from pymilvus.milvus_client.index import IndexParams
from pymilvus.orm.schema import CollectionSchema

from contracts.errors import DependencyDown
from rag.embedding import Vector

Row = dict[str, Any]

_NOT_LOADED = 101
# The client pings every 10 s by default, also when idle, and a server that keeps gRPC's own limits (Milvus Lite does)
# hangs up on that: "too many pings". Deadlines, not pings, tell us that a server is gone.
_CHANNEL = {
    "grpc.keepalive_time_ms": 330_000,
    "grpc.keepalive_permit_without_calls": 0,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 2_000,
}
QUERY_LIMIT = 16_384
"""Milvus returns no more rows than this in one answer."""

# The client logs a traceback for each failed call. Failures are raised, translated and logged once by their handler.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)


class Milvus:
    """Both clients of one server.

    Every method raises ``DependencyDown`` when the server does not answer or refuses.
    """

    def __init__(self, uri: str, token: str, timeout: timedelta):
        self._uri = uri
        self._token = token
        self._timeout = timeout.total_seconds()
        self._rows = AsyncMilvusClient(uri, token=token, timeout=self._timeout, dedicated=True, grpc_options=_CHANNEL)
        # Milvus Lite takes one writer at a time for a collection.
        self._writing = asyncio.Lock()

    async def ensure(self, name: str, schema: CollectionSchema, indexes: IndexParams, partitions: int) -> None:
        """Create collection ``name`` with its indexes unless it exists, and load it."""

        def define(client: MilvusClient) -> None:
            if name not in cast("list[str]", client.list_collections()):
                client.create_collection(
                    name, schema=schema, index_params=indexes, num_partitions=partitions, consistency_level="Strong"
                )
            client.load_collection(name)

        await self._define(define)

    async def flush(self, name: str) -> None:
        """Seal what was written, so that searches use its index: Milvus Lite scans unsealed rows one by one."""
        async with self._writing:
            await self._define(lambda client: client.flush(name))

    async def upsert(self, name: str, rows: Sequence[Row]) -> None:
        """Write rows; the next search sees them."""
        async with self._writing:
            await self._call(name, lambda: self._rows.upsert(name, list(rows), timeout=self._timeout))

    async def delete(self, name: str, where: str) -> None:
        """Delete the rows that match; the next search does not see them."""
        async with self._writing:
            await self._call(name, lambda: self._rows.delete(name, filter=where, timeout=self._timeout))

    async def query(self, name: str, where: str, fields: Sequence[str], limit: int = QUERY_LIMIT) -> list[Row]:
        """At most ``limit`` of the rows that match, in no order."""
        found = await self._call(
            name,
            lambda: self._rows.query(
                name, filter=where, output_fields=list(fields), limit=limit, timeout=self._timeout
            ),
        )
        return [dict(row) for row in found]

    async def search(
        self, name: str, field: str, data: Vector | str, *, where: str, fields: Sequence[str], limit: int, options: Row,
    ) -> list[tuple[float, Row]]:  # fmt: skip
        """The ``limit`` nearest rows among those that match, best first, each with its score."""
        found = await self._call(
            name,
            lambda: self._rows.search(
                name,
                data=[data],
                anns_field=field,
                filter=where,
                limit=limit,
                output_fields=list(fields),
                search_params=options,
                timeout=self._timeout,
            ),
        )
        return [(float(hit["distance"]), dict(hit["entity"])) for hit in found[0]]

    async def close(self) -> None:
        await self._rows.close()

    async def _call(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await call()
        except MilvusException as error:
            if error.code != _NOT_LOADED:
                raise _unavailable() from error
        except grpc.RpcError as error:
            raise _unavailable() from error
        # A server that restarted has the collection on disk and not in memory.
        await self._define(lambda client: client.load_collection(name))
        try:
            return await call()
        except (MilvusException, grpc.RpcError) as error:
            raise _unavailable() from error

    async def _define(self, define: Callable[[MilvusClient], None]) -> None:
        def run() -> None:
            client = MilvusClient(
                self._uri, token=self._token, timeout=self._timeout, dedicated=True, grpc_options=_CHANNEL
            )
            try:
                define(client)
            finally:
                client.close()

        try:
            await asyncio.to_thread(run)
        except (MilvusException, grpc.RpcError) as error:
            raise _unavailable() from error


def _unavailable() -> DependencyDown:
    return DependencyDown("The knowledge store does not answer. Try again in a moment.", code="knowledge_unavailable")
