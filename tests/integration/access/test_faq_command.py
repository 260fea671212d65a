"""``penstock faq`` against a real access process: what an FAQ team does in its day, and what its scheduler sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock import faq, faq_eval
from penstock.errors import CommandError
from penstock.faq import Store, TryAgain
from penstock.target import Target
from rag import load_faq
from rag.writers import write_faq
from tests.integration.access.conftest import Client, error
from tests.stack import Stack

FAQ = "key,question,answer,also,tags\nreturns,Can I return an item?,Within 30 days.,send it back|undo,orders\n"
MORE = FAQ + "delivery,How long is delivery?,Two days.,,\n"


@pytest.fixture
def store(house: Stack, client: Client) -> Iterator[Store]:
    at = Target(f"http://127.0.0.1:{house.access_ports[0]}", client.key)
    with faq.opened(at, "faq") as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "faq.csv"
    made.write_text(FAQ, encoding="utf-8")
    return made


def quiet(done: int, of: int) -> None:
    """Nobody watches."""


def add_text(client: Client, name: str, content: bytes) -> str:
    """Into the store of the tests; the upload's id."""
    [store_id] = [one["id"] for one in client.get("/v1/vector_stores").json()["data"] if one["name"] == "faq"]
    upload = client.upload(name, content).json()["id"]
    client.post(f"/v1/vector_stores/{store_id}/files", {"file_id": upload, "kind": "text"})
    return upload


def run(house: Stack, client: Client, *arguments: str) -> subprocess.CompletedProcess[str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK", "REDIS", "MILVUS"))}
    url = f"http://127.0.0.1:{house.access_ports[0]}"
    command = [sys.executable, "-m", "penstock", "faq", *arguments, "--url", url]
    environment = bare | {"PENSTOCK_API_KEY": client.key}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=100)


