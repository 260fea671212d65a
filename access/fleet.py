"""What access knows of the fleet: which models are served, in which state, and how to count their tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

from redis.asyncio import Redis
from tokenizers import Tokenizer

from contracts import connection, keys, logs
from contracts.errors import DecodeError
from contracts.messages import Heartbeat, ModelFacts

LOOK_EVERY = timedelta(seconds=1)
STALE_AFTER = timedelta(seconds=6)
ESTIMATED_BYTES_PER_TOKEN = 3

ModelState = Literal["ready", "starting", "no_workers"]

log = logs.get()


class Fleet:
    """The workers' last heartbeats, read once a second."""

    def __init__(self, redis: Redis):
        self._redis = redis
        self._heartbeats: list[Heartbeat] = []
        self._facts: dict[str, ModelFacts] = {}
        self._tokenizers: dict[str, Tokenizer] = {}

    @property
    def heartbeats(self) -> list[Heartbeat]:
        """Every worker heard of lately."""
        return self._heartbeats

    def models(self) -> list[ModelFacts]:
        """Every model that a worker has announced since this process began."""
        return [self._facts[name] for name in sorted(self._facts)]

    def facts(self, model: str) -> ModelFacts | None:
        return self._facts.get(model)

    def state(self, model: str) -> ModelState:
        """``ready`` when a worker takes requests, ``starting`` when one is loading."""
        states = {beat.state for beat in self._heartbeats if beat.model.name == model}
        if "ready" in states:
            return "ready"
        return "starting" if "loading" in states else "no_workers"

    def counter(self, model: str) -> Callable[[str], int]:
        """How to count the tokens of a text: the model's own tokenizer, an estimate until a worker announced it."""
        facts = self._facts.get(model)
        tokenizer = self._tokenizers.get(facts.tokenizer_sha256) if facts else None
        if tokenizer is None:
            return estimate
        return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)

    async def watch(self) -> None:
        """Keep looking. Runs for ever."""
        while True:
            try:
                await self.look()
            except connection.REDIS_UNAVAILABLE:
                log.warning("fleet.unreachable", sentence="Redis does not answer; the fleet is as last seen.")
            await asyncio.sleep(LOOK_EVERY.total_seconds())

    async def look(self) -> None:
        """Read the heartbeats once."""
        oldest = time.time() - STALE_AFTER.total_seconds()
        heard: list[Heartbeat] = []
        stored: Any = await self._redis.hvals(keys.fleet())
        for raw in stored:
            try:
                heard.append(Heartbeat.decode(raw))
            except DecodeError:
                log.warning("fleet.foreign_heartbeat", sentence="A heartbeat of another release was passed over.")
        self._heartbeats = [beat for beat in heard if beat.at >= oldest]
        for beat in self._heartbeats:
            if beat.state != "loading" or beat.model.name not in self._facts:
                self._facts[beat.model.name] = beat.model
            await self._learn_tokenizer(beat.model.tokenizer_sha256)

    async def _learn_tokenizer(self, sha256: str) -> None:
        if not sha256 or sha256 in self._tokenizers:
            return
        stored: Any = await self._redis.get(keys.tokenizer(sha256))
        if stored is not None:
            tokenizer = Tokenizer.from_buffer(stored)
            tokenizer.no_padding()  # embedding models' files ask for both, and every text would count the same
            tokenizer.no_truncation()
            self._tokenizers[sha256] = tokenizer


def estimate(text: str) -> int:
    """Tokens of ``text`` before its model's tokenizer is known; rather too many than too few."""
    return len(text.encode("utf-8", "surrogatepass")) // ESTIMATED_BYTES_PER_TOKEN + 1
