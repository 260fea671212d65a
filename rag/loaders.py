"""FAQ files: rows of questions and answers from CSV, JSON Lines and Markdown. Pure.

Every error names the file's line and the column, and all rows that are wrong are named together: an FAQ team repairs
its file from one message.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Any, cast

from contracts.errors import CallerError
from rag.markdown import sections

COLUMNS = ("key", "question", "answer", "also", "tags")
LONGEST = {"key": 128, "question": 1_000, "answer": 8_000, "also": 1_000, "tags": 100}
MOST = {"also": 50, "tags": 50}
PROBLEMS_TOLD = 20


class LoadError(CallerError):
    """The file cannot be loaded; the message says where and what to change, a line for each place."""

    default_code = "invalid_file"

    def __init__(self, filename: str, line: int, problem: str, *others: LoadError):
        told = [f"{filename}, line {line}: {problem}", *(other.message for other in others[: PROBLEMS_TOLD - 1])]
        left = len(others) + 1 - len(told)
        super().__init__("\n".join([*told, f"… and {left} more"] if left else told), param="file")
        self.filename, self.line, self.problem = filename, line, problem

    @classmethod
    def of(cls, problems: Sequence[LoadError]) -> LoadError:
        """One error that tells of all, in the order of their lines."""
        first, *others = sorted(problems, key=lambda one: one.line)
        return cls(first.filename, first.line, first.problem, *others)


@dataclass(frozen=True, slots=True)
class FaqEntry:
    """One question with its answer. ``line`` is where it starts in its file, from 1.

    ``also`` are other ways to ask it: they are searched and never shown.
    """

    key: str
    question: str
    answer: str
    line: int
    tags: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


def load_faq(filename: str, content: bytes) -> list[FaqEntry]:
    """The entries of a FAQ file; the ending of ``filename`` says how to read it.

    Columns are ``question`` and ``answer`` and, if wanted, ``key`` (the question itself where missing), ``also`` (other
    ways to ask, separated by ``|`` in CSV, a list in JSON) and ``tags`` (separated by commas, a list). In Markdown each
    heading is a question and what follows is its answer; ``## Question {#key}`` names a key; a heading above deeper
    ones only groups them.

    Raises:
        LoadError: unknown ending or column, missing question or answer, repeated key, broken CSV or JSON, bytes that
            are not UTF-8, or no entry at all; names every row that is wrong.
    """
    read = _READERS.get(PurePath(filename).suffix.lower())
    if read is None:
        raise LoadError(filename, 1, f"unknown kind of file: the name must end in {', '.join(_READERS)}")
    rows = list(read(filename, _decoded(filename, content)))
    entries = [row for row in rows if isinstance(row, FaqEntry)]
    problems = [row for row in rows if isinstance(row, LoadError)] + _repeated_keys(filename, entries)
    if problems:
        raise LoadError.of(problems)
    if not entries:
        raise LoadError(filename, 1, "the file has no entries")
    return entries


Read = Iterator[FaqEntry | LoadError]
"""A file's rows, each an entry or what is wrong with it; raised is only what leaves nothing to read after it."""


def _read_csv(filename: str, text: str) -> Read:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    end = 0
    try:
        columns = [name.strip() for name in next(rows, [])]
        _check_columns(filename, 1, columns)
        end = rows.line_num
        for row in rows:
            start, end = end + 1, rows.line_num
            if row:
                yield _checked(filename, start, partial(_csv_row, filename, start, columns, row))
    except csv.Error as error:
        # The rest cannot be told apart into rows: where this one begins is where to look.
        problem = f"broken CSV in the row that begins here{_open_quote(text, end)}: {error}"
        yield LoadError(filename, end + 1, problem)


def _open_quote(text: str, rows_end: int) -> str:
    """Which column's quote is never closed, as far as one can tell: the last that a lenient reader finds."""
    lines = io.StringIO(text, newline="").readlines()[rows_end:]
    try:
        lenient = csv.reader(lines)
        row = next(lenient, [])
    except csv.Error:
        return "; is a quote never closed?"
    closed = lenient.line_num < len(lines)
    return "" if closed else f"; a quote that opens in field {len(row)} is never closed"


def _csv_row(filename: str, line: int, columns: list[str], row: list[str]) -> dict[str, Any]:
    if len(row) != len(columns):
        problem = f"{len(row)} fields for {len(columns)} columns; a field that contains a comma must stand in quotes"
        raise LoadError(filename, line, problem)
    fields: dict[str, Any] = dict(zip(columns, row, strict=True))
    return fields | {"tags": _parts(fields.get("tags", ""), ","), "also": _parts(fields.get("also", ""), "|")}


