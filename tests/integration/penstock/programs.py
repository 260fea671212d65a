"""Tiny real child processes, and ways to see whether they still live."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from penstock.children import Program

STEADY = "import time\nwhile True: time.sleep(0.05)"
STUBBORN = f"import signal\nfor number in (2, 15): signal.signal(number, signal.SIG_IGN)\n{STEADY}"
PARENT = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {STEADY!r}])\n{STEADY}"


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


def program(name: str, source: str = STEADY, ready: Callable[[], Awaitable[bool]] = yes, **more: Any) -> Program:
    """A child that runs ``source``."""
    return Program(name, name, [sys.executable, "-c", source], ready, **more)


def is_alive(pid: int) -> bool:
    """Whether a process still runs; one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def members(group: int) -> list[int]:
    """The living processes of a process group."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = entry.read_text(encoding="utf-8").rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(entry.parent.name))
    return found
