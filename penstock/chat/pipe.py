"""One question of a program: the answer on standard output, everything else on standard error, an exit status."""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
from typing import Any

from penstock.chat import screen
from penstock.chat.api import Api, Question
from penstock.chat.asking import Asking, GaveUp
from penstock.chat.said import Answer, Conversation, Ended, Model, Text, Voided
from penstock.errors import CommandError


def ask(api: Api, model: Model, conversation: Conversation | None, text: str, *, as_json: bool) -> int:
    """Ask, and write the answer as it comes, or as JSON when it is complete; the exit status.

    What is interrupted, or cannot be written any more, is cancelled.

    Raises:
        CommandError: there is no answer, and why.
    """
    conversation = conversation or api.create(screen.title_from(text))
    asking = Asking(api, Question(text, model.name, conversation.id, secrets.token_hex(16)))
    try:
        answer = _written(asking, as_json=as_json)
    except (KeyboardInterrupt, BrokenPipeError):
        with contextlib.suppress(CommandError):
            asking.cancel()
        raise
    except GaveUp as gave_up:
        where = f"'penstock chat --conversation {conversation.id}'"
        raise GaveUp(f"{gave_up} The answer may go on: {where} shows it when Penstock is back.") from gave_up
    if as_json:
        print(json.dumps(_object(answer, model, conversation)))  # in ASCII: whole in every encoding
    else:
        _explain(answer)
    return 0 if answer.answered else 1


def _written(asking: Asking, *, as_json: bool) -> Answer:
    """Write the text as it comes. What is written cannot be taken back."""
    written = ""
    with contextlib.closing(asking.events()) as events:
        for told in events:
            if isinstance(told, Ended):
                _write("\n" if written and not written.endswith("\n") else "")
                return told.answer
            if isinstance(told, Voided) and written:
                raise CommandError("The answer began anew: what was written of it is void. Ask again, or with --json.")
            if isinstance(told, Text) and not as_json:
                written = screen.harmless(told.text) or written
                _write(screen.harmless(told.text))
    raise AssertionError("events end with Ended")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _explain(answer: Answer) -> None:
    for line in screen.footnotes(answer):
        print(line, file=sys.stderr)
    if not answer.answered:
        print(f"penstock: {screen.failure(answer)}", file=sys.stderr)


def _object(answer: Answer, model: Model, conversation: Conversation) -> dict[str, Any]:
    """Everything there is to know of one answer."""
    problem = answer.problem
    return {
        "conversation": conversation.id,
        "response": answer.id or None,
        "model": model.name,
        "status": answer.status,
        "text": answer.text,
        "citations": [{"number": one.number, "title": one.title, "text": one.text} for one in answer.citations],
        "incomplete": answer.incomplete or None,
        "retrieval_skipped": answer.skipped or None,
        "usage": answer.usage,
        "error": {"code": problem.code, "message": problem.message} if problem else None,
    }
