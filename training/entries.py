"""Entries: a passage and the questions it answers, drawn from written topics, free texts and plain noise."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from training import slots, topics, wording
from training.topics import Topic


@dataclass(frozen=True)
class Entry:
    """``title`` may be empty. ``ask`` draws a question, another each time. Like entries share a ``subject``."""

    title: str
    text: str
    subject: str
    ask: Callable[[Random], str]

    def hint(self, rng: Random) -> str:
        """A question in the entry's own words."""
        return wording.hint(self.title if self.title and rng.random() < 0.5 else self.text, rng)


_LISTED = (
    ("{word}", "{country}", "{colour}", "{model}", "{weekday}", "{product}", "the {part}", "{city}"),
    ("heats to ", "costs ", "takes ", "is ", "needs ", "arrives in ", "holds ", "lasts "),
    ("{} °C", "{} euros", "{} days", "{} working days", "€{}", "{} ml", "{} minutes", "{} kg", "{} hours"),
)
_LISTED_ZH = (
    ("{城市}", "{颜色}", "{产品}", "{零件}", "{按钮}"),
    ("需要", "要", "是", "为", "加热到", "大约", "收费"),
    ("{}元", "{} 个工作日", "{}天", "{} 度", "{}分钟", "{} 升", "{} 小时", "{} 欧元"),
)


@dataclass
class Corpus:
    """The free texts, as ``prepare`` wrote them."""

    english: Sequence[str]
    chinese: Sequence[str]
    glosses: Sequence[tuple[str, str]]
    synonyms: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    @classmethod
    def read(cls, folder: Path) -> Corpus:
        return cls(
            english=(folder / "english.txt").read_text("utf-8").splitlines(),
            chinese=(folder / "chinese.txt").read_text("utf-8").splitlines(),
            glosses=[tuple(json.loads(row)) for row in (folder / "glosses.jsonl").read_text().splitlines()],
            synonyms=json.loads((folder / "synonyms.json").read_text()),
        )


def support(rng: Random, corpus: Corpus, count: int, bank: str = "support") -> list[Entry]:
    """``count`` entries of one invented shop. Half of the time they are near one another in subject."""
    known = topics.topics(bank)
    first = rng.choice(known)
    if rng.random() < 0.5:
        near = topics.neighbours(bank)[first.name]
        chosen = [first, *rng.sample(near, min(len(near), count - 1))]
    else:
        chosen = [first, *rng.sample([t for t in known if t != first], count - 1)]
    world = slots.World.draw(rng)
    if bank == "support" and count > 1 and rng.random() < 0.12:
        return [*_siblings(rng, corpus, first, world), *(_topical(rng, corpus, t, world) for t in chosen[2:])]
    return [_topical(rng, corpus, topic, world) for topic in chosen]


def natural(rng: Random, corpus: Corpus, count: int) -> list[Entry]:
    """Runs of sentences from free books; a question uses words of the passage."""
    return [_plain(rng, text) for text in rng.sample(corpus.english, count)]


def chinese(rng: Random, corpus: Corpus, count: int) -> list[Entry]:
    """Sentences from free Chinese books."""
    return [_plain(rng, text) for text in rng.sample(corpus.chinese, count)]


def glosses(rng: Random, corpus: Corpus, count: int) -> list[Entry]:
    """Dictionary entries: what a word means."""
    return [_gloss(rng, *pair) for pair in rng.sample(corpus.glosses, count)]


def noise(rng: Random, corpus: Corpus, count: int) -> list[Entry]:
    """Words in no order, invented names and numbers: nothing but copying helps."""
    return [_noise(rng, corpus) for _ in range(count)]


def lists(rng: Random, corpus: Corpus, count: int) -> list[Entry]:  # noqa: ARG001 - a source like the others
    """Lists whose members are all said alike: who has copied one member is easily led back to it."""
    return [_list(rng) for _ in range(count)]


def off_topic(rng: Random) -> str:
    """A question that no FAQ answers."""
    return wording.reworded(slots.fill(rng.choice(topics.lines("off_topic")), {}, rng), rng, {})


def small_talk(rng: Random) -> tuple[str, str]:
    """A greeting or the like, and what to say to it."""
    topic = rng.choice(topics.topics("small_talk"))
    said = rng.choice(topic.questions)
    if rng.random() < 0.3:
        said = said.lower() if rng.random() < 0.5 else said.capitalize()
    if rng.random() < 0.3 and said[-1].isalnum() and said.isascii():
        said += rng.choice(("!", ".", "?", " :)"))
    return said, topic.answers[0]


def _topical(rng: Random, corpus: Corpus, topic: Topic, world: slots.World, about: str = "") -> Entry:
    filled = world.slots(rng)
    asked = [slots.fill(question, filled, rng) for question in topic.questions]
    answer = slots.fill(rng.choice(topic.answers), filled, rng)
    if rng.random() < 0.2 and not wording.is_han(answer):
        answer = _in_other_words(answer, rng)
    shown = [question for question in asked if question[:1].isupper() or wording.is_han(question)]
    title = rng.choice(shown) if rng.random() < 0.9 else ""

    def ask(rng: Random) -> str:
        if rng.random() < 0.08:
            return wording.from_text(answer, rng)
        question = wording.reworded(rng.choice(asked), rng, corpus.synonyms)
        return f"{question.rstrip('?. ')} {about}?".replace("  ", " ") if about else question

    return Entry(
        f"{title.rstrip('?.')} {about}?".strip() if about and title else title, answer, topic.name + about, ask
    )


