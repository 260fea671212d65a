"""The written texts and what is drawn from them."""

from __future__ import annotations

import re
from random import Random

import pytest

from tests.unit.training.corpus import CORPUS
from training import entries, held_out, slots, topics, wording


@pytest.mark.parametrize("bank", ["support", "support_zh", "small_talk"])
def test_every_topic_has_questions_and_answers(bank: str) -> None:
    assert all(topic.questions and topic.answers for topic in topics.topics(bank))


@pytest.mark.parametrize("bank", ["support", "support_zh"])
def test_every_slot_can_be_filled(bank: str) -> None:
    rng = Random(1)
    for topic in topics.topics(bank):
        filled = slots.World.draw(rng).slots(rng)
        for text in (*topic.questions, *topic.answers):
            assert not set("{}|") & set(slots.fill(text, filled, rng))


def test_a_slot_keeps_its_value_through_an_entry() -> None:
    rng = Random(2)
    filled: dict[str, str] = {}
    first = slots.fill("Pay {price} by {month}.", filled, rng)
    assert slots.fill("Pay {price} by {month}.", filled, rng) == first


def test_a_lists_members_are_said_alike_and_asked_for_by_name() -> None:
    rng = Random(7)
    for _ in range(100):
        entry = entries.lists(rng, CORPUS, 1)[0]
        assert len(re.split(r", |; |[，、；]", entry.text)) >= 2
        assert entry.ask(rng)


def test_the_held_out_entries_are_no_training_text() -> None:
    trained_on = (topics.TEXTS / "support.txt").read_text() + (topics.TEXTS / "support_zh.txt").read_text()
    known = held_out.entries()
    assert len(known) >= 56
    assert not [entry for entry in known if entry.text in trained_on or entry.title in trained_on]


def test_a_held_out_answer_stands_in_its_prompt() -> None:
    exams = [exam for exam in (*held_out.written(), *held_out.sample()) if exam.answer.endswith("]")]
    assert len(exams) > 500
    assert all(f"\n{exam.answer}\n" in exam.messages[-1].content for exam in exams)


def test_a_held_out_refusal_does_not_show_the_passage_it_lacks() -> None:
    known = {entry.questions[0]: entry for entry in held_out.entries()}
    for exam in held_out.written():
        asked = exam.messages[-1].content.rsplit("Question: ", 1)[-1]
        if exam.kind.startswith("refusal") and asked in known:
            assert known[asked].text not in exam.messages[-1].content


def test_a_misspelling_changes_one_word() -> None:
    rng = Random(5)
    before = "where is the delivery address kept"
    after = wording.misspelt(before, rng).split()
    assert len(after) == len(before.split())
    assert sum(a != b for a, b in zip(after, before.split(), strict=True)) <= 1


def test_a_reworded_question_is_never_empty() -> None:
    rng = Random(6)
    for topic in (*topics.topics("support"), *topics.topics("support_zh")):
        assert all(wording.reworded(question, rng, {}).strip(" ?.。？") for question in topic.questions)
