"""The sections of a Markdown text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HEADING = re.compile(r"(#{1,6})(?:\s+(.*))?", re.DOTALL)
_FENCE = re.compile(r"\s*(```|~~~)")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what follows it. ``level`` 0 is the text before the first heading; ``line`` counts from 1."""

    line: int
    level: int
    title: str
    body: str


def sections(text: str) -> Iterator[Section]:
    """The sections in order; a ``#`` inside a code block is no heading."""
    line, level, title = 1, 0, ""
    body: list[str] = []
    fenced = False
    for number, source in enumerate(text.splitlines(), start=1):
        fenced ^= _FENCE.match(source) is not None
        heading = None if fenced else _HEADING.fullmatch(source.rstrip())
        if heading is None:
            body.append(source)
            continue
        yield Section(line, level, title, "\n".join(body).strip())
        line, level, title, body = number, len(heading[1]), _title(heading[2] or ""), []
    yield Section(line, level, title, "\n".join(body).strip())


def _title(text: str) -> str:
    """A heading's words, without the marks that may close it. No pattern: one would take quadratic time."""
    bare = text.rstrip("#")
    return (bare if not bare or bare[-1].isspace() else text).strip()
