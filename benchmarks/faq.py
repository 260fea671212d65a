"""``penstock bench faq``: how right the FAQ bot is, asked through the public API of a running ``penstock up``.

Every held-out question of the sample is put to ``faq-bot`` through the OpenAI SDK. An *exact copy* is the entry's
answer and nothing else before its mark, as a share of the questions that the FAQ answers; a *right citation* leads to
that entry, as a share of all answers that cite; a *right refusal* is the refusal, as a share of the questions that the
FAQ does not answer. The questions were written for the sample and are not part of it, nor of the model's training.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI

from access.prompt import REFUSAL
from penstock import target

SAMPLE = Path(__file__).resolve().parent.parent / "rag" / "sample"
AT_ONCE = 1


@dataclass(frozen=True)
class Asked:
    """A question, and the entry that answers it; ``None`` when the FAQ has none."""

    question: str
    entry: dict[str, str] | None


@dataclass(frozen=True)
class Outcome:
    """What came back: the text, the question of the entry that it cites, and whether knowledge was searched at all."""

    asked: Asked
    text: str
    cited: str
    skipped: bool

    @property
    def is_copy(self) -> bool:
        return self.asked.entry is not None and self.text.rpartition(" [")[0] == self.asked.entry["answer"]

    @property
    def is_cited(self) -> bool:
        return self.asked.entry is not None and self.cited == self.asked.entry["question"]

    @property
    def is_refused(self) -> bool:
        return self.text.strip() == REFUSAL


def main() -> int:
    options = _options()
    found = target.find(options.url, options.data)
    outcomes = asyncio.run(ask_all(found, held_out(options.count, options.seed)))
    print(json.dumps(figures(outcomes), indent=2))
    if options.show:
        for outcome in outcomes:
            _show(outcome)
    return 0


def held_out(count: int, seed: int) -> list[Asked]:
    """``count`` of the sample's questions, drawn by ``seed``; all of them if there are fewer."""
    entries = {entry["key"]: entry for entry in _rows("faq.jsonl")}
    asked = [Asked(row["question"], entries[row["key"]] if row["key"] else None) for row in _rows("questions.jsonl")]
    random.Random(seed).shuffle(asked)
    return asked[:count]


async def ask_all(found: target.Target, questions: list[Asked]) -> list[Outcome]:
    """Put the questions to ``faq-bot``, one after the other: this is about right and wrong, not about load."""
    room = asyncio.Semaphore(AT_ONCE)
    async with AsyncOpenAI(base_url=f"{found.url}/v1", api_key=found.key) as client:

        async def ask(asked: Asked) -> Outcome:
            async with room:
                response = await client.responses.create(model="faq-bot", input=asked.question)
            message: Any = response.output[0]  # one of thirty kinds for the SDK; ours is a message
            part = message.content[0]
            titles = [str(getattr(annotation, "title", "")) for annotation in part.annotations]
            skipped = getattr(response, "retrieval_skipped", None) is not None
            return Outcome(asked, response.output_text, titles[0] if titles else "", skipped)

        return list(await asyncio.gather(*(ask(asked) for asked in questions)))


def figures(outcomes: list[Outcome]) -> dict[str, float]:
    """The rates, and over how many questions each was taken."""
    known = [outcome for outcome in outcomes if outcome.asked.entry]
    unknown = [outcome for outcome in outcomes if not outcome.asked.entry]
    citing = [outcome for outcome in outcomes if outcome.cited]
    return {
        "questions_in_the_faq": len(known),
        "exact_copies": _share(outcome.is_copy for outcome in known),
        "wrong_refusals": _share(outcome.is_refused for outcome in known),
        "answers_that_cite": len(citing),
        "right_citations": _share(outcome.is_cited for outcome in citing),
        "questions_beside_the_faq": len(unknown),
        "right_refusals": _share(outcome.is_refused for outcome in unknown),
        "retrieval_skipped": sum(outcome.skipped for outcome in outcomes),
    }


def _share(right: Iterable[bool]) -> float:
    counted = list(right)
    return round(sum(counted) / max(1, len(counted)), 3)


def _show(outcome: Outcome) -> None:
    expected = outcome.asked.entry["answer"] if outcome.asked.entry else REFUSAL
    right = outcome.is_copy if outcome.asked.entry else outcome.is_refused
    if not right:
        print(f"\n? {outcome.asked.question}\n- {expected}\n+ {outcome.text}  (cites: {outcome.cited})")


def _rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (SAMPLE / name).read_text(encoding="utf-8").splitlines()]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=None, help="an access process; by default the one of 'penstock up'")
    parser.add_argument("--data", type=Path, default=Path(".penstock"), help="the data folder of 'penstock up'")
    parser.add_argument("--count", type=int, default=200, help="how many questions")
    parser.add_argument("--seed", type=int, default=1, help="which questions")
    parser.add_argument("--show", action="store_true", help="print what was not right")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
