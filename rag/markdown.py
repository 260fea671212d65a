"""The sections of a Markdown text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HEADING = re.compile(r"(?P<marks>#{1,6})(?:\s+(?P<title>.*?))?(?:\s+#+)?\s*")
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
        heading = None if fenced else _HEADING.fullmatch(source)
        if heading is None:
            body.append(source)
            continue
        yield Section(line, level, title, "\n".join(body).strip())
        line, level, title, body = number, len(heading["marks"]), (heading["title"] or "").strip(), []
    yield Section(line, level, title, "\n".join(body).strip())
