"""One reader of one request: what it has handed on, what it has heard since, and whether the two fit together. Pure.

What is heard are hints. They are handed on as they are only when they continue what was handed on before: the next
numbers, by the same writer. Everything else (a hole, another writer, a log that was rolled back and has regrown) is
left to the log.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from contracts.ids import Generation, RequestId
from contracts.messages import Delta, Reply, Reset

HEARD_AT_MOST = 512
"""A follower keeps no more, because the log has it all: a client that does not read costs little."""


class Logged(msgspec.Struct, frozen=True):
    """One entry of a request's log: its number, who wrote it (``-`` when no worker did), the reply, whether it ends."""

    seq: int
    generation: Generation
    reply: Reply
    last: bool


NOBODY = Generation("-")
ROLLED_BACK = Logged(0, NOBODY, Reset(reason="log_rolled_back"), last=False)
"""Handed on when the log is not the one that was followed so far; what comes next is the whole log as it is now.

No log has an entry 0. It happens when Redis loses its last writes (a power loss, a failover) and a worker goes on from
what was left.
"""


@dataclass(eq=False, slots=True)
class Follower:
    """``seen`` is the last reply handed on, by ``writer``; ``writers`` are all whose replies were handed on.

    ``behind`` says that the log knows more than was heard, ``lost`` that there is no such request any more, ``flowing``
    that text was handed on, ``ended`` that the end was.
    """

    request_id: RequestId
    heard: list[Logged] = field(default_factory=list)
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    seen: int = 0
    writer: Generation = NOBODY
    writers: set[Generation] = field(default_factory=set)
    following: bool = False
    behind: bool = False
    lost: bool = False
    flowing: bool = False
    ended: bool = False

    @property
    def at(self) -> tuple[int, Generation]:
        """The last reply heard or handed on, and who wrote it."""
        return (self.heard[-1].seq, self.heard[-1].generation) if self.heard else (self.seen, self.writer)

    def hear(self, logged: Logged) -> None:
        """Note a hint; the bell is rung by who brought it."""
        if len(self.heard) < HEARD_AT_MOST:
            self.heard.append(logged)
        else:
            self.behind = True

    def fall_behind(self) -> None:
        """Have the log read."""
        self.behind = True
        self.bell.set()

    def lose(self) -> None:
        """There is nothing left to follow."""
        self.lost = True
        self.bell.set()

    def drain(self) -> list[Logged] | None:
        """What was heard beyond ``seen``; ``None`` when only the log can say."""
        self.bell.clear()
        heard, self.heard = self.heard, []
        new = [logged for logged in heard if logged.seq > self.seen]
        sure = not self.behind and self._continued_by(new)
        if len(new) < len(heard):
            sure = sure and all(logged.generation in self.writers for logged in heard if logged.seq <= self.seen)
        self.behind = False
        return new if sure else None

    def hand_on(self, batch: Sequence[Logged]) -> None:
        """Note what leaves for the client."""
        if batch[0].seq <= ROLLED_BACK.seq:
            self.writers.clear()
        last = batch[-1]
        self.seen, self.writer, self.ended = last.seq, last.generation, last.last
        if last.generation not in self.writers or batch[0].generation not in self.writers:
            self.writers.update(logged.generation for logged in batch)
        self.flowing = self.flowing or any(isinstance(one.reply, Delta) and one.reply.text != "" for one in batch)

    def _continued_by(self, new: Sequence[Logged]) -> bool:
        if not new:
            return True
        writer = self.writer if self.seen else new[0].generation
        return all(one.seq == seq and one.generation == writer for seq, one in enumerate(new, self.seen + 1))


def merged(batch: Iterable[Logged]) -> list[Logged]:
    """The same text in fewer pieces: deltas of one sequence that follow one another become one, numbered as the last.

    Deltas without text join their neighbours, so that the number says how far the log was read.
    """
    found: list[Logged] = []
    for index, run in itertools.groupby(batch, _sequence):
        pieces = list(run)
        if index is None or len(pieces) == 1:
            found += pieces
        else:
            text = "".join([piece.reply.text for piece in pieces if isinstance(piece.reply, Delta)])
            found.append(Logged(pieces[-1].seq, pieces[-1].generation, Delta(index, text), last=False))
    return found


def _sequence(logged: Logged) -> int | None:
    """Which sequence a delta of text belongs to; ``None`` for everything else."""
    reply = logged.reply
    return reply.index if isinstance(reply, Delta) and reply.vector is None else None
