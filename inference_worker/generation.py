"""One request at one worker: from its grant to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from contracts import keys, logs
from contracts.connection import REDIS_UNAVAILABLE
from contracts.errors import CallerError, DependencyDown, Overload
from contracts.functions import Ending, Grant
from contracts.ids import WorkerId
from contracts.messages import Failure, ModelFacts, Reply, Usage, decode_reply
from inference_worker.answer import Answer
from inference_worker.engines.port import Engine, EngineDelta, EngineDied
from inference_worker.metrics import Metrics
from inference_worker.replies import Interruption, Replies

ENGINE_FAILURE = Failure(
    code="engine_error", fault="engine", message="The engine failed while answering this request. Try it again."
)


@dataclass(frozen=True)
class Surroundings:
    """What all generations of a worker share."""

    worker: WorkerId
    engine: Engine
    facts: ModelFacts
    replies: Replies
    redis: Redis
    metrics: Metrics
    engine_died: Callable[[EngineDied], None]


class Generation:
    """Runs the engine for one grant and puts what it says into the request's outbox.

    ``outcome`` is the state the request ended in, ``released`` when another worker shall have it, ``crashed`` when the
    engine died under it, or ``lost`` when another one has it already. ``overload`` says why a request was released for
    later.
    """

    def __init__(self, grant: Grant, around: Surroundings):
        self.grant = grant
        self.outbox = around.replies.open(grant, self.interrupt)
        self.taken_at = time.monotonic()
        self.first_token_at: float | None = None
        self.outcome = "running"
        self.overload: Overload | DependencyDown | None = None
        self._around = around
        self._answer = Answer(grant.request, around.worker, around.facts.revision, around.facts.max_model_len)
        self._interruption: Interruption | None = None
        self._scope: asyncio.Timeout | None = None

    @property
    def usage(self) -> Usage:
        return self._answer.usage

    async def run(self) -> None:
        """Generate until one of the ends below. Each is an outcome; none is swallowed."""
        try:
            await self._until_interrupted()
        except TimeoutError:  # the deadline, the caller, another owner, or this process leaving
            self._end_early()
        except CallerError as error:  # the request is wrong
            self._end(*self._answer.failed(_failure(error)))
        except (Overload, DependencyDown) as error:  # not here, not now: the request is good
            self.overload, self.outcome = error, "released"
        except REDIS_UNAVAILABLE:  # the log to continue from cannot be read: its next owner will
            self.outcome = "released"
        except EngineDied as error:  # with every other request
            self.outcome = "crashed"
            self._around.engine_died(error)
        except Exception as error:  # noqa: BLE001  (the engine's fault, or ours; not the other requests')
            logs.get().error("engine.failed", sentence="The engine failed.", request=self.grant.id, exc_info=error)
            self._end(*self._answer.failed(ENGINE_FAILURE))

    def interrupt(self, why: Interruption) -> None:
        """Stop soon. The first reason counts; after the end it is without effect."""
        if self._interruption is not None or self.outcome != "running":
            return
        self._interruption = why
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def _until_interrupted(self) -> None:
        if self._interruption is not None:
            raise TimeoutError
        scope = asyncio.timeout(self.grant.remaining.total_seconds())
        try:
            async with scope:
                self._scope = scope
                await self._generate()
        except TimeoutError as error:
            if scope.expired():
                raise
            raise RuntimeError("the engine itself timed out") from error
        finally:
            self._scope = None

    async def _generate(self) -> None:
        request, last = self.grant.request, list[Reply]()
        plan = self._answer.restore(await self._log()) if self.grant.tail else "begin"
        if plan == "close":
            self._answer.count_prompt(await self._around.engine.prompt_tokens(request))
        else:
            if plan == "restart":
                self._answer.restart("another worker begins the answer again")
            async with aclosing(self._around.engine.generate(request, self._answer.token_ids)) as deltas:
                async for delta in deltas:
                    last += self._accept(delta)
        replies, ending = self._answer.finished()
        self._end([*last, *replies], ending)

    def _accept(self, delta: EngineDelta) -> list[Reply]:
        """Pass on what a delta says; the replies that complete the answer are returned, to be written with its end."""
        if self.first_token_at is None:
            self.first_token_at = time.monotonic()
        self._around.metrics.generated(len(delta.token_ids) or 1)
        replies = self._answer.accept(delta)
        if self._answer.is_complete:
            return replies
        self.outbox.add(replies)
        return []

    async def _log(self) -> list[Reply]:
        entries: Any = await self._around.redis.xrange(keys.replies(self.grant.id), max=f"{self.grant.tail}-0")
        return [decode_reply(payload) for _number, fields in entries for payload in fields.values()]

    def _end_early(self) -> None:
        match self._interruption:
            case "lost":
                self.outcome = "lost"
            case "release":
                self.outcome = "released"
            case "crash":
                self.outcome = "crashed"
            case "cancel":
                self._end(*self._answer.cancelled())
            case "deadline" | None:
                self._end(*self._answer.expired())

    def _end(self, replies: list[Reply], ending: Ending) -> None:
        self.outcome = ending.state
        self.outbox.add(replies, ending)


def _failure(error: CallerError) -> Failure:
    return Failure(code=error.code, message=error.message, fault="caller", param=error.param)
