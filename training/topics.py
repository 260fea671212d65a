"""The written topics: each holds several wordings of one question and several answers with slots to fill."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TEXTS = Path(__file__).parent / "texts"


@dataclass(frozen=True)
class Topic:
    """One subject of a FAQ. Every question is answered by every answer."""

    name: str
    questions: tuple[str, ...]
    answers: tuple[str, ...]


@cache
def topics(name: str) -> tuple[Topic, ...]:
    """The topics of ``texts/NAME.txt``, in its order."""
    blocks = (TEXTS / f"{name}.txt").read_text(encoding="utf-8").split("\n## ")[1:]
    return tuple(_topic(block) for block in blocks)


@cache
def lines(name: str) -> tuple[str, ...]:
    """The lines of ``texts/NAME.txt`` that are neither empty nor a comment (``# ``)."""
    text = (TEXTS / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("# "))


@cache
def neighbours(name: str, count: int = 8) -> dict[str, tuple[Topic, ...]]:
    """For each topic the ``count`` topics whose questions share most words with it: distractors worth telling apart."""
    bags = {topic: _words(topic) for topic in topics(name)}
    seen = Counter(word for bag in bags.values() for word in bag)

    def nearness(a: Topic, b: Topic) -> float:
        return sum(1 / seen[word] for word in bags[a] & bags[b])

    return {
        topic.name: tuple(sorted((t for t in bags if t != topic), key=lambda t: -nearness(topic, t))[:count])
        for topic in bags
    }


def _topic(block: str) -> Topic:
    name, *rows = block.strip().splitlines()
    return Topic(
        name=name,
        questions=tuple(row[2:] for row in rows if row.startswith("Q ")),
        answers=tuple(row[2:] for row in rows if row.startswith("A ")),
    )


def _words(topic: Topic) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]{3,}|[\u4e00-\u9fff]", " ".join(topic.questions).lower()))