def test_the_second_load_of_a_file_does_nothing_and_says_so(house: Stack, client: Client, file: Path) -> None:
    first, second = (run(house, client, "load", str(file), "--json") for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert json.loads(first.stdout)["plan"]["added"] == ["returns"]
    assert json.loads(second.stdout) | {"plan": None} == {
        "store": "faq",
        "file": "faq.csv",
        "written": False,
        "plan": None,
    }
    assert "nothing to do, nothing embedded" in run(house, client, "load", str(file)).stdout
    assert len(client.get("/v1/files").json()["data"]) == 1


def test_a_dry_run_says_what_would_change_and_changes_nothing(store: Store, client: Client, file: Path) -> None:
    assert store.load(file, quiet, dry_run=True).plan.added == ["returns"]
    assert client.get("/v1/vector_stores").json()["data"] == []
    store.load(file, quiet)
    file.write_text(MORE.replace("30 days", "60 days"), encoding="utf-8")
    tried = store.load(file, quiet, dry_run=True)
    assert (tried.plan.added, tried.plan.changed, tried.written) == (["delivery"], ["returns"], False)
    assert [entry.answer for entry in store.entries()] == ["Within 30 days."]
    assert len(client.get("/v1/files").json()["data"]) == 1


def test_a_load_tells_how_far_it_is(store: Store, file: Path) -> None:
    file.write_text("question,answer\n" + "".join(f"q{n},a{n}\n" for n in range(300)), encoding="utf-8")
    steps: list[tuple[int, int]] = []
    store.load(file, lambda done, of: steps.append((done, of)))
    assert steps == [(128, 300), (256, 300), (300, 300)]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_an_export_loads_again_and_changes_nothing(store: Store, file: Path, tmp_path: Path, suffix: str) -> None:
    file.write_text(MORE, encoding="utf-8")
    loaded = file.rename(tmp_path / "first.csv") if suffix == ".csv" else _as_jsonl(file, tmp_path / "first.jsonl")
    store.load(loaded, quiet)
    (tmp_path / "again").mkdir()
    exported = tmp_path / "again" / loaded.name
    assert store.export(exported) == 2
    assert not store.load(exported, quiet).plan.changes_anything


def test_an_entry_is_put_found_and_deleted(store: Store) -> None:
    assert store.put({"key": "tea", "question": "Which tea?", "answer": "Green tea."})
    assert not store.put({"key": "tea", "question": "Which tea?", "answer": "Black tea."})
    assert store.search("Which tea?")["data"][0]["content"][0]["text"] == "Black tea."
    store.delete("tea")
    assert store.search("Which tea?")["data"] == []
    with pytest.raises(CommandError, match="No entry has the key 'tea'"):
        store.delete("tea")


def test_a_file_is_taken_out_with_its_entries_and_no_others(store: Store, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text(MORE.replace("returns", "refunds"), encoding="utf-8")
    store.load(file, quiet)
    store.load(other, quiet)
    removed = store.remove("other.csv")
    assert (removed.written, sorted(removed.plan.deleted)) == (True, ["delivery", "refunds"])
    assert [entry.key for entry in store.entries()] == ["returns"]
    with pytest.raises(CommandError, match=r"No file other\.csv is in the vector store 'faq'\. There is: faq\.csv\."):
        store.remove("other.csv")


def test_a_file_that_was_taken_out_comes_back_by_its_version(store: Store, file: Path) -> None:
    store.load(file, quiet)
    store.remove("faq.csv")
    [version] = store.history()
    assert store.rollback(version["file_id"], quiet).plan.added == ["returns"]
    assert [entry.answer for entry in store.entries()] == ["Within 30 days."]


def test_a_dry_run_of_taking_a_file_out_names_the_entries_and_keeps_them(
    house: Stack, client: Client, store: Store, file: Path
) -> None:
    store.load(file, quiet)
    tried = run(house, client, "remove", str(file), "--dry-run")
    assert tried.stdout == "faq.csv would leave the vector store 'faq': 1 deleted.\n  deleted: returns\n"
    assert [entry.key for entry in store.entries()] == ["returns"]
    done = run(house, client, "remove", "faq.csv", "--json")
    assert json.loads(done.stdout) == {
        "store": "faq",
        "file": "faq.csv",
        "written": True,
        "plan": {"added": [], "changed": [], "deleted": ["returns"], "unchanged": 0},
    }
    assert store.entries() == []
    again = run(house, client, "remove", "faq.csv")
    assert (again.returncode, again.stderr.count("There is: nothing.")) == (1, 1)


def test_a_text_is_taken_out_by_its_name_and_its_pieces_are_told_by_their_numbers(
    store: Store, client: Client, file: Path
) -> None:
    """It came in over HTTP: ``load`` takes every file as a FAQ."""
    store.load(file, quiet)
    add_text(client, "notes.md", b"# Pipes\n\nWater flows down.\n\n# Pumps\n\nOr up.\n")
    pieces = ["notes.md#1", "notes.md#2"]
    assert store.remove("notes.md", dry_run=True).plan.deleted == pieces
    assert store.search("Where does water flow?")["data"] != []
    removed = store.remove("notes.md")
    assert (removed.written, removed.plan.deleted) == (True, pieces)
    assert [found["filename"] for found in store.search("Where does water flow?")["data"]] == ["faq.csv"]
    with pytest.raises(CommandError, match=r"There is: faq\.csv\."):
        store.remove("notes.md")


def test_a_text_is_not_loaded_again_as_a_faq(store: Store, client: Client, file: Path) -> None:
    store.load(file, quiet)
    upload = add_text(client, "notes.md", b"# Pipes\n\nWater flows down.\n")
    with pytest.raises(CommandError, match=rf'is a text and no FAQ\. .*"file_id": "{upload}", "kind": "text"'):
        store.rollback(upload, quiet)
    assert [entry.key for entry in store.entries()] == ["returns"]


def test_an_earlier_version_is_loaded_again(store: Store, file: Path) -> None:
    store.load(file, quiet)
    file.write_text(MORE.replace("30 days", "60 days"), encoding="utf-8")
    store.load(file, quiet)
    newest, first = store.history()
    assert (newest["added"], newest["changed"], first["added"]) == (1, 1, 1)
    assert store.rollback(first["file_id"], quiet).plan.deleted == ["delivery"]
    assert [entry.answer for entry in store.entries()] == ["Within 30 days."]
    assert store.history()[0]["file_id"] == first["file_id"]


def test_an_unknown_version_is_refused(store: Store, file: Path) -> None:
    store.load(file, quiet)
    with pytest.raises(CommandError, match="has no version file-1"):
        store.rollback("file-1", quiet)


def test_an_index_is_made_again(store: Store, file: Path) -> None:
    store.load(file, quiet)
    assert store.reindex(quiet) == 1
    assert store.search("undo")["data"][0]["content"][0]["text"] == "Within 30 days."


def test_a_wrong_row_is_named_and_nothing_is_kept(house: Stack, client: Client, file: Path) -> None:
    file.write_text(MORE + "returns,Again?,Twice.,,\nempty,,,,\n", encoding="utf-8")
    told = run(house, client, "load", str(file))
    assert told.returncode == 1
    assert "faq.csv, line 4: column 'key': 'returns' is already that of line 2" in told.stderr
    assert "faq.csv, line 5: column 'question' is empty" in told.stderr
    assert client.get("/v1/files").json()["data"] == []


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path, store: Store) -> None:
    big = tmp_path / "big.csv"
    with big.open("wb") as opened:
        opened.truncate(100 << 20)
    with pytest.raises(CommandError, match="at most 16777216 are taken"):
        store.load(big, quiet)


def test_a_file_that_is_too_large_for_the_server_is_refused_by_it(store: Store, file: Path) -> None:
    file.write_text("question,answer\n" + "".join(f"q{n},{'a' * 80}\n" for n in range(1000)), encoding="utf-8")
    with pytest.raises(CommandError, match="larger than 65536 bytes"):
        store.load(file, quiet)


def test_who_finds_nobody_may_try_again_later(tmp_path: Path) -> None:
    with faq.opened(Target("http://127.0.0.1:9", "sk-x"), "faq") as store, pytest.raises(TryAgain) as raised:
        store.put({"key": "k", "question": "q", "answer": "a"})
    assert raised.value.status == 75


@pytest.mark.parametrize(
    ("body", "param"),
    [({"question": " ", "answer": "a"}, "question"), ({"question": "q", "answer": "a", "tags": ["t"] * 51}, "tags")],
)
def test_an_entry_is_held_to_the_bounds_of_a_file(client: Client, body: dict[str, Any], param: str) -> None:
    store_id = client.post("/v1/vector_stores", {"name": "faq"}).json()["id"]
    assert error(client.post(f"/v1/vector_stores/{store_id}/entries", body), 400)["param"] == param


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "entries"), ("DELETE", "entries?key=k"), ("GET", "versions"), ("POST", "reindex")]
)
def test_the_entries_of_another_tenant_are_not_there(client: Client, stranger: Client, method: str, path: str) -> None:
    store_id = client.post("/v1/vector_stores", {"name": "faq"}).json()["id"]
    error(stranger.send(method, f"/v1/vector_stores/{store_id}/{path}"), 404)


