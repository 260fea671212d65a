"""A person at a terminal: a command on a pty of its own, what is typed into it, and what is seen."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Generator

from tests.servers import wait_until

CTRL_C, CTRL_D = "\x03", "\x04"
TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Makes Ctrl-C reach the command: a terminal signals the session whose it is."""
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Person:
    """What was seen since the last ``does``; ``raw`` is everything that ever reached the terminal."""

    def __init__(self, terminal: int, process: subprocess.Popen[bytes]):
        self.process = process
        self.raw = b""
        self._terminal = terminal
        self._from = 0
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    @property
    def seen(self) -> str:
        """Without the sequences that the line editor writes, and with line ends as they are elsewhere."""
        return _SEQUENCE.sub("", self.raw[self._from :].decode(errors="replace")).replace("\r\n", "\n")

    @property
    def stands(self) -> str:
        """What of it still stands there: a line that is rewritten stands as it was written last."""
        lines = self.raw[self._from :].decode(errors="replace").replace("\r\n", "\n").split("\n")
        return _SEQUENCE.sub("", "\n".join(line.rpartition("\r\x1b[K")[2] for line in lines))

    def does(self, keys: str) -> Person:
        """Type, and look at what comes after that."""
        self._from = len(self.raw)
        os.write(self._terminal, keys.encode())
        return self

    def says(self, line: str) -> Person:
        return self.does(f"{line}\r")

    def sees(self, *texts: str, seconds: float = 30) -> str:
        """Wait until all of it was seen; what was seen."""
        return self._waits(lambda: all(text in self.seen for text in texts), f"{texts} on the terminal", seconds)

    def sees_prompt(self, seconds: float = 60) -> str:
        """Wait until it is the person's turn again; what was seen."""
        return self._waits(lambda: self.seen.endswith("\n> "), "the next prompt", seconds)

    def leaves(self) -> int:
        """Ctrl-D, and the exit status."""
        self.does(CTRL_D)
        return self.process.wait(30)

    def _waits(self, condition: Callable[[], bool], what: str, seconds: float) -> str:
        try:
            wait_until(condition, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; there is:\n{self.seen}\n(status {self.process.poll()})") from None
        return self.seen

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the other side of the terminal is closed
            while data := os.read(self._terminal, 4096):
                self.raw += data


@contextlib.contextmanager
def person(*arguments: str, **environment: str) -> Generator[Person]:
    """``penstock`` with these arguments on a terminal; ended with the block."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK", "REDIS", "MILVUS"))}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", TAKE_TERMINAL, "-m", "penstock", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=bare | {"TERM": "xterm", "LANG": "C.UTF-8"} | environment,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Person(ours, process)
    finally:
        process.kill()
        process.wait(10)
        os.close(ours)
