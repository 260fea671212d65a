"""The training prompts: what is asked can be answered from them, or plainly cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from access import prompt
from tests.unit.training.corpus import CORPUS
from training import scenes
from training.scenes import Branch, Scene


@pytest.fixture(scope="module")
def drawn() -> list[Scene]:
    rng = Random(3)
    return [scenes.draw(rng, CORPUS) for _ in range(1500)]


def _branches(drawn: list[Scene], kind: str) -> Iterator[tuple[Scene, Branch]]:
    for scene in drawn:
        yield from ((scene, branch) for branch in scene.branches if branch.kind == kind)


def test_an_answer_stands_in_its_prompt_at_the_start_of_a_line(drawn: list[Scene]) -> None:
    pairs = list(_branches(drawn, "passage"))
    assert len(pairs) > 1000
    assert all(f"\n{branch.answer}\n" in scene.messages(branch)[-1].content for scene, branch in pairs)


def test_an_answer_ends_in_the_mark_of_its_position(drawn: list[Scene]) -> None:
    pairs = list(_branches(drawn, "passage"))
    assert all(branch.answer.endswith(f" [{branch.position}]") for _, branch in pairs)


def test_a_refused_question_has_no_passage_of_its_subject(drawn: list[Scene]) -> None:
    for scene, branch in _branches(drawn, "refusal"):
        asked_elsewhere = {other.question for other in scene.branches if other.kind == "passage"}
        assert branch.question not in asked_elsewhere
        assert branch.answer == prompt.REFUSAL


def test_without_a_passage_nothing_is_cited(drawn: list[Scene]) -> None:
    bare = [scene for scene in drawn if not scene.passages]
    assert bare
    assert all(branch.position == 0 for scene in bare for branch in scene.branches)


def test_the_right_passage_stands_anywhere_with_equal_chance(drawn: list[Scene]) -> None:
    of_three = [scene for scene in drawn if scene.passages is not None and len(scene.passages) == 3]
    counts = Counter(branch.position for _, branch in _branches(of_three, "passage"))
    expected = sum(counts.values()) / 3
    assert set(counts) == {1, 2, 3}
    assert all(abs(count - expected) < 0.15 * expected for count in counts.values())


def test_the_prompt_is_the_one_that_access_composes(drawn: list[Scene]) -> None:
    scene = next(s for s in drawn if s.passages and s.instructions == prompt.FAQ_INSTRUCTIONS and not s.user.summary)
    branch = scene.branches[0]
    last = prompt.beside_passages(branch.question, scene.passages or (), scene.delimiter)
    assert scene.messages(branch)[-1].content == last


def test_no_two_passages_of_a_prompt_are_the_same(drawn: list[Scene]) -> None:
    for scene in drawn:
        texts = [passage.text for passage in scene.passages or ()]
        assert len(texts) == len(set(texts))
