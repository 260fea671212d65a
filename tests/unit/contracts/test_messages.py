"""What a reader of messages bears, and what it refuses."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.errors import DecodeError
from contracts.messages import (
    AdmissionQuery,
    ChatMessage,
    Delta,
    GenerationParameters,
    InferenceRequest,
    Verdict,
    decode_reply,
    encode_reply,
    is_terminal,
)
from tests.contract.examples import MESSAGES, REPLIES


@given(st.binary())
def test_foreign_bytes_are_one_kind_of_error(wire: bytes) -> None:
    for kind in (InferenceRequest, AdmissionQuery, Verdict):
        with pytest.raises(DecodeError):
            kind.decode(wire)


@given(st.binary())
@example(b"\x91\xa1\x80")  # a tag that is no UTF-8
def test_foreign_bytes_are_no_reply(wire: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_reply(wire)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_a_field_of_next_year_is_ignored(message: msgspec.Struct) -> None:
    wire = msgspec.msgpack.encode(msgspec.msgpack.decode(message.encode()) | {"field_of_next_year": 1})  # type: ignore[attr-defined]
    assert type(message).decode(wire) == message  # type: ignore[attr-defined]


@pytest.mark.parametrize("reply", REPLIES, ids=lambda one: type(one).__name__)
def test_a_reply_may_grow_at_its_end(reply: object) -> None:
    wire = msgspec.msgpack.encode([*msgspec.msgpack.decode(encode_reply(reply)), "more"])  # type: ignore[arg-type]
    assert decode_reply(wire) == reply


def test_a_wrong_type_is_refused() -> None:
    with pytest.raises(DecodeError, match="ChatMessage"):
        ChatMessage.decode(msgspec.msgpack.encode({"role": "user", "content": 7}))


def test_three_replies_are_ends() -> None:
    assert sorted({type(reply).__name__ for reply in REPLIES if is_terminal(reply)}) == [
        "Cancelled",
        "Failed",
        "Finished",
    ]


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))), st.lists(st.integers(min_value=0, max_value=2**31)))
def test_a_delta_survives_the_wire(text: str, ids: list[int]) -> None:
    delta = Delta(text=text, token_ids=tuple(ids))
    assert decode_reply(encode_reply(delta)) == delta


@pytest.mark.parametrize(
    ("parameters", "continuable"),
    [
        (GenerationParameters(temperature=0.7, seed=1), True),
        (GenerationParameters(n=2), False),
        (GenerationParameters(json_object=True), False),
        (GenerationParameters(json_schema={}), False),
        (GenerationParameters(presence_penalty=0.5), False),
        (GenerationParameters(frequency_penalty=0.5), False),
    ],
)
def test_what_another_worker_can_go_on_with(parameters: GenerationParameters, continuable: bool) -> None:
    assert parameters.continuable is continuable
