"""``prefix``: how much of a conversation's next prompt does vLLM find in its prefix cache?

Conversations of ten turns with knowledge, through our whole path, in two layouts of the same words: as access composes
them, the passages beside the question and left out of later turns; and with the passages in the system prompt, where
they change with every question. Tokens are counted with the model's own tokenizer, hits are what the engine's usage
tells. vLLM reuses whole blocks (32 tokens on a CPU): of what stands unchanged, up to 31 tokens a turn cannot be hits.

Usage: ``python -m benchmarks.prefix --rounds 5``
"""

from __future__ import annotations

import random
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openai import OpenAI
from openai.types import CompletionUsage

from access import prompt
from benchmarks import questions, runner, servers, stats
from benchmarks.processes import ROOT, Processes, ProcessFailed
from benchmarks.questions import Question
from benchmarks.report import Figure
from benchmarks.reuse import Reuse, Turn, reuse
from contracts.messages import ChatMessage, Generate
from inference_worker.engines.prompting import Prompter

QUICK = {"turns": 3}
SLOTS = 4


@dataclass(frozen=True)
class Conversation:
    """One that was held. ``problem`` says why its counts cannot be trusted; '' when they can."""

    turns: tuple[Turn, ...]
    answers: tuple[str, ...]
    problem: str


Layout = Callable[[Question, Sequence[ChatMessage]], tuple[ChatMessage, ...]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see ``runner.run`` for the exit status."""
    given = runner.options("prefix", "What the prefix cache saves a conversation.", arguments, QUICK, _add)
    return runner.run("prefix", given, lambda processes, folder: _measure(processes, folder, given))


def beside_the_question(asked: Question, history: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """As access composes it."""
    return prompt.compose(
        asked.text,
        instructions=prompt.FAQ_INSTRUCTIONS,
        history=history,
        passages=asked.passages,
        delimiter=asked.delimiter,
    )


def in_the_system_prompt(asked: Question, history: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """The same words, the passages behind the instructions."""
    shown, _, _ = prompt.beside_passages("", asked.passages, asked.delimiter).rpartition("\n\n")
    return prompt.compose(asked.text, instructions=f"{prompt.FAQ_INSTRUCTIONS}\n\n{shown}", history=history)


def figures(ours: Sequence[Reuse], theirs: Sequence[Reuse]) -> list[Figure]:
    """One ``Reuse`` a conversation; the same conversations in both layouts."""
    hits = stats.spread([one.of_unchanged for one in ours])
    shares = [[one.of_prompts for one in side] for side in (ours, theirs)]
    computed = [[float(one.prompts - one.hits) for one in side] for side in (ours, theirs)]
    return [
        Figure(
            "cache hits, of tokens that stand unchanged",
            "",
            hits.value,
            spread=hits,
            goal="≥ 0.9",
            reached=hits.value >= 0.9,
        ),
        _compared("cache hits, of all prompt tokens", "", *shares),
        _compared("prompt tokens computed in a conversation", "", *computed),
    ]


def _compared(name: str, unit: str, ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    sides = stats.spread(ours).value, stats.spread(theirs).value
    return Figure(name, unit, *sides, spread=stats.paired(ours, theirs), rival="passages in the system prompt")


def _measure(processes: Processes, folder: Path, given: Namespace) -> runner.Result:
    model = servers.Model(Path(given.model).resolve(), slots=SLOTS)
    server = servers.penstock(processes, folder, model)
    ours: list[Conversation] = []
    theirs: list[Conversation] = []
    with OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key=server.key, max_retries=0) as client:
        asker = _Asker(client, server.model, model.folder, given.answer_tokens)
        for seed in range(given.rounds):
            asked = _questions(given.turns, seed)
            ours.append(asker.hold(beside_the_question, asked))
            theirs.append(asker.hold(in_the_system_prompt, asked, ours[-1].answers))
    return runner.Result(
        f"prefix: {given.rounds} conversations of {given.turns} turns, {questions.PASSAGES} passages a question",
        figures(*([reuse(one.turns) for one in side] for side in (ours, theirs))),
        Counter(one.problem for one in (*ours, *theirs) if one.problem),
        data={"ours": [_data(one) for one in ours], "theirs": [_data(one) for one in theirs]},
    )


class _Asker:
    """Holds conversations, and counts their tokens as the engine does."""

    def __init__(self, client: OpenAI, name: str, folder: Path, answer_tokens: int):
        from transformers import AutoTokenizer

        self._client = client
        self._name = name
        self._answer_tokens = answer_tokens
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._prompter = Prompter(self._tokenizer)

    def hold(self, layout: Layout, asked: Sequence[Question], said: Sequence[str] = ()) -> Conversation:
        """One question after the other, behind the questions and answers before it as memory keeps them.

        ``said`` are the answers to keep in place of its own: so the same history stands in both layouts.
        """
        history: list[ChatMessage] = []
        turns: list[Turn] = []
        answers: list[str] = []
        problem = ""
        for number, question in enumerate(asked):
            messages = layout(question, history)
            answer, usage = self._answer(messages)
            answers.append(said[number] if said else answer)
            turn = Turn(self._prompter.token_ids(Generate(messages=messages)), self._ids(answer), _cached(usage))
            if usage.prompt_tokens != len(turn.prompt):
                problem = "a prompt that the engine counts otherwise"
            turns.append(turn)
            history += _kept(question.text, answers[-1])
        return Conversation(tuple(turns), tuple(answers), problem)

    def _answer(self, messages: Sequence[ChatMessage]) -> tuple[str, CompletionUsage]:
        body: Any = [{"role": message.role, "content": message.content} for message in messages]
        told = self._client.chat.completions.create(model=self._name, messages=body, max_tokens=self._answer_tokens)
        if told.usage is None:
            raise ProcessFailed("an answer came without its usage")
        return told.choices[0].message.content or "", told.usage

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))


def _kept(question: str, answer: str) -> tuple[ChatMessage, ChatMessage]:
    return ChatMessage(role="user", content=question), ChatMessage(role="assistant", content=answer)


def _cached(usage: CompletionUsage) -> int:
    details = usage.prompt_tokens_details
    return (details.cached_tokens or 0) if details else 0


def _questions(count: int, seed: int) -> list[Question]:
    """The same for the same seed."""
    chosen = random.Random(seed)
    return [questions.ask(chosen) for _ in range(count)]


def _data(held: Conversation) -> dict[str, Any]:
    turns = [{"prompt": len(turn.prompt), "cached": turn.cached, "answer": len(turn.answer)} for turn in held.turns]
    return {**asdict(reuse(held.turns)), "turns": turns}


def _add(parser: Any) -> None:
    parser.add_argument("--model", default=str(ROOT / "models" / "penstock-faq"), help="folder with the weights")
    parser.add_argument("--turns", type=int, default=10, help="of each conversation")
    parser.add_argument("--answer-tokens", type=int, default=40, help="longest answer")


if __name__ == "__main__":
    sys.exit(main())
