"""The sample FAQ is what its tests and the first start rely on."""

from __future__ import annotations

from importlib.resources import files

from rag.evaluation import read_questions
from rag.loaders import load_faq
from rag.terms import language

SAMPLE = files("rag") / "sample"
ENTRIES = load_faq("faq.jsonl", (SAMPLE / "faq.jsonl").read_bytes())
QUESTIONS = read_questions((SAMPLE / "questions.jsonl").read_bytes())


def test_there_are_sixty_entries_and_some_are_chinese() -> None:
    assert len(ENTRIES) >= 60
    assert sum(language(one.question) == "zh" for one in ENTRIES) >= 10


def test_every_entry_is_asked_for_in_other_words() -> None:
    assert {one.key for one in QUESTIONS if one.key} == {one.key for one in ENTRIES}
    assert not {one.question.lower() for one in QUESTIONS} & {one.question.lower() for one in ENTRIES}


def test_there_are_questions_that_the_faq_does_not_answer() -> None:
    assert sum(one.key is None for one in QUESTIONS) >= 40
    assert sum(one.key is not None for one in QUESTIONS) >= 200


def test_a_second_set_of_questions_was_used_for_nothing_else() -> None:
    held_out = read_questions((SAMPLE / "held_out.jsonl").read_bytes())
    fitted_to = read_questions((SAMPLE / "calibration.jsonl").read_bytes())
    known = {one.question.lower() for one in (*QUESTIONS, *fitted_to)} | {
        way.lower() for one in ENTRIES for way in one.also
    }
    assert not {one.question.lower() for one in held_out} & known
    assert {one.key for one in held_out if one.key} == {one.key for one in ENTRIES}
    unanswerable = [language(one.question) for one in held_out if one.key is None]
    assert len(held_out) >= 200
    assert min(unanswerable.count("en"), unanswerable.count("zh")) >= 20
