"""Where a start is: spinners with clocks on a terminal, one plain line per event elsewhere."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Generator
from contextlib import AbstractContextManager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn


class Progress(Protocol):
    """What a start tells. ``step`` lasts as long as its block; steps may overlap."""

    def step(self, what: str) -> AbstractContextManager[None]: ...
    def say(self, sentence: str) -> None: ...


def suited_to(out: TextIO) -> Progress:
    """The kind of progress that suits ``out``."""
    if not out.isatty():
        return Lines(out)
    return Spinners(Console(file=out, highlight=False, no_color="NO_COLOR" in os.environ))


class Lines:
    """For logs and pipes: a line when a step begins and one when it is done, with its seconds."""

    def __init__(self, out: TextIO):
        self._out = out

    @contextlib.contextmanager
    def step(self, what: str) -> Generator[None]:
        began = time.monotonic()
        self.say(f"{what} …")
        yield
        self.say(f"{what}: done in {time.monotonic() - began:.1f} s")

    def say(self, sentence: str) -> None:
        print(sentence, file=self._out, flush=True)


class Spinners:
    """For people: every step a line that moves until it is done. Between steps the terminal is theirs again."""

    def __init__(self, console: Console):
        self._console = console
        self._bars = self._fresh_bars()
        self._active = 0

    @contextlib.contextmanager
    def step(self, what: str) -> Generator[None]:
        if self._active == 0:
            self._bars = self._fresh_bars()
            self._bars.start()
        self._active += 1
        task = self._bars.add_task(what, total=1)
        try:
            yield
            self._bars.update(task, completed=1)
        finally:
            self._active -= 1
            if self._active == 0:
                self._bars.stop()

    def say(self, sentence: str) -> None:
        self._console.print(sentence, markup=False, soft_wrap=True)

    def _fresh_bars(self) -> Bars:
        columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn())
        return Bars(*columns, console=self._console)
