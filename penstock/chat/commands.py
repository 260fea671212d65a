"""What a person types: a question, or a command that begins with a slash. Pure.

A line that ends with a backslash goes on in the next one; three quotation marks open a block that ends with three. Only
a single line can be a command, so whatever is pasted is asked as it is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

QUOTES = '"""'
_COMMAND = re.compile(r"/(\S*)\s*(.*)", re.DOTALL)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True)
class Spec:
    """What a command takes, as ``/help`` shows it, and what it does."""

    takes: Literal["nothing", "maybe", "something", "a number"]
    shown: str
    what: str


COMMANDS = {
    "help": Spec("nothing", "", "show this"),
    "new": Spec("maybe", "[TITLE]", "begin another conversation with the next question"),
    "list": Spec("nothing", "", "show the conversations, newest first"),
    "switch": Spec("something", "N|ID", "go on with one of them, by its number in /list or its id"),
    "title": Spec("something", "TEXT", "rename the conversation"),
    "history": Spec("a number", "[N]", "show the last messages (10)"),
    "delete": Spec("nothing", "", "delete the conversation and all that was said in it; asks first"),
    "model": Spec("maybe", "[NAME]", "show the models, or ask another one from now on"),
    "export": Spec("maybe", "[FILE]", "write the conversation to a new Markdown file"),
    "retry": Spec("nothing", "", "ask the last question again; the first answer stays in the history"),
    "quit": Spec("nothing", "", "leave, as Ctrl-D does"),
}


@dataclass(frozen=True)
class Question:
    text: str


@dataclass(frozen=True)
class Command:
    """One of ``COMMANDS``; its argument is empty where it has none."""

    name: str
    argument: str = ""


@dataclass(frozen=True)
class Wrong:
    """Nothing that can be done, and what could be typed instead."""

    hint: str


@dataclass(frozen=True)
class Nothing:
    """An empty line."""


Typed = Question | Command | Wrong | Nothing


def is_unfinished(lines: Sequence[str]) -> bool:
    """Whether more lines belong to what was typed so far."""
    if _is_block(lines):
        closed = _closes_itself(lines[0]) if len(lines) == 1 else lines[-1].rstrip().endswith(QUOTES)
        return not closed
    return _continues(lines[-1])


def parse(lines: Sequence[str]) -> Typed:
    """What finished lines mean."""
    if _is_block(lines):
        return _question("\n".join(lines).strip()[len(QUOTES) : -len(QUOTES)].strip("\n"))
    if len(lines) == 1:
        return _one_line(lines[0].strip())
    return _question("\n".join(line[:-1] if _continues(line) else line for line in lines))


def askable(text: str) -> str:
    """The same without what no encoding can carry: halves of characters that a terminal did not decode."""
    return _SURROGATE.sub("\ufffd", text)


def completions(begun: str) -> list[str]:
    """The commands that a line may become, for the Tab key."""
    return [f"/{name}" for name in COMMANDS if begun.startswith("/") and name.startswith(begun[1:])]


def _one_line(line: str) -> Typed:
    if line.startswith("//"):
        return Question(line[1:])
    match = _COMMAND.fullmatch(line)
    return _command(match[1], match[2].strip()) if match else _question(line)


def _question(text: str) -> Typed:
    return Question(askable(text)) if text.strip() else Nothing()


def _command(name: str, argument: str) -> Typed:
    spec = COMMANDS.get(name.lower())
    if spec is None:
        return Wrong(_unknown(name))
    usage = f"/{name.lower()} {spec.shown}".strip()
    if spec.takes == "nothing" and argument:
        return Wrong(f"{usage} takes nothing behind it.")
    if spec.takes == "something" and not argument:
        return Wrong(f"Something is missing: {usage}")
    if spec.takes == "a number" and argument and not (argument.isdecimal() and 1 <= int(argument[:9]) <= 10_000):
        return Wrong(f"{usage} takes a number from 1 to 10000.")
    return Command(name.lower(), askable(argument))


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), COMMANDS, 1)
    meant = f" Did you mean /{near[0]}?" if near else ""
    return f"There is no /{name}.{meant} /help lists the commands; //{name} … asks a question that begins so."


def _is_block(lines: Sequence[str]) -> bool:
    return lines[0].lstrip().startswith(QUOTES)


def _closes_itself(line: str) -> bool:
    stripped = line.strip()
    return len(stripped) >= 2 * len(QUOTES) and stripped.endswith(QUOTES)


def _continues(line: str) -> bool:
    return line.endswith("\\") and not line.endswith("\\\\")
