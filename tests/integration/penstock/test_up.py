"""``penstock up`` as a whole, with the scripted engine: what a new user does on the first day, in order."""

from __future__ import annotations

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from itertools import pairwise
from pathlib import Path

import pytest

from penstock.folder import DataFolder, Running
from tests.integration.penstock.programs import members
from tests.servers import free_port, wait_until
from tests.stack import get

START_SECONDS = 90


class Machine:
    """One data folder, and the launcher that runs on it."""

    def __init__(self, path: Path):
        self.folder = DataFolder(path / "data")
        self.port = free_port()
        self._output = path / "output"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def said(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def up(self) -> None:
        """Start, and return when the launcher has said all it says."""
        arguments = ["--engine", "scripted", "--port", str(self.port), "--data", str(self.folder.path)]
        with self._output.open("wb") as out:
            command = [sys.executable, "-m", "penstock", "up", *arguments]
            process = subprocess.Popen(command, stdout=out, stderr=out, env=_environment())
        self._process = process
        wait_until(lambda: "Ctrl-C" in self.said or process.poll() is not None, "the end of the start", START_SECONDS)
        assert process.poll() is None, self.said

    def stop(self) -> int:
        """Ctrl-C; returns the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(60)

    def pids(self, name: str) -> list[int]:
        """Of the child of that name; empty while it is being restarted."""
        return [child.pid for child in self.folder.running() if child.name == name]

    def child(self, name: str) -> Running:
        return next(child for child in self.folder.running() if child.name == name)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the person who owns this machine."""
        command = [sys.executable, "-m", "penstock", *arguments, "--data", str(self.folder.path)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=_environment(), timeout=60)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    made = Machine(tmp_path_factory.mktemp("machine"))
    made.up()
    yield made
    made.stop()


def test_the_first_start_shows_where_it_is_and_proves_itself(machine: Machine) -> None:
    steps = ("reaper", "milvus-lite", "limiter-0", "worker-0 (scripted", "embedder-0", "access-0", "sample FAQ")
    assert [step for step in steps if f"\n{step}" not in f"\n{machine.said}"] == []
    question, _, rest = machine.said.partition("Question: ")[2].partition("\nAnswer:\n")
    assert question.strip()
    assert rest.partition("Penstock is up at")[0].strip()


def test_run_json_lists_every_child_with_its_port(machine: Machine) -> None:
    names = {child.name for child in machine.folder.running()}
    assert names == {"reaper", "redis", "milvus", "limiter-0", "worker-0", "embedder-0", "access-0"}
    assert machine.child("access-0").port == machine.port


def test_the_key_is_kept_for_its_owner_alone(machine: Machine) -> None:
    file = machine.folder.path / "api_key"
    assert file.read_text("utf-8").strip() in machine.said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_python_that_it_prints_works_when_pasted(machine: Machine) -> None:
    program = machine.said[machine.said.index("from openai") : machine.said.index("Ctrl-C")]
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip()


def test_the_curl_that_it_prints_asks_the_same(machine: Machine) -> None:
    command = machine.said[machine.said.index("curl ") : machine.said.index("\n\nfrom openai")]
    words = shlex.split(command.replace("\\\n", " "))
    headers = dict(word.split(": ", 1) for flag, word in pairwise(words) if flag == "-H")
    asked = urllib.request.Request(words[1], words[words.index("-d") + 1].encode(), headers)  # noqa: S310  (ours)
    with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310  (ours)
        assert json.load(answer)["object"] == "chat.completion"


def test_a_question_from_the_command_line_is_answered(machine: Machine) -> None:
    told = machine.run("ask", "Where is my order?")
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip()


def test_a_file_with_a_bad_row_is_refused_by_its_line(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("question,answer\nWhy?,\n", encoding="utf-8")
    told = machine.run("faq", "load", str(tmp_path / "bad.csv"))
    assert told.returncode == 1
    assert "bad.csv, line 2" in told.stderr


def test_a_file_makes_the_store_it_is_loaded_into(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text("question,answer\nWhy?,Because.\n", encoding="utf-8")
    told = machine.run("faq", "load", str(tmp_path / "good.csv"), "--store", "mine")
    assert told.returncode == 0, told.stderr
    assert "good.csv: 1 entries in the vector store 'mine'" in told.stdout


def test_the_status_shows_the_worker(machine: Machine) -> None:
    told = machine.run("status")
    assert told.returncode == 0, told.stderr
    assert "scripted" in told.stdout


def test_a_second_start_on_the_same_folder_is_refused(machine: Machine) -> None:
    told = machine.run("up", "--engine", "scripted", "--port", str(free_port()))
    assert told.returncode == 1
    assert "already runs" in told.stderr


def test_a_worker_that_is_killed_comes_back_and_answers(machine: Machine) -> None:
    first = machine.child("worker-0").pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: machine.pids("worker-0") not in ([], [first]), "a new worker")
    port = machine.child("worker-0").port or 0
    wait_until(lambda: get(port, "/readyz")[0] == 200, "the new worker taking")
    assert "worker-0 was killed (SIGKILL); restarting it." in machine.said
    assert machine.run("ask", "Where is my order?").returncode == 0


def test_ctrl_c_leaves_no_process_and_the_second_start_loads_nothing(machine: Machine) -> None:
    groups = [child.pid for child in machine.folder.running()]
    assert machine.stop() == 0
    assert [group for group in groups if members(group)] == []
    assert not machine.folder.run_file.exists()
    machine.up()
    assert get(machine.port, "/readyz")[0] == 200
    assert "sample FAQ" not in machine.said


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK", "REDIS", "MILVUS"))}
