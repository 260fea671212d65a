"""What Redis holds of one tenant at the gate, and the functions as pure steps on it.

A commit is one step, since nothing can come between its writes. Requests are numbers; what is told of each stands in a
tuple, at its number. Times are not told: a grant has a number, and of two grants the one with the higher ends later.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

T = TypeVar("T")

CAPACITY, ESTIMATE, CORRECTED, USED = 3, 2, 1, 1
"""The bucket, which nothing refills, and what one request is expected to cost at first, when composed, and costs."""

Tenure = tuple[int, int]
"""The epoch, which Redis counts, and the limiter's name, which is another in each tenure."""


class Verdict(NamedTuple):
    """A grant has a number above 0. ``attempt`` is the one whose question it answers."""

    grant: int
    attempt: int = 0

    @property
    def granted(self) -> bool:
        return self.grant > 0


REFUSED = Verdict(-1)


class Held(NamedTuple):
    """A reservation."""

    grant: int
    attempt: int
    tokens: int


class Sums(NamedTuple):
    """The tenant's ledger, in tokens."""

    granted: int = 0
    settled: int = 0
    reserved: int = 0
    refunded: int = 0


class Tally(NamedTuple):
    """How often one request was granted, settled and refunded."""

    granted: int = 0
    settled: int = 0
    refunded: int = 0


class Store(NamedTuple):
    """Redis. ``active`` is ``None`` where no limiter holds the lock; ``commits`` counts those of its tenure.

    Of each request: the final verdict, the reservation, the state (``""``, ``queued``, ``ended``), the grant it was
    submitted under, and its usage record (``""``, ``new``, ``pending``: read and not acknowledged). ``grants`` and
    ``tallies`` are read by the promises alone.
    """

    active: Tenure | None
    epoch: int
    commits: int
    verdicts: tuple[Verdict | None, ...]
    held: tuple[Held | None, ...]
    sums: Sums
    level: int
    states: tuple[str, ...]
    under: tuple[int, ...]
    usage: tuple[str, ...]
    tallies: tuple[Tally, ...]
    grants: tuple[int, ...] = ()

    @classmethod
    def empty(cls, requests: int) -> Store:
        return cls(
            active=None,
            epoch=0,
            commits=0,
            verdicts=(None,) * requests,
            held=(None,) * requests,
            sums=Sums(),
            level=CAPACITY,
            states=("",) * requests,
            under=(0,) * requests,
            usage=("",) * requests,
            tallies=(Tally(),) * requests,
        )


def put(values: tuple[T, ...], at: int, value: T) -> tuple[T, ...]:
    """The same with another value in one place."""
    return (*values[:at], value, *values[at + 1 :])


class Grant(NamedTuple):
    """Reserve and tell."""

    request: int
    held: Held


class Refuse(NamedTuple):
    """Tell that a request was refused."""

    request: int


class Repeat(NamedTuple):
    """Tell again what was decided."""

    request: int


class Correct(NamedTuple):
    """Another reservation takes the place of the one of this grant."""

    request: int
    held: Held


class Settle(NamedTuple):
    """Real usage takes the place of a reservation."""

    request: int
    tokens: int


class Refund(NamedTuple):
    """This grant was not used and never will be."""

    request: int
    grant: int


class Level(NamedTuple):
    """Where the bucket stands."""

    tokens: int


Entry = Grant | Refuse | Repeat | Correct | Settle | Refund | Level


class Draft:
    """A store while a function writes to it."""

    def __init__(self, store: Store):
        self.now = store

    def write(self, **fields: object) -> None:
        self.now = self.now._replace(**fields)  # type: ignore[arg-type]  # fields are named by keyword


