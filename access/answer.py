"""The one sentence of access: *admit → recall → retrieve → compose → submit → follow*.

``Answering.begin`` says the first five, ``follow`` the last. Admission, memory and retrieval run at the same time; who
had to wait for the grant recalls again, so that its history is fresh.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec

from access import prompt
from access.admission import Admission
from access.asked import Asked
from access.collections import NamedCollections
from access.fleet import Fleet, estimate
from access.follower import Follower, Logged
from access.mailbox import Mailbox
from access.retries import Retries
from access.submission import AlreadyAnswered, SessionBusy, Submissions
from access.windows import Windows
from contracts import logs
from contracts.errors import CallerError, DependencyDown, PenstockError
from contracts.ids import AccessId, RequestId
from contracts.messages import AdmissionQuery, ChatMessage, Generate, InferenceRequest, LimitsView, Passage, Verdict
from memory import History, Profiles, fit
from rag.retriever import Retrieval, Retriever

TEMPLATE_TOKENS = 8
"""What a chat template adds to a message, at most; a margin, since the worker has the last word."""
DEFAULT_CONTEXT = 4096
"""Where no worker has said how much its model reads."""
COUNTED_CHARACTERS = 16_384
"""A longer text is estimated: to count it takes longer than 10 ms."""
PASSAGE_TOKENS = 100
"""What a passage is expected to cost, before it is known."""
PASSAGE_FRAME_TOKENS = 16
"""What the lines around a passage, its heading and its mark add to its text, at most."""

OnQueued = Callable[[Verdict], None]

log = logs.get()


@dataclass(frozen=True)
class Accepted:
    """A request in the queue, to be followed, and what the limiter said is left to its caller."""

    request: InferenceRequest
    limits: LimitsView | None = None
    follower: Follower | None = None


@dataclass(frozen=True)
class Recalled:
    """What memory had: the profile's facts, and the history that fits the window, before what the client sent of it.

    ``tokens`` is what both add to the prompt.
    """

    facts: dict[str, str]
    history: tuple[ChatMessage, ...]
    tokens: int = 0


class Answering:
    """Answers what was asked. Made once per process; holds no state of any request."""

    def __init__(
        self,
        *,
        access: AccessId,
        admission: Admission,
        profiles: Profiles,
        history: History,
        retriever: Retriever,
        named_collections: NamedCollections,
        retrieval_deadline: timedelta,
        fleet: Fleet,
        submissions: Submissions,
        mailbox: Mailbox,
        retries: Retries,
        default_answer_tokens: int,
    ):
        self._access = access
        self._admission = admission
        self._profiles = profiles
        self._history = history
        self._retriever = retriever
        self._named_collections = named_collections
        self._retrieval_deadline = retrieval_deadline
        self._fleet = fleet
        self._submissions = submissions
        self._mailbox = mailbox
        self._retries = retries
        self._default_answer_tokens = default_answer_tokens
        self._windows = Windows()

    async def begin(self, asked: Asked, on_queued: OnQueued | None = None, *, followed: bool = True) -> Accepted:
        """Bring a question into the queue. ``followed``: its replies are wanted here, and are heard from the first on.

        Raises:
            AlreadyAnswered: an earlier request with its idempotency key, or an earlier attempt of the same client, is
                to be followed instead.
            CallerError, LimitExceeded, Overload, DependencyDown: it was not accepted, and nothing runs.
        """
        if (earlier := await self._retries.earlier(asked)) is not None:
            raise AlreadyAnswered(earlier)
        follower = self._mailbox.expect(asked.id) if followed else None
        try:
            request, verdict = await self._begin(self.estimated(asked), on_queued, follower)
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

        verdict, recalled, retrieved, _ = await together(
            self.admit(asked, heard), self.recall(asked), self.retrieve(asked), self._retries.remember(asked)
        )
        if waited:
            recalled = await self.recall(asked)
        request = self._as_granted(asked, recalled, retrieved, verdict)
        while (busy := await self.submit(asked, request, verdict, follower)) is not None:
            # The session's policy for two quick messages: the second is composed when the first has ended. Its grant
            # would run out meanwhile, so it goes back and is asked for again.
            self._admission.withdraw(asked.id)
            await self._until_ended(busy, asked.patience)
            verdict, recalled = await together(self.admit(asked, on_queued), self.recall(asked))
            request = self._as_granted(asked, recalled, retrieved, verdict)
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
        return await self._admission.ask(query, on_queued)

    async def recall(self, asked: Asked) -> Recalled:
        """Profile facts, and the part of the history that leaves room for the question and its answer."""
        facts: dict[str, str] = await self._profiles.get(asked.caller.tenant, asked.user) if asked.user else {}
        count = functools.cache(self._counter(asked))
        about = count("\n".join(f"{name}: {value}" for name, value in facts.items())) if facts else 0
        if asked.session is None:
            return Recalled(facts, asked.history, about)
        turns = await self._history.recent(asked.session)
        window = fit(turns, self._history_budget(asked) - about, count)
        remembered = about + sum(count(message.content) for message in window)
        self._windows.saw(asked.session, remembered)
        return Recalled(facts, (*window, *asked.history), remembered)

    async def retrieve(self, asked: Asked) -> Retrieval | None:
        """The passages for the question; ``None`` when no knowledge was asked for."""
        if not asked.wants_knowledge:
            return None
        tenant = asked.caller.tenant
        try:
            async with asyncio.timeout(self._retrieval_deadline.total_seconds()):
                named = await self._named_collections.ids(tenant, asked.preset.collections)
        except TimeoutError:
            return Retrieval(skipped="timeout")
        except DependencyDown:
            return Retrieval(skipped="unavailable")
        return await self._retriever.retrieve(tenant, (*named, *asked.collections), asked.question, asked.passages)

    def compose(self, asked: Asked, recalled: Recalled, retrieved: Retrieval | None) -> InferenceRequest:
        """The request as the worker will see it."""
        passages: tuple[Passage, ...] | None = None
        if retrieved is not None and retrieved.skipped is None:
            passages = retrieved.passages
        messages = prompt.compose(
            asked.question,
            instructions=asked.instructions,
            facts=recalled.facts,
            history=recalled.history,
            passages=passages,
            delimiter=prompt.new_delimiter(),
        )
        return InferenceRequest(
            id=asked.id,
            tenant=asked.caller.tenant,
            user=asked.user,
            key=asked.caller.key,
            model=asked.model,
            served_as=asked.served_as,
            service_class=asked.service_class,
            task=Generate(messages=messages, parameters=asked.parameters),
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
        self, asked: Asked, request: InferenceRequest, verdict: Verdict, follower: Follower | None
    ) -> RequestId | None:
        """Queue the request; or the id of the one that keeps its session busy."""
        try:
            await self._submissions.submit(asked, request, verdict, followed=follower is not None)
        except SessionBusy as busy:
            return busy.other
        return None

    def waiting(self, asked: Asked) -> InferenceRequest:
        """The request as it can be stored before its prompt is composed."""
        return self.compose(asked, Recalled({}, ()), None)

    def follow(self, accepted: Accepted) -> AsyncGenerator[list[Logged]]:
        """The replies, as they are logged."""
        return self._mailbox.follow(accepted.request.id, accepted.follower)

    def estimated(self, asked: Asked) -> Asked:
        """The question with the size of its prompt, as far as it can be known before anything is read."""
        count = self._counter(asked)
        texts = [asked.instructions, asked.question, *(message.content for message in asked.history)]
        said = sum(count(text) for text in texts if text)
        remembered = self._windows.of(asked.session)
        return replace(asked, said_tokens=said, prompt_tokens=said + remembered + _passage_budget(asked))

    def _as_granted(
        self, asked: Asked, recalled: Recalled, retrieved: Retrieval | None, verdict: Verdict
    ) -> InferenceRequest:
        """The request with what it was granted; the gate is told if its prompt is not as expected."""
        request = self.compose(asked, recalled, retrieved)
        count = self._counter(asked)
        shown = sum(count(f"{passage.title}\n{passage.text}") + PASSAGE_FRAME_TOKENS for passage in request.passages)
        if (composed := asked.said_tokens + recalled.tokens + shown) != asked.prompt_tokens:
            self._admission.correct(asked.id, composed)
        service_class = verdict.service_class or asked.service_class
        return msgspec.structs.replace(request, cost_tokens=verdict.tokens, service_class=service_class)

    def _history_budget(self, asked: Asked) -> int:
        """What the window leaves for facts and history; each sequence needs the room of an answer once."""
        known = self._fleet.facts(asked.model)
        context = (known.max_model_len if known else 0) or DEFAULT_CONTEXT
        answer = asked.parameters.max_tokens or self._default_answer_tokens
        return context - asked.said_tokens - _passage_budget(asked) - answer - 2 * TEMPLATE_TOKENS

    def _counter(self, asked: Asked) -> Callable[[str], int]:
        """How to count a message with what the chat template puts around it."""
        count = bounded(self._fleet.counter(asked.model))
        return lambda text: count(text) + TEMPLATE_TOKENS

    async def _until_ended(self, request_id: RequestId, patience: timedelta) -> None:
        """Wait for another request of the session.

        Raises:
            CallerError: it takes longer than the caller's patience.
        """
        try:
            async with asyncio.timeout(patience.total_seconds()):
                async for _ in self._mailbox.follow(request_id):
                    pass
        except TimeoutError:
            raise CallerError(
                "Another answer is still being generated in this conversation; wait for it, or cancel it.",
                code="conversation_locked",
                param="conversation",
            ) from None


def bounded(count: Callable[[str], int]) -> Callable[[str], int]:
    """The same count for texts of a usual length; an estimate for long ones, whose exact count would hold up everybody
    else in this process. The worker has the last word."""
    return lambda text: count(text) if len(text) <= COUNTED_CHARACTERS else estimate(text)


def _may_run(error: AlreadyAnswered | PenstockError) -> bool:
    """Whether it was submitted all the same: only its replicas have not confirmed that."""
    return isinstance(error, DependencyDown) and error.code == "not_replicated"


def _passage_budget(asked: Asked) -> int:
    return PASSAGE_TOKENS * asked.passages if asked.wants_knowledge else 0


async def together(*steps: Awaitable[Any]) -> list[Any]:
    """Run the steps at once; the first failure stops the others and is raised as it is."""
    tasks = [asyncio.ensure_future(step) for step in steps]
    try:
        return await asyncio.gather(*tasks)
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
