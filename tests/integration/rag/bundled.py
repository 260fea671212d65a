"""The sample FAQ and the bundled embedding model, in this process; in production a worker stands behind the port."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.resources import files

from sentence_transformers import SentenceTransformer

from inference_worker import bundled
from rag.embedding import Vector

SAMPLE = files("rag") / "sample"


class BundledEmbedder:
    """The model that ``penstock up`` serves."""

    model = bundled.EMBEDDING
    dimensions = 384

    def __init__(self) -> None:
        self._model = SentenceTransformer(str(bundled.folder(bundled.EMBEDDING)), device="cpu")

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        return await asyncio.to_thread(lambda: self._model.encode(list(texts), normalize_embeddings=True).tolist())
