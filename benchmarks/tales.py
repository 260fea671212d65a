"""Situations in which tenants share a fleet, and what one run of one of them brought. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks import stats, traces
from benchmarks.shares import Window, windows
from benchmarks.simulation import Outcome, Request, Shape, Story
from benchmarks.traces import Row
from contracts.ids import TenantId
from limiter.eta import TOLD_AT_BEST_SECONDS

WARM_UP_MS = 20_000
LONG_MS = 1000
TENANTS = 10
HEAVY = TenantId("heavy")
LIGHT = tuple(TenantId(f"light {number}") for number in range(1, TENANTS))
BATCH = TenantId("batch")


@dataclass(frozen=True)
class Tale:
    """One situation. ``weights``: of each tenant's load. ``load``: of all, by what the fleet can serve."""

    weights: Mapping[TenantId, int]
    load: float
    patience_seconds: float = 10.0


_ONE_AT_TEN = {HEAVY: 10} | dict.fromkeys(LIGHT, 1)
TALES: Mapping[str, Tale] = {
    "isolation": Tale(_ONE_AT_TEN, 1.33),
    "shares": Tale(_ONE_AT_TEN, 3.0),
    "steady": Tale(_ONE_AT_TEN, 1.05, patience_seconds=600.0),
    "classes": Tale({TenantId("chat 1"): 1, TenantId("chat 2"): 1, TenantId("chat 3"): 1, BATCH: 1}, 3.0),
}


@dataclass(frozen=True)
class Leg:
    """What one run brought, of the requests that came after the warm-up. Seconds, but for ``jain`` and shares.

    ``waits`` are by tenant, ``answers`` those of the light ones, ``lost`` is the share of the light tenants' requests
    that were given up. ``long_eta_errors`` are those of waits of a second or more. ``series`` is each tenant's tokens,
    window by window.
    """

    waits: dict[str, list[float]]
    answers: list[float]
    lost: float
    jain: list[float]
    idle: float
    refusals_per_request: float
    asks_per_answer: float
    eta_errors: list[float]
    long_eta_errors: list[float]
    batch_shares: list[float]
    series: list[dict[str, float]]

    @property
    def light_waits(self) -> list[float]:
        return [wait for tenant, mine in self.waits.items() if tenant in LIGHT for wait in mine]

    @property
    def light_wait_p99(self) -> float:
        return stats.percentile(self.light_waits, 0.99)

    @property
    def light_answer_p99(self) -> float:
        return stats.percentile(self.answers, 0.99)


def deal(rows: Sequence[Row], tale: Tale, shape: Shape, seed: int) -> list[Request]:
    """The requests of a tale: the rows at its load, each dealt to a tenant by chance."""
    capacity = shape.requests_per_second((row.prompt_tokens, row.answer_tokens) for row in rows)
    tenants, draw = list(tale.weights), random.Random(seed)
    dealt = draw.choices(tenants, [tale.weights[tenant] for tenant in tenants], k=len(rows))
    return [
        Request(
            str(number),
            tenant,
            round(1000 * row.at),
            row.prompt_tokens,
            row.answer_tokens,
            "batch" if tenant == BATCH else "interactive",
            round(1000 * tale.patience_seconds),
        )
        for number, (row, tenant) in enumerate(zip(traces.paced(rows, tale.load * capacity), dealt, strict=True))
    ]


def read(outcome: Outcome, shape: Shape) -> Leg:
    """What a run brought."""
    until_ms = max(story.request.at_ms for story in outcome.stories)
    mine = [story for story in outcome.stories if story.request.at_ms >= WARM_UP_MS]
    light = [story for story in mine if story.request.tenant in LIGHT]
    seen = windows(outcome.stories, shape, WARM_UP_MS, until_ms)
    waits: dict[str, list[float]] = {}
    for story in mine:
        waits.setdefault(story.request.tenant, []).append(story.wait_seconds)
    return Leg(
        waits=waits,
        answers=[story.answer_seconds for story in light if story.ended_ms is not None],
        lost=_share(story.gave_up_ms is not None for story in light),
        jain=[window.fairness for window in seen if len(window.backlogged) > 1],
        idle=outcome.idle_share,
        refusals_per_request=fmean(story.refusals for story in mine),
        asks_per_answer=sum(story.asks for story in mine) / max(1, sum(story.ended_ms is not None for story in mine)),
        eta_errors=[error for story in mine if (error := eta_error(story)) is not None],
        long_eta_errors=[error for story in mine if _is_long(story) and (error := eta_error(story)) is not None],
        batch_shares=[share for window in seen if (share := _batch_share(window)) is not None],
        series=[{str(tenant): tokens for tenant, tokens in window.service.items()} for window in seen],
    )


def eta_error(story: Story) -> float | None:
    """|told - waited| / waited of the attempt that was granted, as the limiter counts it; ``None`` if not told."""
    if story.told is None or story.granted_ms is None:
        return None
    waited = max(story.granted_ms - story.asked_ms, 1000 * TOLD_AT_BEST_SECONDS)
    return abs(story.told - story.granted_ms) / waited


def _is_long(story: Story) -> bool:
    return story.granted_ms is not None and story.granted_ms - story.asked_ms >= LONG_MS


def _batch_share(window: Window) -> float | None:
    """Of the service in a window in which batch and others waited all the time."""
    if BATCH not in window.backlogged or len(window.backlogged) == 1:
        return None
    return window.service.get(BATCH, 0.0) / sum(window.service.values())


def _share(facts: Iterable[bool]) -> float:
    return fmean([float(fact) for fact in facts] or [0.0])
