"""Where a chat begins: which model, which conversation, and whether a person or a program asks."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TextIO

from penstock.chat import pipe, said, terminal
from penstock.chat.api import Api, opened
from penstock.chat.commands import askable
from penstock.chat.loop import Chat
from penstock.chat.said import Conversation, Model
from penstock.errors import CommandError
from penstock.target import Target


class Misused(CommandError):
    """The options do not fit together, or there is no question."""

    status = 2


@dataclass(frozen=True)
class Options:
    """What the command was given. ``message`` is one question, asked without a prompt."""

    model: str | None = None
    user: str = ""
    conversation: str | None = None
    last: bool = False
    message: str | None = None
    as_json: bool = False


def start(at: Target, options: Options) -> int:
    """Chat with a person at the terminal, or answer one question; the exit status.

    Raises:
        Misused: with what is given nothing can be done.
        CommandError: Penstock cannot be reached, or refused.
    """
    terminal.survive_encodings()
    if options.conversation and options.last:
        raise Misused("Give --conversation or --last, not both.")
    is_person = options.message is None and _is_terminal(sys.stdin) and _is_terminal(sys.stdout)
    if is_person and options.as_json:
        raise Misused("--json is for one question: give it with --message, or on standard input.")
    question = "" if is_person else _question(options.message)
    with opened(at, options.user) as api:
        model = _model(api, options.model)
        conversation = _conversation(api, options)
        if not is_person:
            return pipe.ask(api, model, conversation, question, as_json=options.as_json)
        Chat(api, model, conversation).run()
    return 0


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether a person is at the other end; a stream that is closed is ``None``."""
    return stream is not None and stream.isatty()


def _question(message: str | None) -> str:
    """``--message``, else all of standard input."""
    text: str = message if message is not None else sys.stdin.read() if sys.stdin else ""
    text = askable(text).strip("\r\n")
    if not text.strip():
        raise Misused("There is no question: give it with --message, or on standard input.")
    return text


def _model(api: Api, wanted: str | None) -> Model:
    models = api.models()
    return said.named(models, wanted) if wanted else said.first_choice(models)


def _conversation(api: Api, options: Options) -> Conversation | None:
    if options.conversation:
        return api.conversation(options.conversation)
    if not options.last:
        return None
    if not (found := api.conversations()):
        raise CommandError("There is no conversation yet that could be continued. Leave out --last.")
    return found[0]
