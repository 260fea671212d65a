"""Where a search may look, as Milvus's filter and as the guard behind it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.ids import TenantId
from rag.filters import bind

_SEARCHED = "tenant == {tenant} and collection in {collections}"
_WHOLE = "collection in {collections}"
_PART = "(collection == {collection} and document in {documents})"


@dataclass(frozen=True, slots=True)
class Scope:
    """Collections of a tenant; of those that stand in ``documents``, the rows of these documents alone."""

    tenant: TenantId
    collections: Sequence[str]
    documents: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to look at."""
        return all(one in self.documents and not self.documents[one] for one in self.collections)

    @property
    def where(self) -> str:
        """The filter, of a scope that is not empty.

        Raises:
            NotFound: as ``bind`` does.
        """
        where = bind(_SEARCHED, tenant=self.tenant, collections=self.collections)
        if not self.documents:
            return where
        whole = [one for one in self.collections if one not in self.documents]
        places = [bind(_WHOLE, collections=whole)] if whole else []
        for collection, documents in self.documents.items():
            if documents:
                places.append(bind(_PART, collection=collection, documents=sorted(documents)))
        return f"{where} and ({' or '.join(places)})"

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether a row that was found may be shown, should a server ever ignore the filter."""
        only = self.documents.get(row["collection"])
        mine = row["tenant"] == self.tenant and row["collection"] in self.collections
        return mine and (only is None or row["document"] in only)
