"""Embeddings by sentence-transformers. Queries are batched as they queue: one thread takes all that waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.errors import EngineError
from contracts.messages import InferenceRequest, ModelFacts
from inference_worker import bundled
from inference_worker.engines.port import Description, EngineDelta, embed_task
from inference_worker.engines.weights import revision_of, tokenizer_file

BATCH_TEXTS = 256


@dataclass
class _Ask:
    texts: tuple[str, ...]
    vectors: asyncio.Future[list[bytes]]


class EmbedderEngine:
    """Answers ``Embed`` tasks: per text one delta with its vector, normalised, little-endian float32."""

    def __init__(self, model: str, served_name: str, *, slots: int):
        self._folder = Path(model) if model else bundled.folder(bundled.EMBEDDING)
        self._name = served_name or self._folder.name
        self._slots = slots
        self._thread = _one_thread()
        self._asks: list[_Ask] = []
        self._batching: asyncio.Task[None] | None = None
        self.batches = 0
        self._model: Any = None

    async def start(self) -> Description:
        loop = asyncio.get_running_loop()
        try:
            self._model = await loop.run_in_executor(self._thread, self._load)
        except Exception as error:
            raise EngineError(f"The embedding model in {self._folder} cannot be loaded: {error}") from error
        content, sha256 = tokenizer_file(self._folder)
        facts = ModelFacts(
            name=self._name,
            revision=revision_of(self._folder),
            kind="embed",
            max_model_len=int(self._model.max_seq_length),
            dimensions=int(self._model.get_embedding_dimension()),
            tokenizer_sha256=sha256,
        )
        return Description(facts, self._slots, content)

    async def generate(
        self,
        request: InferenceRequest,
        continue_from: Sequence[int] = (),  # noqa: ARG002  (vectors come whole)
    ) -> AsyncGenerator[EngineDelta, None]:
        vectors = await self._embed(embed_task(request).texts)
        for index, vector in enumerate(vectors):
            yield EngineDelta(index, vector=vector)
        yield EngineDelta(finish_reason="stop", prompt_tokens=await self.prompt_tokens(request), completion_tokens=0)

    async def prompt_tokens(self, request: InferenceRequest) -> int:
        texts = embed_task(request).texts
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._count, texts)

    async def check(self) -> None:
        return None

    def cache_room(self) -> float:
        return 1.0

    async def stop(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._thread = _one_thread()
        self._asks, self._batching = [], None

    async def _embed(self, texts: tuple[str, ...]) -> list[bytes]:
        ask = _Ask(texts, asyncio.get_running_loop().create_future())
        self._asks.append(ask)
        if self._batching is None or self._batching.done():
            self._batching = asyncio.create_task(self._work_off(), name="embedding batches")
        return await ask.vectors

    async def _work_off(self) -> None:
        """Batch after batch until nothing waits. While one is computed, the next gathers."""
        while self._asks:
            await asyncio.sleep(0)  # let the requests of the same take come along
            asks = self._gather()
            texts = [text for ask in asks for text in ask.texts]
            try:
                rows = await asyncio.get_running_loop().run_in_executor(self._thread, self._encode, texts)
            except Exception as error:  # noqa: BLE001  (it belongs to those who wait for this batch)
                _refuse(asks, error)
                continue
            for ask in asks:
                mine, rows = rows[: len(ask.texts)], rows[len(ask.texts) :]
                if not ask.vectors.done():
                    ask.vectors.set_result(mine)

    def _gather(self) -> list[_Ask]:
        """The asks of the next batch: at least one, and no more texts than one batch should have."""
        chosen: list[_Ask] = []
        texts = 0
        while self._asks and (not chosen or texts + len(self._asks[0].texts) <= BATCH_TEXTS):
            ask = self._asks.pop(0)
            if not ask.vectors.done():  # nobody waits for a cancelled one
                chosen.append(ask)
                texts += len(ask.texts)
        return chosen

    def _load(self) -> Any:
        import torch
        from sentence_transformers import SentenceTransformer

        if not torch.cuda.is_available():
            # A query is too small to share out, and a second thread would wait for a core that vLLM holds.
            torch.set_num_threads(1)
        return SentenceTransformer(str(self._folder), device=None, local_files_only=True)

    def _encode(self, texts: list[str]) -> list[bytes]:
        if not texts:
            return []
        self.batches += 1
        rows = self._model.encode(texts, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False)
        return [row.astype("<f4").tobytes() for row in rows]

    def _count(self, texts: Sequence[str]) -> int:
        if not texts:
            return 0
        encoded = self._model.tokenizer(list(texts), truncation=True, max_length=self._model.max_seq_length)
        return sum(len(ids) for ids in encoded["input_ids"])


def _one_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="embedder")


def _refuse(asks: Sequence[_Ask], error: Exception) -> None:
    for ask in asks:
        if not ask.vectors.done():
            ask.vectors.set_exception(error)