def test_rankers_are_compared_on_questions_with_known_answers(store: Store, file: Path, tmp_path: Path) -> None:
    file.write_text(MORE, encoding="utf-8")
    store.load(file, quiet)
    questions = tmp_path / "questions.jsonl"
    rows = [("may I send it back?", "returns"), ("how many days is delivery", "delivery"), ("what is the moon", None)]
    questions.write_text("".join(json.dumps({"question": q, "key": k}) + "\n" for q, k in rows), encoding="utf-8")
    asked = faq_eval.questions_of(questions, (entry.key for entry in store.entries()))
    made = faq_eval.evaluate(asked, store.search, quiet)
    english = made.data["en"]
    assert (english["questions"], english["unanswerable"]) == (3, 1)
    assert english["hybrid"]["hit_at_1"] == english["dense"]["hit_at_1"] == english["bm25"]["hit_at_1"] == 1.0
    assert {file.name for file in faq_eval.draw(made, tmp_path / "plot")} == {
        "plot-refusals-en.svg",
        "plot-refusals-en.png",
    }


def test_a_question_of_a_conversation_is_a_line_of_its_own(store: Store, file: Path, tmp_path: Path) -> None:
    store.load(file, quiet)
    questions = tmp_path / "questions.jsonl"
    row = {"question": "and for how long?", "history": ["Can I return an item?"], "key": "returns"}
    questions.write_text(json.dumps(row) + "\n", encoding="utf-8")
    made = faq_eval.evaluate(faq_eval.questions_of(questions, ["returns"]), store.search, quiet)
    assert {name: made.data["en-follow-ups"][name]["hit_at_1"] for name in ("hybrid", "alone", "joined")} == {
        "hybrid": 1.0,
        "alone": 1.0,
        "joined": 1.0,
    }
    assert [table.title for table in faq_eval.tables(made)] == [
        "English, in conversations: 1 questions, 0 of them without an answer"
    ]


def test_a_question_about_an_entry_that_is_not_there_is_named(store: Store, file: Path, tmp_path: Path) -> None:
    store.load(file, quiet)
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "q", "key": "nowhere"}\n', encoding="utf-8")
    with pytest.raises(CommandError, match="the store has no entry 'nowhere'"):
        faq_eval.questions_of(questions, (entry.key for entry in store.entries()))


def _as_jsonl(file: Path, target: Path) -> Path:
    target.write_text(write_faq(".jsonl", load_faq(file.name, file.read_bytes())), encoding="utf-8")
    return target
