"""Scenes: one prompt prefix with several questions, each with the answer the model should give.

The prompt is the one that ``access.prompt`` composes. Questions about the same passages share their prefix in training,
so a batch costs a third of what separate prompts would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from access import prompt
from contracts.messages import ChatMessage, Passage
from training import entries, slots
from training.entries import Corpus, Entry
from training.wording import is_han

PASSAGES = (4, 72, 10, 10, 2, 2)
"""How often a scene shows 0, 1, … 5 passages. Mostly one: what retrieval thinks best. Copying it faithfully is what a
model of this size learns first; choosing among several takes longer than it was trained (see the model card)."""

ECHOES = 0.4
"""How many passages repeat some of their own words: who copies by the last word alone gets lost in them."""

Kind = Literal["passage", "refusal", "small_talk"]
_INSTRUCTIONS = ("You are a helpful assistant.", "Answer briefly.", "Answer from the passages and cite them.", "")


@dataclass(frozen=True)
class Branch:
    """One question and its answer. ``position`` is the mark's number, 0 where nothing is cited."""

    question: str
    answer: str
    kind: Kind
    position: int = 0


@dataclass(frozen=True)
class Scene:
    """What stands before the question, and the questions."""

    instructions: str
    facts: dict[str, str]
    history: tuple[ChatMessage, ...]
    passages: tuple[Passage, ...] | None
    delimiter: str
    branches: tuple[Branch, ...]

    def messages(self, branch: Branch) -> tuple[ChatMessage, ...]:
        """The prompt of one branch, as access composes it."""
        return prompt.compose(
            branch.question,
            instructions=self.instructions,
            facts=self.facts,
            history=self.history,
            passages=self.passages,
            delimiter=self.delimiter,
        )


def draw(rng: Random, corpus: Corpus, *, longest: int = 350, plain: bool = False, easy: bool = False) -> Scene:
    """A scene.

    For early training ``longest`` bounds a passage (characters), ``plain`` leaves history and facts out, and ``easy``
    asks in the passage's own words and refuses next to nothing.
    """
    shown, hidden = _cast(rng, corpus, longest)
    shown = [_echoed(rng, entry) if rng.random() < ECHOES else entry for entry in shown]
    passages = tuple(_passage(entry, number) for number, entry in enumerate(shown, 1))
    bare = rng.random() < 0.02
    return Scene(
        instructions=_instructions(rng),
        facts={} if plain or rng.random() < 0.85 else _facts(rng),
        history=() if plain or rng.random() < 0.85 else _history(rng, corpus),
        passages=None if bare else passages,
        delimiter=_delimiter(rng),
        branches=_easy_branches(rng, shown)
        if easy and shown and not bare
        else _branches(rng, () if bare else shown, hidden),
    )


def _cast(rng: Random, corpus: Corpus, longest: int) -> tuple[list[Entry], list[Entry]]:
    """Entries that are shown, and entries of the same kind that are not: their questions are to be refused."""
    count = rng.choices(range(6), PASSAGES)[0]
    source = rng.choices(_SOURCES, _WEIGHTS)[0]
    drawn = [entry for entry in source(rng, corpus, count + 3) if len(entry.text) <= longest]
    if rng.random() < 0.1:
        drawn += _noise_or_natural(rng, corpus)
    rng.shuffle(drawn)
    unlike = list({entry.text: entry for entry in drawn}.values())
    shown, hidden = unlike[:count], unlike[count:]
    subjects = {entry.subject for entry in shown}
    return shown, [entry for entry in hidden if entry.subject not in subjects]


def _echoed(rng: Random, entry: Entry) -> Entry:
    """The entry with one or two short runs of its own words, or Chinese characters, put in again somewhere else."""
    blank = "" if is_han(entry.text) else " "
    words = entry.text.split(" ") if blank else list(entry.text)
    if len(words) < 8:
        return entry
    for _ in range(rng.randint(1, 2)):
        start, length = rng.randrange(len(words)), rng.randint(2, 4)
        at = rng.randrange(len(words) + 1)
        words[at:at] = words[start : start + length]
    return replace(entry, text=blank.join(words))


def _noise_or_natural(rng: Random, corpus: Corpus) -> list[Entry]:
    return rng.choice((entries.noise, entries.natural, entries.glosses))(rng, corpus, 2)


def _branches(rng: Random, shown: Sequence[Entry], hidden: Sequence[Entry]) -> tuple[Branch, ...]:
    found = [_answered(entry, number, entry.ask(rng)) for number, entry in enumerate(shown, 1)]
    found += [_answered(entry, number, entry.ask(rng)) for number, entry in enumerate(shown, 1) if rng.random() < 0.5]
    # Retrieval, which knows more words than a model of this size, refuses what the FAQ does not answer: it shows no
    # passage then. Taught to judge for itself as well, the model refused what was only worded differently.
    if not found:
        found += [Branch(entry.ask(rng), prompt.REFUSAL, "refusal") for entry in hidden[:1]]
        found.append(Branch(entries.off_topic(rng), prompt.REFUSAL, "refusal"))
    if rng.random() < 0.15:
        question, answer = entries.small_talk(rng)
        found.append(Branch(question, answer, "small_talk"))
    rng.shuffle(found)
    return tuple(branch for branch in found if branch.question.strip())


def _easy_branches(rng: Random, shown: Sequence[Entry]) -> tuple[Branch, ...]:
    """Three questions to each passage, in its own words."""
    found = [_answered(entry, number, entry.hint(rng)) for number, entry in enumerate(shown, 1) for _ in range(3)]
    rng.shuffle(found)
    return tuple(found)


def _answered(entry: Entry, number: int, question: str) -> Branch:
    return Branch(question, f"{prompt.clean(entry.text)} {prompt.mark(number)}", "passage", number)


def _passage(entry: Entry, number: int) -> Passage:
    return Passage(id=str(number), collection="", source="", title=entry.title, text=entry.text, score=1.0)


def _instructions(rng: Random) -> str:
    return prompt.FAQ_INSTRUCTIONS if rng.random() < 0.8 else rng.choice(_INSTRUCTIONS)


def _facts(rng: Random) -> dict[str, str]:
    choices = {
        "name": slots.name(rng),
        "language": slots.fill("{language}", {}, rng),
        "city": slots.fill("{city}", {}, rng),
        "plan": rng.choice(("Basic", "Pro", "Team")),
        "model": slots.fill("{model}", {}, rng),
    }
    return {key: choices[key] for key in rng.sample(sorted(choices), rng.randint(1, 3))}


def _history(rng: Random, corpus: Corpus) -> tuple[ChatMessage, ...]:
    turns: list[ChatMessage] = []
    for entry in entries.support(rng, corpus, rng.choices((1, 2, 3), (5, 3, 1))[0]):
        answer = f"{entry.text} {prompt.mark(rng.randint(1, 3))}" if rng.random() < 0.8 else prompt.REFUSAL
        turns += [ChatMessage(role="user", content=entry.ask(rng)), ChatMessage(role="assistant", content=answer)]
    return tuple(turns)


def _delimiter(rng: Random) -> str:
    """Like ``prompt.new_delimiter``, from a seed."""
    return f"--- {rng.getrandbits(24):06x}"


def _support_zh(rng: Random, corpus: Corpus, count: int) -> list[Entry]:
    return entries.support(rng, corpus, count, bank="support_zh")


_SOURCES = (entries.support, _support_zh, entries.natural, entries.chinese, entries.glosses, entries.noise)
_WEIGHTS = (40, 18, 12, 12, 6, 12)
