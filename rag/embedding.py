"""Vectors for texts, through a small port. Whoever composes the process supplies the model behind it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

Vector = Sequence[float]


class Embedder(Protocol):
    """Turns texts into vectors. In production a request to an embedding worker; in tests the model itself."""

    @property
    def model(self) -> str:
        """Which model made the vectors; vectors of two models are never compared."""
        ...

    @property
    def dimensions(self) -> int:
        """The length of every vector."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One vector for each text, in order.

        Raises:
            PenstockError: no worker answers, or it refuses.
        """
        ...


class CachedEmbedder:
    """An embedder that remembers the last ``capacity`` texts by the hash of their content.

    Questions repeat and FAQ files are loaded again and again; a remembered vector costs no inference.
    """

    def __init__(self, inner: Embedder, capacity: int):
        self._inner = inner
        self._capacity = capacity
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()

    @property
    def model(self) -> str:
        return self._inner.model

    @property
    def dimensions(self) -> int:
        return self._inner.dimensions

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One vector for each text, in order; only texts not remembered are sent on, each once."""
        keys = [_content_hash(text) for text in texts]
        found = {key: self._vectors[key] for key in keys if key in self._vectors}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if missing:
            found |= zip(missing, await self._inner.embed(list(missing.values())), strict=True)
        self._remember(found)
        return [found[key] for key in keys]

    def _remember(self, vectors: dict[bytes, Vector]) -> None:
        for key, vector in vectors.items():
            self._vectors[key] = vector
            self._vectors.move_to_end(key)
        while len(self._vectors) > self._capacity:
            self._vectors.popitem(last=False)


async def embed_in_batches(embedder: Embedder, texts: Sequence[str], size: int) -> list[Vector]:
    """Vectors for many texts, ``size`` of them per call, so that one load does not hold a worker for long."""
    vectors: list[Vector] = []
    for start in range(0, len(texts), size):
        vectors += await embedder.embed(texts[start : start + size])
    return vectors


def _content_hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
