"""How many tokens a prompt takes, and what of the model's context is left for what is remembered.

Admission is asked before anything is read, so it hears an estimate; once the prompt is composed it hears the real size.
The worker has the last word on both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from access.asked import Asked
from access.fleet import Fleet, estimate
from contracts.messages import Passage

TEMPLATE_TOKENS = 8
"""What a chat template adds to a message, at most; a margin, since the worker has the last word."""
DEFAULT_CONTEXT = 4096
"""Where no worker has said how much its model reads."""
COUNTED_CHARACTERS = 16_384
"""A longer text is estimated: to count it takes longer than 10 ms."""
PASSAGE_TOKENS = 100
"""What a passage is expected to cost, before it is known."""
PASSAGE_FRAME_TOKENS = 16
"""What the lines around a passage, its heading and its mark add to its text, at most."""

SUMMARY_TOKENS = 256
"""The longest summary; of a model that reads little, an eighth of that."""
SUMMARY_FRAME_TOKENS = 48
"""What the lines around a summary add to its text, at most."""

Count = Callable[[str], int]


class Estimating:
    """Counts by the tokenizers that the fleet has announced. Holds no state of any request."""

    def __init__(self, fleet: Fleet, default_answer_tokens: int):
        self._fleet = fleet
        self._default_answer_tokens = default_answer_tokens

    def counter(self, model: str) -> Count:
        """How to count a message with what the chat template puts around it."""
        count = _bounded(self._fleet.counter(model))
        return lambda text: count(text) + TEMPLATE_TOKENS

    def context(self, model: str) -> int:
        """How many tokens a model reads and writes, as far as is known."""
        known = self._fleet.facts(model)
        return (known.max_model_len if known else 0) or DEFAULT_CONTEXT

    def summary_tokens(self, model: str) -> int:
        """How long a summary of a conversation with this model may be."""
        return min(SUMMARY_TOKENS, self.context(model) // 8)

    def estimated(self, asked: Asked) -> Asked:
        """The question with the size of its prompt, as far as it can be known before anything is read."""
        count = self.counter(asked.model)
        texts = [asked.instructions, asked.question, *(message.content for message in asked.history)]
        said = sum(count(text) for text in texts if text)
        return replace(asked, said_tokens=said, prompt_tokens=said + asked.remembered_tokens + _passage_budget(asked))

    def composed(self, asked: Asked, remembered: int, passages: Sequence[Passage]) -> int:
        """The size of the prompt, once it is known what it shows."""
        count = self.counter(asked.model)
        shown = sum(count(f"{passage.title}\n{passage.text}") + PASSAGE_FRAME_TOKENS for passage in passages)
        return asked.said_tokens + remembered + shown

    def memory_budget(self, asked: Asked) -> int:
        """What the window leaves for facts and history; each sequence needs the room of an answer once."""
        answer = asked.parameters.max_tokens or self._default_answer_tokens
        return self.context(asked.model) - asked.said_tokens - _passage_budget(asked) - answer - 2 * TEMPLATE_TOKENS


def _bounded(count: Count) -> Count:
    """The same count for texts of a usual length; an estimate for long ones, whose exact count would hold up everybody
    else in this process."""
    return lambda text: count(text) if len(text) <= COUNTED_CHARACTERS else estimate(text)


def _passage_budget(asked: Asked) -> int:
    return PASSAGE_TOKENS * asked.passages if asked.wants_knowledge else 0
