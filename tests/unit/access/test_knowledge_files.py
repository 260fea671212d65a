"""What a file is: an FAQ or a text, by its name and headings."""

from __future__ import annotations

import pytest

from access.knowledge_files import Kind, kind_of, parse
from access.uploads import LONGEST_NAME, plain_name
from rag.loaders import LoadError


@pytest.mark.parametrize(
    ("filename", "content", "kind"),
    [
        ("a.csv", b"anything", "faq"),
        ("a.JSONL", b"anything", "faq"),
        ("a.txt", b"# Why?\nBecause.", "text"),
        ("a.md", b"# FAQ\n## Why?\nBecause.\n## When?\nNow.", "faq"),
        ("a.md", "## 何时发货？\n今天。".encode(), "faq"),
        ("a.md", b"## Returns {#returns}\n30 days.", "faq"),
        ("a.md", b"# Manual\nText.\n## Setup\nText.\n## Why?\nText.", "text"),
        ("a.md", b"no headings", "text"),
    ],
)
def test_a_file_is_known_by_its_name_and_headings(filename: str, content: bytes, kind: Kind) -> None:
    assert kind_of(filename, content) == kind


def test_who_loads_it_may_overrule() -> None:
    assert parse("a.md", b"## Why?\nBecause.", "text").content == "## Why?\nBecause."


def test_rows_are_read_as_entries() -> None:
    [entry] = parse("a.csv", b"question,answer\nWhy?,Because.\n").content
    assert (entry.question, entry.answer) == ("Why?", "Because.")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("filename", "content", "says"),
    [
        ("a.pdf", b"%PDF-1.7", "a.pdf, line 1: unknown kind of file"),
        ("a.txt", b"one\n\xff", "a.txt, line 2: not UTF-8"),
        ("a.txt", b" \n", "a.txt, line 1: the file has no text"),
        ("a.csv", b"question,answr\nq,a\n", "a.csv, line 1: unknown column 'answr'; did you mean 'answer'?"),
        ("a.csv", b"question,answer\nq,\n", "a.csv, line 2: column 'answer' is empty"),
    ],
)
def test_what_is_wrong_is_said_with_line_and_column(filename: str, content: bytes, says: str) -> None:
    with pytest.raises(LoadError) as raised:
        parse(filename, content)
    assert raised.value.message.startswith(says)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("faq.csv", "faq.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\faq.csv", "faq.csv"),
        ("a\r\nb.csv", "ab.csv"),
        ("", "upload"),
    ],
)
def test_a_file_name_has_no_folders_and_no_line_breaks(given: str, kept: str) -> None:
    assert plain_name(given) == kept


def test_a_long_file_name_keeps_its_ending() -> None:
    assert plain_name("x" * 500 + ".csv") == "x" * (LONGEST_NAME - 4) + ".csv"
