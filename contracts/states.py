"""The life of one request, as a table. The docs' diagram is drawn from it; the function library is checked against it.

``waiting`` is admission, ``queued`` the stream, ``running`` a worker, or between two: a request that has lost its
worker stays ``running`` until the next take. A state that nothing follows is terminal: it is written once, together
with exactly one terminal reply.
"""

from __future__ import annotations

from typing import Literal

State = Literal["waiting", "queued", "running", "done", "incomplete", "failed", "cancelled", "expired"]

TRANSITIONS: dict[State | None, tuple[State, ...]] = {
    None: ("waiting", "queued"),
    "waiting": ("queued", "failed", "cancelled", "expired"),
    "queued": ("running", "failed", "cancelled", "expired"),
    "running": ("running", "done", "incomplete", "failed", "cancelled", "expired"),
    "done": (),
    "incomplete": (),
    "failed": (),
    "cancelled": (),
    "expired": (),
}

TERMINAL: frozenset[State] = frozenset(state for state, after in TRANSITIONS.items() if state and not after)


def may(before: State | None, after: State) -> bool:
    """Whether a request may go from ``before`` (``None``: not stored yet) to ``after``."""
    return after in TRANSITIONS[before]


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    arrows = [
        f"    {before or '[*]'} --> {after}"
        for before, following in TRANSITIONS.items()
        for after in following
        if before != after
    ]
    ends = [f"    {state} --> [*]" for state in TRANSITIONS if state in TERMINAL]
    return "\n".join(["stateDiagram-v2", *arrows, *ends])
