"""Held-out questions: prompts from the training generator with unseen seeds, and questions written apart from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from access import prompt
from contracts.messages import ChatMessage, Passage
from memory import Summary
from training import scenes, topics, users
from training.entries import Corpus
from training.users import User
from training.wording import is_han

UNSEEN = 90_001
SAMPLE = Path(__file__).parents[1] / "rag" / "sample"
_SHOWN = 3
_NAMES, _FOLLOW_UPS = "held_out_names", "held_out_follow_ups"


@dataclass(frozen=True)
class Exam:
    """One prompt and the answer it should get; ``kind`` says what is asked for, in words."""

    messages: tuple[ChatMessage, ...]
    answer: str
    kind: str


@dataclass(frozen=True)
class Written:
    """One entry of a FAQ, with questions that it answers."""

    bank: str
    title: str
    text: str
    questions: tuple[str, ...] = ()


def generated(corpus: Corpus, count: int) -> list[Exam]:
    """One question of each of ``count`` generated scenes."""
    rng = Random(UNSEEN)
    drawn = [scenes.draw(rng, corpus) for _ in range(count)]
    return [_first(scene) for scene in drawn]


def written() -> list[Exam]:
    """Every question of ``texts/held_out.txt`` with its entry alone, then among three; follow-ups; refusals."""
    rng, known = Random(UNSEEN), entries()
    asked = [(entry, question) for entry in known for question in entry.questions]
    found = [_asked(rng, entry, question, [entry]) for entry, question in asked]
    found += [_asked(rng, entry, question, _among(rng, entry, question, known)) for entry, question in asked]
    found += [_leaning(rng, entry) for entry in known]
    found += [_unanswered(rng, entry, known) for entry in known]
    found += [_foreign(rng, question, known) for question in topics.lines("held_out_refused")]
    return found


def sample() -> list[Exam]:
    """The questions of the sample FAQ with the right passage alone, then among three; and its follow-ups."""
    rng, known = Random(UNSEEN), {row["key"]: _entry(row) for row in _rows("faq.jsonl")}
    asked = [(known[row["key"]], row["question"]) for row in _rows("questions.jsonl") if row["key"]]
    found = [_asked(rng, entry, question, [entry]) for entry, question in asked]
    found += [_asked(rng, entry, q, _among(rng, entry, q, list(known.values()))) for entry, q in asked]
    for row in _rows("held_out_dialogues.jsonl"):
        if row["kind"] == "follow-up" and row["key"]:
            found.append(_leaning(rng, known[row["key"]], row["history"][-1], row["question"]))
    return found


def names() -> list[Exam]:
    """Every held-out name, told in each place where a prompt may tell it, beside names of others; and in none."""
    rng = Random(UNSEEN)
    found: list[Exam] = []
    for name in (*_wordings("names"), *_wordings("names-zh")):
        han = is_han(name)
        known = {place: _told(rng, name, place, han=han) for place in ("history", "profile", "learned", "summary")}
        known |= {"nowhere": User(history=_of_another(rng, han=han))}
        found += [_who_am_i(rng, user, place, han=han) for place, user in known.items()]
        said, answer = users.introduction(rng, name, han=han, bank=_NAMES)
        found.append(Exam(_composed(rng, said, []), answer, _kind("name said", said)))
    return found


def entries() -> list[Written]:
    """The written FAQ."""
    return list(_read())


def _first(scene: scenes.Scene) -> Exam:
    branch = scene.branches[0]
    several = branch.position and len(scene.passages or ()) > 1
    return Exam(scene.messages(branch), branch.answer, branch.kind + (", one of several" if several else ""))


def _read() -> Iterator[Written]:
    bank, title, text, questions = "", "", "", list[str]()
    for line in (*topics.lines("held_out"), "## end"):
        if line[:2] in ("T ", "##") and title:
            yield Written(bank, title, text, tuple(questions))
            title, questions = "", []
        if line.startswith("## "):
            bank = line[3:]
        elif line.startswith("T "):
            title = line[2:]
        elif line.startswith("A "):
            text = line[2:]
        else:
            questions.append(line[2:])


def _asked(rng: Random, entry: Written, question: str, shown: list[Written]) -> Exam:
    answer = f"{prompt.clean(entry.text)} {prompt.mark(shown.index(entry) + 1)}"
    return Exam(_composed(rng, question, shown), answer, _kind(f"passage, {len(shown)} shown", question))


def _among(rng: Random, entry: Written, question: str, known: list[Written]) -> list[Written]:
    """The entry and the two others that share most words with the question, in random order."""
    shown = [entry, *_likeliest(entry, question, known)[: _SHOWN - 1]]
    rng.shuffle(shown)
    return shown


def _leaning(rng: Random, entry: Written, before: str = "", question: str = "") -> Exam:
    """A follow-up behind the question before it, which the same entry has answered."""
    asked = question or users.follow_up(rng, han=is_han(entry.text), bank=_FOLLOW_UPS)
    answer = f"{prompt.clean(entry.text)} {prompt.mark(1)}"
    user = User(history=_turn(before or entry.questions[0], answer))
    return Exam(_composed(rng, asked, [entry], user), answer, _kind("follow-up", entry.text))


def _unanswered(rng: Random, entry: Written, known: list[Written]) -> Exam:
    question = entry.questions[0]
    shown = _likeliest(entry, question, known)[:_SHOWN] if rng.random() < 0.3 else []
    return Exam(_composed(rng, question, shown), prompt.REFUSAL, _refusal(shown))


def _foreign(rng: Random, question: str, known: list[Written]) -> Exam:
    first = rng.choice(known)
    shown = [first, *_likeliest(first, question, known)[: _SHOWN - 1]] if rng.random() < 0.3 else []
    return Exam(_composed(rng, question, shown), prompt.REFUSAL, _refusal(shown))


def _refusal(shown: list[Written]) -> str:
    return "refusal beside passages" if shown else "refusal, 0 shown"


def _told(rng: Random, name: str, place: str, *, han: bool) -> User:
    if place == "history":
        said, answer = users.introduction(rng, name, han=han, bank=_NAMES)
        turns = [_turn(said, rng.choice((answer, prompt.REFUSAL))), _of_another(rng, han=han)]
        rng.shuffle(turns)
        return User(history=(*turns[0], *turns[1]), name=name)
    if place == "profile":
        return User(facts={"plan": "premium", "name": name}, history=_of_another(rng, han=han), name=name)
    if place == "learned":
        return User(learned={"name": name, "city": "Oslo"}, name=name)
    text = f"用户问了送货要几天。用户名叫{name}。" if han else f"Their name is {name}. They asked about delivery."
    return User(summary=Summary(text, "1-1", 0.0, f"--- {rng.getrandbits(24):06x}"), name=name)


def _of_another(rng: Random, *, han: bool) -> tuple[ChatMessage, ...]:
    return _turn(users.of_others(rng, han=han, bank=_NAMES), prompt.REFUSAL)


def _who_am_i(rng: Random, user: User, place: str, *, han: bool) -> Exam:
    question, answer = users.who_am_i(rng, user.name, han=han, bank=_NAMES)
    return Exam(_composed(rng, question, [], user), answer, _kind(f"name from {place}", question))


def _wordings(name: str) -> tuple[str, ...]:
    return next(topic.questions for topic in topics.topics(_NAMES) if topic.name == name)


def _kind(kind: str, text: str) -> str:
    return f"{kind}, Chinese" if is_han(text) else kind


def _turn(said: str, answer: str) -> tuple[ChatMessage, ...]:
    return ChatMessage(role="user", content=said), ChatMessage(role="assistant", content=answer)


def _likeliest(entry: Written, question: str, known: list[Written]) -> list[Written]:
    """The other entries of the same FAQ, most words shared with the question first."""
    others = [other for other in known if other.bank == entry.bank and other is not entry]
    return sorted(others, key=lambda other: -len(_words(question) & _words(f"{other.title} {other.text}")))


def _composed(rng: Random, question: str, shown: list[Written], user: User | None = None) -> tuple[ChatMessage, ...]:
    known = user or User()
    passages = [
        Passage(id=str(number), collection="", source="", title=entry.title, text=entry.text, score=1.0)
        for number, entry in enumerate(shown)
    ]
    delimiter = f"--- {rng.getrandbits(24):06x}"
    return prompt.compose(
        question,
        instructions=prompt.FAQ_INSTRUCTIONS,
        facts=known.facts,
        learned=known.learned,
        summary=known.summary,
        history=known.history,
        passages=passages,
        delimiter=delimiter,
    )


def _entry(row: dict[str, Any]) -> Written:
    return Written("sample", row["question"], row["answer"])


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLE / name).read_text(encoding="utf-8").splitlines()]


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+|[\u4e00-\u9fff]", text.lower()))
