"""A wrong setting stops the start with a sentence that names it; the command line wins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from contracts.configuration import BadSettings, load
from inference_worker.settings import WorkerSettings

ROOT = Path(__file__).parents[3]


def test_the_environment_is_read_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PENSTOCK_WORKER__SLOTS", "7")
    monkeypatch.setenv("PENSTOCK_WORKER__LEASE_SECONDS", "2")
    settings = load(WorkerSettings, slots="9")
    assert (settings.slots, settings.lease.total_seconds()) == (9, 2.0)


def test_a_name_that_cannot_stand_in_a_key_is_refused():
    with pytest.raises(BadSettings, match="SERVED_NAME"):
        load(WorkerSettings, served_name="no spaces, please")


def test_the_upstreams_key_does_not_show(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PENSTOCK_WORKER__UPSTREAM_API_KEY", "sk-very-secret")
    assert "sk-very-secret" not in repr(load(WorkerSettings))


def test_the_process_says_what_is_wrong_and_exits_with_2():
    command = [sys.executable, "-m", "inference_worker", "--slots", "none"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 2
    assert "SLOTS" in run.stderr
