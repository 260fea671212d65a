"""Asides: noted once, bounded, and never the end of anything else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest

from access.asides import AT_ONCE_OF_A_TENANT, Aside, Asides, Words
from access.asked import Asked
from access.recalling import NOTHING
from contracts.errors import LimitExceeded
from contracts.ids import SessionId, TenantId
from tests.unit.access.test_summarising import SESSION, asked

ACME = TenantId("acme")


@dataclass
class Errand:
    """An aside that keeps nothing."""

    name: str
    session: SessionId = SESSION
    tenant: TenantId = ACME
    model: str = "m"
    user: str = "ada"

    def words(self) -> Words:
        return Words("", "Why?", 8, "1-0")

    async def keep(self, text: str, until: str) -> None:
        raise AssertionError("nothing was answered")


@dataclass
class Refusing:
    """An answering that says no to everything, with ``error``; the bell rings when it has said so ``often`` enough."""

    error: Exception
    often: int = 1
    heard: list[Asked] = field(default_factory=list[Asked])
    bell: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def names(self) -> list[str]:
        return [one.idempotency_key for one in self.heard]

    async def begin(self, asked: Asked) -> Any:
        self.heard.append(asked)
        if len(self.heard) == self.often:
            self.bell.set()
        raise self.error


def asides(*names: str) -> Asides:
    """Every turn leaves the next of these to do."""
    left = iter(names)

    def due(_asked: Asked, _recalled: Any) -> Aside | None:
        return Errand(name) if (name := next(left, None)) else None

    return Asides([due], patience=timedelta(hours=1), deadline=timedelta(minutes=10))


@asynccontextmanager
async def doing(noted: Asides, answering: Refusing) -> AsyncGenerator[asyncio.Task[Any]]:
    running = asyncio.create_task(noted.run(cast(Any, answering)))
    yield running
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("error", [LimitExceeded("No."), ConnectionError(), ValueError("a bug")])
async def test_what_fails_rests_and_the_others_go_on(error: Exception) -> None:
    noted, answering = asides("a", "a", "b"), Refusing(error)
    async with doing(noted, answering) as running:
        noted.note(asked(SESSION), NOTHING)
        await answering.bell.wait()
        answering.bell.clear()
        answering.often = 2
        noted.note(asked(SESSION), NOTHING)
        noted.note(asked(SESSION), NOTHING)
        await answering.bell.wait()
        assert answering.names == ["a", "b"]
        assert not running.done()


async def test_there_is_a_most_at_once() -> None:
    """Of a tenant: those of others are not kept out."""
    names = [str(number) for number in range(AT_ONCE_OF_A_TENANT + 1)]
    noted, answering = asides(*names, "later"), Refusing(LimitExceeded("No."), AT_ONCE_OF_A_TENANT)
    for _ in names:
        noted.note(asked(SESSION), NOTHING)
    async with doing(noted, answering):
        await answering.bell.wait()
        answering.bell.clear()
        answering.often += 1
        noted.note(asked(SESSION), NOTHING)
        await answering.bell.wait()
    assert answering.names == [*names[:AT_ONCE_OF_A_TENANT], "later"]


async def test_it_is_a_batch_request_whose_name_no_clients_key_can_be() -> None:
    """A client's key is stored behind a line break (``resolve``)."""
    noted, answering = asides("summary x"), Refusing(LimitExceeded("No."))
    noted.note(asked(SESSION), NOTHING)
    async with doing(noted, answering):
        await answering.bell.wait()
    [one] = answering.heard
    assert "\n" not in one.idempotency_key
    assert (one.service_class, one.user, one.session, one.stored) == ("batch", "", None, False)
    assert (one.about, one.owner) == (SESSION, "ada")
