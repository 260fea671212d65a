"""The files that start Penstock elsewhere: valid, complete, and in step with the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from access.settings import AccessSettings
from contracts.configuration import ServiceSettings, load
from inference_worker.settings import WorkerSettings
from limiter.settings import LimiterSettings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose.yaml"


@pytest.fixture
def services() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]


def check_compose(file: Path) -> subprocess.CompletedProcess[str]:
    tool = str(Path(sys.executable).with_name("check-jsonschema"))
    command = [tool, "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_compose_follows_its_specification() -> None:
    told = check_compose(COMPOSE)
    assert told.returncode == 0, told.stdout


def test_the_check_of_compose_finds_a_mistake(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text(encoding="utf-8").replace("healthcheck:", "healthchek:", 1), encoding="utf-8")
    assert "healthchek" in check_compose(wrong).stdout


def test_every_role_has_a_target_and_a_service(services: dict[str, Any]) -> None:
    targets = set(re.findall(r"^FROM \S+ AS (\w+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE))
    roles = {"access", "limiter", "worker", "embedder"}
    assert roles <= targets
    assert {service["build"]["target"] for service in services.values() if "build" in service} == roles


def test_two_limiters_stand_by_one_another(services: dict[str, Any]) -> None:
    assert services["limiter"]["deploy"]["replicas"] == 2


def test_the_redis_of_compose_keeps_what_it_is_given(services: dict[str, Any]) -> None:
    flags = services["redis"]["command"]
    assert {"--appendonly yes", "--maxmemory-policy noeviction"} <= set(flags)


def test_images_copy_every_package_that_is_built() -> None:
    copied = set(re.findall(r"^COPY (\w+) \w+$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE))
    packages = {"access", "contracts", "inference_worker", "limiter", "memory", "models", "penstock", "rag"}
    assert packages <= copied


@pytest.mark.parametrize("service", [AccessSettings, LimiterSettings, WorkerSettings])
def test_the_example_settings_are_the_defaults(service: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "PENSTOCK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    default = load(service)
    monkeypatch.setenv("PENSTOCK_CONFIG", str(ROOT / "penstock.example.yaml"))
    assert load(service) == default
