"""A-B-B-A, and what makes a pair no measurement."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.answers import Answer
from benchmarks.load import Leg
from benchmarks.rounds import Pair, against, interleave, of_legs, take_turns
from benchmarks.servers import Server

OURS = Server("ours", 1, "m", "", ())
THEIRS = Server("theirs", 2, "m", "", ())
ANSWER = Answer(0.01, 0.1, (0.001,), "the gate lets through just what the wheel can turn into light", 9, 64, "length")


def leg(server: str, *answers: Answer, seconds: float = 1.0) -> Leg:
    return Leg(server, seconds, answers or (ANSWER,), {})


async def test_every_round_goes_there_and_back_with_fresh_questions_for_each_pair() -> None:
    went: list[tuple[str, int]] = []

    async def run(server: Server, number: int) -> Leg:
        went.append((server.name, number))
        return leg(server.name)

    pairs = await interleave("test", 2, OURS, THEIRS, run)
    there_and_back = ["ours", "theirs", "theirs", "ours"]
    assert went == list(zip(there_and_back * 2, [0, 0, 1, 1, 2, 2, 3, 3], strict=True))
    assert all((pair.ours.server, pair.theirs.server) == ("ours", "theirs") for pair in pairs)


async def test_three_servers_go_there_and_back_too() -> None:
    third, went = Server("third", 3, "m", "", ()), list[str]()

    async def run(server: Server, _number: int) -> Leg:
        went.append(server.name)
        return leg(server.name)

    legs = await take_turns("test", 1, (OURS, THEIRS, third), run, lambda leg: leg.server)
    assert went == ["ours", "theirs", "third", "third", "theirs", "ours"]
    assert [pair.theirs.server for pair in against(legs, "ours", "third")] == ["third", "third"]


def test_equal_answers_are_no_problem() -> None:
    pair = Pair(leg("ours"), leg("theirs"))
    assert (pair.problems, pair.same) == ([], 1)


def test_a_lost_token_is_a_problem_of_ours() -> None:
    short = replace(ANSWER, text=ANSWER.text.replace(" lets", ""))
    assert Pair(leg("ours", short), leg("theirs")).problems == ["ours: tokens lost"]


def test_a_broken_answer_is_a_problem_of_its_side() -> None:
    broken = replace(ANSWER, problem="no [DONE]")
    assert Pair(leg("ours"), leg("theirs", broken)).problems == ["theirs: no [DONE]"]


def test_a_figure_of_legs_is_both_medians_and_the_ratio_of_the_pairs() -> None:
    pairs = [Pair(leg("ours", seconds=0.5), leg("theirs", seconds=1.0)) for _ in range(3)]
    ours, theirs, ratio = of_legs(pairs, lambda leg: leg.tokens_per_second)
    assert (ours, theirs, ratio.value) == (128, 64, 2)
