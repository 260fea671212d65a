"""Asking the gate: one standing subscription per process resolves the futures of all who wait.

Asks of one loop tick leave in one message. A verdict is stored before it is published, so a lost message costs a poll:
each caller re-reads its stored verdict on a jittered timer and asks again (asks are idempotent), saying for how long it
waits already, until the limiter has been silent for so long that nobody can be behind it. Then the gate is closed, but
for tenants whose limits say ``fail_open``.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

import msgspec
from redis.asyncio import Redis

from access.outbox import Outbox
from access.ratelimits import RateLimited
from contracts import keys, logs
from contracts.connection import REDIS_UNAVAILABLE
from contracts.errors import DependencyDown, Overload, PenstockError
from contracts.ids import AccessId, RequestId, TenantId
from contracts.messages import AdmissionQuery, Correction, Verdict, Withdrawal
from contracts.subscription import Subscription

OnQueued = Callable[[Verdict], None]

SILENCE_ALLOWED = timedelta(seconds=3)
"""Longer than a standby needs to take over; then the gate counts as down."""

_FIRST_POLL_SECONDS = 0.1
_SLOWEST_POLL_SECONDS = 1.0
_WATCH_SECONDS = 1.0


class Admission:
    """The asking side of the gate. Run ``run()`` in the process's task group; ``ask`` may be called at once.

    ``redis`` is for commands, ``listening`` for blocking reads (see ``contracts.connection``).
    """

    def __init__(self, redis: Redis, listening: Redis, access: AccessId, silence_allowed: timedelta = SILENCE_ALLOWED):
        self._redis = redis
        self._silence_allowed = silence_allowed.total_seconds()
        self._subscription = Subscription(listening, keys.verdicts_channel(access), self._hear)
        self._calls: dict[RequestId, _Call] = {}
        self._outbox = Outbox(redis)
        self._attempt = 0
        self._limiter_seen = -float("inf")

    @property
    def heard(self) -> bool:
        """Whether a question put now would be answered: we listen, and there was an active limiter a moment ago."""
        recently = asyncio.get_running_loop().time() - self._limiter_seen < self._silence_allowed
        return self._subscription.listening and recently

    async def run(self) -> None:
        """Listen for verdicts, send asks, watch for a limiter; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._subscription.run(), name="admission-listen")
            tasks.create_task(self._outbox.run(), name="admission-send")
            tasks.create_task(self._watch(), name="admission-watch")

    async def ask(self, query: AdmissionQuery, on_queued: OnQueued | None = None) -> Verdict:
        """Wait until the request may go. ``on_queued`` hears each change of position while it waits.

        Cancel the call when the caller has gone: the question is then withdrawn. Where no limiter answers and the
        tenant fails open, the verdict is our own: a grant of no tokens, without an end.

        Raises:
            RateLimited: a limit of the tenant, its user or its key (``rate_limit_exceeded``), or a quota that is used
                up (``quota_exceeded``).
            Overload: no room (``waiting_room_full``, ``patience_exhausted``) or nobody serves the model
                (``no_workers``, ``starting``). Both carry ``retry_after_seconds``.
            DependencyDown: no limiter answers (``limiter_unavailable``).
        """
        query = msgspec.structs.replace(query, attempt=self._next_attempt())
        call = self._calls[query.id] = _Call(query, on_queued)
        self._outbox.ask(query)
        try:
            verdict = await self._verdict(call)
        except BaseException:
            # The caller left, the limiter is gone, or on_queued failed: a grant that still comes would be nobody's.
            self.withdraw(query.id)
            raise
        finally:
            self._calls.pop(query.id, None)
        if verdict.decision == "refused":
            raise _refusal(verdict)
        return verdict

    def withdraw(self, request_id: RequestId) -> None:
        """Say that a request will not be submitted, whatever was asked for it until now: it leaves the waiting room, or
        its reservation is returned. It may be asked for anew."""
        self._outbox.withdraw(Withdrawal(request_id, self._next_attempt()))

    def correct(self, request_id: RequestId, prompt_tokens: int) -> None:
        """Say what the prompt of a granted request has become, now that it is composed."""
        self._outbox.correct(Correction(id=request_id, prompt_tokens=prompt_tokens))

    def _next_attempt(self) -> int:
        """Later ones are greater, also over a clock that is set back: of one request they all are this process's."""
        self._attempt = max(self._attempt + 1, time.time_ns() // 1000)
        return self._attempt

    async def _verdict(self, call: _Call) -> Verdict:
        """The final verdict, as soon as the subscription or a poll brings it."""
        delay = _FIRST_POLL_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.wait([call.final], timeout=delay * random.uniform(0.8, 1.2))  # noqa: S311  (jitter)
            if call.final.done():
                return call.final.result()
            await self._poll(call)
            if loop.time() - call.last_word > self._silence_allowed:
                return await self._unanswered(call.query)
            if call.latest is not None:
                delay = min(delay * 1.5, _SLOWEST_POLL_SECONDS)

    async def _poll(self, call: _Call) -> None:
        """Read the stored verdict; while it is not final, ask again, which is also the proof that we are still here."""
        try:
            async with asyncio.timeout(self._silence_allowed):
                wire: Any = await self._redis.hget(keys.verdict(call.query.id), "verdict")
        except REDIS_UNAVAILABLE:
            return
        if wire is not None and (stored := Verdict.decode(wire)) != call.latest:
            call.take(stored)
        if not call.final.done():
            self._outbox.ask(call.repeated())

    async def _unanswered(self, query: AdmissionQuery) -> Verdict:
        """What becomes of a request that no limiter answers. A grant that comes late after all is settled as any is."""
        if await self._fails_open(query.tenant):
            _say_unanswered(query, "admission.failed_open", "No limiter answers; the request goes on without a grant.")
            return Verdict(id=query.id, decision="granted")
        _say_unanswered(query, "admission.failed_closed", "No limiter answers; the request is refused.")
        raise _silent(self._silence_allowed)

    async def _fails_open(self, tenant: TenantId) -> bool:
        try:
            async with asyncio.timeout(self._silence_allowed):
                chosen: Any = await self._redis.hget(keys.limits(tenant), "fail_open")
        except REDIS_UNAVAILABLE:
            return False
        return chosen == b"1"

    def _hear(self, wire: bytes) -> None:
        try:
            verdicts = _VERDICTS.decode(wire)
        except msgspec.MsgspecError:
            logs.get().warning("admission.garbled", sentence="A message on the verdicts channel could not be read.")
            return
        for verdict in verdicts:
            if call := self._calls.get(verdict.id):
                call.take(verdict)

    async def _watch(self) -> NoReturn:
        """Readiness asks whether anybody is behind the gate, also when no request does."""
        while True:
            try:
                if await self._redis.exists(keys.active_limiter()):
                    self._limiter_seen = asyncio.get_running_loop().time()
            except REDIS_UNAVAILABLE as error:
                logs.get().warning("admission.blind", sentence="Redis does not answer.", exception=type(error).__name__)
            await asyncio.sleep(_WATCH_SECONDS)


class _Call:
    """One caller's open question."""

    def __init__(self, query: AdmissionQuery, on_queued: OnQueued | None):
        loop = asyncio.get_running_loop()
        self.query = query
        self.final: asyncio.Future[Verdict] = loop.create_future()
        self.latest: Verdict | None = None
        self.last_word = loop.time()
        self._began = self.last_word
        self._on_queued = on_queued

    def repeated(self) -> AdmissionQuery:
        """The question as it is asked again."""
        waited = asyncio.get_running_loop().time() - self._began
        return msgspec.structs.replace(self.query, waited_seconds=round(waited, 3))

    def take(self, verdict: Verdict) -> None:
        """Note a word of the limiter; one that says nothing new still says that it is alive. One on an earlier attempt,
        read or heard late, says nothing at all."""
        if verdict.attempt != self.query.attempt:
            return
        self.last_word = asyncio.get_running_loop().time()
        before, self.latest = self.latest, verdict
        if self.final.done():
            return
        if verdict.decision != "queued":
            self.final.set_result(verdict)
        elif self._on_queued is not None and (before is None or _place(before) != _place(verdict)):
            self._on_queued(verdict)


_OWN_LIMITS = ("rate_limit_exceeded", "quota_exceeded")
_VERDICTS = msgspec.msgpack.Decoder(tuple[Verdict, ...])


def _place(verdict: Verdict) -> tuple[int, int, float]:
    return verdict.position, verdict.tokens_ahead, verdict.eta_seconds


def _refusal(verdict: Verdict) -> PenstockError:
    reason, seconds = verdict.reason, verdict.retry_after_seconds
    if reason in _OWN_LIMITS:
        return RateLimited(verdict.message, code=reason, retry_after_seconds=seconds, limits=verdict.limits)
    return Overload(verdict.message, code=reason, retry_after_seconds=seconds)


def _silent(seconds: float) -> DependencyDown:
    return DependencyDown(
        f"No limiter has answered for {seconds:g} s, so nothing is admitted. Try again in a moment.",
        code="limiter_unavailable",
        retry_after_seconds=seconds,
    )


def _say_unanswered(query: AdmissionQuery, event: str, sentence: str) -> None:
    logs.get().warning(event, sentence=sentence, tenant=query.tenant, request=query.id)
