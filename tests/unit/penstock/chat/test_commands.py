"""What a person types means one thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.chat.commands import COMMANDS, Command, Nothing, Question, Wrong, completions, is_unfinished, parse


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("How long?", Question("How long?")),
        ("  How long?  ", Question("How long?")),
        ("", Nothing()),
        ("   ", Nothing()),
        ("/list", Command("list")),
        ("/LIST ", Command("list")),
        ("/new", Command("new")),
        ("/new A kettle ", Command("new", "A kettle")),
        ("/switch 3", Command("switch", "3")),
        ("/history 25", Command("history", "25")),
        ("//etc/hosts, what is it?", Question("/etc/hosts, what is it?")),
        ("//", Question("/")),
    ],
)
def test_a_line_is_a_question_or_a_command(line: str, meant: object) -> None:
    assert not is_unfinished([line])
    assert parse([line]) == meant


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("/hstory", "Did you mean /history?"),
        ("/etc/hosts is what?", "//etc/hosts … asks a question"),
        ("/", "/help lists the commands"),
        ("/list all", "takes nothing"),
        ("/switch", "/switch N|ID"),
        ("/title", "/title TEXT"),
        ("/history many", "a number"),
        ("/history 0", "a number"),
        ("/history " + "9" * 5000, "a number"),
        ("/history -3", "a number"),
        ("/history ²", "a number"),
    ],
)
def test_what_is_no_command_gets_a_hint_and_is_no_question(line: str, hint: str) -> None:
    wrong = parse([line])
    assert isinstance(wrong, Wrong)
    assert hint in wrong.hint


def test_a_backslash_at_the_end_goes_on_in_the_next_line() -> None:
    assert is_unfinished(["one\\"])
    assert is_unfinished(["one\\", "two\\"])
    assert parse(["one\\", "two\\", "three"]) == Question("one\ntwo\nthree")


def test_two_backslashes_are_two_backslashes() -> None:
    assert not is_unfinished(["C:\\\\"])
    assert parse(["C:\\\\"]) == Question("C:\\\\")


def test_a_block_keeps_its_lines_as_they_are() -> None:
    lines = ['"""', "  def f():", "/quit\\", "", '  pass"""']
    assert [is_unfinished(lines[:count]) for count in range(1, 6)] == [True, True, True, True, False]
    assert parse(lines) == Question("  def f():\n/quit\\\n\n  pass")


@pytest.mark.parametrize(("line", "meant"), [('"""short"""', Question("short")), ('""""""', Nothing())])
def test_a_block_may_close_on_its_line(line: str, meant: object) -> None:
    assert not is_unfinished([line])
    assert parse([line]) == meant


@pytest.mark.parametrize("line", ['"""', '""""', '"""""', '""" open'])
def test_quotation_marks_that_are_not_closed_stay_open(line: str) -> None:
    assert is_unfinished([line])


def test_several_lines_are_never_a_command() -> None:
    assert parse(["/delete", "it"]) == Question("/delete\nit")


def test_what_no_encoding_carries_is_replaced() -> None:
    assert parse(["a\udcffb"]) == Question("a\N{REPLACEMENT CHARACTER}b")
    assert parse(["/title \ud800"]) == Command("title", "\N{REPLACEMENT CHARACTER}")


def test_tab_completes_commands_and_nothing_else() -> None:
    assert completions("/h") == ["/help", "/history"]
    assert completions("/") == [f"/{name}" for name in COMMANDS]
    assert completions("h") == completions("") == []


@given(st.lists(st.text(), min_size=1))
def test_whatever_is_typed_means_something(lines: list[str]) -> None:
    if not is_unfinished(lines):
        assert isinstance(parse(lines), (Question, Command, Wrong, Nothing))
