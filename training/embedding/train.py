"""``python -m training.embedding.train``: about half an hour on two cores that compute in bfloat16.

First the new tokens alone learn what their glosses say; then all of the model, on the written FAQs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from training.embedding import evaluate, export, faqs, glossary, lessons, vectors
from training.embedding.faqs import Faq
from training.embedding.vectors import Words

_AT_ONCE = 192
_RANDOM_TEXTS = 6_000
_WARM_UP = 0.1
_MOST_ENTRIES = 24


def main() -> None:
    options = _options()
    torch.manual_seed(options.seed)
    every = faqs.written()
    kept_out = every[:: options.keep_out] if options.keep_out else ()
    known = [faq for faq in every if faq not in kept_out]
    model = vectors.pretrained()
    tokens = vectors.extend(model, glossary.words())
    _distil(model, tokens, _chinese(known, Random(options.seed)), options.distil_rate)
    _teach(model, tokens, known, options)
    vectors.settle(model, tokens)
    for language in ("en", "zh"):
        if some := [faq for faq in kept_out if faq.lang == language]:
            print(f"{language}: {evaluate.dense(model, some)}")
    export.write(model, options.out)


def _distil(model: SentenceTransformer, tokens: Words, texts: Sequence[str], rate: float) -> None:
    """The new tokens learn to say what the glosses say to the model as it was (Hinton, Vinyals, Dean, "Distilling the
    knowledge in a neural network", 2015)."""
    teacher = vectors.pretrained().eval()
    model.eval()
    optimizer = torch.optim.Adam([tokens.learned], lr=rate)
    for start in range(0, len(texts), _AT_ONCE):
        some = texts[start : start + _AT_ONCE]
        with torch.no_grad():
            wanted = vectors.embed(teacher, [glossary.in_english(text) for text in some])
        loss = (1 - (wanted * vectors.embed(model, some)).sum(1)).mean()
        optimizer.param_groups[0]["lr"] = rate * max(0.05, 1 - start / len(texts))
        _step(model, loss, optimizer)
        if start % (20 * _AT_ONCE) == 0:
            print(f"distilling {start} of {len(texts)}: {loss.item():.3f}", flush=True)


def _teach(model: SentenceTransformer, tokens: Words, known: Sequence[Faq], options: argparse.Namespace) -> None:
    """Lesson after lesson, of FAQs in one language, through all of them ``--rounds`` times."""
    rng = Random(options.seed)
    choice = lessons.Choice()
    body = vectors.body(model)
    rates = (options.rate, options.token_rate, 1e-2)
    groups = (body, [tokens.learned], list(choice.parameters()))
    optimizer = torch.optim.AdamW([{"params": group} for group in groups], weight_decay=0.01)
    course = [some for _ in range(options.rounds) for some in _round(rng, known)]
    began = time.monotonic()
    model.train()
    for number, some in enumerate(course):
        passed = number / len(course)
        share = min(1.0, (passed + 1 / len(course)) / _WARM_UP) * max(0.02, 1 - passed)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * share
        lesson = lessons.draw(rng, some)
        embedded = vectors.embed(model, [*lesson.rows, *lesson.questions])
        rows, questions = embedded[: len(lesson.rows)], embedded[len(lesson.rows) :]
        choosing, telling = lessons.loss(lesson, rows, questions, choice)
        _step(model, choosing + telling, optimizer)
        if number % 20 == 0:
            told = f"choosing {choosing.item():.3f}, telling apart {telling.item():.3f}"
            print(f"lesson {number} of {len(course)} at {time.monotonic() - began:.0f} s: {told}", flush=True)


def _step(model: nn.Module, loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    model.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def _round(rng: Random, known: Sequence[Faq]) -> list[list[Faq]]:
    """All FAQs once, in groups of one language with about as many entries each."""
    groups: list[list[Faq]] = []
    for language in ("en", "zh"):
        spoken = [faq for faq in known if faq.lang == language]
        groups += _grouped(rng.sample(spoken, len(spoken)))
    return rng.sample(groups, len(groups))


def _grouped(some: Sequence[Faq]) -> Iterator[list[Faq]]:
    group: list[Faq] = []
    for faq in some:
        if group and sum(len(one.entries) for one in (*group, faq)) > _MOST_ENTRIES:
            yield group
            group = []
        group.append(faq)
    if group:
        yield group


def _chinese(known: Sequence[Faq], rng: Random) -> list[str]:
    """Every Chinese text of the FAQs, every word, and words in no order."""
    words = glossary.words()
    texts = [text for faq in known if faq.lang == "zh" for text in faq.texts()]
    texts += words + ["".join(rng.sample(words, 3)) for _ in range(_RANDOM_TEXTS)]
    return rng.sample(texts, len(texts))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=export.MODEL, help="folder of the exported model")
    parser.add_argument("--rounds", type=int, default=6, help="how often every FAQ is gone through")
    parser.add_argument("--rate", type=float, default=5e-5, help="highest learning rate of the model")
    parser.add_argument("--token-rate", type=float, default=5e-4, help="that of the new tokens")
    parser.add_argument("--distil-rate", type=float, default=2e-3, help="that of the new tokens while distilling")
    parser.add_argument(
        "--keep-out", type=int, default=10, help="keep every so many-th FAQ out and report on those; 0: none"
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
