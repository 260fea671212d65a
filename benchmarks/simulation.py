"""Callers, a scheme and a fleet in virtual time. A minute of it costs a second or less, and every run is the same.

What is simulated beside the scheme is simple on purpose. A worker has slots; each reads a prompt, then makes one token
after the other, at its own speed whatever the others do. It takes from the streams in the order of classes in which
ours do. A grant reaches its stream after the time that composing takes, and an end is known at the scheme a moment
after it. Callers do what OpenAI's SDK does when refused: come back when they were told, or later and later, twice.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.schemes import Ask, Granted, Queued, Refused, Scheme, Word
from contracts.ids import RequestId, TenantId
from contracts.messages import CLASSES, ServiceClass
from inference_worker.intake import classes_in_order

RETRIES = 2
LONGEST_RETRY_AFTER_SECONDS = 120.0
_SEED = 11


@dataclass(frozen=True)
class Request:
    """What a caller wants, from ``at_ms`` on."""

    name: str
    tenant: TenantId
    at_ms: int
    prompt_tokens: int
    answer_tokens: int
    service_class: ServiceClass = "interactive"
    patience_ms: int = 10_000


@dataclass(frozen=True)
class Shape:
    """A fleet: slots, tokens a second that each of them generates, tokens of a prompt that it reads in a second."""

    slots: int
    tokens_per_second: float = 50.0
    prompt_tokens_per_second: float = 5000.0

    def times_ms(self, prompt_tokens: int, answer_tokens: int) -> tuple[int, int]:
        """How long a slot reads, and how long it generates."""
        reading = round(1000 * prompt_tokens / self.prompt_tokens_per_second)
        return reading, round(1000 * answer_tokens / self.tokens_per_second)

    def requests_per_second(self, requests: Iterable[tuple[int, int]]) -> float:
        """How many like these (tokens of prompt, of answer) it can serve."""
        seconds = [sum(self.times_ms(*tokens)) / 1000 for tokens in requests]
        return self.slots * len(seconds) / sum(seconds)


@dataclass(frozen=True)
class Delays:
    """``compose_ms`` from a grant to its stream: recall, retrieval, prompt. ``settle_ms`` from an end to the scheme."""

    compose_ms: int = 30
    settle_ms: int = 5


@dataclass
class Story:
    """What became of a request. Moments in ms, ``None`` for what did not happen.

    ``told`` is the first ETA that an attempt heard, as the moment at which it would be granted, and ``asked_ms`` when
    that attempt asked.
    """

    request: Request
    asks: int = 0
    refusals: int = 0
    asked_ms: int = 0
    told: float | None = None
    granted_ms: int | None = None
    began_ms: int | None = None
    ended_ms: int | None = None
    gave_up_ms: int | None = None

    @property
    def wait_seconds(self) -> float:
        """From the first ask until a slot took it; until it gave up, for one that did."""
        until = self.began_ms if self.began_ms is not None else self.gave_up_ms
        return ((until or 0) - self.request.at_ms) / 1000

    @property
    def answer_seconds(self) -> float:
        """From the first ask to the last token, of one that was answered."""
        return ((self.ended_ms or 0) - self.request.at_ms) / 1000


@dataclass
class Outcome:
    """One run. ``idle_share`` is the part of the fleet that was free while somebody was kept waiting by the scheme."""

    stories: list[Story]
    idle_share: float


@dataclass
class _Fleet:
    """Slots, and the streams that they are filled from."""

    shape: Shape
    free: int
    streams: dict[ServiceClass, deque[Ask]] = field(default_factory=lambda: {name: deque() for name in CLASSES})
    turn: int = 0

    def take(self) -> list[Ask]:
        """One take of a worker: as many as it has room for."""
        order = classes_in_order(self.turn)
        self.turn += 1
        taken: list[Ask] = []
        for name in order:
            while self.streams[name] and len(taken) < self.free:
                taken.append(self.streams[name].popleft())
        self.free -= len(taken)
        return taken


class Simulation:
    """Runs ``requests`` against ``scheme``. Idleness is measured from ``from_ms`` until the last of them came."""

    def __init__(
        self,
        scheme: Scheme,
        shape: Shape,
        requests: Sequence[Request],
        *,
        delays: Delays | None = None,
        from_ms: int = 0,
    ):
        self._scheme = scheme
        self._fleet = _Fleet(shape, shape.slots)
        self._delays = delays or Delays()
        self._stories = [Story(request) for request in requests]
        self._attempts: dict[RequestId, tuple[Story, Ask]] = {}
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0
        self._now_ms = 0
        self._look_ms: int | None = None
        self._measured = (from_ms, max(request.at_ms for request in requests))
        self._kept_waiting = 0
        self._idle = 0
        self._draw = random.Random(_SEED)

    def run(self) -> Outcome:
        for story in self._stories:
            self._at(story.request.at_ms, lambda story=story: self._come(story))
        while self._events:
            self._turn()
        first, last = self._measured
        return Outcome(self._stories, self._idle / max(1, (last - first) * self._fleet.shape.slots))

    def _turn(self) -> None:
        """All that happens at one moment, then what the scheme says to it, then what the workers take."""
        self._pass_until(self._events[0][0])
        while self._events and self._events[0][0] == self._now_ms:
            heapq.heappop(self._events)[2]()
        for word in self._scheme.decide(self._now_ms):
            self._heed(word)
        self._serve()
        self._look_again()

    def _pass_until(self, moment: int) -> None:
        if self._kept_waiting:
            first, last = self._measured
            self._idle += self._fleet.free * max(0, min(moment, last) - max(self._now_ms, first))
        self._now_ms = moment

    def _look_again(self) -> None:
        again_ms = self._scheme.again_ms(self._now_ms)
        if again_ms is not None and (self._look_ms is None or self._look_ms <= self._now_ms):
            self._look_ms = again_ms
            self._at(again_ms, lambda: None)

    def _come(self, story: Story) -> None:
        self._kept_waiting += 1
        self._ask(story)

    def _ask(self, story: Story) -> None:
        """A new attempt is a new request, as it is over HTTP."""
        request = story.request
        story.asks += 1
        story.asked_ms, story.told = self._now_ms, None
        ask = Ask(
            RequestId(f"{request.name}-{story.asks}"),
            request.tenant,
            request.service_class,
            request.prompt_tokens,
            request.answer_tokens,
            request.patience_ms,
        )
        self._attempts[ask.id] = (story, ask)
        self._scheme.ask(ask, self._now_ms)

    def _heed(self, word: Word) -> None:
        story, ask = self._attempts[word.id]
        match word:
            case Granted():
                story.granted_ms = self._now_ms
                self._kept_waiting -= 1
                stream = self._fleet.streams[ask.service_class]
                self._after(self._delays.compose_ms, lambda: stream.append(ask))
            case Queued():
                if story.told is None:
                    story.told = self._now_ms + 1000 * word.eta_seconds
            case Refused():
                self._refused(story, word)

    def _refused(self, story: Story, word: Refused) -> None:
        story.refusals += 1
        if story.asks > RETRIES:
            story.gave_up_ms = self._now_ms
            self._kept_waiting -= 1
        else:
            self._after(self._pause_ms(story.asks, word.retry_after_seconds), lambda: self._ask(story))

    def _pause_ms(self, asks: int, retry_after_seconds: float) -> int:
        """Source: ``_calculate_retry_timeout`` of OpenAI's Python SDK."""
        if 0 < retry_after_seconds <= LONGEST_RETRY_AFTER_SECONDS:
            return round(1000 * retry_after_seconds)
        return round(1000 * min(8.0, 0.5 * 2 ** (asks - 1)) * self._draw.uniform(0.75, 1.0))

    def _serve(self) -> None:
        if not self._fleet.free:
            return
        for ask in self._fleet.take():
            story, _ = self._attempts[ask.id]
            story.began_ms = self._now_ms
            self._after(
                sum(self._fleet.shape.times_ms(ask.prompt_tokens, ask.answer_tokens)), lambda ask=ask: self._end(ask)
            )

    def _end(self, ask: Ask) -> None:
        story, _ = self._attempts.pop(ask.id)
        story.ended_ms = self._now_ms
        self._fleet.free += 1
        self._after(self._delays.settle_ms, lambda: self._scheme.ended(ask, self._now_ms))

    def _after(self, pause_ms: int, what: Callable[[], None]) -> None:
        self._at(self._now_ms + pause_ms, what)

    def _at(self, moment: int, what: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (moment, self._number, what))
