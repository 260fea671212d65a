"""``penstock chat`` as a person has it: on a terminal, against real processes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.chat.api import Api
from tests.integration.penstock.actor import acting, created, delta, ended
from tests.integration.penstock.person import CTRL_C, CTRL_D, Person, person
from tests.servers import wait_until
from tests.stack import API_KEY, Stack

LONG = "tokens=2000 pause=0.05"
SECONDS = "tokens=120 pause=0.05"
HOSTILE = "\x1b]0;mine\x07\x1b[2J\x9b31m"


@pytest.fixture
def ana(url: str) -> Iterator[Person]:
    """Somebody who has just started a chat."""
    with person("chat", "--url", url, PENSTOCK_API_KEY=API_KEY) as somebody:
        somebody.sees_prompt()
        yield somebody


def newest(api: Api) -> str:
    return api.conversations()[0].id


def push(admin: Callable[..., Any], conversation: str, text: str) -> None:
    """Another service speaks."""
    item = {"type": "message", "role": "assistant", "content": text}
    admin("post", f"/v1/conversations/{conversation}/items", {"items": [item]})


def test_an_answer_streams_and_is_kept(ana: Person, api: Api) -> None:
    seen = ana.says("tokens=5 pause=0.01").sees_prompt()
    question, answer = api.items(newest(api))
    assert question.text == "tokens=5 pause=0.01"
    assert answer.text.strip() in seen
    assert seen.count(answer.text.strip()) == 1


def test_a_chat_that_asks_nothing_leaves_no_conversation(url: str, api: Api) -> None:
    before = api.conversations()
    with person("chat", "--url", url, PENSTOCK_API_KEY=API_KEY) as ana:
        ana.sees_prompt()
        assert ana.leaves() == 0
    assert api.conversations() == before


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D, "/quit\r"])
def test_a_person_leaves_at_an_empty_prompt(key: str, ana: Person) -> None:
    ana.does(key)
    assert ana.process.wait(30) == 0


def test_ctrl_c_drops_a_line_that_was_begun(ana: Person) -> None:
    ana.does("half a quest").sees("half a quest")
    ana.does(CTRL_C).sees_prompt()
    ana.does('"""\r').sees(". ")
    ana.does(CTRL_D).sees_prompt()
    assert ana.leaves() == 0


def test_ctrl_c_cancels_the_answer_on_the_server_and_the_next_one_is_answered(ana: Person, api: Api) -> None:
    ana.says(LONG).sees("water")
    assert "Cancelled." in ana.does(CTRL_C).sees_prompt()
    response = api.items(newest(api))[-1].response
    assert api.response(response).status == "cancelled"
    ana.says("tokens=3").sees_prompt()
    assert [item.role for item in api.items(newest(api))] == ["user", "assistant"] * 2


def test_ctrl_c_takes_back_a_question_that_waits_for_another_answer(ana: Person, api: Api) -> None:
    ana.says("tokens=1").sees_prompt()
    here = newest(api)
    with person("chat", "--conversation", here, "--url", api.url, PENSTOCK_API_KEY=API_KEY) as ben:
        ben.sees_prompt()
        ben.says(LONG).sees("water")
        ana.says(f"second {LONG}").sees("…")
        assert "taken back when its turn comes" in ana.does(CTRL_C).sees_prompt()
        ben.does(CTRL_C).sees_prompt()
    wait_until(lambda: state_of(api, here, f"second {LONG}") == "cancelled", "the second question being taken back")
    ana.says("tokens=2").sees_prompt()
    assert state_of(api, here, "tokens=2") == "completed"


def state_of(api: Api, conversation: str, question: str) -> str:
    """What became of a question; empty as long as it is not in the conversation."""
    asked = [item.response for item in api.items(conversation) if item.text == question]
    return api.response(asked[0]).status if asked else ""


def test_conversations_are_listed_switched_renamed_and_deleted(ana: Person, api: Api) -> None:
    ana.says("/new First of two").sees("next question")
    ana.says("tokens=2").sees_prompt()
    first = newest(api)
    ana.says("/new").sees_prompt()
    ana.says("second tokens=3").sees_prompt()
    second = newest(api)
    assert second != first

    listed = ana.says("/list").sees_prompt().splitlines()
    assert listed[1].startswith("* ")
    assert listed[1].endswith("second tokens=3")
    assert listed[2].endswith("First of two")
    assert f"First of two ({first})" in ana.says("/switch 2").sees_prompt()
    assert "second tokens=3" in ana.says(f"/switch {second}").sees_prompt()

    ana.says("/title A better name").sees("The title is: A better name")
    assert api.conversation(second).title == "A better name"
    ana.says("/delete").sees("[y/N]")
    assert "Nothing is deleted" in ana.says("").sees_prompt()
    ana.says("/delete").sees("[y/N]")
    ana.says("y").sees_prompt()
    assert second not in [one.id for one in api.conversations()]
    assert "There is no conversation yet" in ana.says("/history").sees_prompt()


