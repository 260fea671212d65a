"""The wire that chaos breaks breaks as it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.helper import Helper
from tests.chaos.waiting import until


class Parrot:
    """A server that repeats what it hears and remembers it."""

    def __init__(self) -> None:
        self.heard = b""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                self.heard += data
                writer.write(data)
        except ConnectionResetError:
            pass  # that is what is tested
        finally:
            writer.close()


@pytest.fixture
async def parrot() -> AsyncIterator[tuple[Parrot, int]]:
    """A parrot and its port."""
    made = Parrot()
    async with await asyncio.start_server(made.talk, "127.0.0.1", 0) as server:
        yield made, server.sockets[0].getsockname()[1]


@pytest.fixture
async def link(parrot: tuple[Parrot, int], tmp_path: Path) -> AsyncIterator[tuple[Helper, int]]:
    """A wire to the parrot, and the port of its near end."""
    made = await Helper.start("tests.chaos.link", str(parrot[1]), log=tmp_path / "link.log")
    yield made, await made.answer()
    await made.stop()


async def test_it_carries_both_ways(link: tuple[Helper, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", link[1])
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    writer.close()


async def test_a_cut_connection_is_reset(link: tuple[Helper, int]) -> None:
    reader, writer = await _in_talk(link[1])
    assert await link[0].ask(act="cut", share=1, seed=1) == 1
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()


async def test_a_dropped_reply_means_that_the_command_was_done(
    link: tuple[Helper, int], parrot: tuple[Parrot, int]
) -> None:
    reader, writer = await _in_talk(link[1])
    await link[0].ask(act="drop", share=1, seed=1)
    writer.write(b"do it")
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    assert parrot[0].heard == b"hi!do it"
    writer.close()


async def test_a_half_open_connection_delivers_late_what_its_sender_has_given_up(
    link: tuple[Helper, int], parrot: tuple[Parrot, int]
) -> None:
    _, writer = await _in_talk(link[1])
    await link[0].ask(act="half_open", share=1, seed=1, seconds=0.5)
    writer.write(b"do it")
    writer.close()
    await asyncio.sleep(0.1)
    assert parrot[0].heard == b"hi!"
    assert await until(lambda: parrot[0].heard == b"hi!do it", seconds=10)


async def _in_talk(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has carried something both ways."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hi!")
    await reader.readexactly(3)
    return reader, writer
