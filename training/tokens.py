"""The tokenizer, the chat template, and scenes as token ids.

Text is cut before each line break, number of three digits and Chinese character, so that a passage's first token after
its heading's line break is the very token with which the answer starts: copying works from the first token on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from contracts.messages import ChatMessage
from training import scenes
from training.entries import Corpus
from training.scenes import Scene

VOCABULARY = 4096
PAD, SYSTEM, USER, ASSISTANT, END = "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIAL = (PAD, SYSTEM, USER, ASSISTANT, END)
OPENING = f"{ASSISTANT}\n"
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n"
    "{{ message['content'] | replace('<|', '< |') }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
_PIECES = r"\n|\p{Han}| ?(?:(?!\p{Han})\p{L})+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|[^\S\n]+"
_ASKED = "Question: "
_TRAINED_ON = 9_000


@dataclass(frozen=True)
class Sequence:
    """One branch in tokens: what comes after the shared prefix, and how many of its last tokens are the answer.

    ``cited`` is where the passage that it copies begins in the prefix, -1 if it copies none.
    """

    ids: list[int]
    answer: int
    cited: int = -1


@dataclass(frozen=True)
class Tree:
    """A scene in tokens."""

    prefix: list[int]
    branches: list[Sequence]

    def __len__(self) -> int:
        return len(self.prefix) + sum(len(branch.ids) for branch in self.branches)


def render(messages: tuple[ChatMessage, ...]) -> str:
    """The prompt as the chat template writes it, ready for the answer."""
    return "".join(f"<|{m.role}|>\n{_escaped(m.content)}{END}\n" for m in messages) + OPENING


def make(corpus: Path) -> Tokenizer:
    """Train the byte-level BPE on rendered scenes and free texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sample(Corpus.read(corpus)), trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of ``text``, its special tokens parsed, nothing added."""
    return tokenizer.encode(text, add_special_tokens=False).ids


def tree(tokenizer: Tokenizer, scene: Scene, whole: int, teaser: int = 8) -> Tree:
    """``scene`` in tokens. ``whole`` answers are learned to their end, of the others the first ``teaser`` tokens:
    choosing the passage is harder than copying it, and costs less.
    """
    prefix, opening = _parts(scene)
    encoded = tokenizer.encode(prefix, add_special_tokens=False)
    starts = {start: index for index, (start, _) in reversed(list(enumerate(encoded.offsets)))}
    found: list[Sequence] = []
    for branch in scene.branches:
        asked = encode(tokenizer, f"{opening}{_escaped(branch.question)}{END}\n{OPENING}")
        answer = encode(tokenizer, branch.answer + END)
        if branch.position and whole <= 0:
            answer = answer[:teaser]
        whole -= branch.position > 0
        shown = prefix.rfind(f"\n{_escaped(branch.answer)}\n") if branch.position else -1
        found.append(Sequence(asked + answer, len(answer), -1 if shown < 0 else starts[shown + 1]))
    return Tree(encoded.ids, found)


def _parts(scene: Scene) -> tuple[str, str]:
    """The text that all questions of ``scene`` share, and what stands directly before each."""
    branch = scene.branches[0]
    text = render(scene.messages(branch))
    opening = _ASKED if scene.passages is not None else "\n"
    return text[: text.rindex(f"{opening}{_escaped(branch.question)}{END}")], opening


def _escaped(text: str) -> str:
    """``text`` as the template writes it: nothing in it reads as a special token."""
    return text.replace("<|", "< |")


def _sample(corpus: Corpus) -> list[str]:
    rng = Random(7)
    drawn = [scenes.draw(rng, corpus) for _ in range(_TRAINED_ON)]
    shown = [render(scene.messages(branch)) for scene in drawn for branch in scene.branches[:2]]
    return [*shown, *rng.sample(list(corpus.english), 1500), *(text for text in corpus.chinese)]
