"""Chinese words and what they mean in English, written for this project: the bridge to a model that knows no Chinese.

A word's token begins as the mean of its gloss (``vectors.extend``) and then learns to say what the gloss says in a
sentence (``distil``).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FILE = Path(__file__).parents[1] / "texts" / "glossary.tsv"
LONGEST_TOKEN = 3
"""Characters of a word that becomes a token of its own. Longer ones are read in parts: too rare to learn."""


@cache
def glossary() -> dict[str, str]:
    """The gloss of every word."""
    rows = (line.split("\t") for line in _FILE.read_text(encoding="utf-8").splitlines())
    return {word: gloss for word, gloss in rows}  # noqa: C416  (the lists have two members, which a checker cannot see)


def words() -> list[str]:
    """The words that become tokens."""
    return [word for word in glossary() if len(word) <= LONGEST_TOKEN]


def in_english(text: str) -> str:
    """``text`` with each Chinese word replaced by its gloss, the longest word first; what has none stays."""
    known = glossary()
    longest = max(map(len, known))
    read: list[str] = []
    at = 0
    while at < len(text):
        word = next((text[at:end] for end in range(at + longest, at, -1) if text[at:end] in known), "")
        read.append(f" {known[word]} " if word else text[at])
        at += len(word) or 1
    return "".join(read)
