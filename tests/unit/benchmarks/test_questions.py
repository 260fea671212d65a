"""What benchmarks ask."""

from __future__ import annotations

from benchmarks import questions


def test_the_same_seed_asks_the_same_questions() -> None:
    assert questions.draw(5, 1) == questions.draw(5, 1) != questions.draw(5, 2)


def test_no_prompt_comes_twice() -> None:
    prompts = [str(messages) for messages in questions.draw(300, 1)]
    assert len(set(prompts)) == 300


def test_each_prompt_holds_three_passages_and_asks_for_one_of_them() -> None:
    for _system, user in questions.draw(20, 1):
        passages, _, question = user["content"].partition("Question: ")
        assert passages.count("\n--- ") == questions.PASSAGES + 1
        assert passages.count(f"\n{question}\n") == 1
