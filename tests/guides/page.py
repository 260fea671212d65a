"""A page as its reader meets it: the fenced blocks, in order, and what is to be done with each. Pure.

=============================  ===================================================================
```` ```bash ````              run, to its end, which must be good
```` ```bash terminal=2 ````   run in another terminal, where it stays
```` ```python ````            run; all such blocks of a page are typed into one interpreter
```` ```html index.html ````   saved under this name, whatever the language
```` ```text ````              what the block above has printed; ``…`` stands for anything
```` ```text terminal=2 ````   what that terminal shows since it was looked at last
```` ``` ````                  an illustration: nothing
=============================  ===================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^```(\w*)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TERMINAL = re.compile(r"terminal=(\d+)")
_ANYTHING = "…"
_LINE_END = re.compile(r"[ \t]+$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block. ``line`` is where it opens; ``terminal`` 0 is the one that the reader types into."""

    language: str
    text: str
    line: int
    file: str = ""
    terminal: int = 0


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page in Markdown."""
    for found in _FENCE.finditer(page):
        language, word, text = found[1], found[2] or "", found[3]
        terminal = _TERMINAL.fullmatch(word)
        yield Block(
            language,
            text,
            line=page.count("\n", 0, found.start()) + 1,
            file="" if terminal else word,
            terminal=int(terminal[1]) if terminal else 0,
        )


def visible(output: str) -> str:
    """An output as a reader sees it: without white space at the ends of lines."""
    return _LINE_END.sub("", output)


def pattern(shown: str) -> re.Pattern[str]:
    """What a page shows as something to match an output with, less white space around it."""
    parts = (re.escape(part) for part in shown.strip().split(_ANYTHING))
    return re.compile(r"\s*" + ".*?".join(parts) + r"\s*", re.DOTALL)
