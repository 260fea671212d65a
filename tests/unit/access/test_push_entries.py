"""An entry of a publisher's stream, read strictly."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access.push_entries import MAX_PAYLOAD_BYTES, Prompted, Said, read_order, shown_id
from contracts.errors import CallerError

CONVERSATION = "conv_s0_" + "1" * 32
WHOLE = {
    "id": "stay-7",
    "tenant": "acme",
    "conversation": CONVERSATION,
    "type": "message",
    "payload": '{"text": "Your room is ready."}',
}


def fields(**changes: str) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in (WHOLE | changes).items()}


def test_a_message_is_read() -> None:
    order = read_order("hotels", ["acme"], fields())
    assert (order.id, order.tenant, order.session) == ("stay-7", "acme", "s0_" + "1" * 32)
    assert order.payload == Said(text="Your room is ready.")


def test_a_prompt_names_its_model() -> None:
    payload = json.dumps({"model": "plain", "prompt": "Say hello.", "max_output_tokens": 9})
    order = read_order("hotels", ["acme"], fields(type="prompt", payload=payload))
    assert order.payload == Prompted(model="plain", prompt="Say hello.", max_output_tokens=9)


def test_fields_of_a_newer_publisher_are_passed_over() -> None:
    assert read_order("hotels", ["acme"], fields(traceparent="00-1", payload='{"text": "a", "mood": "kind"}'))


def test_the_same_push_has_the_same_fingerprint_under_any_id() -> None:
    one, other = read_order("h", ["acme"], fields()), read_order("h", ["acme"], fields(id="other"))
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != read_order("h", ["acme"], fields(payload='{"text": "Else."}')).fingerprint


def test_a_publisher_without_tenants_speaks_to_nobody() -> None:
    with pytest.raises(CallerError) as refused:
        read_order("hotels", [], fields())
    assert refused.value.code == "tenant_not_allowed"


@given(st.dictionaries(st.sampled_from([name.encode() for name in (*WHOLE, "user")]), st.binary(max_size=200)))
def test_whatever_is_written_is_read_or_refused(written: dict[bytes, bytes]) -> None:
    with contextlib.suppress(CallerError):
        read_order("hotels", ["acme"], {**fields(), **written})
    assert len(shown_id(written)) <= 128


@pytest.mark.parametrize("wire", ['{"text": "\\ud800"}', '{"text": 1e400}', "null", '"text"', "[]", '{"text": null}'])
def test_a_payload_that_is_none_is_refused(wire: str) -> None:
    with pytest.raises(CallerError) as refused:
        read_order("hotels", ["acme"], fields(payload=wire))
    assert refused.value.code == "invalid_payload"


def test_a_payload_has_a_bound_before_it_is_read() -> None:
    with pytest.raises(CallerError) as refused:
        read_order("hotels", ["acme"], fields(payload="x" * (MAX_PAYLOAD_BYTES + 1)))
    assert refused.value.code == "too_large"
