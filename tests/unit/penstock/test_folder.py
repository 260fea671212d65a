"""The data folder: secrets, the list of what runs, one launcher at a time."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from access.auth import _SHAPE as SHAPE_OF_KEYS
from penstock.errors import StartError
from penstock.folder import DataFolder, Running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataFolder:
    monkeypatch.delenv("PENSTOCK_API_KEY", raising=False)
    monkeypatch.delenv("PENSTOCK_ACCESS__PEPPER", raising=False)
    made = DataFolder(tmp_path / "data")
    made.create()
    return made


def test_the_key_is_made_once_and_kept(folder: DataFolder) -> None:
    key = folder.api_key()
    assert SHAPE_OF_KEYS.fullmatch(key)
    assert folder.api_key() == folder.stored_api_key() == key


def test_a_key_that_is_given_wins_and_is_not_kept(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_API_KEY", "mine")
    assert folder.api_key() == "mine"
    assert folder.stored_api_key() is None


def test_secrets_are_for_their_owner_alone(folder: DataFolder) -> None:
    folder.api_key()
    folder.pepper()
    modes = {name: (folder.path / name).stat().st_mode & 0o777 for name in ("api_key", "pepper", ".")}
    assert modes == {"api_key": 0o600, "pepper": 0o600, ".": 0o700}


def test_key_and_pepper_differ_from_machine_to_machine(folder: DataFolder, tmp_path: Path) -> None:
    other = DataFolder(tmp_path / "other")
    other.create()
    assert len({folder.api_key(), folder.pepper(), other.api_key(), other.pepper()}) == 4


def test_run_json_lists_name_pid_and_port(folder: DataFolder) -> None:
    folder.list_running([Running("access-0", 12, 8000), Running("reaper", 13, None)])
    assert json.loads(folder.run_file.read_text("utf-8")) == {
        "children": [
            {"name": "access-0", "pid": 12, "port": 8000},
            {"name": "reaper", "pid": 13, "port": None},
        ]
    }
    assert folder.running() == [Running("access-0", 12, 8000), Running("reaper", 13, None)]


def test_nothing_runs_where_there_is_no_list(folder: DataFolder) -> None:
    assert folder.running() == []


def test_only_one_launcher_holds_a_folder(folder: DataFolder) -> None:
    with folder.locked(), pytest.raises(StartError, match="already runs"), DataFolder(folder.path).locked():
        raise AssertionError("both hold it")


def test_a_folder_can_be_held_again_after_its_release(folder: DataFolder) -> None:
    with folder.locked():
        pass
    with folder.locked() as again:
        assert again >= 0


def test_a_path_that_cannot_be_a_folder_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=re.escape("--data")):
        DataFolder(tmp_path / "file" / "data").create()
