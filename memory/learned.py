"""Facts that a user's conversations have told: short, of few kinds, and apart from those that somebody registered."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from contracts.ids import SessionId

MAX_CHARACTERS = 100
_NOTHING = frozenset({"", "-", "none", "nothing", "unknown", "n/a", "not stated", "not given", "null"})


class Learned(msgspec.Struct, frozen=True):
    """One fact: its ``value``, and the ``session`` and the time (Unix ms) of the last turn that it was learned from."""

    value: str
    at: int
    session: SessionId

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


class Known(msgspec.Struct, frozen=True):
    """All that is known of a user. ``since``: turns teach that began behind it, Unix ms; ``None``: none do."""

    facts: dict[str, str] = {}
    learned: dict[str, Learned] = {}
    since: int | None = None

    @property
    def said(self) -> dict[str, str]:
        """What the user has told, where nobody has registered it."""
        return {name: fact.value for name, fact in self.learned.items() if name not in self.facts}


def learned_from(stored: Mapping[bytes, bytes]) -> tuple[dict[str, Learned], int | None]:
    """The learned facts of a user's hash, by name, and since when turns teach."""
    fields = {name.decode(): value for name, value in sorted(stored.items())}
    since = fields.pop(":since", None)
    facts = {name: fact for name, value in fields.items() if (fact := _fact(value)) is not None}
    return facts, None if since is None else int(since)


def read_facts(text: str, allowed: Collection[str]) -> dict[str, str]:
    """The facts in what a model said: lines ``name: value`` with a name that is allowed; whatever else is dropped.

    Of a name that comes twice, the first line counts.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if colon and name in allowed and len(value) <= MAX_CHARACTERS and value.lower().strip(".") not in _NOTHING:
            found.setdefault(name, value)
    return found


def _fact(stored: bytes) -> Learned | None:
    try:
        return msgspec.json.decode(stored, type=Learned)
    except msgspec.MsgspecError:
        return None
