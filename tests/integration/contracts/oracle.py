"""What the delivery protocol must have done, kept beside a real Redis and compared with it at every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from contracts import keys
from contracts.functions import Appended, Chunk, Grant
from contracts.functions.protocol import DEATHS_ALLOWED, LETTERS, LOSSES_ALLOWED, SUSPECT_AFTER, TERMINAL_LETTERS
from contracts.ids import AccessId, RequestId, Shard, shard_of
from contracts.messages import Delta, InferenceRequest, decode_reply
from contracts.states import TERMINAL, State, may

ENDS_BY_NOBODY: dict[str, State] = {"f": "expired", "c": "cancelled", "x": "failed"}
NOBODY = "-"


@dataclass
class Ask:
    """One request as it must be. ``log`` is (number, generation, letter); ``generation`` is in force, or ``""``.

    ``lost``: its lease has run out, or its worker let go; ``excused``: and that was not a worker's death.
    """

    request: InferenceRequest
    state: State
    log: list[tuple[int, str, str]] = field(default_factory=list)
    generation: str = ""
    taken: int = 0
    lost: bool = False
    excused: bool = False
    cancel: str = ""
    late: bool = False
    deaths: int = 0
    losses: int = 0
    followers: set[AccessId] = field(default_factory=set)
    heard: dict[AccessId, list[int]] = field(default_factory=dict)

    @property
    def tail(self) -> int:
        return len(self.log)

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL

    @property
    def suspect(self) -> bool:
        return self.deaths >= SUSPECT_AFTER

    @property
    def wanted(self) -> bool:
        """Whether a take may give it to somebody."""
        takeable = self.state == "queued" or (self.state == "running" and self.lost)
        return takeable and not self.late and self.cancel != "cancel"

    def log_reply(self, generation: str, letter: str) -> None:
        assert not self.ended, "nothing comes after the end"
        self.log.append((self.tail + 1, generation, letter))
        for access in self.followers:
            self.heard.setdefault(access, []).append(self.tail)

    def end(self, state: State) -> None:
        """An end written by no worker."""
        letter = next(letter for letter, meant in ENDS_BY_NOBODY.items() if meant == state)
        self.log_reply(NOBODY, letter)
        self.state = state

    def lose(self) -> None:
        """What a take makes of a lost request: counted, fenced, given up if it has happened too often."""
        self.losses += 1
        self.deaths += self.tail == self.taken
        self.excused, self.generation = True, ""
        if self.deaths >= DEATHS_ALLOWED or self.losses >= LOSSES_ALLOWED:
            self.end("failed")

    def let_go(self, *, died: bool) -> None:
        self.losses += died
        self.deaths += died
        self.generation, self.lost, self.excused = "", True, True

    def give(self, grant: Grant) -> None:
        """A take gave it to somebody."""
        assert self.wanted, f"{self.id} was given out as {self.state}"
        assert (grant.tail, grant.deaths) == (self.tail, self.deaths)
        self.state, self.generation, self.taken = "running", grant.generation, self.tail
        self.lost = self.excused = False

    def answer_to(self, chunk: Chunk) -> Appended:
        """What append must answer; the log grows by what it does not have."""
        if self.ended or self.generation != chunk.generation or self.state != "running":
            return Appended("ended" if self.ended else "fenced", self.tail)
        if chunk.first > self.tail + 1:
            return Appended("gap", self.tail)
        for reply in chunk.replies[self.tail + 1 - chunk.first :]:
            self.log_reply(chunk.generation, LETTERS[type(reply)])
        self.lost = self.excused = False
        if chunk.ending is not None:
            self.state = chunk.ending.state
        return Appended("ok", self.tail, self.cancel)  # type: ignore[arg-type]  # one of the three texts

    @property
    def id(self) -> RequestId:
        return self.request.id


@dataclass(frozen=True)
class Seen:
    """One request as Redis has it."""

    fields: dict[str, str]
    log: list[tuple[int, str, str]]
    texts: dict[int, str]
    lease: float | None
    suspect: bool
    deadline: bool
    lives: tuple[int, int]


LOOKS = 7


async def look(redis: Redis, asks: Sequence[Ask]) -> list[Seen]:
    """All that Redis holds of some requests."""
    async with redis.pipeline(transaction=False) as pipe:
        for ask in asks:
            shard = shard_of(ask.id)
            pipe.hgetall(keys.request(ask.id))
            pipe.xrange(keys.replies(ask.id))
            pipe.zscore(keys.leases(shard, "m"), ask.id)
            pipe.zscore(keys.suspects(shard, "m"), ask.id)
            pipe.zscore(keys.deadlines(shard), ask.id)
            pipe.ttl(keys.request(ask.id))
            pipe.ttl(keys.replies(ask.id))
        answers: list[Any] = await pipe.execute()
    return [_seen(*answers[at : at + LOOKS]) for at in range(0, len(answers), LOOKS)]


def _seen(fields: Any, entries: Any, lease: Any, suspect: Any, deadline: Any, *lives: int) -> Seen:
    log: list[tuple[int, str, str]] = []
    texts: dict[int, str] = {}
    for entry, ((name, payload),) in ((entry, found.items()) for entry, found in entries):
        seq = int(entry.split(b"-")[0])
        generation, letter = name.decode().split(":")
        log.append((seq, generation, letter))
        reply = decode_reply(payload)
        if isinstance(reply, Delta):
            texts[seq] = reply.text
    decoded = {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}
    return Seen(decoded, log, texts, lease, suspect is not None, deadline is not None, (lives[0], lives[1]))


def compare(ask: Ask, seen: Seen) -> None:
    """What Redis has is what it must have."""
    assert seen.log == ask.log
    assert all(text == str(seq) for seq, text in seen.texts.items()), "a reply is out of its place"
    assert seen.fields["state"] == ask.state
    assert [letter in TERMINAL_LETTERS for _, _, letter in seen.log] == [
        ask.ended and seq == ask.tail for seq, _, _ in seen.log
    ]
    assert seen.deadline == (not ask.ended)
    assert (min(seen.lives) > 0) == ask.ended, "keys without an end, or with one too early"
    if ask.ended:
        assert seen.lease is None
        assert not seen.suspect
        return
    assert seen.fields.get("generation", "") == ask.generation
    assert seen.fields.get("cancel", "") == ask.cancel
    assert (int(seen.fields["deaths"]), int(seen.fields.get("losses", 0))) == (ask.deaths, ask.losses)
    assert (seen.lease is not None or seen.suspect) == (ask.state == "running")


def judged(ask: Ask, seen: Seen) -> None:
    """What a take that met ``ask`` may have made of it: a loss counted once, an end if there was a reason for one."""
    if int(seen.fields.get("losses", 0)) > ask.losses:
        assert ask.lost, "a loss was counted under its worker"
        assert not ask.excused, "a loss was counted twice"
        ask.lose()
    state = seen.fields["state"]
    if ask.ended or state not in TERMINAL:
        return
    assert may(ask.state, state)  # type: ignore[arg-type]  # one of the states
    assert not ask.generation or ask.lost, "it was ended over its worker's head"
    assert {"expired": ask.late, "cancelled": ask.cancel == "cancel"}[state], "it was ended without a reason"
    ask.generation = ""
    ask.end(state)  # type: ignore[arg-type]  # likewise


async def queued(redis: Redis, shard: Shard, service_class: Any) -> list[str]:
    """The requests that have an entry in a queue, once for each entry."""
    entries: Any = await redis.xrange(keys.requests(shard, "m", service_class))
    return [fields[b"id"].decode() for _, fields in entries]


async def mailbox(redis: Redis, shard: Shard, access: AccessId) -> dict[str, list[int]]:
    """What a mailbox has told, by request."""
    entries: Any = await redis.xrange(keys.mailbox(shard, access))
    told: dict[str, list[int]] = {}
    for _, fields in entries:
        for name in fields:
            if name:
                request_id, seq, *_ = name.decode().split(":")
                told.setdefault(request_id, []).append(int(seq))
    return told
