"""What a person sees. Pure: values in, lines out.

What models, other services and other devices say is data. None of it reaches a terminal but through ``harmless``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from penstock.chat.commands import COMMANDS
from penstock.chat.said import Answer, Citation, Conversation, Item, Model, Queued

UNTITLED = "(untitled)"
_PICTURES = 0x2400
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_HARMLESS: dict[int, str | None] = {
    **{code: chr(_PICTURES + code) for code in range(0x20)},
    0x7F: "\N{SYMBOL FOR DELETE}",
    **dict.fromkeys(range(0x80, 0xA0), _UNKNOWN),
    # What makes text read in another order than it stands in (https://trojansource.codes).
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], _UNKNOWN),
    ord("\n"): "\n",
    ord("\t"): "\t",
    ord("\r"): None,  # alone it would go back and write over the line
}
_REASONS = {"max_output_tokens": "the answer has reached its longest length", "deadline": "its time was up"}


def harmless(text: str) -> str:
    """The text without anything that a terminal obeys: control characters become pictures of themselves."""
    return text.translate(_HARMLESS)


def harmless_line(text: str) -> str:
    """The same on one line, for titles and names."""
    return " ".join(harmless(text).split())


def fitted(line: str, columns: int) -> str:
    """As much of a line as stands on one row of a terminal."""
    return line if len(line) < columns else line[: max(columns - 2, 0)] + "…"


def waiting_line(queued: Queued) -> str:
    return f"waiting: place {queued.position} in the queue, about {duration(queued.eta_seconds)}"


def duration(seconds: float) -> str:
    """In the unit that a person would name."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{round(seconds / 3600)} h"


def footnotes(answer: Answer) -> list[str]:
    """What stands under an answer: what it cites, and what is to be known about it."""
    lines = [citation_line(citation) for citation in answer.citations]
    if answer.skipped:
        lines.append(f"No knowledge was used: {harmless_line(answer.skipped)}.")
    if answer.incomplete:
        lines.append(f"Cut off: {_REASONS.get(answer.incomplete, harmless_line(answer.incomplete))}.")
    return lines


def citation_line(citation: Citation) -> str:
    return f"[{citation.number}] {harmless_line(citation.title)}"


def failure(answer: Answer) -> str:
    """Why an answer that did not come did not come."""
    if answer.problem is not None:
        return harmless_line(answer.problem.message)
    if answer.status == "cancelled":
        return "The answer was cancelled elsewhere."
    return f"There is no answer: {_REASONS.get(answer.incomplete, harmless_line(answer.status))}."


def greeting(url: str, model: Model) -> str:
    return f"{model_line(model)} at {url}. /help lists the commands, Ctrl-D leaves."


def help_lines() -> list[str]:
    usages = {f"/{name} {spec.shown}".strip(): spec.what for name, spec in COMMANDS.items()}
    usages["//…"] = "ask a question that begins with a slash"
    usages["… \\"] = "go on in the next line"
    usages['""" … """'] = "ask several lines"
    width = max(map(len, usages))
    return [f"  {usage:<{width}}  {what}" for usage, what in usages.items()]


def conversation_lines(conversations: Sequence[Conversation], current: str) -> list[str]:
    """A numbered line each; the current one has a star."""
    if not conversations:
        return ["There is no conversation yet."]
    width = len(str(len(conversations)))
    return [
        f"{'*' if one.id == current else ' '} {number:>{width}}  {moment(one.created_at)}  {title_of(one)}"
        for number, one in enumerate(conversations, 1)
    ]


def title_of(conversation: Conversation) -> str:
    return harmless_line(conversation.title) or UNTITLED


def opened_line(conversation: Conversation) -> str:
    return f"{title_of(conversation)} ({conversation.id})"


def model_lines(models: Sequence[Model], current: str) -> list[str]:
    """A line each; the current one has a star, and one that would not answer now says so."""
    return [f"{'*' if model.name == current else ' '} {model_line(model)}" for model in models]


def model_line(model: Model) -> str:
    state = "" if model.state == "ready" else f" ({harmless_line(model.state)})"
    return harmless_line(model.name) + state


def item_lines(item: Item) -> list[str]:
    """A message with who said it and when."""
    who = "you" if item.role == "user" else item.publisher or "answer"
    head = f"[{harmless_line(who)}, {moment(item.created_at)}]"
    return [head, *harmless(item.text).strip("\n").split("\n")]


def moment(at: float) -> str:
    """Unix seconds as a person reads them."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def title_from(question: str) -> str:
    """A title for a conversation that begins with this question."""
    return fitted(harmless_line(question), 80)


def markdown(conversation: Conversation, items: Sequence[Item], citations: Mapping[str, Sequence[Citation]]) -> str:
    """A conversation as a Markdown file, its summary behind what it covers. ``citations`` are those of an item's id."""
    summary = conversation.summary
    covered = [item for item in items if summary and item.created_at <= summary.until]
    parts = [f"# {harmless_line(conversation.title) or UNTITLED}"]
    for item in covered:
        parts += _parts(item, citations)
    if summary:
        parts.append(_spoken("Earlier messages are summarised for the model", summary.created_at, summary.text))
    for item in items[len(covered) :]:
        parts += _parts(item, citations)
    return "\n\n".join(parts) + "\n"


def file_name(title: str) -> str:
    """A title as the name of a file, whatever is in it."""
    words = re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", title)).strip("-")[:60].strip("-")
    return f"{words or 'conversation'}.md"


def _parts(item: Item, citations: Mapping[str, Sequence[Citation]]) -> list[str]:
    who = "You" if item.role == "user" else item.publisher or "Answer"
    said = _spoken(who, item.created_at, item.text)
    cited = citations.get(item.id)
    return [said, "\n".join(f"> {citation_line(one)}: {harmless_line(one.text)}" for one in cited)] if cited else [said]


def _spoken(who: str, created_at: float, text: str) -> str:
    at = datetime.fromtimestamp(created_at, UTC).strftime("%Y-%m-%d %H:%M")
    return f"**{harmless_line(who)}** · {at} UTC\n\n{harmless(text).strip()}"
