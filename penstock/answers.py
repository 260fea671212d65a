"""Asking through the public API, as any OpenAI client would: the answer as it streams, then what it cites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from openai import APIConnectionError, APIStatusError, OpenAI, OpenAIError

from penstock.errors import CommandError

DEFAULT_MODEL = "faq-bot"


@dataclass(frozen=True)
class Answer:
    """A whole answer. ``citations`` are the titles of the passages it rests on, in the order of the text."""

    text: str
    citations: tuple[str, ...]
    retrieval_skipped: str | None


def connect(url: str, key: str) -> OpenAI:
    """A client of the access process at ``url`` (``http://host:port``)."""
    return OpenAI(base_url=f"{url.rstrip('/')}/v1", api_key=key, max_retries=1, timeout=120)


def stream(client: OpenAI, model: str, question: str, write: Callable[[str], object]) -> Answer:
    """Ask, hand every piece of the answer to ``write`` as it comes, and return the whole.

    Raises:
        CommandError: the server cannot be reached, or refused; says what it said.
    """
    try:
        return _stream(client, model, question, write)
    except OpenAIError as error:
        raise translated(error) from error


def footnotes(answer: Answer) -> str:
    """What the answer rests on, a line each; begins by ending the line of the answer."""
    cited = [f"\nCited: {title}" for title in answer.citations]
    skipped = [f"\nNo knowledge was used: {answer.retrieval_skipped}"] if answer.retrieval_skipped else []
    return "".join(["\n" if not cited and not skipped else "", *cited, *skipped])


def translated(error: OpenAIError) -> CommandError:
    """What went wrong, in the server's own words where it has any."""
    if isinstance(error, APIConnectionError):
        return CommandError("Nothing answers there. Start Penstock with 'penstock up', or say where it is with --url.")
    if isinstance(error, APIStatusError):
        return CommandError(_said(error))
    return CommandError(f"The answer broke off: {error}")


def _stream(client: OpenAI, model: str, question: str, write: Callable[[str], object]) -> Answer:
    parts: list[str] = []
    citations: list[str] = []
    skipped: str | None = None
    chunks = client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}], stream=True)
    for chunk in chunks:
        skipped = skipped or getattr(chunk, "retrieval_skipped", None)
        for choice in chunk.choices:
            if choice.delta.content:
                parts.append(choice.delta.content)
                write(choice.delta.content)
            citations += _titles(getattr(choice.delta, "annotations", None) or [])
    return Answer("".join(parts), tuple(dict.fromkeys(citations)), skipped)


def _titles(annotations: list[dict[str, Any]]) -> list[str]:
    return [annotation["url_citation"]["title"] for annotation in annotations if "url_citation" in annotation]


def _said(error: APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return body["message"]
    return f"The server answered with status {error.status_code}."
