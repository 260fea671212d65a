"""What a FAQ teaches: its questions against its entries, as a choice whose outside option is "no entry answers this".

The choice is the one that ``rag.fusion`` makes in service, of cosines alone. Beside it stands a contrastive loss over
all entries at hand (van den Oord, Li, Vinyals, "Representation learning with contrastive predictive coding", 2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.embedding.faqs import Faq

TEMPERATURE = 0.05
NOWHERE = -1
_ALSO = (0, 0, 1, 2, 3)
_ASKED = 3
_HEADED = 0.3


@dataclass(frozen=True)
class Lesson:
    """Rows to embed and questions to ask. ``owners`` says whose entry each row is, ``answers`` which entry answers each
    question (``NOWHERE``: none), ``faqs`` and ``askers`` of which FAQ each entry and each question is."""

    rows: list[str]
    owners: list[int]
    faqs: list[int]
    questions: list[str]
    answers: list[int]
    askers: list[int]


class Choice(nn.Module):
    """How a cosine becomes a log-odds: learned beside the model, and not kept."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(math.log(15.0)))
        self.even = nn.Parameter(torch.tensor(0.5))

    def forward(self, cosines: Tensor) -> Tensor:
        return self.scale.exp() * (cosines - self.even)


def draw(rng: Random, some: Sequence[Faq]) -> Lesson:
    """A lesson of these FAQs, another each time: up to three of an entry's six other ways to ask stand in the store, as
    an owner would write them, up to three of the rest are asked, and now and then the heading itself."""
    lesson = Lesson([], [], [], [], [], [])
    for number, faq in enumerate(some):
        stored = rng.choice(_ALSO)
        for entry in faq.entries:
            place = len(lesson.faqs)
            ways = rng.sample(entry.ask, len(entry.ask))
            rows = [f"{entry.q}\n{entry.a}", *ways[:stored]]
            asked = [*ways[stored : stored + _ASKED], *([entry.q.lower()] if rng.random() < _HEADED else [])]
            lesson.faqs.append(number)
            lesson.rows.extend(rows)
            lesson.owners.extend([place] * len(rows))
            _ask(lesson, asked, place, number)
        _ask(lesson, faq.beside, NOWHERE, number)
    return lesson


def _ask(lesson: Lesson, questions: Sequence[str], answer: int, faq: int) -> None:
    lesson.questions.extend(questions)
    lesson.answers.extend([answer] * len(questions))
    lesson.askers.extend([faq] * len(questions))


def loss(lesson: Lesson, rows: Tensor, questions: Tensor, choice: Choice) -> tuple[Tensor, Tensor]:
    """The loss of choosing, and the contrastive one, from the vectors of the lesson's rows and questions."""
    cosines = nearest(questions @ rows.T, torch.tensor(lesson.owners), len(lesson.faqs))
    answers = torch.tensor(lesson.answers)
    elsewhere = torch.tensor(lesson.askers)[:, None] != torch.tensor(lesson.faqs)[None]
    odds = choice(cosines).masked_fill(elsewhere, float("-inf"))
    outside = torch.zeros(len(odds), 1)
    chosen = torch.where(answers == NOWHERE, odds.shape[1], answers)
    choosing = functional.cross_entropy(torch.cat((odds, outside), 1), chosen)
    inside = answers != NOWHERE
    return choosing, functional.cross_entropy(cosines[inside] / TEMPERATURE, answers[inside])


def nearest(cosines: Tensor, owners: Tensor, entries: int) -> Tensor:
    """From cosines with rows to cosines with entries ``[questions, entries]``: an entry's nearest row stands for it."""
    least = torch.full((len(cosines), entries), -1.0)
    return least.scatter_reduce(1, owners.expand(len(cosines), -1), cosines, "amax", include_self=False)
