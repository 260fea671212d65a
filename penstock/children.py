"""The children of the launcher: started, watched, restarted when they die, stopped in order.

Each child leads a process group of its own. So a Ctrl-C at the terminal reaches the launcher alone, which then decides
the order, and whatever a child started can be ended with it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from penstock.errors import StartError
from penstock.folder import DataFolder, Running

WRONG_SETTINGS = 2
CANNOT_RUN = 127
TRIES_BEFORE_READY = 3
STEADY_SECONDS = 60.0
_GLANCE_SECONDS = 0.05


@dataclass(frozen=True)
class Program:
    """What to run, and how to tell that it is ready.

    ``title`` is for people. ``ready`` asks once; ``start_seconds`` is how long it may say no, ``stop_seconds`` how long
    the process may take to end. ``prepare`` runs before every start.
    """

    name: str
    title: str
    command: Sequence[str]
    ready: Callable[[], Awaitable[bool]]
    port: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    start_seconds: float = 60.0
    stop_seconds: float = 10.0
    stop_signal: signal.Signals = signal.SIGTERM
    prepare: Callable[[], None] | None = None


def pause_before(attempt: int) -> float:
    """Seconds to wait before the ``attempt``-th restart in a row: at once, then longer and longer, at most 15 s."""
    return 0.0 if attempt <= 1 else min(15.0, 0.5 * 2 ** (attempt - 2))


class Supervisor:
    """All children of one launcher; keeps ``run.json`` true. ``tell`` is for the person at the terminal."""

    def __init__(self, folder: DataFolder, tell: Callable[[str], None], *, inherited: Sequence[int] = ()):
        self._folder = folder
        self._tell = tell
        self._inherited = tuple(inherited)
        self._children: dict[str, _Child] = {}

    def start(self, program: Program) -> None:
        """Start a child and keep it alive from now on."""
        self._children[program.name] = _Child(program, self._folder, self._tell, self._list, self._inherited)

    async def ready(self, name: str) -> None:
        """Wait until a child is ready; from then on its deaths are misfortunes and no longer failed starts.

        Raises:
            StartError: it gave up, or was not ready in time.
        """
        child, program = self._children[name], self._children[name].program
        end = time.monotonic() + program.start_seconds
        while not await program.ready():
            if child.failure is not None:
                raise child.failure
            if time.monotonic() > end:
                raise StartError(f"{name} was not ready after {program.start_seconds:.0f} s. Its log: {child.log}")
            await asyncio.sleep(_GLANCE_SECONDS)
        child.was_ready = True

    async def stop(self, *roles: str) -> None:
        """Stop the children of these roles, one role after the other, the children of a role together."""
        for role in roles:
            children = [child for name, child in self._children.items() if _role(name) == role]
            await asyncio.gather(*(child.stop() for child in children))

    def hurry(self) -> None:
        """End at once whatever is still being stopped."""
        for child in self._children.values():
            child.kill()

    def _list(self) -> None:
        self._folder.list_running([child.running for child in self._children.values() if child.running is not None])


class _Child:
    """One program, kept alive by a task of its own."""

    def __init__(
        self,
        program: Program,
        folder: DataFolder,
        tell: Callable[[str], None],
        changed: Callable[[], None],
        inherited: tuple[int, ...],
    ):
        self.log = folder.log(program.name)
        self.running: Running | None = None
        self.was_ready = False
        self.failure: StartError | None = None
        self.program = program
        self._tell = tell
        self._changed = changed
        self._inherited = inherited
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._keep_alive(), name=f"keep {program.name}")

    async def stop(self) -> None:
        """Ask it to end, insist after its patience, and see it gone."""
        self._stopping.set()
        if self._process is not None:
            _signal(self._process.pid, self.program.stop_signal)
        _, unfinished = await asyncio.wait([self._task], timeout=self.program.stop_seconds)
        if unfinished:
            self._tell(f"{self.program.name} did not stop within {self.program.stop_seconds:.0f} s and was killed.")
            self.kill()
        await self._task

    def kill(self) -> None:
        """End it and everything it started, now."""
        self._stopping.set()
        if self._process is not None:
            _kill_group(self._process.pid)

    async def _keep_alive(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._run()
            if self._stopping.is_set():
                return
            attempt = 1 if time.monotonic() - began > STEADY_SECONDS else attempt + 1
            if not self.was_ready and (status == WRONG_SETTINGS or attempt >= TRIES_BEFORE_READY):
                self.failure = StartError(f"{self.program.name} {_how(status)} at its start. {_last_words(self.log)}")
                return
            pause = pause_before(attempt)
            self._tell(f"{self.program.name} {_how(status)}; restarting it{f' in {pause:g} s' if pause else ''}.")
            await self._sleep(pause)

    async def _run(self) -> int:
        """Run the program once; returns its exit status when it and all it started are gone."""
        try:
            process = await self._spawn()
        except OSError as error:
            self.log.write_text(f"{self.program.command[0]} cannot be run: {error}\n", encoding="utf-8")
            return CANNOT_RUN
        self._process, self.running = process, Running(self.program.name, process.pid, self.program.port)
        self._changed()
        if self._stopping.is_set():  # asked to stop while it was being started
            _signal(process.pid, self.program.stop_signal)
        status = await process.wait()
        _kill_group(process.pid)
        self._process = self.running = None
        self._changed()
        return status

    async def _spawn(self) -> asyncio.subprocess.Process:
        if self.program.prepare is not None:
            await asyncio.to_thread(self.program.prepare)
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *self.program.command,
                env={**os.environ, **self.program.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=self._inherited,
            )

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            pass


def _role(name: str) -> str:
    """``access-0`` is an access, ``redis`` is redis."""
    return name.rpartition("-")[0] or name


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    return f"was killed ({signal.Signals(-status).name})"


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = f"It said last: {lines[-1][:500]}\n" if lines else ""
    return f"{said}Its log: {log}"


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
