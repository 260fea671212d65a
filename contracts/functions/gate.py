"""The gate's book, typed: who is the active limiter, and what it decided. What each step does is said in ``gate.lua``.

Every step is idempotent: after a lost answer, call it again with the same arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from contracts import keys
from contracts.errors import DecodeError
from contracts.functions.library import Library
from contracts.ids import AccessId, RequestId, TenantId
from contracts.messages import ServiceClass, Verdict

VERDICT_KEPT = timedelta(minutes=10)


class Deposed(Exception):
    """Another limiter is active, or none: whoever signed this call has nothing more to say."""


@dataclass(frozen=True)
class Tenure:
    """The time for which one limiter is active. A higher epoch is a later one; ``limiter`` is new for each tenure."""

    epoch: int
    limiter: str

    @property
    def signature(self) -> str:
        return f"{self.epoch}:{self.limiter}"


class Reservation(msgspec.Struct, frozen=True, array_like=True):
    """What is held for a granted request until its usage settles it.

    ``tokens`` are weighted by the model, ``nanos`` are billionths of a unit of money. ``prompt_tokens`` and
    ``answer_tokens`` (of all ``sequences``) are what was expected; ``learns``: its caller did not bound the answer.
    Until ``grant_end_ms``, in Redis time, it may be submitted, as the ``attempt`` it was granted to. ``gate.lua`` reads
    the first four fields.
    """

    tokens: int
    nanos: int
    tenant: TenantId
    model: str
    user: str
    key: str
    service_class: ServiceClass
    prompt_tokens: int
    answer_tokens: int
    sequences: int
    learns: bool
    grant_end_ms: int
    attempt: int = 0

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, wire: bytes) -> Reservation:
        """Raises ``DecodeError`` for bytes that are none."""
        try:
            return msgspec.msgpack.decode(wire, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DecodeError(f"not a Reservation: {error}") from error


@dataclass(frozen=True)
class Granted:
    """Reserve and tell."""

    access: AccessId
    verdict: Verdict
    reservation: Reservation

    def args(self) -> tuple[Any, ...]:
        wire = self.verdict.encode()
        head = ("grant", self.verdict.id, self.verdict.attempt, self.access)
        return *head, wire, _SECONDS_KEPT, self.reservation.encode()


@dataclass(frozen=True)
class Answered:
    """Tell that a request waits or is refused."""

    access: AccessId
    verdict: Verdict

    def args(self) -> tuple[Any, ...]:
        head = ("answer", self.verdict.id, self.verdict.attempt, self.access)
        return *head, self.verdict.decision, self.verdict.encode(), _SECONDS_KEPT


@dataclass(frozen=True)
class Repeated:
    """Tell again what was decided."""

    access: AccessId
    id: RequestId

    def args(self) -> tuple[Any, ...]:
        return "repeat", self.id, self.access


@dataclass(frozen=True)
class Corrected:
    """Another reservation takes the place of one that is held; nothing happens where there is none (any more)."""

    id: RequestId
    reservation: Reservation

    def args(self) -> tuple[Any, ...]:
        return "correct", self.id, self.reservation.encode()


@dataclass(frozen=True)
class Settled:
    """Real usage takes the place of a reservation, and counts in its ``day`` and ``month``; nothing happens where there
    is none (any more)."""

    id: RequestId
    tokens: int
    nanos: int
    day: str
    month: str

    def args(self) -> tuple[Any, ...]:
        return "settle", self.id, self.tokens, self.nanos, self.day, self.month


@dataclass(frozen=True)
class Refunded:
    """A grant that was not used and never will be: the reservation and the verdict go."""

    id: RequestId

    def args(self) -> tuple[Any, ...]:
        return "refund", self.id


@dataclass(frozen=True)
class Levels:
    """Where an account's buckets stand, in grains (see ``limiter/bucket.py``), at a moment of Redis time.

    ``account`` is a key segment; in ``seconds`` the buckets are full.
    """

    account: str
    tokens: int
    requests: int
    at_ms: int
    seconds: int

    def args(self) -> tuple[Any, ...]:
        return "level", self.account, self.tokens, self.requests, self.at_ms, self.seconds


@dataclass(frozen=True)
class Learned:
    """How long a model's answers to a tenant are: ``<mean>:<deviation>:<error>``."""

    tenant: TenantId
    model: str
    estimate: str

    def args(self) -> tuple[Any, ...]:
        return "learn", self.tenant, self.model, self.estimate


Entry = Granted | Answered | Repeated | Corrected | Settled | Refunded | Levels | Learned


class GateBook:
    """The steps of the gate on one Redis."""

    def __init__(self, library: Library):
        self._library = library

    async def takeover(self, limiter: str, lock: timedelta) -> tuple[Tenure | None, int]:
        """Become the active limiter, unless there is one. With it, Redis time in ms."""
        epoch, now_ms = await self._library.call("gate_takeover", _PREFIX, args=(limiter, _ms(lock)))
        return (Tenure(epoch, limiter) if epoch else None), now_ms

    async def keep(self, tenure: Tenure, lock: timedelta) -> int:
        """Stay the active limiter for another ``lock``; Redis time in ms.

        Raises:
            Deposed: the tenure is over.
        """
        active, now_ms = await self._library.call("gate_keep", _PREFIX, args=(tenure.signature, _ms(lock)))
        if not active:
            raise Deposed(f"tenure {tenure.signature} is over")
        return now_ms

    async def resign(self, tenure: Tenure) -> None:
        """Let the next limiter in at once."""
        await self._library.call("gate_resign", _PREFIX, args=(tenure.signature,))

    async def commit(
        self, tenure: Tenure, lock: timedelta, entries: Sequence[Entry], number: int
    ) -> frozenset[RequestId]:
        """Write, store and publish, in one step, and keep the lock. ``number`` grows with each commit of a tenure.

        Returns the ids on which a final verdict stood already: it was published again, and the entry not applied.

        Raises:
            Deposed: the tenure is over, and nothing was written.
        """
        args: list[Any] = [tenure.signature, _ms(lock), number]
        for entry in entries:
            args += entry.args()
        status, *known = await self._library.call("gate_commit", _PREFIX, args=tuple(args))
        if status != b"OK":
            raise Deposed(f"tenure {tenure.signature} is over")
        return frozenset(RequestId(request_id.decode()) for request_id in known)


_PREFIX = keys.gate_prefix()
_SECONDS_KEPT = int(VERDICT_KEPT.total_seconds())


def _ms(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)
