"""Who got how much of a fleet, window by window, out of what became of the requests. Pure.

*Service* is tokens, of prompts and answers alike, at the moments at which a slot works on them. A tenant is
*backlogged* in a window in which it had, at every moment, a request that no slot had taken yet; one that was refused
and that its caller will send again counts as such, since the caller still wants it.

Source of both: virtual token counters (arXiv 2401.00588); of the index: Jain, Chiu, Hawe 1984.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.simulation import Shape, Story
from contracts.ids import TenantId

WINDOW_MS = 10_000


@dataclass(frozen=True)
class Window:
    """``service`` holds every tenant that was served, ``backlogged`` those whose shares may be compared."""

    from_ms: int
    service: dict[TenantId, float]
    backlogged: frozenset[TenantId]

    @property
    def fairness(self) -> float:
        """Jain's index over the backlogged tenants; 1 is equal shares, 1/n is all for one of n."""
        return jain([self.service.get(tenant, 0.0) for tenant in self.backlogged])


def jain(shares: Sequence[float]) -> float:
    """The square of the sum, by n times the sum of the squares; 1 where nobody got anything."""
    squares = len(shares) * sum(share * share for share in shares)
    return sum(shares) ** 2 / squares if squares else 1.0


def windows(stories: Sequence[Story], shape: Shape, from_ms: int, until_ms: int) -> list[Window]:
    """The whole windows between two moments."""
    count = max(0, (until_ms - from_ms) // WINDOW_MS)
    service: list[defaultdict[TenantId, float]] = [defaultdict(float) for _ in range(count)]
    for story in stories:
        for number, tokens in _service(story, shape, from_ms):
            if 0 <= number < count:
                service[number][story.request.tenant] += tokens
    backlogs = _backlogs(stories)
    found: list[Window] = []
    for number, tokens in enumerate(service):
        begin = from_ms + number * WINDOW_MS
        waiting = (tenant for tenant, spans in backlogs.items() if _covered(spans, begin, begin + WINDOW_MS))
        found.append(Window(begin, dict(tokens), frozenset(waiting)))
    return found


def _service(story: Story, shape: Shape, from_ms: int) -> Iterator[tuple[int, float]]:
    """The windows in which a request was worked on, with its tokens in each."""
    if story.began_ms is None:
        return
    request = story.request
    reading, generating = shape.times_ms(request.prompt_tokens, request.answer_tokens)
    read = story.began_ms + reading
    yield from _spread(request.prompt_tokens, story.began_ms, read, from_ms)
    yield from _spread(request.answer_tokens, read, read + generating, from_ms)


def _spread(tokens: int, begin: int, end: int, from_ms: int) -> Iterator[tuple[int, float]]:
    if begin == end:
        yield (begin - from_ms) // WINDOW_MS, float(tokens)
        return
    for number in range((begin - from_ms) // WINDOW_MS, (end - 1 - from_ms) // WINDOW_MS + 1):
        opens = from_ms + number * WINDOW_MS
        yield number, tokens * (min(end, opens + WINDOW_MS) - max(begin, opens)) / (end - begin)


def _backlogs(stories: Iterable[Story]) -> dict[TenantId, list[tuple[int, int]]]:
    """When each tenant had somebody waiting: spans that do not touch, in order."""
    spans: defaultdict[TenantId, list[tuple[int, int]]] = defaultdict(list)
    for story in stories:
        until = story.began_ms if story.began_ms is not None else story.gave_up_ms
        if until is not None and until > story.request.at_ms:
            spans[story.request.tenant].append((story.request.at_ms, until))
    return {tenant: _merged(mine) for tenant, mine in spans.items()}


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _covered(spans: Iterable[tuple[int, int]], begin: int, end: int) -> bool:
    return any(first <= begin and end <= last for first, last in spans)
