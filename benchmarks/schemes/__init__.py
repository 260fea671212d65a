"""Ways to decide who may use a fleet, as a simulation asks them: ours, and those that everybody starts with.

===========  ========================================================================================
``gate``     ours: the production code of the limiter
``fcfs``     one queue for all: first come, first served
``window``   a fixed window per tenant, as with INCR and EXPIRE: beyond its count a request is refused
``line``     callers with their patience in a line, for the schemes that let wait
``bucket``   one token bucket for all, as with BLPOP: whoever waits longest takes the next token
===========  ========================================================================================

Time is a parameter, in whole milliseconds; none of them does any I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from contracts.ids import RequestId, TenantId
from contracts.messages import ServiceClass


@dataclass(frozen=True)
class Ask:
    """One attempt of one request. ``answer_tokens`` is what it will be: a scheme must not read it before the end."""

    id: RequestId
    tenant: TenantId
    service_class: ServiceClass
    prompt_tokens: int
    answer_tokens: int
    patience_ms: int


@dataclass(frozen=True)
class Granted:
    id: RequestId


@dataclass(frozen=True)
class Queued:
    """It waits, and is told for how long."""

    id: RequestId
    eta_seconds: float


@dataclass(frozen=True)
class Refused:
    """``retry_after_seconds`` is 0 where the caller is not told when to come back."""

    id: RequestId
    retry_after_seconds: float


Word = Granted | Queued | Refused


class Scheme(Protocol):
    """Tell it who asks and who has ended, then let it decide."""

    def ask(self, ask: Ask, now_ms: int) -> None: ...

    def ended(self, ask: Ask, now_ms: int) -> None:
        """A granted request was answered: what it used is known now."""
        ...

    def decide(self, now_ms: int) -> Iterable[Word]: ...

    def again_ms(self, now_ms: int) -> int | None:
        """When it wants to decide again if nothing happens until then."""
        ...
