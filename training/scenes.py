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
from training import entries, users, wording
from training.entries import Corpus, Entry
from training.users import User
from training.wording import is_han

PASSAGES = (34, 50, 5, 9, 1, 1)
"""How often a scene shows 0, 1, … 5 passages. One is what the bundled model is shown by default, three what the presets
of other models show. Where there is none, names are learned, and such scenes are short."""

ECHOES = 0.4
"""How many passages repeat some of their own words: who copies by the last word alone gets lost in them."""

KNOWN = 0.6
"""How often something is known of the user: facts, a summary, earlier turns."""

LEANING = 0.15
"""How often a question leans on the one before it: its passage was found with that, and the words hardly name it."""

Kind = Literal["passage", "refusal", "small_talk", "name", "follow_up"]
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
    user: User
    passages: tuple[Passage, ...] | None
    delimiter: str
    branches: tuple[Branch, ...]

    def messages(self, branch: Branch) -> tuple[ChatMessage, ...]:
        """The prompt of one branch, as access composes it."""
        return prompt.compose(
            branch.question,
            instructions=self.instructions,
            facts=self.user.facts,
            learned=self.user.learned,
            summary=self.user.summary,
            history=self.user.history,
            passages=self.passages,
            delimiter=self.delimiter,
        )


def draw(rng: Random, corpus: Corpus, *, longest: int = 350, plain: bool = False, easy: bool = False) -> Scene:
    """A scene.

    For early training ``longest`` bounds a passage (characters), ``plain`` leaves out all about the user, and ``easy``
    asks in the passage's own words and refuses next to nothing.
    """
    shown, hidden = _cast(rng, corpus, longest)
    shown = [_echoed(rng, entry) if rng.random() < ECHOES else entry for entry in shown]
    passages = tuple(_passage(entry, number) for number, entry in enumerate(shown, 1))
    chinese = any(is_han(entry.text) for entry in (shown or hidden)[:1])
    user = users.draw(rng, corpus, chinese=chinese) if not plain and rng.random() < KNOWN else User()
    bare = rng.random() < 0.03
    asked = [] if bare else shown
    branches = _easy_branches(rng, asked) if easy and asked else _branches(rng, asked, hidden)
    if not plain:
        branches += _of_names(rng, user, asked, chinese=chinese)
        user, leaning = _leaning(rng, user, asked, chinese=chinese)
        branches += leaning
    rng.shuffle(branches)
    return Scene(
        instructions=_instructions(rng),
        user=user,
        passages=None if bare else passages,
        delimiter=_delimiter(rng),
        branches=tuple(branch for branch in branches if branch.question.strip()),
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


def _branches(rng: Random, shown: Sequence[Entry], hidden: Sequence[Entry]) -> list[Branch]:
    found = [_answered(entry, number, entry.ask(rng)) for number, entry in enumerate(shown, 1)]
    found += [_answered(entry, number, entry.ask(rng)) for number, entry in enumerate(shown, 1) if rng.random() < 0.5]
    # Retrieval, which knows more words than a model of this size, refuses what the FAQ does not answer: it shows no
    # passage then. Taught to judge for itself as well, the model refused what was only worded differently.
    if not found:
        found += [Branch(entry.ask(rng), prompt.REFUSAL, "refusal") for entry in hidden[:1]]
        found.append(Branch(entries.off_topic(rng), prompt.REFUSAL, "refusal"))
    if rng.random() < 0.2:
        question, answer = entries.small_talk(rng)
        found.append(Branch(question, answer, "small_talk"))
    return found


def _easy_branches(rng: Random, shown: Sequence[Entry]) -> list[Branch]:
    """Three questions to each passage, in its own words."""
    return [_answered(entry, number, entry.hint(rng)) for number, entry in enumerate(shown, 1) for _ in range(3)]


def _of_names(rng: Random, user: User, shown: Sequence[Entry], *, chinese: bool) -> list[Branch]:
    """The user asks for their own name, or says one: more often where something is known of them."""
    known = user != User()
    han = is_han(user.name) or (chinese and not user.name)
    if rng.random() < 0.1:
        han = not han
    asked = rng.choice((1, 1, 2)) if rng.random() < (0.9 if known else 0.12) else 0
    found = [Branch(*users.who_am_i(rng, user.name, han=han), "name") for _ in range(asked)]
    if rng.random() < (0.06 if shown else 0.4):
        found.append(Branch(*users.introduction(rng, users.drawn_name(rng, han=han), han=han), "name"))
    return found


def _leaning(rng: Random, user: User, shown: Sequence[Entry], *, chinese: bool) -> tuple[User, list[Branch]]:
    """Now and then short questions, after one that the passage answers. Without a passage they are refused."""
    if rng.random() >= LEANING:
        return user, []
    if not shown:
        return user, [Branch(users.follow_up(rng, han=chinese), prompt.REFUSAL, "refusal")]
    number = rng.randrange(len(shown)) + 1
    entry = shown[number - 1]
    said = f"{prompt.clean(entry.text)} {prompt.mark(1)}" if rng.random() < 0.7 else prompt.REFUSAL
    turn = ChatMessage(role="user", content=entry.ask(rng)), ChatMessage(role="assistant", content=said)
    found = [_answered(entry, number, _leaning_words(rng, entry), "follow_up") for _ in range(2)]
    return replace(user, history=(*user.history, *turn)), found


def _leaning_words(rng: Random, entry: Entry) -> str:
    han = is_han(entry.text)
    return users.follow_up(rng, han=han) if rng.random() < 0.7 else wording.short(entry.text, rng)


def _answered(entry: Entry, number: int, question: str, kind: Kind = "passage") -> Branch:
    return Branch(question, f"{prompt.clean(entry.text)} {prompt.mark(number)}", kind, number)


def _passage(entry: Entry, number: int) -> Passage:
    return Passage(id=str(number), collection="", source="", title=entry.title, text=entry.text, score=1.0)


def _instructions(rng: Random) -> str:
    return prompt.FAQ_INSTRUCTIONS if rng.random() < 0.8 else rng.choice(_INSTRUCTIONS)


def _delimiter(rng: Random) -> str:
    """Like ``prompt.new_delimiter``, from a seed."""
    return f"--- {rng.getrandbits(24):06x}"


def _support_zh(rng: Random, corpus: Corpus, count: int) -> list[Entry]:
    return entries.support(rng, corpus, count, bank="support_zh")


_SOURCES = (
    entries.support, _support_zh, entries.natural, entries.chinese, entries.glosses, entries.noise, entries.lists,
)  # fmt: skip
_WEIGHTS = (36, 24, 9, 14, 4, 8, 8)
