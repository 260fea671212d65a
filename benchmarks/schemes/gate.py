"""Ours: the limiter's own gate under its default policy, fed as the limiter feeds it. No limit but the fleet binds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from benchmarks.schemes import Ask, Granted, Queued, Refused, Word
from contracts.functions import gate as book
from contracts.ids import AccessId, TenantId
from contracts.messages import AdmissionQuery, Usage, Verdict
from limiter.account import Account
from limiter.books import Books, Tenant
from limiter.gate import Gate
from limiter.limits import Caps, Limits
from limiter.policies.fair import Fair
from limiter.policy import Supply
from limiter.service import STATUS_SECONDS, TICK_SECONDS
from limiter.settings import LimiterSettings
from limiter.tariff import Tariff

MODEL = "simulated"
ACCESS = AccessId("access-1")
SETTINGS = LimiterSettings.model_construct()
"""Those of the limiter, untouched by the environment."""
_UNBOUNDED = 1_000_000_000
LIMITS = Limits(Caps(_UNBOUNDED, _UNBOUNDED, _UNBOUNDED), wait_seconds=3600)


class Penstock:
    """``grants_per_slot``: the limiter's own setting unless given."""

    def __init__(self, supply: Supply, grants_per_slot: int = SETTINGS.grants_per_slot):
        policy = Fair(grants_per_slot, SETTINGS.room, SETTINGS.room_per_tenant)
        books = Books(Tariff({}), SETTINGS.answer_tokens)
        self.gate = Gate(policy, books, timedelta(seconds=SETTINGS.grant_seconds))
        self.gate.supplies = {MODEL: supply}
        self._report_ms = 0

    def ask(self, ask: Ask, now_ms: int) -> None:
        self._open(ask.tenant, now_ms)
        self.gate.ask(_query(ask), now_ms)

    def ended(self, ask: Ask, now_ms: int) -> None:
        usage = Usage(prompt_tokens=ask.prompt_tokens, completion_tokens=ask.answer_tokens)
        self.gate.settle(ask.id, usage, "done", now_ms)

    def decide(self, now_ms: int) -> Iterable[Word]:
        if now_ms >= self._report_ms:
            self.gate.close_idle(now_ms)
            self._report_ms = now_ms + int(STATUS_SECONDS * 1000)
        return list(_words(self.gate.decide(now_ms)))

    def again_ms(self, now_ms: int) -> int | None:
        return now_ms + int(TICK_SECONDS * 1000) if self.gate.anyone_waits else None

    def _open(self, tenant: TenantId, now_ms: int) -> None:
        books = self.gate.books
        if tenant not in books.tenants:
            books.tenants[tenant] = Tenant(LIMITS)
            books.accounts[tenant,] = Account.fresh((tenant,), LIMITS.tenant, now_ms)


def _query(ask: Ask) -> AdmissionQuery:
    """The caller does not bound its answer: its length is for the gate to learn."""
    return AdmissionQuery(
        id=ask.id,
        access=ACCESS,
        tenant=ask.tenant,
        user="",
        key="",
        model=MODEL,
        service_class=ask.service_class,
        prompt_tokens=ask.prompt_tokens,
        patience_seconds=ask.patience_ms / 1000,
    )


def _words(entries: Iterable[book.Entry]) -> Iterator[Word]:
    for entry in entries:
        if isinstance(entry, book.Granted):
            yield Granted(entry.verdict.id)
        elif isinstance(entry, book.Answered):
            yield _word(entry.verdict)


def _word(verdict: Verdict) -> Word:
    if verdict.decision == "queued":
        return Queued(verdict.id, verdict.eta_seconds)
    return Refused(verdict.id, verdict.retry_after_seconds)
