"""Lines that break under an answer, and servers that are none: the client's side, against a server that plays both."""

from __future__ import annotations

import pytest

from penstock.chat import pipe
from penstock.chat.api import Question, Refused, Unreachable, opened
from penstock.chat.asking import Asking, GaveUp
from penstock.chat.said import Conversation, Ended, Lost, Model, Named, Text, Told, Voided
from penstock.errors import CommandError
from penstock.target import Target
from tests.integration.penstock.actor import CONVERSATION, RESPONSE, Actor, acting, created, delta, ended, frame
from tests.servers import free_port

QUESTION = Question("Why?", "actor", CONVERSATION, "key-1")
OUTAGE = frame({"type": "error", "code": "dependency_down", "message": "…"})


def told_by(actor: Actor, bound_seconds: float = 20) -> list[Told]:
    """Everything that is told of one question's answer."""
    with opened(actor.target) as api:
        return list(Asking(api, QUESTION, bound_seconds).events())


def text_of(told: list[Told]) -> str:
    return "".join(one.text for one in told if isinstance(one, Text))


def test_a_line_that_breaks_is_taken_up_behind_its_cursor() -> None:
    with acting(
        created() + delta("One ", "3-aa") + delta("two ", "4-aa"), delta("three", "5-aa") + ended("…")
    ) as actor:
        told = told_by(actor)
    assert text_of(told) == "One two three"
    assert [(one.method, one.path, one.cursor) for one in actor.streams] == [
        ("POST", "/v1/responses", None),
        ("GET", f"/v1/responses/{RESPONSE}?stream=true", "4-aa"),
    ]
    assert told.count(Lost()) == 1


def test_one_that_breaks_before_it_has_an_id_is_the_same_request_asked_again() -> None:
    with acting("", created() + ended("")) as actor:
        assert told_by(actor)[1] == Named(RESPONSE)
    first, second = (one.body for one in actor.streams)
    assert first == second
    assert first["idempotency_key"] == "key-1"


def test_an_event_that_is_cut_in_the_middle_is_not_told() -> None:
    with acting(
        created() + delta("One ", "3-aa") + delta("two", "4-aa")[:-20], delta("two", "4-aa") + ended("…")
    ) as actor:
        assert text_of(told_by(actor)) == "One two"


def test_a_server_that_lost_what_it_said_begins_anew_and_says_so() -> None:
    begun = created() + delta("Old ", "3-aa")
    with acting(begun, (400, "stream_reset"), created() + delta("New", "3-bb") + ended("New")) as actor:
        told = told_by(actor)
    assert [one for one in told if isinstance(one, Text | Voided)] == [Text("Old "), Voided(), Text("New")]
    assert [one.cursor for one in actor.streams] == [None, "3-aa", None]


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_that_comes_back_in_parts_is_waited_for(status: int) -> None:
    with acting(created(), (status, "not_yet"), OUTAGE, ended("")) as actor:
        assert isinstance(told_by(actor)[-1], Ended)


def test_a_line_that_stays_broken_is_given_up() -> None:
    with acting(created() + delta("One", "3-aa"), "") as actor, pytest.raises(GaveUp, match="has been so for 1 s"):
        told_by(actor, bound_seconds=1)


def test_an_outage_that_stays_is_given_up_too() -> None:
    with acting(created(), OUTAGE) as actor, pytest.raises(GaveUp):
        told_by(actor, bound_seconds=1)


@pytest.mark.parametrize("status", [400, 404, 429, 503])
def test_a_refusal_is_told_at_once(status: int) -> None:
    with acting((status, "some_code")) as actor, pytest.raises(Refused, match="some_code") as refused:
        told_by(actor)
    assert refused.value.http_status == status
    assert len(actor.streams) == 1


def test_an_answer_that_is_gone_is_not_waited_for() -> None:
    with acting(created(), (410, "log_expired")) as actor, pytest.raises(Refused, match="log_expired"):
        told_by(actor)


@pytest.mark.parametrize(
    "said", ["data: {no json\n\n", "data: []\n\n", 'data: {"type": "response.created"}\n\n', "data: null\n\n"]
)
def test_what_no_penstock_says_is_said_of_it(said: str) -> None:
    with acting(said) as actor, pytest.raises(Refused, match="is no Penstock"):
        told_by(actor)


def test_a_server_of_another_kind_is_told_apart() -> None:
    with acting("") as actor, opened(actor.target) as api, pytest.raises(Refused, match="is no Penstock"):
        api.items("conv_of_another_kind")


@pytest.mark.parametrize("url", ["http://[::", "nonsense", "http://127.0.0.1:9"])
def test_an_address_where_nobody_is_is_said(url: str) -> None:
    with pytest.raises(CommandError), opened(Target(url, "sk-x")) as api:
        api.models()


def test_a_port_where_nobody_listens_says_how_to_start() -> None:
    with (
        opened(Target(f"http://127.0.0.1:{free_port()}", "sk-x")) as api,
        pytest.raises(Unreachable, match="penstock up"),
    ):
        api.models()


def test_an_error_of_the_server_is_no_sequence_for_the_terminal() -> None:
    with acting((400, "\x1b[2J")) as actor, pytest.raises(Refused) as refused:
        told_by(actor)
    assert "\x1b" not in str(refused.value)


def test_what_is_written_of_a_void_answer_is_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    scenes = created() + delta("Old", "3-aa") + frame({"type": "response.output_text.reset"}) + ended("New")
    with acting(scenes) as actor, opened(actor.target) as api, pytest.raises(CommandError, match="void"):
        pipe.ask(api, Model("actor", "ready", False, True), home(), "Why?", as_json=False)
    assert capsys.readouterr().out == "Old"


def test_as_json_an_answer_that_began_anew_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    scenes = created() + delta("Old", "3-aa") + frame({"type": "response.output_text.reset"}) + ended("New")
    with acting(scenes) as actor, opened(actor.target) as api:
        assert pipe.ask(api, Model("actor", "ready", False, True), home(), "Why?", as_json=True) == 0
    assert '"text": "New"' in capsys.readouterr().out


def home() -> Conversation:
    return Conversation(CONVERSATION, "", 0.0)
