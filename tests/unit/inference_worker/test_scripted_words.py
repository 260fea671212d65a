"""The scripted engine says what a test tells it to, with token ids like any other answer."""

from __future__ import annotations

from collections.abc import Sequence

from inference_worker.engines.scripted import ScriptedEngine, token_text
from tests.integration.inference_worker.desk import request


async def said(words: str, *, max_tokens: int = 100, behind: Sequence[int] = ()) -> tuple[str, list[int], str]:
    """The text, its token ids and how it ended."""
    asked = request(words, max_tokens=max_tokens)
    deltas = [delta async for delta in ScriptedEngine().generate(asked, behind)]
    ids = [token for delta in deltas for token in delta.token_ids]
    return "".join(delta.text for delta in deltas), ids, str(deltas[-1].finish_reason)


async def test_it_says_the_words_it_is_told() -> None:
    text, ids, reason = await said('What? say="name: Ada\ncity: 巴黎"')
    assert (text, reason) == ("name: Ada\ncity: 巴黎", "stop")
    assert "".join(map(token_text, ids)) == text


async def test_the_last_words_count() -> None:
    assert (await said('say="One." say="Two."'))[0] == "Two."


async def test_it_goes_on_behind_what_was_said_and_stops_at_the_limit() -> None:
    text, ids, reason = await said('say="Ada Lovelace"', max_tokens=3)
    assert (text, reason) == ("Ada", "length")
    assert (await said('say="Ada Lovelace"', behind=ids))[0] == " Lovelace"


async def test_without_words_it_makes_up_its_own() -> None:
    assert len((await said('say=""'))[0].split()) == 24
