"""One question and its answer, followed through broken connections: nothing is missing, nothing is there twice.

A line that breaks is taken up behind the last cursor. One that breaks before the answer has an id is taken up by asking
again with the same idempotency key, which is the same request.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Any

from penstock.chat import said
from penstock.chat.api import PATIENCE_SECONDS, Api, Events, Question, Refused, Unreachable
from penstock.chat.said import Answer, Ended, Lost, Named, Told, Voided
from penstock.errors import CommandError

BOUND_SECONDS = 30.0
"""For which a line may be broken without a word in between, before it is given up."""
LONGEST_PAUSE_SECONDS = 5.0
NAMED_WITHIN_SECONDS = 2.0
"""For which a question that is taken back may still be without a name."""


class GaveUp(CommandError):
    """The line has not come back. The answer itself may go on."""


class Asking:
    """One question. ``response`` is its answer's id, once it has one."""

    def __init__(self, api: Api, question: Question, bound_seconds: float = BOUND_SECONDS):
        self._api = api
        self._question = question
        self._bound_seconds = bound_seconds
        self._cursor = ""
        self.response = ""

    def events(self) -> Generator[Told]:
        """What is told of the answer, each once; ends with ``Ended``.

        Raises:
            Refused: there will be no answer, and why.
            GaveUp: the line broke, and stayed so.
        """
        line = Line(self._bound_seconds)
        while True:
            for told in self._heard(line):
                yield told
                if isinstance(told, Ended):
                    return
            yield Lost()
            self._wait(line)

    def cancel(self) -> Answer | None:
        """Take the question back wherever it is; the answer as it is then.

        ``None`` if it had no id yet: it waits for another answer of its conversation, and is taken back, in a thread of
        its own, as soon as it has one.
        """
        if not self.response:
            self._learn_name(NAMED_WITHIN_SECONDS)
        if not self.response:
            threading.Thread(target=self._cancel_later, name="cancel", daemon=True).start()
            return None
        return self._api.cancel(self.response)

    def _cancel_later(self) -> None:
        self._learn_name(PATIENCE_SECONDS)
        if self.response:
            with contextlib.suppress(CommandError):
                self._api.cancel(self.response)

    def _learn_name(self, seconds: float) -> None:
        """Ask the same again, and hear under which id it is known."""
        with contextlib.suppress(CommandError), self._api.ask(self._question, seconds) as stream:
            for event, _ in stream:
                if isinstance(told := said.told(event), Named):
                    self.response = told.id
                    return

    def _heard(self, line: Line) -> Generator[Told]:
        """What is told until the line breaks."""
        try:
            with self._opened() as stream:
                yield from self._told_by(stream, line)
        except Unreachable:
            return
        except Refused as refused:
            if refused.code == "stream_reset":
                self._cursor = ""
                yield Voided()
            elif not line.is_broken or refused.http_status < 500:
                raise

    def _opened(self) -> AbstractContextManager[Events]:
        if self.response:
            return self._api.follow(self.response, self._cursor)
        return self._api.ask(self._question)

    def _told_by(self, stream: Events, line: Line) -> Generator[Told]:
        for event, cursor in stream:
            if _is_outage(event):
                return
            line.works()
            self._cursor = cursor
            told = said.told(event)
            if isinstance(told, Named):
                self.response = told.id
            if told is not None:
                yield told

    def _wait(self, line: Line) -> None:
        pause = line.pause()
        if pause is None:
            raise GaveUp(f"The connection to {self._api.url} broke, and has been so for {line.bound_seconds:g} s.")
        time.sleep(pause)


class Line:
    """How a connection fares. Pure but for ``clock``, which gives seconds, and ``dice``, which draws from 0 to 1."""

    def __init__(
        self,
        bound_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
    ):
        self.bound_seconds = bound_seconds
        self._clock = clock
        self._dice = dice
        self._tries = 0
        self._broke_at = 0.0

    @property
    def is_broken(self) -> bool:
        return self._tries > 0

    def works(self) -> None:
        self._tries = 0

    def pause(self) -> float | None:
        """Seconds until the next try: doubling, with jitter, up to five; ``None`` when it has been broken too long."""
        if not self.is_broken:
            self._broke_at = self._clock()
        elif self._clock() - self._broke_at >= self.bound_seconds:
            return None
        longest = min(LONGEST_PAUSE_SECONDS, 0.25 * 2 ** min(self._tries, 10))
        self._tries += 1
        return longest * (0.5 + self._dice() / 2)


def _is_outage(event: Any) -> bool:
    """The access process does not reach its storage: the answer goes on without it, and is followed again."""
    return event["type"] == "error" and event["code"] == "dependency_down"
