"""``penstock chat`` in a pipe: the answer on standard output and nothing else, and an exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from penstock.chat.api import Api
from tests.integration.penstock.actor import CONVERSATION, RESPONSE, acting, completion, created, delta, ended
from tests.integration.penstock.conftest import chat, penstock
from tests.servers import free_port, wait_until
from tests.stack import API_KEY

HOSTILE = "\x1b]0;mine\x07\x1b[2J\x9b31m\r\x7f"
LONG = "tokens=2000 pause=0.05"


def test_the_answer_is_on_standard_output_and_nothing_else(url: str, api: Api) -> None:
    told = chat("--url", url, "-m", "tokens=5")
    assert (told.returncode, told.stderr) == (0, b"")
    newest = api.conversations()[0]
    assert [item.text for item in api.items(newest.id)] == ["tokens=5", told.stdout.decode().removesuffix("\n")]
    assert newest.title == "tokens=5"


def test_standard_input_of_many_lines_is_one_question(url: str, api: Api) -> None:
    said = "/quit\n\nis not a command here \\\ntokens=3\n"
    assert chat("--url", url, said=said).returncode == 0
    assert api.items(api.conversations()[0].id)[0].text == said.removesuffix("\n")


def test_bytes_of_no_encoding_are_asked_as_good_as_it_goes(url: str, api: Api) -> None:
    assert chat("--url", url, said=b"tokens=3 \xff\xfe").returncode == 0
    assert "\N{REPLACEMENT CHARACTER}" in api.items(api.conversations()[0].id)[0].text
    assert chat("--url", url, "-m", "tokens=3 \udcff").returncode == 0


def test_last_goes_on_with_the_newest_and_conversation_with_any(url: str, api: Api) -> None:
    older, newer = (api.create(title) for title in ("older", "newer"))
    chat("--url", url, "--last", "-m", "tokens=2")
    chat("--url", url, "--conversation", older.id, "-m", "tokens=3")
    assert [api.items(one.id)[0].text for one in (newer, older)] == ["tokens=2", "tokens=3"]


def test_a_user_has_conversations_of_its_own(url: str, admin: Callable[..., Any]) -> None:
    assert chat("--url", url, "--user", "ana", "-m", "tokens=2").returncode == 0
    assert chat("--url", url, "--user", "ana", "--last", "-m", "tokens=3").returncode == 0
    (conversation,) = admin("get", "/v1/conversations?user=ana")["data"]
    assert len(admin("get", f"/v1/conversations/{conversation['id']}/items")["data"]) == 4
    assert b"no conversation yet" in chat("--url", url, "--user", "ben", "--last", "-m", "x").stderr


def test_json_is_one_object_with_all_there_is(url: str, api: Api) -> None:
    told = chat("--url", url, "--json", "--model", "scripted", "-m", "tokens=4")
    found = json.loads(told.stdout)
    assert told.stdout.isascii()
    assert told.returncode == 0
    assert (found["status"], found["model"], found["error"], found["citations"]) == ("completed", "scripted", None, [])
    assert found["usage"]["output_tokens"] == 4
    assert found["text"] == api.items(found["conversation"])[-1].text


def test_an_answer_that_fails_ends_with_one(url: str) -> None:
    told = chat("--url", url, "-m", "tokens=9 fail_at=3")
    assert told.returncode == 1
    assert told.stderr.startswith(b"penstock: ")
    as_json = chat("--url", url, "--json", "-m", "tokens=9 fail_at=3")
    found = json.loads(as_json.stdout)
    assert (as_json.returncode, found["status"]) == (1, "failed")
    assert found["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "huge", "-m", "x"], "There are: plain, scripted"),
        (["--conversation", "conv_nowhere", "-m", "x"], "No conversation with id"),
        (["--conversation", "../../admin/keys", "-m", "x"], "No "),
    ],
)
def test_what_is_not_there_is_said_in_one_sentence(arguments: list[str], sentence: str, url: str) -> None:
    told = chat("--url", url, *arguments)
    assert (told.returncode, told.stdout) == (1, b"")
    assert sentence in told.stderr.decode()
    assert b"Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["-m", "  "], ""), ([], ""), ([], "\n \n"), (["--last", "--conversation", "c", "-m", "x"], ""), (["--nope"], "")],
)
def test_a_wrong_use_ends_with_two(arguments: list[str], said: str) -> None:
    told = chat("--url", "http://127.0.0.1:9", *arguments, said=said)
    assert (told.returncode, told.stdout) == (2, b"")
    assert told.stderr


def test_a_closed_standard_input_is_no_question(url: str) -> None:
    def without_input(*more: str) -> int:
        command = 'exec "$@" <&-'
        words = ["sh", "-c", command, "sh", sys.executable, "-m", "penstock", "chat", "--url", url, *more]
        environment = os.environ | {"PENSTOCK_API_KEY": API_KEY}
        return subprocess.run(words, check=False, capture_output=True, env=environment, timeout=60).returncode

    assert without_input() == 2
    assert without_input("-m", "tokens=1") == 0


def test_where_nobody_answers_it_says_how_to_start() -> None:
    told = chat("--url", f"http://127.0.0.1:{free_port()}", "-m", "x")
    assert told.returncode == 1
    assert b"penstock up" in told.stderr


def test_a_bad_key_is_said(url: str) -> None:
    told = chat("--url", url, "-m", "x", PENSTOCK_API_KEY="sk-wrong")
    assert told.returncode == 1
    assert b"key" in told.stderr


def test_an_interrupt_cancels_the_answer_and_ends_with_130(url: str, api: Api) -> None:
    with running(url, LONG) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert (process.returncode, told) == (130, b"")
    assert cancelled(api)


def test_a_reader_that_has_enough_cancels_the_answer(url: str, api: Api) -> None:
    with running(url, LONG) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        process.stdout.close()
        assert process.wait(30) == 1
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert cancelled(api)


def test_no_sequence_of_a_model_reaches_the_output() -> None:
    with acting(created() + delta(f"Hi{HOSTILE}", "3-aa") + delta("\x1b", "4-aa") + ended("x [1]", HOSTILE)) as actor:
        told = chat("--url", actor.url, "-m", "x", PYTHONUTF8="1")
    shown = told.stdout + told.stderr
    assert told.returncode == 0
    assert shown.startswith(b"Hi")
    assert "[1] ␛]0;mine␇".encode() in told.stderr
    assert not set(shown) & {0x1B, 0x07, 0x0D, 0x7F}
    assert "\x9b".encode() not in shown


def test_ask_is_as_careful() -> None:
    with acting(completion(f"Hi{HOSTILE}")) as actor:
        told = penstock("ask", "--url", actor.url, "x", PYTHONUTF8="1")
    assert told.stdout.rstrip() == "Hi␛]0;mine␇␛[2J\N{REPLACEMENT CHARACTER}31m␡".encode()


def test_json_carries_the_same_as_data() -> None:
    with acting(created() + ended(HOSTILE)) as actor:
        told = chat("--url", actor.url, "--json", "-m", "x")
    assert json.loads(told.stdout)["text"] == HOSTILE
    assert b"\x1b" not in told.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_output_that_cannot_show_a_character_shows_a_question_mark(encoding: str) -> None:
    with acting(created() + delta("水 \ud800é", "3-aa") + ended("[1]", "水")) as actor:
        told = chat("--url", actor.url, "-m", "x", PYTHONIOENCODING=encoding, PYTHONUTF8="0", LC_ALL="C")
    assert told.returncode == 0, told.stderr
    assert told.stdout == "水 \ud800é\n".encode(encoding, "replace")


def test_citations_stand_on_the_error_output() -> None:
    with acting(created() + delta("Yes [1].", "3-aa") + ended("Yes [1].", "Returns")) as actor:
        told = chat("--url", actor.url, "--conversation", CONVERSATION, "-m", "x")
    assert (told.stdout, told.stderr) == (b"Yes [1].\n", b"[1] Returns\n")
    assert actor.streams[0].body["conversation"] == CONVERSATION


def test_an_answer_without_an_end_is_found_again() -> None:
    with acting(created() + delta("One ", "3-aa"), delta("two\n", "4-aa") + ended("One two\n")) as actor:
        told = chat("--url", actor.url, "-m", "x")
    assert (told.returncode, told.stdout, told.stderr) == (0, b"One two\n", b"")
    assert actor.streams[1].path.startswith(f"/v1/responses/{RESPONSE}")


def running(url: str, question: str) -> subprocess.Popen[bytes]:
    """A chat in a pipe that is under way."""
    return subprocess.Popen(
        [sys.executable, "-m", "penstock", "chat", "--url", url, "-m", question],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PENSTOCK_API_KEY": API_KEY},
        bufsize=0,
    )


def cancelled(api: Api) -> bool:
    """Whether the newest conversation's answer ended without having come to its end."""
    newest = api.conversations()[0].id
    wait_until(lambda: len(api.items(newest)) == 2, "the end of the answer", 10)
    return api.response(api.items(newest)[-1].response).status == "cancelled"
