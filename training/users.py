"""Users: what a prompt knows of the one who asks, and questions about their name.

A name may have been registered, learned, said earlier in the conversation, or kept by its summary. Names of others
stand beside it: only what the user has said of themselves counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from access import prompt
from contracts.messages import ChatMessage
from memory import Summary
from training import entries, slots, topics
from training.entries import Corpus
from training.wording import is_han

UNKNOWN, UNKNOWN_ZH = "I do not know your name.", "我不知道你的名字。"
_PLACES = ("history", "facts", "learned", "summary")
_OFTEN = (55, 30, 20, 15)


@dataclass(frozen=True)
class User:
    """What stands in the prompt of its user; ``name`` is empty where nothing tells it."""

    facts: dict[str, str] = field(default_factory=dict[str, str])
    learned: dict[str, str] = field(default_factory=dict[str, str])
    summary: Summary | None = None
    history: tuple[ChatMessage, ...] = ()
    name: str = ""


def draw(rng: Random, corpus: Corpus, *, chinese: bool) -> User:
    """A user of whom something is known, by a name in most cases. ``chinese``: they speak Chinese, as a rule."""
    han = chinese if rng.random() < 0.9 else not chinese
    name = drawn_name(rng, han=han) if rng.random() < 0.7 else ""
    places = [place for place, share in zip(_PLACES, _OFTEN, strict=True) if rng.random() * 100 < share]
    places = places or [rng.choice(_PLACES)]
    told = rng.choice(places) if name else ""
    return User(
        facts=_facts(rng, name if told == "facts" else "") if "facts" in places else {},
        learned=_facts(rng, name if told == "learned" else "") if "learned" in places else {},
        summary=_summary(rng, corpus, name if told == "summary" else "", han=han) if "summary" in places else None,
        history=_history(rng, corpus, name if told == "history" else "", han=han) if "history" in places else (),
        name=name,
    )


def drawn_name(rng: Random, *, han: bool) -> str:
    """A name people have, or an invented one; a Chinese one has two or three characters."""
    if han and rng.random() < 0.85:
        given = "".join(slots.pick(rng, "zh_given") for _ in range(rng.choice((1, 2, 2))))
        return rng.choice((slots.pick(rng, "zh_family"), slots.pick(rng, "zh_family"), "小", "阿")) + given
    first = slots.pick(rng, "people") if rng.random() < 0.5 else slots.name(rng)
    if rng.random() < 0.2:
        return f"{first} {slots.pick(rng, 'surnames') if rng.random() < 0.5 else slots.name(rng)}"
    return first.lower() if rng.random() < 0.08 else first


def who_am_i(rng: Random, name: str, *, han: bool, bank: str = "names") -> tuple[str, str]:
    """A question for the user's own name, and the answer; an empty ``name`` is one that nobody told."""
    question = _varied(rng, rng.choice(_topic("asked", han, bank).questions))
    return question, recalled(name, han=han)


def recalled(name: str, *, han: bool) -> str:
    """What to say to who asks for their own name. A name in Latin letters stands behind a blank, also in Chinese."""
    if not name:
        return UNKNOWN_ZH if han else UNKNOWN
    if han:
        return f"你叫{name if is_han(name) else ' ' + name}。"
    return f"Your name is {name}."


def introduction(rng: Random, name: str, *, han: bool, bank: str = "names") -> tuple[str, str]:
    """How the user says their name, and the answer to that."""
    topic = _topic("told", han, bank)
    shown = {"name": name if is_han(name) == han or not han else f" {name}"}
    said = slots.fill(rng.choice(topic.questions), shown, rng)
    return said, slots.fill(topic.answers[0], shown, rng)


def of_others(rng: Random, *, han: bool, bank: str = "names") -> str:
    """Something that is not the user's name: somebody else's, or another fact."""
    return slots.fill(rng.choice(_topic("others", han, bank).questions), {"other": drawn_name(rng, han=han)}, rng)


def follow_up(rng: Random, *, han: bool, bank: str = "follow_ups") -> str:
    """A short question that says nothing without the one before it."""
    wordings = next(topic for topic in topics.topics(bank) if topic.name == ("zh" if han else "en")).questions
    return slots.fill(rng.choice(wordings), {}, rng)


