"""Which model a worker is to serve."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.ids import is_model_name
from penstock import models
from penstock.errors import StartError


def test_a_folder_with_a_config_is_a_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    assert models.resolve(str(tmp_path)) == str(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"no model folder .*/nowhere.*--model"):
        models.resolve(str(tmp_path / "nowhere"))


def test_a_folder_without_a_config_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"no config\.json"):
        models.resolve(str(tmp_path))


def test_a_name_with_an_organisation_is_for_the_hub() -> None:
    assert models.resolve("Qwen/Qwen2.5-0.5B-Instruct") == "Qwen/Qwen2.5-0.5B-Instruct"


@pytest.mark.parametrize("name", ["my-model", "a/b/c", "org/", "/"])
def test_what_is_neither_folder_nor_hub_name_is_refused(name: str) -> None:
    with pytest.raises(StartError, match="--model"):
        models.resolve(name)


@pytest.mark.parametrize(
    ("model", "served"),
    [
        ("/srv/models/llama-3", "llama-3"),
        ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B"),
        ("llama3.2:1b", "llama3.2-1b"),
        ("gpt 4o (mini)", "gpt-4o--mini-"),
        ("…", "model"),
    ],
)
def test_the_served_name_can_stand_in_a_key(model: str, served: str) -> None:
    assert models.served_name(model) == served
    assert is_model_name(served)
