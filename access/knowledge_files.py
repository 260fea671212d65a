"""From an uploaded file to a document of a vector store: FAQ rows, or text in pieces."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from access import problems, sse
from contracts.errors import CallerError, PenstockError
from contracts.ids import TenantId
from rag import FaqEntry, Knowledge, LoadError, load_faq
from rag.catalog import Attributes, Document
from rag.changes import Changes
from rag.knowledge import Progress
from rag.markdown import sections

Kind = Literal["faq", "text"]

_ALWAYS_FAQ = (".csv", ".jsonl")
_MARKDOWN = (".md", ".markdown")
_TEXT = (".txt", *_MARKDOWN)
_QUESTION = re.compile(r".*([?？]|\{#[^{}]+\})\s*")


@dataclass(frozen=True)
class Parsed:
    """A file that can be loaded: its FAQ entries, or its text."""

    filename: str
    content: list[FaqEntry] | str


def parse(filename: str, content: bytes, kind: Kind | None = None) -> Parsed:
    """Read a file; ``kind`` overrules what its name and headings say.

    Raises:
        LoadError: it is neither, or something in it is wrong; the message names line and column.
    """
    if (kind or kind_of(filename, content)) == "faq":
        return Parsed(filename, load_faq(filename, content))
    if PurePath(filename).suffix.lower() not in _TEXT:
        known = ", ".join((*_ALWAYS_FAQ, *_TEXT))
        raise LoadError(filename, 1, f"unknown kind of file: the name must end in {known}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise LoadError(filename, line, "not UTF-8: save the file with that encoding") from error
    if not text.strip():
        raise LoadError(filename, 1, "the file has no text")
    return Parsed(filename, text)


def kind_of(filename: str, content: bytes) -> Kind:
    """Rows are an FAQ. So is Markdown most of whose headings are questions, or name a key as ``## Question {#key}``."""
    suffix = PurePath(filename).suffix.lower()
    if suffix in _ALWAYS_FAQ:
        return "faq"
    if suffix not in _MARKDOWN:
        return "text"
    titles = [
        section.title for section in sections(content.decode("utf-8", "replace")) if section.level and section.body
    ]
    questions = sum(_QUESTION.fullmatch(title) is not None for title in titles)
    return "faq" if titles and 2 * questions > len(titles) else "text"


async def load(
    knowledge: Knowledge,
    tenant: TenantId,
    store: str,
    file_id: str,
    parsed: Parsed,
    *,
    attributes: Attributes | None = None,
    progress: Progress | None = None,
) -> Document:
    """Make ``parsed`` the content of document ``file_id``. A FAQ takes the place of an earlier one of its file name,
    and has its attributes where none are given."""
    where, filename, content = (tenant, store), parsed.filename, parsed.content
    if isinstance(content, str):
        load_text = knowledge.load_text
        return await load_text(*where, filename, content, id=file_id, attributes=attributes, progress=progress)
    return await knowledge.load_faq(*where, filename, content, id=file_id, attributes=attributes, progress=progress)


async def plan(knowledge: Knowledge, tenant: TenantId, store: str, parsed: Parsed) -> Changes:
    """What ``load`` would change; changes nothing.

    Raises:
        CallerError: it is a text, whose pieces have no keys to be told by.
    """
    if isinstance(parsed.content, str):
        raise CallerError("Only an FAQ can be tried without being loaded.", code="unsupported_value", param="dry_run")
    return await knowledge.plan_faq(tenant, store, parsed.filename, parsed.content)


async def told(work: Callable[[Progress], Coroutine[Any, Any, dict[str, Any]]]) -> AsyncGenerator[bytes]:
    """Frames of server-sent events: how far ``work`` is whenever it says so, then what it returns, or its error.

    Who stops listening stops the work; what it has written stays, and the next load goes on from there.
    """
    steps: asyncio.Queue[tuple[int, int] | None] = asyncio.Queue()
    task = asyncio.create_task(work(lambda done, of: steps.put_nowait((done, of))), name="knowledge.load")
    task.add_done_callback(lambda _: steps.put_nowait(None))
    try:
        while (step := await steps.get()) is not None:
            yield sse.frame({"object": "vector_store.progress", "done": step[0], "of": step[1]})
        yield sse.frame(await task)
    except PenstockError as error:
        yield sse.frame(problems.body(error))
    finally:
        task.cancel()
