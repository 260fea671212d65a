"""Children of the launcher, as real processes: kept alive, told of, stopped in order, gone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from penstock.children import Program, Supervisor, pause_before
from penstock.errors import StartError
from penstock.folder import DataFolder
from tests.integration.penstock.programs import PARENT, STUBBORN, is_alive, members, no, program, yes


class Launcher:
    """A supervisor, its folder, and all it told."""

    def __init__(self, path: Path):
        self.folder = DataFolder(path)
        self.folder.create()
        self.told: list[str] = []
        self.children = Supervisor(self.folder, self.told.append)

    async def start(self, *programs: Program) -> None:
        for each in programs:
            self.children.start(each)
        for each in programs:
            await self.children.ready(each.name)
        await until(lambda: len(self.folder.running()) >= len(programs), "all in run.json")

    def pid(self, name: str) -> int:
        return next((child.pid for child in self.folder.running() if child.name == name), 0)


@pytest.fixture
async def launcher(tmp_path: Path) -> AsyncGenerator[Launcher]:
    made = Launcher(tmp_path / "data")
    yield made
    made.children.hurry()
    await made.children.stop("access", "worker", "limiter", "redis")


async def until(condition: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen"
        await asyncio.sleep(0.02)


async def test_a_child_that_is_killed_is_restarted_and_said_so(launcher: Launcher) -> None:
    await launcher.start(program("worker-0", port=7))
    first = launcher.pid("worker-0")
    os.kill(first, signal.SIGKILL)
    await until(lambda: launcher.pid("worker-0") not in {0, first}, "a new process in run.json")
    assert launcher.told == ["worker-0 was killed (SIGKILL); restarting it."]


async def test_run_json_forgets_who_has_ended(launcher: Launcher) -> None:
    await launcher.start(program("access-0"), program("redis"))
    await launcher.children.stop("access")
    assert [child.name for child in launcher.folder.running()] == ["redis"]


async def test_roles_stop_one_after_the_other(launcher: Launcher, tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    source = f"""
import signal, sys, time
def end(*_):
    time.sleep(0.1)
    print(sys.argv[1], file=open({str(ends)!r}, "a"))
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("listening", flush=True)
while True: time.sleep(0.05)
"""
    names = ("redis", "worker-0", "worker-1", "access-0")
    await launcher.start(*(Program(name, name, [sys.executable, "-c", source, name], yes) for name in names))
    await until(lambda: all(launcher.folder.log(name).read_text("utf-8") for name in names), "all listening")
    await launcher.children.stop("access", "worker", "redis")
    ended = ends.read_text("utf-8").split()
    assert (ended[0], ended[-1], sorted(ended)) == ("access-0", "redis", sorted(names))


async def test_a_child_that_will_not_stop_is_killed_after_its_time(launcher: Launcher) -> None:
    await launcher.start(program("worker-0", STUBBORN, stop_seconds=0.3))
    pid = launcher.pid("worker-0")
    await asyncio.sleep(0.3)  # until it ignores the signal; nothing outside it can tell
    await launcher.children.stop("worker")
    assert not is_alive(pid)
    assert "was killed" in launcher.told[-1]


async def test_what_a_child_has_started_ends_with_it(launcher: Launcher) -> None:
    await launcher.start(program("worker-0", PARENT))
    group = launcher.pid("worker-0")
    await until(lambda: len(members(group)) == 2, "the child of the child")
    os.kill(group, signal.SIGKILL)
    await until(lambda: members(group) == [], "both gone")
    assert launcher.pid("worker-0") != group


async def test_who_cannot_wait_ends_all_at_once(launcher: Launcher) -> None:
    await launcher.start(program("worker-0", STUBBORN, stop_seconds=60))
    pid = launcher.pid("worker-0")
    stopping = asyncio.create_task(launcher.children.stop("worker"))
    await asyncio.sleep(0)
    launcher.children.hurry()
    await asyncio.wait_for(stopping, 10)
    assert not is_alive(pid)


async def test_a_child_that_dies_again_and_again_at_its_start_fails_the_start_with_its_last_words(
    launcher: Launcher,
) -> None:
    launcher.children.start(program("limiter-0", "raise SystemExit('no such gate')", no))
    with pytest.raises(StartError, match=r"limiter-0 ended with status 1 at its start.*no such gate"):
        await launcher.children.ready("limiter-0")


async def test_a_wrong_setting_fails_the_start_at_once(launcher: Launcher) -> None:
    launcher.children.start(program("limiter-0", "import sys; print('bad setting'); sys.exit(2)", no))
    with pytest.raises(StartError, match="bad setting"):
        await launcher.children.ready("limiter-0")
    assert launcher.told == []


async def test_a_program_that_is_not_there_fails_the_start(launcher: Launcher) -> None:
    launcher.children.start(Program("redis", "redis", ["/nowhere/redis-server"], no))
    with pytest.raises(StartError, match="/nowhere/redis-server cannot be run"):
        await launcher.children.ready("redis")


async def test_a_child_that_is_never_ready_fails_the_start(launcher: Launcher) -> None:
    launcher.children.start(program("worker-0", ready=no, start_seconds=0.2))
    with pytest.raises(StartError, match=r"worker-0 was not ready after 0 s\. Its log: .*worker-0\.log"):
        await launcher.children.ready("worker-0")


async def test_what_must_be_repaired_is_repaired_before_every_start(launcher: Launcher) -> None:
    repairs: list[int] = []
    await launcher.start(program("redis", prepare=lambda: repairs.append(1)))
    first = launcher.pid("redis")
    os.kill(first, signal.SIGKILL)
    await until(lambda: launcher.pid("redis") not in {0, first}, "a restart")
    assert len(repairs) == 2


async def test_a_child_that_is_stopped_while_it_waits_for_its_restart_stays_down(launcher: Launcher) -> None:
    await launcher.start(program("worker-0", "raise SystemExit(1)"))
    await until(lambda: any(" in " in told for told in launcher.told), "a pause before a restart")
    await asyncio.wait_for(launcher.children.stop("worker"), 5)
    assert launcher.folder.running() == []


def test_restarts_come_at_once_and_then_ever_later() -> None:
    assert [pause_before(attempt) for attempt in (1, 2, 3, 4, 20)] == [0.0, 0.5, 1.0, 2.0, 15.0]
