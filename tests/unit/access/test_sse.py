"""Frames: what a browser reads from them is what was put in."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from access import sse


def parse(stream: str) -> list[dict[str, str]]:
    """The WHATWG algorithm for event streams, as far as we write them."""
    found: list[dict[str, str]] = []
    event: dict[str, str] = {}
    for line in stream.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not line:
            if "data" in event:
                found.append(event)
            event = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            event[name] = event[name] + "\n" + value.removeprefix(" ") if name in event else value.removeprefix(" ")
    return found


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_whatever_the_text_is_a_reader_gets_it_back(text: str) -> None:
    [event] = parse(sse.frame({"delta": text}).decode())
    assert json.loads(event["data"]) == {"delta": text}


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_data_is_one_line_of_json(text: str) -> None:
    body = sse.frame(text).decode().removeprefix("data: ").removesuffix("\n\n")
    assert "\n" not in body
    assert "\r" not in body


def test_name_and_cursor_stand_before_the_data() -> None:
    assert sse.frame({"a": 1}, event="response.created", event_id="3-ab") == (
        b'event: response.created\nid: 3-ab\ndata: {"a":1}\n\n'
    )


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_a_comment_can_not_break_out_and_become_an_event(text: str) -> None:
    assert parse(sse.comment(text).decode()) == []


def test_openais_library_takes_no_heartbeat_for_an_event() -> None:
    wire = sse.frame({"a": 1}, event="x", event_id="3-1") + sse.HEARTBEAT + sse.comment("queued") + sse.frame({"a": 2})
    events = SSEDecoder().iter_bytes(iter([wire]))
    assert [event.json() for event in events] == [{"a": 1}, {"a": 2}]
