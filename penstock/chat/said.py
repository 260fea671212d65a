"""What the API says, as values. Pure.

Whatever is not as docs/api.md has it raises ``KeyError``, ``TypeError``, ``ValueError`` or ``AttributeError``
(``NOT_AS_DOCUMENTED``): then it is no Penstock that speaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from penstock.errors import CommandError

NOT_AS_DOCUMENTED = (KeyError, TypeError, ValueError, AttributeError)

_MARK = re.compile(r"\[(\d{1,2})\]")
_ENDS = {f"response.{status}" for status in ("completed", "incomplete", "failed", "cancelled")}


@dataclass(frozen=True)
class Model:
    """What can be asked. ``state`` is ``ready``, ``starting`` or ``no_workers``."""

    name: str
    state: str
    is_preset: bool
    answers: bool


@dataclass(frozen=True)
class Summary:
    """What the model reads in place of the messages up to ``until``, in Unix seconds as ``created_at``."""

    text: str
    until: float
    created_at: float


@dataclass(frozen=True)
class Conversation:
    """``created_at`` is in Unix seconds."""

    id: str
    title: str
    created_at: float
    summary: Summary | None = None


@dataclass(frozen=True)
class Item:
    """One message of a conversation. ``response`` is the answer's id, empty where no request of Penstock's made it;
    ``publisher`` is who pushed it, empty where it is no push. An answer that is being generated has no text.
    """

    id: str
    role: Literal["user", "assistant"]
    text: str
    created_at: float
    response: str = ""
    publisher: str = ""


@dataclass(frozen=True)
class Citation:
    """What the mark ``[number]`` of an answer names."""

    number: int
    title: str
    text: str


@dataclass(frozen=True)
class Problem:
    """Why there is no answer, in the server's words."""

    code: str
    message: str


@dataclass(frozen=True)
class Answer:
    """How an answer ended. ``incomplete`` says why it is not all of it, ``skipped`` why no knowledge was used."""

    id: str
    status: str
    text: str = ""
    citations: tuple[Citation, ...] = ()
    incomplete: str = ""
    skipped: str = ""
    problem: Problem | None = None
    usage: dict[str, Any] | None = None

    @property
    def answered(self) -> bool:
        """Whether somebody who asked has got something to read."""
        return self.status == "completed" or (self.status == "incomplete" and bool(self.text))


@dataclass(frozen=True)
class Named:
    """The answer has an id from now on."""

    id: str


@dataclass(frozen=True)
class Queued:
    """It waits for admission; ``position`` counts from 1."""

    position: int
    eta_seconds: float


@dataclass(frozen=True)
class Text:
    """The next piece of it."""

    text: str


@dataclass(frozen=True)
class Voided:
    """The text so far is void; it comes anew."""


@dataclass(frozen=True)
class Lost:
    """The connection broke; it is tried again."""


@dataclass(frozen=True)
class Ended:
    """Nothing comes behind this."""

    answer: Answer


Told = Named | Queued | Text | Voided | Lost | Ended


def told(event: Any) -> Told | None:
    """What an event of a response's stream says to somebody who reads along; ``None`` if nothing."""
    kind = event["type"]
    if kind == "response.created":
        return Named(str(event["response"]["id"]))
    elif kind == "response.queued":
        return Queued(int(event["position"]), float(event["eta_seconds"]))
    elif kind == "response.output_text.delta":
        return Text(str(event["delta"]))
    elif kind == "response.output_text.reset":
        return Voided()
    elif kind == "error":
        return Ended(Answer("", "failed", problem=Problem(str(event["code"]), str(event["message"]))))
    return Ended(answer_of(event["response"])) if kind in _ENDS else None


def answer_of(response: Any) -> Answer:
    """A ``response`` object as an answer, ended or not."""
    parts = [part for item in response["output"] for part in item["content"]]
    text = "".join(part["text"] for part in parts)
    error = response["error"]
    return Answer(
        id=str(response["id"]),
        status=str(response["status"]),
        text=text,
        citations=_citations(text, [mark for part in parts for mark in part["annotations"]]),
        incomplete=str((response["incomplete_details"] or {}).get("reason", "")),
        skipped=str(response.get("retrieval_skipped", "")),
        problem=Problem(str(error["code"]), str(error["message"])) if error else None,
        usage=response["usage"],
    )


def model_of(listed: Any) -> Model:
    answers = listed.get("kind", "generate") == "generate"
    return Model(str(listed["id"]), str(listed.get("state", "ready")), "preset" in listed, answers)


def named(models: Sequence[Model], name: str) -> Model:
    """The model of this name.

    Raises:
        CommandError: there is none; names those there are.
    """
    for model in models:
        if model.name == name:
            return model
    there_are = ", ".join(repr(model.name)[1:-1] for model in models) or "none yet"
    raise CommandError(f"There is no model {name!r}. There are: {there_are}.")


def first_choice(models: Sequence[Model]) -> Model:
    """The first that would answer now; else the first, and its refusal will say why it does not.

    Raises:
        CommandError: there is none at all.
    """
    if not models:
        raise CommandError("This Penstock serves no model yet. 'penstock status' shows its workers.")
    return next((model for model in models if model.state == "ready"), models[0])


def conversation_of(found: Any) -> Conversation:
    summary = found.get("summary")
    return Conversation(
        id=str(found["id"]),
        title=str(found.get("title") or ""),
        created_at=float(found["created_at"]),
        summary=_summary_of(summary) if summary else None,
    )


def item_of(found: Any) -> Item:
    text = "".join(str(part["text"]) for part in found["content"])
    publisher = str(found.get("publisher") or "push") if found.get("push") else ""
    role: Literal["user", "assistant"] = "user" if found["role"] == "user" else "assistant"
    response = str(found.get("response_id") or "")
    return Item(str(found["id"]), role, text, float(found["created_at"]), response, publisher)


def behind(items: Sequence[Item], last_known: str) -> list[Item]:
    """The items behind one that is known; all of them where none is known yet, none where it is not among them."""
    ids = [item.id for item in items]
    if last_known and last_known not in ids:
        return []
    return list(items[ids.index(last_known) + 1 if last_known else 0 :])


def cites(text: str) -> bool:
    """Whether there is a mark in it that might name something."""
    return _MARK.search(text) is not None


def _summary_of(found: Any) -> Summary:
    return Summary(str(found["text"]), float(found["until"]), float(found["created_at"]))


def _citations(text: str, annotations: Iterable[Any]) -> tuple[Citation, ...]:
    """Each passage once, under the number of its mark, in the order of the text."""
    found: dict[int, Citation] = {}
    for annotation in annotations:
        if mark := _MARK.match(text, int(annotation["index"])):
            number = int(mark[1])
            title = str(annotation.get("title") or annotation.get("filename") or "")
            found.setdefault(number, Citation(number, title, str(annotation.get("text") or "")))
    return tuple(found.values())
