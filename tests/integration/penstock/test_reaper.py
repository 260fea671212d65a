"""A launcher that is killed -9 leaves nobody behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from penstock import reaper
from penstock.folder import DataFolder, Running
from tests.integration.penstock.programs import PARENT, STUBBORN, members
from tests.servers import wait_until

LAUNCHER = """
import asyncio, sys
from pathlib import Path
from penstock import plan, reaper
from penstock.children import Supervisor
from penstock.folder import DataFolder
from tests.integration.penstock.programs import program

async def main(folder):
    with folder.locked() as lock:
        children = Supervisor(folder, print, inherited=[lock])
        for one in plan.server_programs(folder.path, plan.Addresses("r", "m", None, None, 1, 1, (), ())):
            children.start(one)
        for number, source in enumerate(sys.argv[2:]):
            children.start(program(f"worker-{number}", source))
        await asyncio.Event().wait()

folder = DataFolder(Path(sys.argv[1]))
folder.create()
asyncio.run(main(folder))
"""


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


@pytest.fixture
def launcher(folder: DataFolder) -> Generator[subprocess.Popen[bytes]]:
    """A launcher with a child that has a child, and one that ignores every polite signal."""
    command = [sys.executable, "-c", LAUNCHER, str(folder.path), PARENT, STUBBORN]
    with subprocess.Popen(command) as process:
        wait_until(lambda: len(_groups(folder)) == 3, "all in run.json")
        wait_until(lambda: sum(len(members(group)) for group in _groups(folder)) == 4, "the child of the child")
        yield process
        process.kill()


def test_no_process_outlives_a_killed_launcher(launcher: subprocess.Popen[bytes], folder: DataFolder) -> None:
    groups = _groups(folder)
    launcher.kill()
    launcher.wait()
    wait_until(lambda: not any(members(group) for group in groups), "every process gone", 10)
    assert not folder.run_file.exists()


def test_a_new_launcher_may_take_over_as_soon_as_the_rest_is_gone(
    launcher: subprocess.Popen[bytes], folder: DataFolder
) -> None:
    launcher.kill()
    launcher.wait()
    with folder.locked():
        assert not folder.run_file.exists()


def test_a_launcher_that_was_gone_before_the_reaper_was_up_is_missed_too(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True) as left:
        folder = DataFolder(tmp_path)
        folder.list_running([Running("worker-0", left.pid, None)])
        subprocess.run([sys.executable, "-I", reaper.__file__, folder.run_file, str(gone.pid)], check=True, timeout=30)
        assert left.wait(10) < 0
    assert not folder.run_file.exists()


def test_a_folder_is_held_as_long_as_a_child_lives(launcher: subprocess.Popen[bytes], folder: DataFolder) -> None:
    reaper = next(child.pid for child in folder.running() if child.name == "reaper")
    os.kill(launcher.pid, signal.SIGSTOP)  # so that it restarts nobody
    os.kill(reaper, signal.SIGKILL)
    launcher.kill()
    launcher.wait()
    with pytest.raises(Exception, match="already runs"), folder.locked():
        raise AssertionError("two launchers would write here")
    for group in _groups(folder):
        if members(group):
            os.killpg(group, signal.SIGKILL)


def _groups(folder: DataFolder) -> list[int]:
    return [child.pid for child in folder.running()]
