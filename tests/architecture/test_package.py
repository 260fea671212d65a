"""What a wheel takes along: every package of ours, and the files they read at run time."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from setuptools import Distribution

ROOT = Path(__file__).parents[2]
ROLES = ("access", "contracts", "inference_worker", "limiter", "memory", "penstock", "rag")


@pytest.fixture
def data_files(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Files beside the modules that the build would copy, relative to the checkout."""
    monkeypatch.chdir(ROOT)
    distribution = Distribution()
    distribution.parse_config_files()
    distribution.include_package_data = False  # what a version control system knows is no part of the question
    build = distribution.get_command_obj("build_py")
    build.ensure_finalized()
    copied: list[tuple[str, str, str, list[str]]] = build.data_files
    return {Path(folder, name).as_posix() for _, folder, _, names in copied for name in names}


def test_every_package_is_listed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = {init.parent.relative_to(ROOT) for role in ROLES for init in (ROOT / role).rglob("__init__.py")}
    listed = set(settings["tool"]["setuptools"]["packages"]) - {"penstock.bundled"}
    assert listed == {".".join(folder.parts) for folder in found}


@pytest.mark.parametrize(
    "pattern",
    ["contracts/functions/*.lua", "rag/sample/*", "rag/*.json", "models/penstock-faq/*", "models/penstock-embed/**/*"],
)
def test_a_wheel_takes_the_files_along_that_are_read_at_run_time(pattern: str, data_files: set[str]) -> None:
    needed = {file.relative_to(ROOT).as_posix() for file in ROOT.glob(pattern) if file.is_file()}
    assert needed
    assert needed <= data_files


def test_a_wheel_takes_the_pages_along(data_files: set[str]) -> None:
    files = [file for folder in ("access/static", "access/page") for file in (ROOT / folder).rglob("*")]
    needed = {file.relative_to(ROOT).as_posix() for file in files if file.is_file()}
    assert needed
    assert needed <= data_files