def test_the_history_is_shown_and_exported_but_over_no_file(ana: Person, tmp_path: Path) -> None:
    file = tmp_path / "kept.md"
    ana.says("tokens=2").sees_prompt()
    ana.says("again tokens=3").sees_prompt()
    assert "tokens=2" not in ana.says("/history 2").sees_prompt().replace("/history 2", "")
    assert "tokens=2" in ana.says("/history").sees_prompt()
    ana.says(f"/export {file}").sees("4 messages")
    assert file.read_text("utf-8").startswith("# tokens=2\n\n**You** · ")
    assert "There is a file" in ana.says(f"/export {file}").sees_prompt()
    assert "Cannot write" in ana.says(f"/export {tmp_path}/no/such/folder.md").sees_prompt()


def test_a_retry_asks_the_last_question_again_and_says_what_that_means(ana: Person, api: Api) -> None:
    assert "no question yet" in ana.says("/retry").sees_prompt()
    ana.says("tokens=2").sees_prompt()
    assert "stay in the history" in ana.says("/retry").sees_prompt()
    assert [item.text for item in api.items(newest(api)) if item.role == "user"] == ["tokens=2", "tokens=2"]


def test_a_model_is_chosen_from_those_there_are(ana: Person, api: Api) -> None:
    listed = ana.says("/model").sees_prompt()
    assert "* plain" in listed
    assert "  scripted" in listed
    assert "There are: plain, scripted" in ana.says("/model huge").sees_prompt()
    ana.says("/model scripted").sees("scripted is asked")
    ana.says("tokens=1").sees_prompt()
    assert api.items(newest(api))[-1].text


def test_what_is_no_command_is_not_asked(ana: Person, api: Api) -> None:
    before = api.conversations()
    assert "Did you mean /history?" in ana.says("/hstory").sees_prompt()
    assert "/export [FILE]" in ana.says("/help").sees_prompt()
    assert api.conversations() == before


def test_a_question_may_begin_with_a_slash_and_have_many_lines(ana: Person, api: Api) -> None:
    ana.says("//etc/hosts tokens=1").sees_prompt()
    ana.says("one \\").sees(". ")
    ana.says("two tokens=1").sees_prompt()
    ana.says('"""').sees(". ")
    ana.says("/quit").sees(". ")
    ana.says('tokens=1"""').sees_prompt()
    asked = [item.text for item in api.items(newest(api)) if item.role == "user"]
    assert asked == ["/etc/hosts tokens=1", "one \ntwo tokens=1", "/quit\ntokens=1"]


def test_tab_completes_a_command(ana: Person) -> None:
    ana.does("/hist\t").sees("/history")


def test_a_push_is_shown_at_an_empty_prompt_at_once(ana: Person, api: Api, admin: Callable[..., Any]) -> None:
    ana.says("tokens=1").sees_prompt()
    ana.does("")
    push(admin, newest(api), f"Your room is ready.{HOSTILE}")
    seen = ana.sees("Your room is ready.")
    assert "\x1b]0;" not in ana.raw.decode()
    assert "\x9b".encode() not in ana.raw
    assert "[bootstrap, " in seen
    ana.says("tokens=2").sees_prompt()
    assert api.items(newest(api))[-1].text


def test_a_push_does_not_touch_a_line_that_is_being_typed(ana: Person, api: Api, admin: Callable[..., Any]) -> None:
    ana.says("tokens=1").sees_prompt()
    here = newest(api)
    ana.does("tokens=3 half").sees("tokens=3 half")
    with person("chat", "--conversation", here, "--url", api.url, PENSTOCK_API_KEY=API_KEY) as ben:
        ben.sees_prompt()
        push(admin, here, "Meanwhile.")
        ben.sees("Meanwhile.")
    assert "Meanwhile." not in ana.seen
    seen = ana.says(" a question").sees_prompt()
    assert "Meanwhile." in seen
    assert "tokens=3 half a question" in [item.text for item in api.items(here)]


