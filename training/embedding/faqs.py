"""The written FAQs: entries that are easily confused, how people ask for each, and what they ask beside them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

TEXTS = Path(__file__).parents[1] / "texts" / "faqs"


class Entry(msgspec.Struct, frozen=True):
    """One question of a FAQ, its answer, and six other ways to ask for it."""

    q: str
    a: str
    ask: tuple[str, ...]


class Faq(msgspec.Struct, frozen=True):
    """The FAQ of one organisation. No entry answers what is asked ``beside`` it."""

    topic: str
    lang: Literal["en", "zh"]
    entries: tuple[Entry, ...]
    beside: tuple[str, ...]

    def texts(self) -> Iterator[str]:
        """Every text of it, for whoever wants words and not meaning."""
        for entry in self.entries:
            yield from (entry.q, entry.a, *entry.ask)
        yield from self.beside


@cache
def written() -> tuple[Faq, ...]:
    """All of them, in the order of the files and of their lines.

    Raises:
        msgspec.MsgspecError: a line is something else.
    """
    lines = (line for path in sorted(TEXTS.glob("*.jsonl")) for line in path.read_bytes().splitlines())
    return tuple(msgspec.json.decode(line, type=Faq, strict=True) for line in lines if line.strip())
