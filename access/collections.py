"""Vector stores as presets name them: a setting says ``faq``, Milvus knows an id."""

from __future__ import annotations

import time
from collections.abc import Sequence

from contracts.ids import TenantId
from rag.knowledge import Knowledge

REMEMBERED_SECONDS = 2.0
_REMEMBERED_AT_MOST = 10_000


class NamedCollections:
    """Finds a tenant's collections by name, remembering each for a moment, since every question asks."""

    def __init__(self, knowledge: Knowledge):
        self._knowledge = knowledge
        self._ids: dict[tuple[TenantId, str], tuple[float, str]] = {}

    async def ids(self, tenant: TenantId, names: Sequence[str]) -> tuple[str, ...]:
        """The ids of those that exist, in the order of their names.

        Raises:
            DependencyDown: Milvus does not answer.
        """
        found = [await self._id(tenant, name) for name in names]
        return tuple(id_ for id_ in found if id_)

    async def _id(self, tenant: TenantId, name: str) -> str:
        until, id_ = self._ids.get((tenant, name), (0.0, ""))
        if until > time.monotonic():
            return id_
        collection = await self._knowledge.collection_named(tenant, name)
        if collection is None:
            return ""
        if len(self._ids) >= _REMEMBERED_AT_MOST:
            self._ids.clear()
        self._ids[tenant, name] = (time.monotonic() + REMEMBERED_SECONDS, collection.id)
        return collection.id
