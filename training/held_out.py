"""Held-out questions: prompts from the training generator with unseen seeds, and a FAQ written apart from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from access import prompt
from contracts.messages import ChatMessage, Passage
from training import scenes, topics
from training.entries import Corpus
from training.scenes import Kind

UNSEEN = 90_001
_SHOWN = 3


@dataclass(frozen=True)
class Exam:
    """One prompt and the answer it should get."""

    messages: tuple[ChatMessage, ...]
    answer: str
    kind: Kind


@dataclass(frozen=True)
class Written:
    """One entry of ``texts/held_out.txt``."""

    bank: str
    title: str
    text: str
    questions: tuple[str, ...]


def generated(corpus: Corpus, count: int) -> list[Exam]:
    """One question of each of ``count`` generated scenes."""
    rng = Random(UNSEEN)
    drawn = [scenes.draw(rng, corpus) for _ in range(count)]
    return [
        Exam(scene.messages(scene.branches[0]), scene.branches[0].answer, scene.branches[0].kind) for scene in drawn
    ]


def written() -> list[Exam]:
    """Every written question beside three passages of its FAQ, the likeliest by shared words, in random order.

    Each entry's first question is asked once more without its passage, and is to be refused; so are foreign questions.
    """
    rng = Random(UNSEEN)
    known = entries()
    found = [_asked(rng, entry, question, known) for entry in known for question in entry.questions]
    found += [_unanswered(rng, entry, known) for entry in known]
    found += [_foreign(rng, question, known) for question in topics.lines("held_out_refused")]
    return found


def entries() -> list[Written]:
    """The written FAQ."""
    return list(_read())


def _read() -> Iterator[Written]:
    bank, title, text, questions = "", "", "", list[str]()
    for line in (*topics.lines("held_out"), "## end"):
        if line[:2] in ("T ", "##") and title:
            yield Written(bank, title, text, tuple(questions))
            title, questions = "", []
        if line.startswith("## "):
            bank = line[3:]
        elif line.startswith("T "):
            title = line[2:]
        elif line.startswith("A "):
            text = line[2:]
        else:
            questions.append(line[2:])


def _asked(rng: Random, entry: Written, question: str, known: list[Written]) -> Exam:
    shown = [entry, *_likeliest(entry, question, known)[: _SHOWN - 1]]
    rng.shuffle(shown)
    answer = f"{prompt.clean(entry.text)} {prompt.mark(shown.index(entry) + 1)}"
    return Exam(_composed(rng, question, shown), answer, "passage")


def _unanswered(rng: Random, entry: Written, known: list[Written]) -> Exam:
    question = entry.questions[0]
    return Exam(_composed(rng, question, _likeliest(entry, question, known)[:_SHOWN]), prompt.REFUSAL, "refusal")


def _foreign(rng: Random, question: str, known: list[Written]) -> Exam:
    first = rng.choice(known)
    shown = [first, *_likeliest(first, question, known)[: _SHOWN - 1]] if rng.random() < 0.8 else []
    return Exam(_composed(rng, question, shown), prompt.REFUSAL, "refusal")


def _likeliest(entry: Written, question: str, known: list[Written]) -> list[Written]:
    """The other entries of the same FAQ, most words shared with the question first."""
    others = [other for other in known if other.bank == entry.bank and other is not entry]
    return sorted(others, key=lambda other: -len(_words(question) & _words(f"{other.title} {other.text}")))


def _composed(rng: Random, question: str, shown: list[Written]) -> tuple[ChatMessage, ...]:
    passages = [
        Passage(id=str(number), collection="", source="", title=entry.title, text=entry.text, score=1.0)
        for number, entry in enumerate(shown)
    ]
    delimiter = f"--- {rng.getrandbits(24):06x}"
    return prompt.compose(question, instructions=prompt.FAQ_INSTRUCTIONS, passages=passages, delimiter=delimiter)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+|[\u4e00-\u9fff]", text.lower()))
