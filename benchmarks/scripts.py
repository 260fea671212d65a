"""What is asked of the scripted engine, and what it must answer: its answer is a pure function of the prompt.

So a lost, doubled or reordered token is found exactly, in every answer of every leg, without a second side to compare
with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.answers import Answer
from benchmarks.load import Leg
from contracts.messages import ChatMessage, Generate
from inference_worker.engines.scripted import answer_tokens, token_text

Messages = list[dict[str, Any]]


def ask(count: int, seed: int, *, tokens: int, pause: float = 0.0) -> list[Messages]:
    """``count`` prompts, each of which begins its answer elsewhere; ``pause`` is seconds between two tokens."""
    script = f"tokens={tokens}" + (f" pause={pause:g}" if pause else "")
    return [[{"role": "user", "content": f"question {seed}-{number} {script}"}] for number in range(count)]


def expected(messages: Messages, tokens: int) -> list[str]:
    """The words of the right answer."""
    task = Generate(messages=tuple(ChatMessage(role=said["role"], content=said["content"]) for said in messages))
    return [token_text(token).strip() for token in answer_tokens(task, 0, tokens)]


def fault(text: str, words: Sequence[str]) -> str:
    """What is wrong with an answer that should consist of ``words``; '' when nothing is."""
    got = text.split()
    if got == list(words):
        return ""
    if len(got) != len(words):
        return "tokens lost" if len(got) < len(words) else "tokens doubled"
    return "tokens reordered" if Counter(got) == Counter(words) else "tokens lost and doubled"


def checked(leg: Leg, questions: Sequence[Messages], tokens: int) -> Leg:
    """The same leg, with the problem of every answer that is not word for word what the engine said."""
    answers = (_checked(*both, tokens) for both in zip(leg.answers, questions, strict=True))
    return replace(leg, answers=tuple(answers))


def _checked(answer: Answer, messages: Messages, tokens: int) -> Answer:
    return replace(answer, problem=answer.problem or fault(answer.text, expected(messages, tokens)))
