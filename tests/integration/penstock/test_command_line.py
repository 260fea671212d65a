"""The command line as a person meets it: real processes, their words and their exit status."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def penstock(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing of ours in its environment but what is given."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK", "REDIS", "MILVUS"))}
    command = [sys.executable, "-m", "penstock", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=bare | environment, timeout=60)


def refusal(told: subprocess.CompletedProcess[str]) -> str:
    """The one sentence a refused command says; a traceback is none."""
    assert told.returncode == 1, told.stdout + told.stderr
    assert told.stderr.startswith("penstock: ")
    assert "Traceback" not in told.stderr
    return told.stderr


def test_a_taken_port_stops_up_before_anything_is_started(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        told = penstock("up", "--engine", "scripted", "--port", str(port), "--data", str(tmp_path))
    assert f"Port {port} is taken" in refusal(told)
    assert not (tmp_path / "run.json").exists()


def test_a_missing_model_stops_up(tmp_path: Path) -> None:
    told = penstock("up", "--model", str(tmp_path / "nowhere"), "--data", str(tmp_path))
    assert "There is no model folder" in refusal(told)


def test_a_wrong_setting_stops_up_with_its_name(tmp_path: Path) -> None:
    told = penstock("up", "--data", str(tmp_path), PENSTOCK_WORKER__SLOTS="-1")
    assert "PENSTOCK_WORKER__SLOTS" in refusal(told)


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    told = penstock("up", "--engine", "steam")
    assert told.returncode == 2
    assert "'vllm', 'openai', 'scripted'" in told.stderr


def test_asking_without_a_key_says_where_to_get_one(tmp_path: Path) -> None:
    assert "PENSTOCK_API_KEY" in refusal(penstock("ask", "Hello?", "--data", str(tmp_path)))


@pytest.mark.parametrize("command", [["ask", "Hello?"], ["status"]])
def test_when_nobody_answers_it_says_how_to_start(command: list[str]) -> None:
    told = penstock(*command, "--url", "http://127.0.0.1:9", PENSTOCK_API_KEY="sk-x")
    assert "penstock up" in refusal(told)


def test_a_file_that_is_not_there_is_named() -> None:
    assert "There is no file nowhere.csv" in refusal(penstock("faq", "load", "nowhere.csv", PENSTOCK_API_KEY="sk-x"))


def test_the_doctor_tells_programs_what_it_found(tmp_path: Path) -> None:
    told = penstock("doctor", "--json", "--model", "organisation/some-model", "--data", str(tmp_path))
    found = {check["name"]: check["state"] for check in json.loads(told.stdout)["checks"]}
    assert found["python"] == found["model"] == found["redis"] == "ok"
    assert told.returncode == (0 if json.loads(told.stdout)["ok"] else 1)


def test_the_doctor_fails_for_a_redis_that_does_not_answer() -> None:
    told = penstock("doctor", "--model", "organisation/some-model", REDIS_URL="redis://127.0.0.1:9/0")
    assert told.returncode == 1
    assert "fail redis: Redis does not answer" in told.stdout


def test_the_doctor_examines_a_given_redis(redis_url: str) -> None:
    told = penstock("doctor", "--json", "--model", "organisation/some-model", REDIS_URL=redis_url)
    found = {check["name"]: check["state"] for check in json.loads(told.stdout)["checks"]}
    assert found["redis"] == found["redis eviction"] == found["redis persistence"] == "ok"
