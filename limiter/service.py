"""The limiter: hear asks → decide → commit → publish, for as long as it is the active one.

One loop decides; side tasks bring it what it decides upon. While a commit is on its way the next asks gather, so the
batch grows with the load. Whenever memory and ledger might differ (deposed, Redis away) the tenure ends, memory is
dropped, and the next tenure begins from the ledger; callers repeat their asks, so those who waited come back.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from contracts import logs
from contracts.connection import REDIS_UNAVAILABLE
from contracts.errors import DecodeError
from contracts.functions import Deposed, Tenure
from contracts.ids import RequestId, TenantId
from contracts.messages import Asks
from limiter.clock import SteadyClock
from limiter.fleet import Fleet
from limiter.gate import Gate
from limiter.leadership import Leadership
from limiter.ledger import Ledger
from limiter.metrics import Metrics
from limiter.settlement import Settlement, UsageRecord
from limiter.sweeper import Overdues, Sweeper

TICK_SECONDS = 0.025
"""How often the gate looks again while somebody waits: buckets refill and patience ends without a message."""
IDLE_SECONDS = 0.5
LOOK_SECONDS = 0.5
STATUS_SECONDS = 1.0
HEARD_AT_MOST = 1000
"""Messages kept undecided; beyond that the oldest are dropped, and their callers ask again."""


@dataclass(frozen=True)
class Parts:
    """What a limiter is made of. ``new_gate`` gives each tenure an empty gate."""

    leadership: Leadership
    ledger: Ledger
    fleet: Fleet
    sweeper: Sweeper
    settlements: Sequence[Settlement]
    new_gate: Callable[[], Gate]
    new_overdues: Callable[[], Overdues]
    metrics: Metrics


class Limiter:
    """Stands by until it is the active limiter, reigns until it is deposed, and stands by again."""

    def __init__(self, parts: Parts):
        self._parts = parts
        self._inbox = _Inbox()

    def hear(self, wire: bytes) -> None:
        """Take one message of the asks channel."""
        try:
            self._inbox.put(Asks.decode(wire))
        except DecodeError:
            logs.get().warning("limiter.garbled", sentence="A message on the asks channel could not be read.")

    async def run(self) -> NoReturn:
        """Until cancelled; the gate is then handed to a standby at once."""
        while True:
            tenure, clock = await self._parts.leadership.win()
            # Who asked before this moment asks again; what a standby heard for hours is nobody's question any more.
            self._inbox.clear()
            logs.get().info("limiter.active", sentence="This limiter now decides.", epoch=tenure.epoch)
            self._parts.metrics.active.set(1)
            try:
                await _Reign(self._parts, self._inbox, tenure, clock).run()
            except* (Deposed, *REDIS_UNAVAILABLE) as lost:
                why = type(lost.exceptions[0]).__name__
                logs.get().warning("limiter.deposed", sentence="It no longer decides.", epoch=tenure.epoch, reason=why)
            finally:
                self._parts.metrics.active.set(0)
                await self._parts.leadership.resign(tenure)


class _Reign:
    """One tenure: its gate, and the tasks around it. All of them end together."""

    def __init__(self, parts: Parts, inbox: _Inbox, tenure: Tenure, clock: SteadyClock):
        self._parts = parts
        self._inbox = inbox
        self._tenure = tenure
        self._clock = clock
        self._gate = parts.new_gate()
        self._overdues = parts.new_overdues()
        self._committed = asyncio.get_running_loop().create_future()
        self._awaited = False

    async def run(self) -> None:
        await self._restore()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._parts.leadership.keep(self._tenure, self._clock), name="limiter-keep")
            tasks.create_task(self._decide(), name="limiter-decide")
            tasks.create_task(self._look(), name="limiter-look")
            tasks.create_task(self._report(), name="limiter-report")
            tasks.create_task(self._parts.sweeper.run(self._overdue, self._refund), name="limiter-sweep")
            for number, settlement in enumerate(self._parts.settlements):
                tasks.create_task(settlement.run(self._settle), name=f"limiter-settle-{number}")

    async def _decide(self) -> NoReturn:
        """The sentence: hear asks → decide → commit → publish."""
        while True:
            await self._inbox.wait(TICK_SECONDS if self._gate.anyone_waits else IDLE_SECONDS)
            heard, since = self._inbox.take()
            await self._open([(query.tenant, query.user, query.key) for asks in heard for query in asks.queries])
            now_ms = self._clock.now_ms()
            self._weigh(heard, now_ms)
            entries, (committed, awaited) = self._gate.decide(now_ms), self._next_commit()
            if entries or awaited:
                known = await self._parts.ledger.commit(self._tenure, entries)
                self._gate.take_back(known, self._clock.now_ms())
            committed.set_result(None)
            self._measure(since)

    async def _open(self, payers: Sequence[tuple[TenantId, str, str]]) -> None:
        """Read the books of those who have not come lately: tenants, then the accounts that their limits call for.

        Others may be closed as idle while these are read, hence the loop.
        """
        books, wanted = self._gate.books, {tenant for tenant, _, _ in payers}
        while True:
            if tenants := wanted - books.tenants.keys():
                books.tenants |= await self._parts.ledger.tenants(sorted(tenants), self._clock.now_ms())
            elif accounts := books.unknown_accounts(payers):
                opened = await self._parts.ledger.accounts(accounts, self._clock.now_ms())
                books.accounts |= {account.name: account for account in opened}
            else:
                return

    def _weigh(self, heard: Sequence[Asks], now_ms: int) -> None:
        for asks in heard:
            for withdrawal in asks.withdrawn:
                self._gate.withdraw(withdrawal, now_ms)
            for query in asks.queries:
                self._gate.ask(query, now_ms)
            for correction in asks.corrections:
                self._gate.correct(correction, now_ms)

    async def _look(self) -> NoReturn:
        """Keep up with the fleet and with the limits that are set."""
        while True:
            self._gate.supplies = await self._parts.fleet.look()
            limits = await self._parts.ledger.limits(list(self._gate.books.tenants))
            for tenant, its_limits in limits.items():
                self._gate.limit(tenant, its_limits, self._clock.now_ms())
            self._inbox.wake()
            await asyncio.sleep(LOOK_SECONDS)

    async def _report(self) -> NoReturn:
        while True:
            status = self._gate.status(self._clock.now_ms())
            self._parts.metrics.load(status)
            self._parts.metrics.decided(self._gate.decisions)
            self._gate.decisions.clear()
            await self._parts.ledger.publish_status(status)
            self._gate.close_idle(self._clock.now_ms())
            await asyncio.sleep(STATUS_SECONDS)

    async def _restore(self) -> None:
        """The gate as the ledger has it, and the fleet as it is, before the first decision."""
        reservations = await self._parts.ledger.reservations()
        await self._open([(held.tenant, held.user, held.key) for held in reservations.values()])
        self._gate.books.restore(reservations)
        self._gate.supplies = await self._parts.fleet.look()

    async def _settle(self, records: Sequence[UsageRecord]) -> None:
        for record in records:
            self._gate.settle(record.id, record.usage, record.state, self._clock.now_ms())
        await self._until_committed()

    def _refund(self, unused: Mapping[RequestId, int]) -> None:
        for request_id, grant_end_ms in unused.items():
            self._gate.refund_unused(request_id, grant_end_ms, self._clock.now_ms())
        self._inbox.wake()

    def _overdue(self) -> dict[RequestId, int]:
        return self._overdues.among(self._gate.books.held, self._clock.now_ms())

    async def _until_committed(self) -> None:
        """Return once all that the gate has been told is in the ledger. Also where that changed nothing a commit is
        made: it proves that the tenure lasts, and that memory knew what there was to settle."""
        self._awaited = True
        self._inbox.wake()
        # Others wait for the same commit: one who is cancelled must not cancel it for them.
        await asyncio.shield(self._committed)

    def _next_commit(self) -> tuple[asyncio.Future[None], bool]:
        """The commit to come and whether it is awaited; what the gate is told from here on belongs to the one after."""
        current, awaited = self._committed, self._awaited
        self._committed, self._awaited = asyncio.get_running_loop().create_future(), False
        return current, awaited

    def _measure(self, since: float | None) -> None:
        if since is not None:
            self._parts.metrics.decision_seconds.observe(time.monotonic() - since)


class _Inbox:
    """What was heard and not weighed yet, and the bell that wakes who weighs it."""

    def __init__(self) -> None:
        self._heard: deque[Asks] = deque(maxlen=HEARD_AT_MOST)
        self._since: float | None = None
        self._bell = asyncio.Event()

    def put(self, asks: Asks) -> None:
        if self._since is None:
            self._since = time.monotonic()
        self._heard.append(asks)
        self.wake()

    def wake(self) -> None:
        self._bell.set()

    async def wait(self, seconds: float) -> None:
        """Until something was heard or somebody woke us, at most ``seconds``."""
        alarm = asyncio.get_running_loop().call_later(seconds, self.wake)
        await self._bell.wait()
        alarm.cancel()

    def take(self) -> tuple[list[Asks], float | None]:
        """All that was heard, and when the first of it was."""
        heard, since = list(self._heard), self._since
        self.clear()
        return heard, since

    def clear(self) -> None:
        self._heard.clear()
        self._since = None
        self._bell.clear()