def small_history(rng: Random, corpus: Corpus, *, han: bool) -> list[ChatMessage]:
    """A question of some FAQ and what was answered."""
    (entry,) = entries.support(rng, corpus, 1, "support_zh" if han else "support")
    answer = f"{entry.text} {prompt.mark(rng.choice((1, 1, 1, 2, 3)))}" if rng.random() < 0.75 else prompt.REFUSAL
    return _turn(entry.ask(rng), answer)


def _history(rng: Random, corpus: Corpus, name: str, *, han: bool) -> tuple[ChatMessage, ...]:
    """One to four turns; one tells the name, some tell of others."""
    turns = [small_history(rng, corpus, han=han) for _ in range(rng.choices((0, 1, 2), (3, 5, 2))[0])]
    turns += [_turn(of_others(rng, han=han), _reply(rng, "", han=han)) for _ in range(rng.choice((0, 0, 1)))]
    rng.shuffle(turns)
    if name:
        said, greeting = introduction(rng, name, han=han)
        turns.insert(rng.randint(0, len(turns)), _turn(said, _reply(rng, greeting, han=han)))
    elif not turns:
        turns = [small_history(rng, corpus, han=han)]
    return tuple(message for turn in turns for message in turn)


def _reply(rng: Random, greeting: str, *, han: bool) -> str:
    """What was said to a user who told something: the greeting, if there is one, or what else a bot may say."""
    others = ("好的。", "你好！请问有什么可以帮您？") if han else ("Hello! Ask me anything about the FAQ.", "Noted.")
    return greeting if greeting and rng.random() < 0.6 else rng.choice((prompt.REFUSAL, prompt.REFUSAL, *others))


def _facts(rng: Random, name: str) -> dict[str, str]:
    choices = {
        "language": slots.fill("{language}", {}, rng),
        "city": slots.fill("{城市}" if is_han(name) else "{city}", {}, rng),
        "plan": rng.choice(("Basic", "Pro", "Team", "premium")),
        "model": slots.fill("{model}", {}, rng),
        "occupation": rng.choice(("nurse", "teacher", "driver", "baker", "engineer", "student", "工程师", "老师")),
        "interests": slots.fill("{word}, {word2}", {}, rng),
        "preferences": rng.choice(("short answers", "no phone calls", "{colour}", "e-mail only")),
    }
    chosen = rng.sample(sorted(choices), rng.randint(0 if name else 1, 3))
    known = [*chosen, "name"] if name else chosen
    rng.shuffle(known)
    return {key: name if key == "name" else slots.fill(choices[key], {}, rng) for key in known}


def _summary(rng: Random, corpus: Corpus, name: str, *, han: bool) -> Summary:
    """A few sentences, between lines with a delimiter of their own."""
    bank = "support_zh" if han else "support"
    asked = entries.support(rng, corpus, rng.randint(1, 2), bank)
    parts = [_summed(rng, "zh" if han else "en", {"topic": entry.ask(rng)}) for entry in asked]
    parts += [entry.text for entry in asked if rng.random() < 0.4]
    if name:
        parts.append(_summed(rng, "name-zh" if han else "name", {"name": name}))
    rng.shuffle(parts)
    return Summary(("" if han else " ").join(parts), "1-1", 0.0, f"--- {rng.getrandbits(24):06x}")


def _summed(rng: Random, kind: str, shown: dict[str, str]) -> str:
    wordings = next(topic for topic in topics.topics("summaries") if topic.name == kind).questions
    return slots.fill(rng.choice(wordings), shown, rng)


def _topic(kind: str, han: bool, bank: str) -> topics.Topic:
    wanted = f"{kind}-zh" if han else kind
    return next(topic for topic in topics.topics(bank) if topic.name == wanted)


def _varied(rng: Random, question: str) -> str:
    if rng.random() < 0.2 and question.isascii():
        question = question.lower()
    return question.rstrip("?？。.") if rng.random() < 0.15 else question


def _turn(said: str, answer: str) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=said), ChatMessage(role="assistant", content=answer)]
