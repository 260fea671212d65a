"""The one sentence of access: *admit → recall → retrieve → compose → submit → follow*.

``Answering.begin`` says the first five, ``follow`` the last. Admission, memory and retrieval run at the same time; who
had to wait for the grant recalls again, so that its history is fresh.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from access import prompt
from access.admission import Admission
from access.asked import Asked
from access.attributes import both
from access.busy_sessions import BusySessions
from access.collections import NamedCollections
from access.estimating import Estimating
from access.follower import Follower, Logged
from access.mailbox import Mailbox
from access.recalling import NOTHING, Recalled, Recalling
from access.retries import Retries
from access.submission import AlreadyAnswered, SessionBusy, Submissions
from contracts import logs
from contracts.errors import DependencyDown, PenstockError
from contracts.ids import AccessId, RequestId
from contracts.messages import AdmissionQuery, Generate, InferenceRequest, LimitsView, Passage, Verdict
from rag.retriever import Retrieval, Retriever

OnQueued = Callable[[Verdict], None]
OnSubmitted = Callable[[Asked, Recalled], None]

log = logs.get()


@dataclass(frozen=True)
class Accepted:
    """A request in the queue, to be followed, and what the limiter said is left to its caller."""

    request: InferenceRequest
    limits: LimitsView | None = None
    follower: Follower | None = None


class Answering:
    """Answers what was asked. Made once per process; holds no state of any request."""

    def __init__(
        self,
        *,
        access: AccessId,
        admission: Admission,
        recalling: Recalling,
        retriever: Retriever,
        named_collections: NamedCollections,
        retrieval_deadline: timedelta,
        estimating: Estimating,
        submissions: Submissions,
        busy_sessions: BusySessions,
        mailbox: Mailbox,
        retries: Retries,
        on_submitted: OnSubmitted,
    ):
        self._access = access
        self._admission = admission
        self._recalling = recalling
        self._retriever = retriever
        self._named_collections = named_collections
        self._retrieval_deadline = retrieval_deadline
        self._estimating = estimating
        self._submissions = submissions
        self._busy_sessions = busy_sessions
        self._mailbox = mailbox
        self._retries = retries
        self._on_submitted = on_submitted

    async def begin(self, asked: Asked, on_queued: OnQueued | None = None, *, followed: bool = True) -> Accepted:
        """Bring a question into the queue. ``followed``: its replies are wanted here, and are heard from the first on.

        Raises:
            AlreadyAnswered: an earlier request with its idempotency key, or an earlier attempt of the same client, is
                to be followed instead; or its own log, because it was cancelled while it waited.
            CallerError, LimitExceeded, Overload, DependencyDown: it was not accepted, and nothing runs.
        """
        if (earlier := await self._retries.earlier(asked)) is not None:
            raise AlreadyAnswered(earlier)
        follower = self._mailbox.expect(asked.id) if followed else None
        try:
            request, verdict = await self._begin(self._estimating.estimated(asked), on_queued, follower)
        except BaseException as error:
            if follower is not None:
                self._mailbox.forget(follower)
            if isinstance(error, AlreadyAnswered | PenstockError) and not _may_run(error):
                # Not submitted, so its grant goes back. After a cancellation nobody knows, and the gate finds out.
                self._admission.withdraw(asked.id)
            raise
        return Accepted(request, verdict.limits, follower)

    async def _begin(
        self, asked: Asked, on_queued: OnQueued | None, follower: Follower | None
    ) -> tuple[InferenceRequest, Verdict]:
        waited: list[Verdict] = []

        def heard(verdict: Verdict) -> None:
            waited.append(verdict)
            if on_queued is not None:
                on_queued(verdict)

        if asked.on_busy == "interrupt":  # stored, so that a later one can cancel it while it waits
            await together(self._submissions.wait(asked, self.waiting(asked)), self._retries.remember(asked))
        await self._busy_sessions.enter(asked)
        verdict, recalled, retrieved, _ = await together(
            self.admit(asked, heard), self.recall(asked), self.retrieve(asked), self._retries.remember(asked)
        )
        if waited:
            recalled = await self.recall(asked)
        request = self._as_granted(asked, recalled, retrieved, verdict)
        while (busy := await self.submit(asked, request, recalled, verdict, follower)) is not None:
            # The second of two quick messages is composed when the first has ended. Its grant would run out meanwhile,
            # so it goes back and is asked for again.
            self._admission.withdraw(asked.id)
            await self._busy_sessions.make_way(asked, busy)
            verdict = await self.admit(asked, on_queued)
            recalled = await self.recall(asked)
            request = self._as_granted(asked, recalled, retrieved, verdict)
        self._on_submitted(asked, recalled)
        _say_submitted(request, verdict, recalled)
        return request, verdict

    async def admit(self, asked: Asked, on_queued: OnQueued | None = None) -> Verdict:
        """Ask the limiter, and wait for its grant."""
        query = AdmissionQuery(
            id=asked.id,
            access=self._access,
            tenant=asked.caller.tenant,
            user=asked.user,
            key=asked.caller.key,
            model=asked.model,
            service_class=asked.service_class,
            prompt_tokens=asked.prompt_tokens,
            answer_tokens=asked.parameters.max_tokens or 0,
            sequences=asked.parameters.n,
            patience_seconds=asked.patience.total_seconds(),
        )
        asking = self._admission.ask(query, on_queued)
        return await (asking if asked.on_busy == "queue" else first_of(asking, self._busy_sessions.watch(asked)))

    async def recall(self, asked: Asked) -> Recalled:
        """Profile facts, the summary, and the part of the history that leaves room for question and answer."""
        return await self._recalling.recall(asked)

    async def retrieve(self, asked: Asked) -> Retrieval | None:
        """The passages for the question; ``None`` when no knowledge was asked for."""
        if not asked.wants_knowledge:
            return None
        tenant = asked.caller.tenant
        try:
            async with asyncio.timeout(self._retrieval_deadline.total_seconds()):
                named, earlier = await together(
                    self._named_collections.ids(tenant, asked.preset.collections),
                    self._recalling.earlier_questions(asked),
                )
        except TimeoutError:
            return Retrieval(skipped="timeout")
        except DependencyDown:
            return Retrieval(skipped="unavailable")
        filters = dict.fromkeys(named, asked.preset.filters)
        for store, filter_ in asked.collections.items():
            filters[store] = both(filters.get(store), filter_)
        return await self._retriever.retrieve(
            tenant, tuple(filters), asked.question, earlier, filters=filters, limit=asked.passages
        )

    def compose(self, asked: Asked, recalled: Recalled, retrieved: Retrieval | None) -> InferenceRequest:
        """The request as the worker will see it."""
        passages: tuple[Passage, ...] | None = None
        if retrieved is not None and retrieved.skipped is None:
            passages = retrieved.passages
        messages = prompt.compose(
            "\n\n".join([*recalled.unanswered, asked.question]),
            instructions=asked.instructions,
            facts=recalled.facts,
            learned=recalled.learned,
            summary=recalled.summary,
            history=recalled.history,
            passages=passages,
            delimiter=prompt.new_delimiter(),
        )
        parameters = asked.parameters
        if asked.preset.word_for_word and passages:
            parameters = msgspec.structs.replace(parameters, choices=prompt.word_for_word(passages))
        return InferenceRequest(
            id=asked.id,
            tenant=asked.caller.tenant,
            user=asked.user,
            key=asked.caller.key,
            model=asked.model,
            served_as=asked.served_as,
            service_class=asked.service_class,
            task=Generate(messages=messages, parameters=parameters),
            created_at=asked.created_at,
            deadline_seconds=asked.deadline.total_seconds(),
            session=asked.session,
            question=asked.question,
            passages=passages or (),
            retrieval_skipped=retrieved.skipped if retrieved else None,
            stored=asked.stored,
            background=asked.background,
            metadata=asked.metadata,
            extensions=asked.extensions,
            traceparent=asked.traceparent,
        )

    async def submit(
        self, asked: Asked, request: InferenceRequest, recalled: Recalled, verdict: Verdict, follower: Follower | None
    ) -> RequestId | None:
        """Queue the request; or the id of the one that keeps its session busy."""
        try:
            await self._submissions.submit(
                asked, request, verdict, followed=follower is not None, remembered_tokens=recalled.tokens
            )
        except SessionBusy as busy:
            return busy.other
        return None

    def waiting(self, asked: Asked) -> InferenceRequest:
        """The request as it can be stored before its prompt is composed."""
        return self.compose(asked, NOTHING, None)

    def follow(self, accepted: Accepted) -> AsyncGenerator[list[Logged]]:
        """The replies, as they are logged."""
        return self._mailbox.follow(accepted.request.id, accepted.follower)

    def _as_granted(
        self, asked: Asked, recalled: Recalled, retrieved: Retrieval | None, verdict: Verdict
    ) -> InferenceRequest:
        """The request with what it was granted; the gate is told if its prompt is not as expected."""
        request = self.compose(asked, recalled, retrieved)
        composed = self._estimating.composed(asked, recalled.tokens, request.passages)
        if composed != asked.prompt_tokens:
            self._admission.correct(asked.id, composed)
        service_class = verdict.service_class or asked.service_class
        return msgspec.structs.replace(request, cost_tokens=verdict.tokens, service_class=service_class)


def _may_run(error: AlreadyAnswered | PenstockError) -> bool:
    """Whether it was submitted all the same: only its replicas have not confirmed that."""
    return isinstance(error, DependencyDown) and error.code == "not_replicated"


async def together(*steps: Awaitable[Any]) -> list[Any]:
    """Run the steps at once; the first failure stops the others and is raised as it is."""
    tasks = [asyncio.ensure_future(step) for step in steps]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def first_of(*steps: Awaitable[Any]) -> Any:
    """Run the steps until one of them ends or fails: what it brings. The others are stopped."""
    tasks = [asyncio.ensure_future(step) for step in steps]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _say_submitted(request: InferenceRequest, verdict: Verdict, recalled: Recalled) -> None:
    log.info(
        "request.submitted",
        sentence="The request was admitted, composed and queued.",
        request=request.id,
        tenant=request.tenant,
        model=request.model,
        service_class=request.service_class,
        session=request.session,
        decision=verdict.decision,
        granted_tokens=request.cost_tokens,
        history_messages=len(recalled.history),
        passages=len(request.passages),
        retrieval_skipped=request.retrieval_skipped,
        seconds=round(time.time() - request.created_at, 4),
    )