def _parts(field: str, separator: str) -> list[str]:
    return [part for part in field.split(separator) if part.strip()]


def _read_jsonl(filename: str, text: str) -> Read:
    # Not splitlines: a JSON string may contain U+2028 as it is.
    for line, source in enumerate(text.split("\n"), start=1):
        if source.strip():
            yield _checked(filename, line, partial(_json_row, filename, line, source))


def _json_row(filename: str, line: int, source: str) -> dict[str, Any]:
    fields = _json_object(filename, line, source)
    _check_columns(filename, line, list(fields))
    return fields


def _json_object(filename: str, line: int, source: str) -> dict[str, Any]:
    try:
        fields = json.loads(source)
    except json.JSONDecodeError as error:
        raise LoadError(filename, line, f"broken JSON at character {error.colno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise LoadError(filename, line, f"broken JSON: {error}") from error
    if not isinstance(fields, dict):
        raise LoadError(filename, line, "expected a JSON object with question and answer")
    return fields


def _read_markdown(filename: str, text: str) -> Read:
    found = [section for section in sections(text) if section.level]
    levels = [*(section.level for section in found), 0]
    for section, next_level in zip(found, levels[1:], strict=True):
        if next_level <= section.level:
            fields = {**_keyed(section.title), "answer": section.body}
            yield _checked(filename, section.line, partial(dict, fields))


def _checked(filename: str, line: int, fields: Callable[[], dict[str, Any]]) -> FaqEntry | LoadError:
    try:
        return _entry(filename, line, fields())
    except LoadError as error:
        return error


_READERS = {".csv": _read_csv, ".jsonl": _read_jsonl, ".md": _read_markdown, ".markdown": _read_markdown}


def _decoded(filename: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        problem = f"not UTF-8 (byte {column} of the line): save the file with that encoding"
        raise LoadError(filename, line, problem) from error


def _check_columns(filename: str, line: int, columns: Iterable[str]) -> None:
    columns = list(columns)
    for name in columns:
        if name not in COLUMNS:
            nearest = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else f"; known are {', '.join(COLUMNS)}"
            raise LoadError(filename, line, f"unknown column {name!r}{hint}")
        if columns.count(name) > 1:
            raise LoadError(filename, line, f"column {name!r} occurs twice")
    for name in ("question", "answer"):
        if name not in columns:
            raise LoadError(filename, line, f"column {name!r} is missing")


def _entry(filename: str, line: int, fields: dict[str, Any]) -> FaqEntry:
    question = _text(filename, line, "question", fields.get("question"))
    answer = _text(filename, line, "answer", fields.get("answer"))
    key = _text(filename, line, "key", fields.get("key") or question[: LONGEST["key"]])
    also, tags = (_texts(filename, line, column, fields.get(column)) for column in ("also", "tags"))
    return FaqEntry(key, question, answer, line, tags, also)


def _keyed(title: str) -> dict[str, str]:
    """A heading's question, and the key that ``{#key}`` at its end gives it."""
    question, opening, rest = title.rpartition("{#")
    if not opening or not rest.endswith("}") or set(rest[:-1]) & set("{}") or not rest[:-1]:
        return {"question": title}
    return {"question": question.rstrip(), "key": rest[:-1]}


def _text(filename: str, line: int, column: str, value: object) -> str:
    if not isinstance(value, str):
        raise LoadError(filename, line, f"column {column!r} must be text")
    value = value.strip()
    if not value:
        raise LoadError(filename, line, f"column {column!r} is empty")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise LoadError(filename, line, f"column {column!r} holds half a character (a lone surrogate)")
    if len(value) > LONGEST[column]:
        raise LoadError(filename, line, f"column {column!r} is longer than {LONGEST[column]} characters")
    return value


def _texts(filename: str, line: int, column: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(part, str) for part in cast("list[object]", value)):
        raise LoadError(filename, line, f"column {column!r} must be a list of texts")
    parts = cast("list[str]", value)
    if len(parts) > MOST[column]:
        raise LoadError(filename, line, f"column {column!r} holds more than {MOST[column]} texts")
    return tuple(_text(filename, line, column, part) for part in parts)


def _repeated_keys(filename: str, entries: Iterable[FaqEntry]) -> list[LoadError]:
    seen: dict[str, int] = {}
    return [
        LoadError(filename, entry.line, f"column 'key': {entry.key!r} is already that of line {seen[entry.key]}")
        for entry in entries
        if seen.setdefault(entry.key, entry.line) != entry.line
    ]