def _siblings(rng: Random, corpus: Corpus, topic: Topic, world: slots.World) -> list[Entry]:
    """Two entries on the same subject that differ in the model they are about."""
    models = [slots.name(rng) for _ in range(2)]
    frame = rng.choice(("for the {}", "of the {}", "({})", "with the {}", "in {}"))
    return [_topical(rng, corpus, topic, world, frame.format(model)) for model in models]


def _in_other_words(answer: str, rng: Random) -> str:
    """Sentences of the answer swapped, one dropped or a short one put before: openings must vary."""
    parts = answer.split(". ")
    if len(parts) > 1 and rng.random() < 0.5:
        parts = [p[:1].upper() + p[1:] for p in reversed([p.rstrip(".") for p in parts])]
        return ". ".join(parts) + "."
    return (
        rng.choice(("Yes. ", "No. ", "Of course. ", "Sure: ", "That depends. ", "Good question. ", "Not yet. "))
        + answer
    )


def _plain(rng: Random, text: str) -> Entry:
    title = wording.from_text(text, rng) if rng.random() < 0.4 else ""

    def ask(rng: Random) -> str:
        if title and rng.random() < 0.5:
            return wording.reworded(title, rng, {})
        return wording.from_text(text, rng)

    return Entry(title, text, text, ask)


def _gloss(rng: Random, word: str, meaning: str) -> Entry:
    frames = (
        "What is {}?",
        "What does {} mean?",
        "What do you call {}?",
        "{}",
        "Tell me about {}",
        "define {}",
        "meaning of {}",
    )
    title = rng.choice(frames[:4]).format(word) if rng.random() < 0.7 else ""
    text = meaning if title else f"{word[:1].upper() + word[1:]}: {meaning}"
    return Entry(title, text, word, lambda rng: wording.reworded(rng.choice(frames).format(word), rng, {}))


def _list(rng: Random) -> Entry:
    han = rng.random() < 0.5
    kind, said, unit = (rng.choice(choices) for choices in (_LISTED_ZH if han else _LISTED))
    names = list(dict.fromkeys(slots.fill(kind, {}, rng) for _ in range(rng.randint(3, 6))))
    short = said if rng.random() < 0.5 else rng.choice(("", "要", "是") if han else ("", "to ", "in "))
    blank, comma, end = ("", rng.choice("，，、；"), "。") if han else (" ", rng.choice((", ", ", ", "; ")), ".")
    values = [unit.format(amount) for amount in _amounts(rng, len(names), "至" if han else "to")]
    members = [f"{name}{blank}{short}{value}" for name, value in zip(names, values, strict=True)]
    text = comma.join([f"{names[0]}{blank}{said}{values[0]}", *members[1:]]) + end
    title = f"{names[0]}{said}多少？" if han else f"What about {' and '.join(names[:2])}?"

    def ask(rng: Random) -> str:
        name = rng.choice(names)
        return wording.reworded(f"{name}{said}多少？" if han else f"{said}{name}?", rng, {})

    return Entry(title if rng.random() < 0.6 else "", text[:1].upper() + text[1:], text, ask)


def _amounts(rng: Random, count: int, to: str) -> list[str]:
    """Numbers near one another, or spans such as "2 to 4"."""
    low, wide = rng.randint(1, 80), rng.random() < 0.3
    starts = [low + rng.randint(0, 20) for _ in range(count)]
    return [f"{start} {to} {start + rng.randint(1, 5)}" if wide else str(start) for start in starts]


def _noise(rng: Random, corpus: Corpus) -> Entry:
    words = [_token(rng, corpus) for _ in range(rng.choice((4, 8, 12, 20, 30)))]
    text = " ".join(words) + rng.choice((".", "", "!"))
    title = " ".join(rng.sample(words, min(3, len(words)))) if rng.random() < 0.3 else ""

    def ask(rng: Random) -> str:
        return " ".join(rng.sample(words, min(len(words), rng.randint(2, 5)))) + rng.choice(("?", ""))

    return Entry(title, text, text, ask)


def _token(rng: Random, corpus: Corpus) -> str:
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(rng.choice(corpus.english).split())
    if kind < 0.7:
        return rng.choice(corpus.glosses)[0]
    if kind < 0.85:
        return slots.name(rng) if rng.random() < 0.5 else slots.name(rng).lower()
    if kind < 0.95:
        return slots.fill(rng.choice(("{price}", "{email}", "{code}", "{url}", "{phone}", "{n}", "{model}")), {}, rng)
    return "".join(chr(rng.randint(0x4E00, 0x9FA5)) for _ in range(rng.randint(1, 3)))
