"""A gate that a test plays: it hears what access processes ask, and answers as the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
import redis

from contracts import keys
from contracts.messages import AdmissionQuery, Asks, Correction, Verdict

Answer = Callable[[AdmissionQuery], list[Verdict]]


def grant(query: AdmissionQuery) -> list[Verdict]:
    return [Verdict(id=query.id, decision="granted")]


@dataclass
class PlayedGate:
    """``answer`` may be replaced at any time; what it gives is said in its order, the last one is stored."""

    url: str
    answer: Answer = grant
    queries: list[AdmissionQuery] = field(default_factory=list[AdmissionQuery])
    corrections: list[Correction] = field(default_factory=list[Correction])
    _over: threading.Event = field(default_factory=threading.Event)

    def play(self, subscribed: threading.Event) -> None:
        with redis.Redis.from_url(self.url) as server, server.pubsub() as pubsub:
            pubsub.subscribe(keys.asks_channel())
            while not self._over.is_set():
                message = pubsub.get_message(timeout=0.1)
                if message is not None and message["type"] == "message":
                    self._hear(server, Asks.decode(message["data"]))
                elif message is not None:
                    subscribed.set()

    def end(self) -> None:
        self._over.set()

    def _hear(self, server: redis.Redis, asks: Asks) -> None:
        self.corrections += asks.corrections
        for query in asks.queries:
            self.queries.append(query)
            for verdict in _on_attempt(query, self.answer(query)):
                server.hset(keys.verdict(query.id), mapping={"verdict": verdict.encode()})
                server.publish(keys.verdicts_channel(query.access), msgspec.msgpack.encode([verdict]))


@contextmanager
def gate_played(url: str) -> Generator[PlayedGate]:
    """Plays until the end of the block; grants everything until told otherwise."""
    gate, subscribed = PlayedGate(url), threading.Event()
    player = threading.Thread(target=gate.play, args=(subscribed,))
    player.start()
    try:
        assert subscribed.wait(10)
        yield gate
    finally:
        gate.end()
        player.join()


def _on_attempt(query: AdmissionQuery, verdicts: Iterable[Verdict]) -> list[Verdict]:
    return [msgspec.structs.replace(verdict, attempt=query.attempt) for verdict in verdicts]
