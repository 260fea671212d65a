"""Stop strings: never shown, never missed, and every released piece has exactly the text of its tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inference_worker.engines.stops import StopWatch


def shown(pieces: list[str], stops: list[str]) -> tuple[str, list[int], bool]:
    watch = StopWatch(stops)
    text, ids = "", list[int]()
    for number, piece in enumerate(pieces):
        more, more_ids = watch.push(piece, (number,))
        text, ids = text + more, [*ids, *more_ids]
        if watch.stopped:
            return text, ids, True
    more, more_ids = watch.flush()
    return text + more, [*ids, *more_ids], False


def test_without_stop_strings_text_passes_at_once():
    assert StopWatch([]).push("a", (1,)) == ("a", (1,))


def test_a_token_without_text_waits_for_the_text_it_is_part_of():
    watch = StopWatch([])
    assert watch.push("", (1,)) == ("", ())
    assert watch.push("é", (2,)) == ("é", (1, 2))


def test_a_possible_stop_string_is_held_until_it_is_decided():
    watch = StopWatch(["END"])
    assert watch.push("xE", (1,)) == ("", ())
    assert watch.push("N", (2,)) == ("", ())
    assert watch.push("T", (3,)) == ("xENT", (1, 2, 3))


def test_a_stop_string_in_one_token_hides_what_follows():
    assert shown(["ab", "c|d"], ["|"]) == ("abc", [0, 1], True)


def test_the_first_of_two_stop_strings_counts():
    assert shown(["a;b.c"], [".", ";"]) == ("a", [0], True)


@given(st.lists(st.text("ab", max_size=3), max_size=12), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_whatever_the_pieces_the_text_ends_before_the_first_stop_string(pieces: list[str], stops: list[str]):
    whole = "".join(pieces)
    text, _, stopped = shown(pieces, stops)
    found = [at for stop in stops if (at := whole.find(stop)) >= 0]
    assert stopped == bool(found)
    # Which stop string completes first depends on the pieces; none may be inside what is shown.
    assert whole.startswith(text)
    assert not any(stop in text for stop in stops)
    assert stopped or text == whole


@given(st.lists(st.text("ab", max_size=3), max_size=12), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_released_tokens_are_in_order_and_their_text_is_what_is_shown(pieces: list[str], stops: list[str]):
    watch = StopWatch(stops)
    for number, piece in enumerate(pieces):
        text, ids = watch.push(piece, (number,))
        if watch.stopped:
            return
        assert text == "".join(pieces[at] for at in ids)
    text, ids = watch.flush()
    assert text == "".join(pieces[at] for at in ids)
