"""The terminal: the one place that writes to it and reads from it.

Something that happens while a person types is kept until the line is sent: nothing is ever written into what is being
typed. At an empty prompt it is shown at once, and the prompt comes again below.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TextIO

from penstock.chat import commands, screen
from penstock.chat.commands import Typed

try:
    import readline
except ImportError:  # a Python without it: lines have no history, and what happens waits for the next prompt
    readline = None

PROMPT = "> "
CONTINUED = ". "
_ERASE_LINE = "\r\x1b[K"


class Terminal:
    """Standard input and output of a person."""

    def __init__(self, out: TextIO):
        self._out = out
        self._obeys = os.environ.get("TERM", "dumb") != "dumb"
        self._colours = self._obeys and "NO_COLOR" not in os.environ
        self._lock = threading.RLock()
        self._pending: list[Callable[[], Iterable[str]]] = []
        self._prompt = ""
        self._has_status = False
        self._at_line_start = True
        _complete_commands()

    def read(self) -> Typed | None:
        """What the person typed; ``None``: they leave.

        Ctrl-C and Ctrl-D drop what was begun; where nothing was begun they leave.
        """
        lines: list[str] = []
        while True:
            try:
                lines += self._line(CONTINUED if lines else PROMPT).split("\n")  # a pasted text comes as one
            except (EOFError, KeyboardInterrupt) as left:
                self._end_line()
                if not lines and (isinstance(left, EOFError) or not _begun()):
                    return None
                lines = []
                continue
            if not commands.is_unfinished(lines):
                return commands.parse(lines)

    def confirms(self, question: str) -> bool:
        """Ask for a yes; anything else is a no."""
        try:
            return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
        except (EOFError, KeyboardInterrupt):
            self._end_line()
            return False

    def later(self, lines: Callable[[], Iterable[str]]) -> None:
        """Show what came from elsewhere, at once or when the line is sent. May be called from any thread.

        ``lines`` is asked when it is time; there may be none.
        """
        with self._lock:
            self._pending.append(lines)
            if not self._prompt or readline is None or readline.get_line_buffer():
                return
            if now := self._arrived():
                self._raw(_ERASE_LINE if self._obeys else "\n")
                self.say(now)
                self._raw(self._prompt)

    def piece(self, text: str) -> None:
        """The next piece of an answer, as it is to be seen."""
        self.status("")
        self._raw(text)
        self._at_line_start = text.endswith("\n") if text else self._at_line_start

    def say(self, lines: Iterable[str]) -> None:
        """Whole lines, below what is there."""
        self.status("")
        self._end_answer()
        for line in lines:
            self._raw(f"{line}\n")

    def note(self, *lines: str) -> None:
        """Lines about what is going on, told apart from what is said."""
        self.say(f"\x1b[2m{line}\x1b[22m" if self._colours else line for line in lines)

    def problem(self, sentence: str) -> None:
        self.say([f"\x1b[31m{sentence}\x1b[39m" if self._colours else f"! {sentence}"])

    def status(self, line: str) -> None:
        """Rewrite the line that says what is being waited for; an empty one takes it away."""
        if not self._obeys or (not line and not self._has_status):
            return
        self._end_answer()
        columns = shutil.get_terminal_size().columns
        self._raw(_ERASE_LINE + screen.fitted(line, columns))
        self._has_status = bool(line)

    def _line(self, prompt: str) -> str:
        with self._lock:
            self.say(self._arrived())
            self._prompt = prompt
        try:
            return input(prompt)
        finally:
            with self._lock:
                self._prompt = ""

    def _arrived(self) -> list[str]:
        """What came from elsewhere and was not shown yet."""
        pending, self._pending = self._pending, []
        return [line for lines in pending for line in lines()]

    def _end_answer(self) -> None:
        if not self._at_line_start:
            self._end_line()
            self._at_line_start = True

    def _end_line(self) -> None:
        self._raw("\n")

    def _raw(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def survive_encodings() -> None:
    """Show a question mark for what a terminal cannot show, and take in what it does not encode as it says."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # not a text stream of the interpreter's own
            stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]


def _begun() -> bool:
    """Whether there was something on the line that was interrupted."""
    return readline is not None and bool(readline.get_line_buffer())


def _complete_commands() -> None:
    if readline is None:
        return

    def complete(begun: str, state: int) -> str | None:
        return next(iter(commands.completions(begun)[state:]), None)

    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")