def test_a_chat_goes_on_with_what_was_said_on_another_device(ana: Person, api: Api) -> None:
    ana.says("tokens=2").sees_prompt()
    with person("chat", "--last", "--url", api.url, PENSTOCK_API_KEY=API_KEY) as ben:
        assert "[answer, " in ben.sees_prompt()
        ana.does("")
        ben.says("asked by ben tokens=3").sees_prompt()
        ana.sees("asked by ben", "[answer, ")
        seen = ben.seen
    assert seen.count("asked by ben") == 1


def test_a_conversation_that_is_deleted_elsewhere_is_left(ana: Person, api: Api) -> None:
    ana.says("tokens=1").sees_prompt()
    here = newest(api)
    ana.does("")
    api.delete(here)
    ana.sees("deleted elsewhere")
    ana.says("tokens=2").sees_prompt()
    assert newest(api) != here


def test_who_waits_sees_the_place_in_the_queue(url: str, admin: Callable[..., Any], pair: Stack) -> None:
    tenant = f"crowded-{secrets.token_hex(4)}"
    admin("put", f"/admin/limits/{tenant}", {"concurrency": 1, "wait_seconds": 600})
    key = admin("post", "/admin/keys", {"name": "k", "tenant": tenant, "scopes": ["inference"]})["key"]
    running = pair.client(key=key).responses.create(model="plain", input=LONG, background=True)
    with person("chat", "--url", url, PENSTOCK_API_KEY=key) as ana:
        ana.sees_prompt()
        ana.says("tokens=2").sees("waiting: place 1 in the queue, about ")
        pair.client(key=key).responses.cancel(running.id)
        ana.sees_prompt()
        assert "waiting" not in ana.stands
        assert len(ana.stands.splitlines()) == 3  # the question, its answer, the prompt


def test_an_access_process_that_dies_in_mid_answer_costs_nothing_of_it(pair: Stack, api: Api) -> None:
    port = pair.access()
    child = pair.children[-1]
    with person("chat", "--url", f"http://127.0.0.1:{port}", PENSTOCK_API_KEY=API_KEY) as ana:
        ana.sees_prompt()
        ana.says(SECONDS).sees("water")
        child.kill()
        ana.sees("the connection broke")
        pair.access(port)
        ana.sees_prompt()
        shown = ana.stands.removeprefix(f"{SECONDS}\n").removesuffix("> ")
    assert words(shown) == words(api.items(newest(api))[-1].text)


def words(text: str) -> str:
    """A text however it is broken into rows, in the middle of a word too."""
    return "".join(text.split())


def test_an_answer_that_cannot_be_found_again_says_what_to_do(pair: Stack) -> None:
    port = pair.access()
    child = pair.children[-1]
    with person("chat", "--url", f"http://127.0.0.1:{port}", PENSTOCK_API_KEY=API_KEY) as ana:
        ana.sees_prompt()
        ana.says(SECONDS).sees("water")
        child.kill()
        assert "/history shows it too" in ana.sees_prompt(90)
        pair.access(port)
        ana.does("").sees("[answer, ", seconds=30)


def test_no_sequence_of_a_model_reaches_the_terminal() -> None:
    scene = created() + delta(f"Hi{HOSTILE}", "3-aa") + delta("\x1b", "4-aa") + ended("Hi [1]", HOSTILE)
    with acting(scene, title=HOSTILE) as actor, person("chat", "--url", actor.url, PENSTOCK_API_KEY="sk-x") as ana:
        ana.sees_prompt()
        seen = ana.says("x").sees_prompt()
        ana.says("/list").sees_prompt()
        ana.does("/delete\r").sees("[y/N]")
    assert "Hi␛]0;mine␇␛[2J" in seen
    assert "[1] ␛]0;mine␇" in seen
    assert b"\x1b]" not in ana.raw
    assert b"\x1b[2J" not in ana.raw
    assert b"\x07" not in ana.raw
    assert "\x9b".encode() not in ana.raw


def test_a_dumb_terminal_gets_no_sequences_of_ours(url: str) -> None:
    with person("chat", "--url", url, PENSTOCK_API_KEY=API_KEY, TERM="dumb") as ana:
        ana.sees_prompt()
        ana.says("tokens=2").sees_prompt()
        assert ana.leaves() == 0
    assert b"\x1b[K" not in ana.raw
    assert b"\x1b[2m" not in ana.raw


def test_json_at_a_prompt_is_a_wrong_use(url: str) -> None:
    with person("chat", "--json", "--url", url, PENSTOCK_API_KEY=API_KEY) as ana:
        ana.sees("--json is for one question")
        assert ana.process.wait(30) == 2
