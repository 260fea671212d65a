"""FAQ files that load, and what is said of those that do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.loaders import FaqEntry, LoadError, load_faq

OPEN = FaqEntry("open", "When do you open?", "At nine, and at ten on Sundays.", 2, ("hours", "shop"))


def test_csv_rows_become_entries() -> None:
    content = b'key,question,answer,tags\nopen,When do you open?,"At nine, and at ten on Sundays.","hours, shop"\n'
    assert load_faq("faq.csv", content) == [OPEN]


def test_csv_of_a_spreadsheet_with_mark_crlf_and_line_breaks_is_read() -> None:
    content = b'\xef\xbb\xbfquestion,answer\r\n"Two\r\nlines?",yes\r\nNext?,no\r\n'
    assert [(one.question, one.line) for one in load_faq("faq.csv", content)] == [("Two\r\nlines?", 2), ("Next?", 4)]


def test_json_lines_become_entries() -> None:
    content = (
        b'\n{"key": "open", "question": "When do you open?", "answer": "At nine, and at ten on Sundays.", '
        b'"tags": ["hours", "shop"]}\n'
    )
    assert load_faq("faq.jsonl", content) == [OPEN]


def test_markdown_headings_become_questions() -> None:
    content = (
        b"# Our FAQ\nWelcome.\n## When do you open? {#open}\nAt nine.\n\n```\n# no heading\n```\n## Parking?\nNo.\n"
    )
    entries = load_faq("faq.md", content)
    assert [(one.key, one.question, one.line) for one in entries] == [
        ("open", "When do you open?", 3),
        ("Parking?", "Parking?", 9),
    ]
    assert entries[0].answer == "At nine.\n\n```\n# no heading\n```"


def test_other_ways_to_ask_are_a_list_or_stand_between_bars() -> None:
    csv = b"question,answer,also\nq,a,opening hours | open today?\n"
    jsonl = b'{"question": "q", "answer": "a", "also": ["opening hours", "open today?"]}\n'
    for filename, content in (("faq.csv", csv), ("faq.jsonl", jsonl)):
        assert load_faq(filename, content)[0].also == ("opening hours", "open today?")


def test_a_missing_key_is_the_question() -> None:
    assert load_faq("faq.csv", b"question,answer\nWhy?,Because.\n")[0].key == "Why?"


@pytest.mark.parametrize(
    ("filename", "content", "line", "problem"),
    [
        ("faq.csv", b"question,anwser\nq,a\n", 1, "unknown column 'anwser'; did you mean 'answer'?"),
        ("faq.csv", b"question,answer,price\nq,a,1\n", 1, "unknown column 'price'; known are key"),
        ("faq.csv", b"question\nq\n", 1, "column 'answer' is missing"),
        ("faq.csv", b"question,answer,answer\nq,a,b\n", 1, "column 'answer' occurs twice"),
        ("faq.csv", b"question,answer\nq,a\n,b\n", 3, "column 'question' is empty"),
        ("faq.csv", b"question,answer\nq,a, b\n", 2, "3 fields for 2 columns"),
        ("faq.csv", b'question,answer\nq,"a\n', 2, "broken CSV"),
        ("faq.csv", b"key,question,answer\nk,q,a\nk,r,b\n", 3, "'k' is already that of line 2"),
        ("faq.csv", b"question,answer\nq,\xff\n", 2, "not UTF-8"),
        ("faq.csv", b"", 1, "column 'question' is missing"),
        ("faq.csv", b"question,answer\n", 1, "the file has no entries"),
        ("faq.csv", b"question,answer\n" + b"q" * 1001 + b",a\n", 2, "longer than 1000"),
        ("faq.jsonl", b'{"question": "q", "answer": "a"}\n{"question": "q"\n', 2, "broken JSON at character"),
        ("faq.jsonl", b"[1]\n", 1, "expected a JSON object"),
        ("faq.jsonl", b'{"question": 1, "answer": "a"}\n', 1, "column 'question' must be text"),
        ("faq.jsonl", b'{"question": "q", "answer": "a", "tags": "t"}\n', 1, "column 'tags' must be a list"),
        ("faq.jsonl", b'{"question": "q", "answer": "a", "also": [" "]}\n', 1, "column 'also' is empty"),
        ("faq.csv", b"question,answer,also\nq,a," + b"b|" * 51 + b"\n", 2, "'also' holds more than 50"),
        ("faq.jsonl", b"\n\n", 1, "the file has no entries"),
        ("faq.md", b"## Why?\n\n## How?\nSo.\n", 1, "column 'answer' is empty"),
        ("faq.md", b"no heading\n", 1, "the file has no entries"),
        ("faq.xlsx", b"PK", 1, "must end in .csv, .jsonl, .md, .markdown"),
    ],
)
def test_an_error_names_the_line_and_the_column(filename: str, content: bytes, line: int, problem: str) -> None:
    with pytest.raises(LoadError) as raised:
        load_faq(filename, content)
    assert raised.value.line == line
    assert f"{filename}, line {line}: " in raised.value.message
    assert problem in raised.value.message


def test_all_rows_that_are_wrong_are_named_together() -> None:
    content = b"key,question,answer\nk,q,\nk,q,a\n,,a\nk,r,b\n"
    with pytest.raises(LoadError) as raised:
        load_faq("faq.csv", content)
    assert raised.value.message.split("\n") == [
        "faq.csv, line 2: column 'answer' is empty",
        "faq.csv, line 4: column 'question' is empty",
        "faq.csv, line 5: column 'key': 'k' is already that of line 3",
    ]


def test_of_many_wrong_rows_the_first_are_named_and_the_rest_counted() -> None:
    with pytest.raises(LoadError) as raised:
        load_faq("faq.csv", b"question,answer\n" + b"q,\n" * 30)
    lines = raised.value.message.split("\n")
    assert (len(lines), lines[-1]) == (21, "… and 10 more")


def test_a_quote_that_is_never_closed_is_looked_for_where_it_opens() -> None:
    content = b'question,answer\nq,a\nWhy?,"Because\n' + b"more,rows\n" * 50
    with pytest.raises(LoadError, match=r"line 3: .*a quote that opens in field 2 is never closed"):
        load_faq("faq.csv", content)


def test_a_quote_that_swallows_a_long_file_is_looked_for_where_it_opens() -> None:
    content = b'question,answer\nWhy?,"Because\n' + b"more,rows\n" * 50_000
    with pytest.raises(LoadError, match="line 2: broken CSV in the row that begins here"):
        load_faq("faq.csv", content)


@pytest.mark.parametrize("encoding", ["utf-16", "gb18030", "latin-1"])
def test_another_encoding_is_named_by_its_place(encoding: str) -> None:
    text = "question,answer\nWo?,Tür\n" if encoding == "latin-1" else "question,answer\n何时发货？,今天。\n"
    with pytest.raises(LoadError, match=r"line \d+: not UTF-8 \(byte \d+ of the line\)"):
        load_faq("faq.csv", text.encode(encoding))


@pytest.mark.parametrize("text", ["🫖 tea? 👩‍👩‍👧", "متى تفتحون؟", "\u202eright to left\u202c", "e\u0301te\u0301"])
def test_emoji_and_right_to_left_text_stay_as_they_are(text: str) -> None:
    [entry] = load_faq("faq.csv", f"question,answer\n{text},{text}\n".encode())
    assert (entry.key, entry.question, entry.answer) == (text, text, text)


@given(st.sampled_from(["a.csv", "a.jsonl", "a.md"]), st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_load_error(filename: str, content: bytes) -> None:
    try:
        entries = load_faq(filename, content)
    except LoadError:
        return
    assert all(one.question and one.answer for one in entries)
