"""The wire form of every message, byte for byte. A change here is a change of the contract between running services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contracts.messages import Message, Reply, decode_reply
from tests.contract.examples import GOLDEN, MESSAGES, REPLIES, golden, wire

EXAMPLES = (*MESSAGES, *REPLIES)


def kinds(base: type[Message] = Message) -> Iterator[type[Message]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def stored(example: Message | Reply) -> bytes:
    return bytes.fromhex(golden(example).read_text(encoding="ascii"))


def name_of(example: Message | Reply) -> str:
    return type(example).__name__


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_a_message_is_written_as_ever(example: Message | Reply) -> None:
    assert wire(example) == stored(example)


@pytest.mark.parametrize("message", MESSAGES, ids=name_of)
def test_a_stored_message_is_still_read(message: Message) -> None:
    assert type(message).decode(stored(message)) == message


@pytest.mark.parametrize("reply", REPLIES, ids=name_of)
def test_a_stored_reply_is_still_read(reply: Reply) -> None:
    assert decode_reply(stored(reply)) == reply


def test_every_message_has_an_example() -> None:
    ours = {kind.__name__ for kind in kinds() if kind.__module__ == "contracts.messages"}
    assert {name_of(example) for example in EXAMPLES} == ours


def test_every_file_has_its_message() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {name_of(example) for example in EXAMPLES}


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_the_example_sets_every_field(example: Message | Reply) -> None:
    """A field at its default is left out of a map and would not be pinned. ``version`` stands at its default."""
    defaults = dict(zip(example.__struct_fields__[::-1], example.__struct_defaults__[::-1], strict=False))
    unset = {name for name, default in defaults.items() if getattr(example, name) == default}
    assert unset <= {"version"}
