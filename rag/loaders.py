"""FAQ files: rows of questions and answers from CSV, JSON Lines and Markdown. Pure.

Every error names the file's line and the column: an FAQ team repairs its file from the message alone.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, cast

from contracts.errors import CallerError
from rag.markdown import sections

COLUMNS = ("key", "question", "answer", "also", "tags")
LONGEST = {"key": 128, "question": 1_000, "answer": 8_000, "also": 1_000}
MOST_ALSO = 50


class LoadError(CallerError):
    """The file cannot be loaded; the message says where and what to change."""

    default_code = "invalid_file"

    def __init__(self, filename: str, line: int, problem: str):
        super().__init__(f"{filename}, line {line}: {problem}", param="file")
        self.line = line


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
            are not UTF-8, or no entry at all.
    """
    read = _READERS.get(PurePath(filename).suffix.lower())
    if read is None:
        raise LoadError(filename, 1, f"unknown kind of file: the name must end in {', '.join(_READERS)}")
    entries = list(read(filename, _decoded(filename, content)))
    if not entries:
        raise LoadError(filename, 1, "the file has no entries")
    _refuse_repeated_keys(filename, entries)
    return entries


def _read_csv(filename: str, text: str) -> Iterator[FaqEntry]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [name.strip() for name in next(rows, [])]
        _check_columns(filename, 1, columns)
        end = rows.line_num
        for row in rows:
            start, end = end + 1, rows.line_num
            if row:
                yield _entry(filename, start, _csv_row(filename, start, columns, row))
    except csv.Error as error:
        raise LoadError(filename, max(rows.line_num, 1), f"broken CSV: {error}") from error


def _csv_row(filename: str, line: int, columns: list[str], row: list[str]) -> dict[str, Any]:
    if len(row) != len(columns):
        problem = f"{len(row)} fields for {len(columns)} columns; a field that contains a comma must stand in quotes"
        raise LoadError(filename, line, problem)
    fields: dict[str, Any] = dict(zip(columns, row, strict=True))
    return fields | {"tags": _parts(fields.get("tags", ""), ","), "also": _parts(fields.get("also", ""), "|")}


def _parts(field: str, separator: str) -> list[str]:
    return [part for part in field.split(separator) if part.strip()]


def _read_jsonl(filename: str, text: str) -> Iterator[FaqEntry]:
    # Not splitlines: a JSON string may contain U+2028 as it is.
    for line, source in enumerate(text.split("\n"), start=1):
        if source.strip():
            fields = _json_object(filename, line, source)
            _check_columns(filename, line, list(fields))
            yield _entry(filename, line, fields)


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


def _read_markdown(filename: str, text: str) -> Iterator[FaqEntry]:
    found = [section for section in sections(text) if section.level]
    levels = [*(section.level for section in found), 0]
    for section, next_level in zip(found, levels[1:], strict=True):
        if next_level <= section.level:
            yield _entry(filename, section.line, {**_keyed(section.title), "answer": section.body})


_READERS = {".csv": _read_csv, ".jsonl": _read_jsonl, ".md": _read_markdown, ".markdown": _read_markdown}


def _decoded(filename: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise LoadError(filename, line, "not UTF-8: save the file with that encoding") from error


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
    also = tuple(_text(filename, line, "also", one) for one in _list(filename, line, "also", fields.get("also")))
    if len(also) > MOST_ALSO:
        raise LoadError(filename, line, f"column 'also' holds more than {MOST_ALSO} questions")
    tags = tuple(tag.strip() for tag in _list(filename, line, "tags", fields.get("tags")))
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


def _list(filename: str, line: int, column: str, value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise LoadError(filename, line, f"column {column!r} must be a list of texts")
    return cast("list[str]", value)


def _refuse_repeated_keys(filename: str, entries: Iterable[FaqEntry]) -> None:
    seen: dict[str, int] = {}
    for entry in entries:
        if entry.key in seen:
            problem = f"column 'key': {entry.key!r} is already that of line {seen[entry.key]}"
            raise LoadError(filename, entry.line, problem)
        seen[entry.key] = entry.line
