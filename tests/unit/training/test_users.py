"""What training prompts tell of their user: a name is known where it is told, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from tests.unit.training.corpus import CORPUS
from training import scenes, topics, users
from training.scenes import Branch, Scene
from training.users import UNKNOWN, UNKNOWN_ZH, User
from training.wording import is_han


@pytest.fixture(scope="module")
def drawn() -> list[User]:
    rng = Random(5)
    return [users.draw(rng, CORPUS, chinese=number % 3 == 0) for number in range(400)]


def test_a_known_name_is_told_in_the_prompt(drawn: list[User]) -> None:
    known = [user for user in drawn if user.name]
    assert len(known) > 200
    assert all(user.name in _told(user) for user in known)


def test_every_place_tells_names_and_is_silent_too(drawn: list[User]) -> None:
    for place in ("facts", "learned", "summary", "history"):
        shown = [user for user in drawn if getattr(user, place)]
        assert any(user.name for user in shown)
        assert any(not user.name for user in shown)


def test_nobody_is_told_a_name_that_is_not_theirs(drawn: list[User]) -> None:
    openings = ("my name is", "My name is", "我叫", "name: ", "我的名字是", "user's name is")
    for user in drawn:
        if not user.name:
            assert not [opening for opening in openings if opening in _told(user)]


@pytest.mark.parametrize(
    ("name", "han", "said"),
    [
        ("Ada", False, "Your name is Ada."),
        ("小虎", True, "你叫小虎。"),
        ("Ada", True, "你叫 Ada。"),
        ("小虎", False, "Your name is 小虎."),
        ("", False, UNKNOWN),
        ("", True, UNKNOWN_ZH),
    ],
)
def test_who_asks_for_their_name_is_told_it_or_that_it_is_unknown(name: str, han: bool, said: str) -> None:
    assert users.recalled(name, han=han) == said


@pytest.mark.parametrize("bank", ["names", "held_out_names"])
@pytest.mark.parametrize("han", [False, True])
def test_who_says_their_name_is_greeted_by_it(bank: str, han: bool) -> None:
    rng = Random(8)
    for _ in range(60):
        name = users.drawn_name(rng, han=han)
        said, answer = users.introduction(rng, name, han=han, bank=bank)
        assert name in said
        assert name in answer
        assert not set("{}") & set(said + answer)


def test_others_are_never_called_by_the_slot_itself() -> None:
    rng = Random(9)
    said = [users.of_others(rng, han=number % 2 == 0) for number in range(200)]
    assert not [text for text in said if "{" in text]


@pytest.mark.parametrize("bank", ["follow_ups", "held_out_follow_ups"])
def test_a_follow_up_is_short_and_in_its_language(bank: str) -> None:
    rng = Random(10)
    assert all(len(users.follow_up(rng, han=False, bank=bank)) < 60 for _ in range(100))
    assert all(len(users.follow_up(rng, han=True, bank=bank)) < 20 for _ in range(100))


def test_what_is_held_out_of_names_and_follow_ups_is_no_training_text() -> None:
    for bank in ("names", "follow_ups"):
        trained_on = {question for topic in topics.topics(bank) for question in topic.questions}
        told_apart = [topic for topic in topics.topics(f"held_out_{bank}") if not topic.name.startswith("asked")]
        assert not [topic.name for topic in told_apart if trained_on & set(topic.questions)]


def test_a_follow_up_stands_behind_a_question_that_its_passage_answers() -> None:
    rng = Random(11)
    found = list(_branches([scenes.draw(rng, CORPUS) for _ in range(400)], "follow_up"))
    assert len(found) > 40
    for scene, branch in found:
        *_, before, _ = scene.user.history
        assert before.role == "user"
        assert f"\n{branch.answer}\n" in scene.messages(branch)[-1].content


def test_a_name_is_asked_for_where_passages_stand_and_where_none_do() -> None:
    rng = Random(12)
    scenes_with_names = [scene for scene, _ in _branches([scenes.draw(rng, CORPUS) for _ in range(400)], "name")]
    assert {bool(scene.passages) for scene in scenes_with_names} == {False, True}
    assert {is_han(scene.user.name) for scene in scenes_with_names if scene.user.name} == {False, True}


def _branches(drawn: list[Scene], kind: str) -> Iterator[tuple[Scene, Branch]]:
    for scene in drawn:
        yield from ((scene, branch) for branch in scene.branches if branch.kind == kind)


def _told(user: User) -> str:
    """All that a prompt has of its user, in one text."""
    said = [message.content for message in user.history]
    facts = [f"{key}: {value}" for known in (user.facts, user.learned) for key, value in known.items()]
    return "\n".join([*facts, user.summary.text if user.summary else "", *said])
