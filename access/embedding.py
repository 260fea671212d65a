"""Embedding is inference too: texts become a request that an embedding worker pulls, like any other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from access import problems
from access.fleet import Fleet
from access.follower import Follower
from access.mailbox import Mailbox
from access.transcript import Transcript
from contracts.errors import DependencyDown, Overload
from contracts.functions import Protocol, Submission
from contracts.ids import AccessId, RequestId, Shard, TenantId, new_request_id
from contracts.messages import Embed, InferenceRequest, ServiceClass

RETENTION = timedelta(minutes=1)
DEADLINE = timedelta(seconds=60)
QUEUE_BOUND = 10_000


class StreamEmbedder:
    """``rag``'s port to an embedding model, filled by the fleet. Not admitted itself: the request that needs it was."""

    def __init__(
        self, *, protocol: Protocol, mailbox: Mailbox, fleet: Fleet, access: AccessId, model: str, dimensions: int
    ):
        self._protocol = protocol
        self._mailbox = mailbox
        self._fleet = fleet
        self._access = access
        self._model = model
        self._dimensions = dimensions

    @property
    def model(self) -> str:
        return self._model

    @property
    def dimensions(self) -> int:
        return self._dimensions

    async def embed(self, texts: Sequence[str]) -> list[Sequence[float]]:
        """One vector per text.

        Raises:
            DependencyDown: no embedding worker is there.
            Overload, EngineError, CallerError: the request failed.
        """
        if self._fleet.state(self._model) == "no_workers":
            raise DependencyDown(f"No worker serves the embedding model '{self._model}'.", code="no_workers")
        vectors, _ = await self.run(TenantId("-"), texts, "interactive")
        return [vector.tolist() for vector in vectors]

    async def run(
        self,
        tenant: TenantId,
        texts: Sequence[str],
        service_class: ServiceClass,
        *,
        request_id: RequestId | None = None,
        grant_until: float = 0.0,
    ) -> tuple[list[np.ndarray], int]:
        """One float32 vector of ``dimensions`` per text, and the tokens they took.

        ``request_id`` and ``grant_until`` are those of its admission, where a client asked for it.
        """
        request = InferenceRequest(
            id=request_id or new_request_id(Shard(0)),
            tenant=tenant,
            user="",
            key="",
            model=self._model,
            service_class=service_class,
            task=Embed(texts=tuple(texts)),
            created_at=time.time(),
            deadline_seconds=DEADLINE.total_seconds(),
        )
        follower = await self._submit(request, grant_until)
        transcript = Transcript()
        try:
            async for batch in self._mailbox.follow(request.id, follower):
                for logged in batch:
                    transcript.fold(logged.seq, logged.reply)
        except asyncio.CancelledError:
            # A question that waits no longer: its embedding would only hold up the next ones.
            await self._protocol.cancel(request.id)
            raise
        if transcript.failure is not None:
            raise problems.of_failure(transcript.failure)
        if transcript.status != "completed":
            raise Overload("No worker embedded the texts in time. Try again in a moment.", code="deadline_exceeded")
        vectors = [np.frombuffer(transcript.vectors[index], dtype="<f4") for index in range(len(texts))]
        return vectors, transcript.usage.prompt_tokens

    async def _submit(self, request: InferenceRequest, grant_until: float) -> Follower:
        follower = self._mailbox.expect(request.id)
        try:
            submitted = await self._protocol.submit(
                Submission(request, RETENTION), queue_bound=QUEUE_BOUND, grant_until=grant_until, follower=self._access
            )
        except BaseException:
            self._mailbox.forget(follower)
            raise
        if submitted.outcome == "ok":
            return follower
        self._mailbox.forget(follower)
        raise Overload("The embedding queue is full. Try again in a moment.", code="queue_full")
