"""``python -m training.evaluate``: how often an exported model copies exactly, cites rightly, refuses rightly.

It runs the exported folder through transformers, greedily, on held-out prompts.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Iterable
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
        """What the model says to each prompt; those of like length are asked together."""
        prompts = [self._prompt(exam) for exam in exams]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        said = [""] * len(prompts)
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            for index, text in zip(chosen, self._generate([prompts[i] for i in chosen]), strict=True):
                said[index] = text
        return said

    def _prompt(self, exam: Exam) -> str:
        messages = [{"role": message.role, "content": message.content} for message in exam.messages]
        return str(self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))

    def _generate(self, prompts: list[str]) -> list[str]:
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
    rows = [f"  {kind:10} {len(pairs):4} asked, {_rates(kind, pairs)}" for kind, pairs in sorted(by_kind.items())]
    return "\n".join(rows)


def _rates(kind: str, pairs: list[tuple[Exam, str]]) -> str:
    exact = _share(text == exam.answer for exam, text in pairs)
    if kind != "passage":
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
    sets = {"written": held_out.written()}
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
        print(f"    {question!r}\n      said   {text!r}\n      wanted {exam.answer!r}")


if __name__ == "__main__":
    main()