class Functions:
    """The library. Every function may be repeated."""

    def takeover(self, draft: Draft, name: int) -> Tenure | None:
        if draft.now.active is not None:
            return None
        tenure = (draft.now.epoch + 1, name)
        draft.write(epoch=tenure[0], active=tenure, commits=0)
        return tenure

    def resign(self, draft: Draft, tenure: Tenure) -> None:
        if draft.now.active == tenure:
            draft.write(active=None)

    def commit(self, draft: Draft, tenure: Tenure, number: int, entries: tuple[Entry, ...]) -> set[int] | None:
        """The requests on which another final verdict stood; ``None``: deposed, and nothing was written."""
        if not self.may_write(draft.now, tenure, number):
            return None
        draft.write(commits=number)
        return {entry.request for entry in entries if self.apply(draft, entry) and not isinstance(entry, Level)}

    def submit(self, draft: Draft, request: int, grant: int, past: int) -> str:
        """Grants up to ``past`` are over, by whichever clock."""
        if draft.now.states[request]:
            return "ok"
        if self.is_late(grant, past):
            return "late"
        draft.write(states=put(draft.now.states, request, "queued"), under=put(draft.now.under, request, grant))
        return "ok"

    def end(self, draft: Draft, request: int) -> None:
        """The terminal append, with its usage record."""
        draft.write(states=put(draft.now.states, request, "ended"), usage=put(draft.now.usage, request, "new"))

    def acknowledge(self, draft: Draft, request: int) -> None:
        draft.write(usage=put(draft.now.usage, request, ""))

    # What the functions are made of, in the order in which they call it.

    def may_write(self, store: Store, tenure: Tenure, number: int) -> bool:
        """A tenure's commits come one after the other; the last one may come again."""
        return store.active == tenure and number in (store.commits, store.commits + 1)

    def apply(self, draft: Draft, entry: Entry) -> bool:
        """Write one entry; whether another final verdict stood in its way."""
        match entry:
            case Grant(request, held):
                return self.grant(draft, request, held)
            case Refuse(request):
                return self.refuse(draft, request)
            case Correct(request, held):
                self.correct(draft, request, held)
            case Settle(request, tokens):
                self.settle(draft, request, tokens)
            case Refund(request, grant):
                self.refund(draft, request, grant)
            case Level(tokens):
                draft.write(level=tokens)
            case Repeat():
                pass
        return False

    def grant(self, draft: Draft, request: int, held: Held) -> bool:
        verdict = Verdict(held.grant, held.attempt)
        if (stood := draft.now.verdicts[request]) is not None:
            return stood != verdict
        self.reserve(draft, request, held)
        self.store_verdict(draft, request, verdict)
        return False

    def refuse(self, draft: Draft, request: int) -> bool:
        if (stood := draft.now.verdicts[request]) is not None:
            return stood != REFUSED
        self.store_verdict(draft, request, REFUSED)
        return False

    def correct(self, draft: Draft, request: int, held: Held) -> None:
        before = draft.now.held[request]
        if before is None or before.grant != held.grant:
            return
        less = before.tokens - held.tokens
        draft.write(held=put(draft.now.held, request, held))
        self.add(draft, reserved=-less, refunded=less)

    def settle(self, draft: Draft, request: int, tokens: int) -> None:
        held = draft.now.held[request]
        if held is None:
            return
        self.let_go(draft, request, held)
        self.add(draft, settled=tokens, refunded=held.tokens - tokens)
        self.count(draft, request, settled=1)

    def refund(self, draft: Draft, request: int, grant: int) -> None:
        """The verdict goes too: the next question is weighed anew."""
        held = draft.now.held[request]
        if held is None or held.grant != grant:
            return
        self.let_go(draft, request, held)
        self.add(draft, refunded=held.tokens)
        self.count(draft, request, refunded=1)
        draft.write(verdicts=put(draft.now.verdicts, request, None))

    def is_late(self, grant: int, past: int) -> bool:
        return grant <= past

    def reserve(self, draft: Draft, request: int, held: Held) -> None:
        draft.write(held=put(draft.now.held, request, held))
        self.add(draft, granted=held.tokens, reserved=held.tokens)
        self.count(draft, request, granted=1)
        draft.write(grants=(*draft.now.grants, held.grant))

    def store_verdict(self, draft: Draft, request: int, verdict: Verdict) -> None:
        draft.write(verdicts=put(draft.now.verdicts, request, verdict))

    def let_go(self, draft: Draft, request: int, held: Held) -> None:
        draft.write(held=put(draft.now.held, request, None))
        self.add(draft, reserved=-held.tokens)

    def add(self, draft: Draft, granted: int = 0, settled: int = 0, reserved: int = 0, refunded: int = 0) -> None:
        was = draft.now.sums
        draft.write(
            sums=Sums(was.granted + granted, was.settled + settled, was.reserved + reserved, was.refunded + refunded)
        )

    def count(self, draft: Draft, request: int, granted: int = 0, settled: int = 0, refunded: int = 0) -> None:
        was = draft.now.tallies[request]
        tally = Tally(was.granted + granted, was.settled + settled, was.refunded + refunded)
        draft.write(tallies=put(draft.now.tallies, request, tally))
