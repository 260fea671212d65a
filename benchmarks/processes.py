"""Children of a benchmark: started on loopback, waited for, measured, and ended with all that they started.

Each child leads a session of its own, so that whatever it starts (vLLM's engine process) is found by the session's id,
for the CPU it used as for its end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.1


class ProcessFailed(Exception):
    """A child ended, or was not ready in time. The message holds its last words."""


@dataclass(frozen=True)
class Process:
    """One running child."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time so far: of the child by its name, of what it started as ``<name> engine``."""
        seconds = {self.name: 0.0}
        for pid, used in _session(self.popen.pid).items():
            name = self.name if pid == self.popen.pid else f"{self.name} engine"
            seconds[name] = seconds.get(name, 0.0) + used
        return seconds

    def resident_bytes(self) -> int:
        """Memory of the child alone that is in RAM now. Source: proc_pid_statm(5)."""
        return int(Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def last_words(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]

    def stop(self) -> None:
        """SIGTERM; after 20 s, and for whatever it leaves behind, SIGKILL."""
        try:
            self.popen.terminate()
            self.popen.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """End it and all it started, now."""
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()


class Processes:
    """All children of one run. Leaving the context ends them, the last started first."""

    def __init__(self, logs: Path):
        self.logs = logs
        self._children: list[Process] = []

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for child in reversed(self._children):
                child.stop()
        finally:  # also when a person is in a hurry
            for child in self._children:
                child.kill()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Process:
        """Start a child from the root of the checkout; everything it says goes into ``<name>.log``."""
        log = self.logs / f"{name.replace(' ', '-')}.log"
        with log.open("wb") as sink:
            popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = Process(name, popen, log)
        self._children.append(child)
        return child

    def forget(self, child: Process) -> None:
        """Look after a child no more; for what a benchmark ends itself, on purpose."""
        self._children.remove(child)

    def until_ok(self, url: str, seconds: float) -> None:
        """Wait until a GET of ``url`` is answered with 200.

        Raises:
            ProcessFailed: a child ended meanwhile, or the time is over.
        """
        end = time.monotonic() + seconds
        while not _is_ok(url):
            for child in self._children:
                if child.popen.poll() is not None:
                    raise ProcessFailed(f"{child.name} ended with {child.popen.returncode}:\n{child.last_words()}")
            if time.monotonic() > end:
                said = "\n".join(f"--- {child.name}\n{child.last_words()}" for child in self._children)
                raise ProcessFailed(f"{url} was not answered with 200 within {seconds:.0f} s.\n{said}")
            time.sleep(_LOOK_SECONDS)


def _is_ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  (loopback, built by us)
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _session(leader: int) -> dict[int, float]:
    """The processes of a session, and the CPU seconds of each. Source: proc_pid_stat(5)."""
    seconds: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        fields = stat.rpartition(")")[2].split()
        session, user, system = int(fields[3]), int(fields[11]), int(fields[12])
        if session == leader:
            seconds[int(folder.name)] = (user + system) / _TICKS_PER_SECOND
    return seconds
