"""How well vectors alone find entries and tell what is beside a FAQ."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import torch
from sentence_transformers import SentenceTransformer

from rag.evaluation import Ranked, score
from training.embedding import lessons, vectors
from training.embedding.faqs import Faq


def dense(model: SentenceTransformer, some: Sequence[Faq], seed: int = 5) -> str:
    """hit@1, MRR and refusal AUC over all questions of these FAQs, each asked of its own."""
    rng = Random(seed)
    ranked: list[Ranked] = []
    for faq in some:
        lesson = lessons.draw(rng, [faq])
        with torch.no_grad():
            rows, questions = (vectors.embed(model, texts) for texts in (lesson.rows, lesson.questions))
        cosines = lessons.nearest(questions @ rows.T, torch.tensor(lesson.owners), len(lesson.faqs))
        for answer, row in zip(lesson.answers, cosines, strict=True):
            order = [str(place) for place in row.argsort(descending=True).tolist()]
            ranked.append(Ranked(None if answer == lessons.NOWHERE else str(answer), order, float(row.max())))
    found = score(ranked)
    return f"{len(ranked)} questions, hit@1 {found.hit_at_1:.3f}, MRR {found.mrr:.3f}, AUC {found.auc:.3f}"
