"""``python -m training.evaluate``: how often an exported model copies exactly, cites rightly, refuses rightly.

It runs the exported folder through transformers, greedily, on held-out prompts.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from access import prompt
from training import export, held_out
from training.entries import Corpus
from training.held_out import Exam
from training.prepare import WORK

_BATCH = 16
_LONGEST_ANSWER = 320
_MARK = re.compile(r" \[\d+\]$")


class Answerer:
    """An exported model, loaded as anybody would load it."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._tokenizer.padding_side = "left"

    def answers(self, exams: list[Exam]) -> list[str]:
        """What the model says to each prompt. One pass finds those it answers rightly; the rest is generated."""
        said = [exam.answer for exam in exams]
        wrong = [i for i, right in enumerate(self._in_batches(exams, self._right)) if not right]
        for index, text in zip(wrong, self._in_batches([exams[i] for i in wrong], self._generated), strict=True):
            said[index] = text
        return said

    def _in_batches(self, exams: list[Exam], ask: Callable[[list[Exam]], list[Any]]) -> list[Any]:
        """``ask`` of every exam; those of like length are asked together."""
        found: dict[int, Any] = {}
        order = sorted(range(len(exams)), key=lambda i: sum(len(message.content) for message in exams[i].messages))
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            found |= dict(zip(chosen, ask([exams[i] for i in chosen]), strict=True))
        return [found[i] for i in range(len(exams))]

    def _right(self, exams: list[Exam]) -> list[bool]:
        """Whether the model, word for word, would say the answers: each of their tokens is the likeliest there."""
        end = self._tokenizer.eos_token
        prompts = [len(self._ids(self._prompt(exam))) for exam in exams]
        rows = [self._ids(f"{self._prompt(exam)}{exam.answer}{end}") for exam in exams]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [self._tokenizer.pad_token_id] * (longest - len(row)) for row in rows])
        with torch.no_grad():
            likeliest = self._model(input_ids=ids).logits.argmax(-1)
        return [
            bool((likeliest[i, asked - 1 : len(row) - 1] == ids[i, asked : len(row)]).all())
            for i, (asked, row) in enumerate(zip(prompts, rows, strict=True))
        ]

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    def _prompt(self, exam: Exam) -> str:
        messages = [{"role": message.role, "content": message.content} for message in exam.messages]
        return str(self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))

    def _generated(self, exams: list[Exam]) -> list[str]:
        prompts = [self._prompt(exam) for exam in exams]
        inputs = self._tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        inputs.pop("token_type_ids", None)
        with torch.no_grad():
            ids = self._model.generate(**inputs, max_new_tokens=_LONGEST_ANSWER, do_sample=False, temperature=None)
        return self._tokenizer.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def report(exams: list[Exam], said: list[str]) -> str:
    """The rates, one line per kind of question."""
    by_kind: dict[str, list[tuple[Exam, str]]] = defaultdict(list)
    for exam, text in zip(exams, said, strict=True):
        by_kind[exam.kind].append((exam, text))
    rows = [f"  {kind:28} {len(pairs):4} asked, {_rates(pairs)}" for kind, pairs in sorted(by_kind.items())]
    return "\n".join(rows)


def _rates(pairs: list[tuple[Exam, str]]) -> str:
    exact = _share(text == exam.answer for exam, text in pairs)
    if not any(_mark(exam.answer) for exam, _ in pairs):
        return f"exact {exact:.1%}"
    cited = _share(_mark(text) == _mark(exam.answer) for exam, text in pairs)
    refused = _share(text == prompt.REFUSAL for _, text in pairs)
    return f"exact {exact:.1%}, right mark {cited:.1%}, wrongly refused {refused:.1%}"


def _share(outcomes: Iterable[bool]) -> float:
    counted = list(outcomes)
    return sum(counted) / len(counted)


def _mark(text: str) -> str:
    found = _MARK.search(text)
    return found[0] if found else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=export.MODEL)
    parser.add_argument("--work", type=Path, default=WORK, help="folder with the corpus")
    parser.add_argument("--generated", type=int, default=300, help="how many generated prompts; 0 needs no corpus")
    parser.add_argument("--wrong", type=int, default=0, help="how many wrong answers to show")
    options = parser.parse_args()
    answerer = Answerer(options.model)
    sets = {"written": held_out.written(), "names": held_out.names(), "sample": held_out.sample()}
    if options.generated:
        sets["generated"] = held_out.generated(Corpus.read(options.work / "corpus"), options.generated)
    for name, exams in sets.items():
        said = answerer.answers(exams)
        print(f"{name}:\n{report(exams, said)}", flush=True)
        _show_wrong(exams, said, options.wrong)


def _show_wrong(exams: list[Exam], said: list[str], count: int) -> None:
    wrong = [(exam, text) for exam, text in zip(exams, said, strict=True) if text != exam.answer]
    for exam, text in wrong[:count]:
        question = exam.messages[-1].content.rsplit("Question: ", 1)[-1]
        print(f"    {exam.kind}: {question!r}\n      said   {text!r}\n      wanted {exam.answer!r}")


if __name__ == "__main__":
    main()
