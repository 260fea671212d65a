"""Children are waited for, measured with all they start, and ended with it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.processes import Processes, ProcessFailed
from tests.servers import wait_until

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.3: pass\\ntime.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_cpu_is_told_apart_for_a_child_and_what_it_started(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = processes.start("worker", [sys.executable, "-c", PARENT])
        wait_until(lambda: child.cpu_seconds().get("worker engine", 0) >= 0.25, "the grandchild having worked", 20)
        assert child.cpu_seconds()["worker"] < 0.25


def test_what_a_child_started_ends_with_it(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = processes.start("worker", [sys.executable, "-c", PARENT])
        wait_until(lambda: child.last_words().strip().isdigit(), "the grandchild's number", 20)
        grandchild = Path("/proc", child.last_words().strip(), "stat")
        assert grandchild.exists()
    wait_until(lambda: not grandchild.exists() or ") Z " in grandchild.read_text(), "the grandchild gone", 5)
    assert child.popen.returncode is not None


def test_a_child_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("worker", [sys.executable, "-c", "import sys; sys.exit('no model here')"])
        with pytest.raises(ProcessFailed, match="worker ended with 1:\nno model here"):
            processes.until_ok("http://127.0.0.1:9/readyz", 20)
