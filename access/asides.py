"""Asides: what a conversation asks of a model for its own sake, such as a summary of what its window has dropped.

Whoever has queued a turn notes what there is to do. An aside is a batch request of the tenant, outside of the
conversation: no user waits for it, and none is charged with it. It has the same name on every access process, so it
runs once. A process that dies leaves it to the one that takes the next turn, which finds by the name what it came to
meanwhile. What comes of it is kept in one step; if it comes to nothing, the conversation goes on without.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn, Protocol

from access.answer import Answering
from access.asked import Asked
from access.auth import Caller
from access.recalling import Recalled
from access.settings import Preset
from access.whole_answers import whole_answer
from contracts import keys, logs
from contracts.connection import REDIS_UNAVAILABLE
from contracts.errors import EngineError, PenstockError
from contracts.ids import SessionId, TenantId, new_request_id, shard_of
from contracts.messages import GenerationParameters

AT_ONCE = 256
AT_ONCE_OF_A_TENANT = 32
"""They may wait long at the gate, and those of one tenant must not keep out the others'."""
KEPT = timedelta(minutes=5)
"""How long its text stays behind its end, for a process that takes it over; its name is known for twice that."""
PAUSE_AFTER_FAILURE = timedelta(minutes=1)

log = logs.get()


@dataclass(frozen=True)
class Words:
    """What a model is asked, and the last turn (its id) that it is asked about."""

    instructions: str
    question: str
    max_tokens: int
    until: str


class Aside(Protocol):
    """One thing to do. ``name`` says what it is about and where that begins: the same on every access process.

    ``user`` is whose session it is: with everything of theirs it is erased.
    """

    @property
    def name(self) -> str: ...
    @property
    def session(self) -> SessionId: ...
    @property
    def tenant(self) -> TenantId: ...
    @property
    def user(self) -> str: ...
    @property
    def model(self) -> str: ...

    def words(self) -> Words:
        """What to ask. Called once, when its turn has been queued."""
        ...

    async def keep(self, text: str, until: str) -> None:
        """Keep what the model said about the turns up to and with ``until``."""
        ...


Due = Callable[[Asked, Recalled], Aside | None]
"""Whether a turn that was just queued leaves something to do."""


class Asides:
    """Those that this process has noted. ``run`` is its task."""

    def __init__(self, dues: Sequence[Due], *, patience: timedelta, deadline: timedelta):
        self._dues = dues
        self._patience = patience
        self._deadline = deadline
        self._noted: asyncio.Queue[Aside] = asyncio.Queue()
        self._under_way: dict[str, TenantId] = {}
        self._resting: dict[str, float] = {}

    def note(self, asked: Asked, recalled: Recalled) -> None:
        """Take up what a turn leaves to do, unless it is under way here, or has failed here a moment ago."""
        for due in self._dues:
            aside = due(asked, recalled)
            if aside is not None and self._may_begin(aside):
                self._under_way[aside.name] = aside.tenant
                self._noted.put_nowait(aside)

    async def run(self, answering: Answering) -> NoReturn:
        """Do what is noted. Runs for ever; what it has not finished when the process ends is left to the next turn."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                aside = await self._noted.get()
                tasks.create_task(self._do(answering, aside), name=f"aside {aside.name}")

    def _may_begin(self, aside: Aside) -> bool:
        if aside.name in self._under_way or self._resting.get(aside.name, 0.0) > time.monotonic():
            return False
        of_tenant = sum(tenant == aside.tenant for tenant in self._under_way.values())
        return len(self._under_way) < AT_ONCE and of_tenant < AT_ONCE_OF_A_TENANT

    async def _do(self, answering: Answering, aside: Aside) -> None:
        try:
            await self._ask(answering, aside)
        except (PenstockError, *REDIS_UNAVAILABLE) as error:
            reason = error.code if isinstance(error, PenstockError) else "storage_down"
            log.info("aside.failed", sentence="An aside came to nothing.", session=aside.session, reason=reason)
            self._rest(aside)
        except Exception:
            # A bug that one conversation meets must not end the answers of all others.
            log.exception("aside.failed", sentence="An aside met a bug.", session=aside.session)
            self._rest(aside)
        finally:
            del self._under_way[aside.name]

    async def _ask(self, answering: Answering, aside: Aside) -> None:
        words = aside.words()
        answer = await whole_answer(answering, self._asked(aside, words))
        if answer.late:
            raise EngineError("The deadline came before the end.", code="deadline_exceeded")
        # An earlier request of the same name may have been about fewer turns, or more.
        await aside.keep(answer.text, answer.request.extensions.get(_UNTIL, words.until))

    def _asked(self, aside: Aside, words: Words) -> Asked:
        """Charged to the tenant, not to the user: its limits are for what the user asks."""
        shard = shard_of(aside.session)
        return Asked(
            id=new_request_id(shard),
            caller=Caller(aside.tenant, _KEY, frozenset({"inference"})),
            user="",
            served_as=aside.model,
            preset=Preset(model=aside.model),
            question=words.question,
            instructions=words.instructions,
            history=(),
            parameters=GenerationParameters(max_tokens=words.max_tokens),
            service_class="batch",
            shard=shard,
            deadline=self._deadline,
            patience=self._patience,
            retention=KEPT,
            about=aside.session,
            owner=aside.user,
            background=True,
            idempotency_key=aside.name,  # a client's has a line break in it, so it is never taken for one of these
            fingerprint=keys.hashed(aside.name),
            extensions={_UNTIL: words.until},
            created_at=time.time(),
        )

    def _rest(self, aside: Aside) -> None:
        now = time.monotonic()
        self._resting = {name: until for name, until in self._resting.items() if until > now}
        self._resting[aside.name] = now + PAUSE_AFTER_FAILURE.total_seconds()


_KEY = "asides"
_UNTIL = "until"
