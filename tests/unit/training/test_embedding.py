"""What the embedding model is taught with, and how a lesson is made of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib.resources import files
from random import Random

import pytest
import torch
from torch.nn import functional

from training.embedding import faqs, glossary, lessons
from training.embedding.faqs import Entry, Faq
from training.embedding.lessons import NOWHERE, Choice, Lesson

SAMPLE = files("rag") / "sample"
EXAMS = ("questions.jsonl", "calibration.jsonl", "held_out.jsonl")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_there_are_more_than_a_hundred_faqs_in_each_language(language: str) -> None:
    assert sum(faq.lang == language for faq in faqs.written()) > 100


def test_every_entry_is_asked_for_in_six_ways_and_no_two_entries_of_a_faq_in_the_same() -> None:
    for faq in faqs.written():
        assert all(len(entry.ask) == 6 for entry in faq.entries), faq.topic
        asked = Counter(way.lower() for entry in faq.entries for way in entry.ask)
        asked.update(question.lower() for question in faq.beside)
        assert [way for way, times in asked.items() if times > 1] == [], faq.topic


def test_no_question_of_the_samples_is_taught() -> None:
    rows = [json.loads(line) for name in EXAMS for line in (SAMPLE / name).read_text("utf-8").splitlines() if line]
    asked = {_bare(row["question"]) for row in rows}
    taught = {_bare(text) for faq in faqs.written() for text in faq.texts()}
    assert asked & taught == set()


def test_every_word_of_the_glossary_is_chinese_and_every_gloss_is_not() -> None:
    assert all(re.fullmatch(r"[\u4e00-\u9fff]+", word) for word in glossary.glossary())
    assert not any(re.search(r"[\u4e00-\u9fff\t]", gloss) or not gloss for gloss in glossary.glossary().values())


def test_the_longest_word_is_read_first_and_what_is_unknown_stays() -> None:
    assert glossary.in_english("退款, Pro 款").split() == ["refund", ",", "Pro", glossary.glossary()["款"]]
    assert {"退", "款", "退款"} <= set(glossary.glossary())


def test_what_stands_in_the_store_is_not_asked() -> None:
    rng = Random(3)
    for _ in range(50):
        lesson = lessons.draw(rng, faqs.written()[:2])
        assert not set(lesson.rows) & set(lesson.questions)


def test_a_question_is_answered_by_the_entry_that_it_was_written_for_or_nowhere() -> None:
    some = faqs.written()[:3]
    entries = [entry for faq in some for entry in faq.entries]
    lesson = lessons.draw(Random(4), some)
    for question, answer in zip(lesson.questions, lesson.answers, strict=True):
        if answer == NOWHERE:
            assert any(question in faq.beside for faq in some)
        else:
            assert question in (*entries[answer].ask, entries[answer].q.lower())


def test_an_entrys_nearest_row_stands_for_it() -> None:
    cosines = torch.tensor([[0.1, 0.9, 0.4], [0.3, -0.2, -0.5]])
    assert torch.allclose(lessons.nearest(cosines, torch.tensor([0, 0, 1]), 2), torch.tensor([[0.9, 0.4], [0.3, -0.5]]))


def test_the_loss_is_small_for_vectors_that_find_their_entries_and_large_for_those_that_do_not() -> None:
    faq = Faq("t", "en", tuple(Entry(f"q{n}", f"a{n}", tuple(f"{n}{m}" for m in range(6))) for n in range(3)), ("x",))
    lesson = lessons.draw(Random(1), [faq])
    right, wrong = (_loss(lesson, shift) for shift in (0, 1))
    assert right[0] < 0.01 < wrong[0]
    assert right[1] < 0.01 < wrong[1]


def _loss(lesson: Lesson, shift: int) -> tuple[float, float]:
    """The losses where each entry and what asks for it have a direction of their own, questions ``shift`` off."""
    directions = torch.eye(len(lesson.faqs) + 1)
    rows = directions[torch.tensor(lesson.owners)]
    places = [
        len(lesson.faqs) if answer == NOWHERE else (answer + shift) % len(lesson.faqs) for answer in lesson.answers
    ]
    choosing, telling = lessons.loss(lesson, rows, functional.normalize(directions[places], dim=-1), Choice())
    return choosing.item(), telling.item()


def _bare(text: str) -> str:
    return text.lower().strip("?？ ")
