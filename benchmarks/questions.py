"""What benchmarks ask: the prompts of the product itself, drawn from the sample FAQ with a seed. Pure.

Each prompt holds three passages and a question that one of them answers, composed as access composes them, so that the
bundled model answers at length. A fresh delimiter makes every prompt a new one behind the instructions; those stay in
the prefix cache of either side, as they do in use.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Any

from access import prompt
from benchmarks.processes import ROOT
from contracts.messages import Passage
from rag.loaders import FaqEntry, load_faq

FAQ = ROOT / "rag" / "sample" / "faq.jsonl"
PASSAGES = 3


@dataclass(frozen=True)
class Question:
    """What is asked, the passages that were found for it, and their delimiter, drawn anew for every question."""

    text: str
    passages: tuple[Passage, ...]
    delimiter: str


def draw(count: int, seed: int) -> list[list[dict[str, Any]]]:
    """``count`` prompts as OpenAI messages; the same for the same seed."""
    chosen = random.Random(seed)
    return [_messages(chosen) for _ in range(count)]


def ask(chosen: random.Random) -> Question:
    """One question that one of its passages answers."""
    entries = chosen.sample(_entries(), PASSAGES)
    text = chosen.choice(entries).question
    return Question(text, tuple(_passage(entry) for entry in entries), f"--- {chosen.randrange(16**6):06x}")


def _messages(chosen: random.Random) -> list[dict[str, Any]]:
    question = ask(chosen)
    composed = prompt.compose(
        question.text,
        instructions=prompt.FAQ_INSTRUCTIONS,
        passages=question.passages,
        delimiter=question.delimiter,
    )
    return [{"role": message.role, "content": message.content} for message in composed]


def _passage(entry: FaqEntry) -> Passage:
    return Passage(id=entry.key, collection="faq", source=FAQ.name, title=entry.question, text=entry.answer, score=1.0)


@cache
def _entries() -> list[FaqEntry]:
    return load_faq(FAQ.name, FAQ.read_bytes())
