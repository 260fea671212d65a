"""What the worker may rely on in an engine: the same tests for the scripted one and for real vLLM on a tiny model."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from contracts.errors import CallerError
from contracts.messages import Embed, InferenceRequest
from inference_worker.engines import vllm_waits
from inference_worker.engines.port import Description, Engine, EngineDelta
from inference_worker.engines.scripted import ScriptedEngine
from tests import tiny_model
from tests.integration.inference_worker.desk import request

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]
SLOTS = 4


@dataclass(frozen=True)
class Started:
    engine: Engine
    description: Description


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=["scripted", "vllm"])
async def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Started]:
    """One engine for all tests of this module: vLLM takes its time to load."""
    if request.param == "scripted":
        engine: Engine = ScriptedEngine("tiny", slots=SLOTS, max_model_len=tiny_model.CONTEXT)
    else:
        from inference_worker.engines.vllm import VllmEngine

        folder = tiny_model.make(tmp_path_factory.mktemp("tiny"))
        # float32: a continuation recomputes the logged tokens in one piece, and must come to the same logits.
        engine = VllmEngine(str(folder), "tiny", slots=SLOTS, arguments={"dtype": "float32"})
    description = await engine.start()
    yield Started(engine, description)
    await engine.stop()


async def answer(started: Started, asked: InferenceRequest, behind: Sequence[int] = ()) -> list[EngineDelta]:
    return [delta async for delta in started.engine.generate(asked, behind)]


def text(deltas: list[EngineDelta], index: int = 0) -> str:
    return "".join(delta.text for delta in deltas if delta.index == index)


def tokens(deltas: list[EngineDelta], index: int = 0) -> list[int]:
    return [token for delta in deltas if delta.index == index for token in delta.token_ids]


async def test_it_says_what_it_serves(started: Started):
    facts = started.description.facts
    assert (facts.name, facts.kind, facts.max_model_len) == ("tiny", "generate", tiny_model.CONTEXT)
    assert facts.revision
    assert started.description.slots == SLOTS
    assert bool(started.description.tokenizer) == bool(facts.tokenizer_sha256)


async def test_it_is_well_and_has_room(started: Started):
    await started.engine.check()
    assert started.engine.cache_room() == 1.0


async def test_the_same_prompt_gives_the_same_tokens(started: Started):
    first, second = [await answer(started, request("tokens=20", max_tokens=20)) for _ in range(2)]
    assert tokens(first) == tokens(second)
    assert text(first) == text(second) != ""


async def test_another_prompt_gives_other_tokens(started: Started):
    first = await answer(started, request("tokens=20 now", max_tokens=20))
    assert tokens(first) != tokens(await answer(started, request("tokens=20 then", max_tokens=20)))


async def test_max_tokens_cuts_and_says_length(started: Started):
    deltas = await answer(started, request("tokens=50", max_tokens=7))
    assert len(tokens(deltas)) == 7
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["length"]
    assert deltas[-1].finish_reason == "length"


async def test_the_prompt_is_counted_alike_before_and_after(started: Started):
    asked = request("tokens=3 how many are these", max_tokens=3)
    deltas = await answer(started, asked)
    assert deltas[-1].prompt_tokens == await started.engine.prompt_tokens(asked) > 0


@pytest.mark.parametrize("seam", [1, 9, 20])
async def test_a_continuation_is_what_the_uninterrupted_run_would_have_been(started: Started, seam: int):
    asked = request("tokens=40 a seam", max_tokens=40)
    whole = await answer(started, asked)
    shown = whole[:seam]
    rest = await answer(started, asked, tokens(shown))
    assert tokens(shown) + tokens(rest) == tokens(whole)
    assert text(shown) + text(rest) == text(whole)
    assert rest[-1].finish_reason == whole[-1].finish_reason
    assert rest[-1].prompt_tokens == whole[-1].prompt_tokens


async def test_a_slow_reader_is_not_shown_half_a_character_and_another_goes_on_from_there(started: Started):
    asked = request("tokens=40 a seam", max_tokens=40)
    read: list[EngineDelta] = []
    async for delta in started.engine.generate(asked):
        read.append(delta)
        await asyncio.sleep(0.02)
    whole = await answer(started, asked)
    assert text(read) == text(whole)
    for seam in range(1, len(read)):
        rest = await answer(started, asked, tokens(read[:seam]))
        assert text(read[:seam]) + text(rest) == text(whole)


async def test_a_continuation_without_budget_only_ends(started: Started):
    asked = request("tokens=40 a seam", max_tokens=12)
    whole = tokens(await answer(started, asked))
    [end] = await answer(started, asked, whole)
    assert (end.text, end.token_ids, end.finish_reason) == ("", (), "length")


async def test_a_stop_string_is_not_shown_wherever_it_falls(started: Started):
    whole = text(await answer(started, request("tokens=40 a stop", max_tokens=40)))
    stop = whole[len(whole) // 2 : len(whole) // 2 + 5]
    deltas = await answer(started, request("tokens=40 a stop", max_tokens=40, stop=(stop,)))
    assert text(deltas) == whole[: whole.index(stop)]
    assert deltas[-1].finish_reason == "stop"


async def test_a_stop_string_across_the_seam_is_found(started: Started):
    asked = request("tokens=40 a stop", max_tokens=40)
    whole = text(await answer(started, asked))
    stop = whole[len(whole) // 2 : len(whole) // 2 + 9]
    asked = request("tokens=40 a stop", max_tokens=40, stop=(stop,))
    alone = await answer(started, asked)
    for seam in range(1, len(alone)):
        rest = await answer(started, asked, tokens(alone[:seam]))
        assert text(alone[:seam]) + text(rest) == whole[: whole.index(stop)]


async def test_several_sequences_each_come_to_an_end(started: Started):
    deltas = await answer(started, request("tokens=6", n=3, max_tokens=6, temperature=1.0, seed=5))
    assert {delta.index for delta in deltas if delta.finish_reason} == {0, 1, 2}


async def test_json_mode_gives_json(started: Started):
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"answer": {"enum": ["yes", "no"]}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    said = text(await answer(started, request("tokens=3", json_schema=schema, max_tokens=120)))
    assert isinstance(json.loads(said)["answer"], str)


PASSAGES = ('Up to "30" days \\ no more.\nAsk us. [1]', "Up to 您可以 30 days. [2]", "This is not in the FAQ.")


async def test_an_answer_that_must_be_one_of_some_texts_is_one_of_them(started: Started):
    deltas = await answer(started, request("tokens=3", choices=PASSAGES))
    assert text(deltas) in PASSAGES
    assert deltas[-1].finish_reason == "stop"


async def test_wherever_it_is_continued_it_is_still_that_text(started: Started):
    asked = request("tokens=3", choices=PASSAGES)
    whole = await answer(started, asked)
    for seam in range(1, len(whole) + 1):
        rest = await answer(started, asked, tokens(whole[:seam]))
        assert text(whole[:seam]) + text(rest) == text(whole)
        assert rest[-1].finish_reason == "stop"


async def test_a_prompt_beyond_the_context_is_refused_with_numbers(started: Started):
    with pytest.raises(CallerError) as refused:
        await answer(started, request("word " * 2000))
    assert refused.value.code == "context_length_exceeded"
    assert str(tiny_model.CONTEXT) in refused.value.message


async def test_more_tokens_than_the_context_leaves_are_refused(started: Started):
    with pytest.raises(CallerError) as refused:
        await answer(started, request("hello", max_tokens=tiny_model.CONTEXT))
    assert "lower max_tokens" in refused.value.message


async def test_embeddings_are_refused(started: Started):
    with pytest.raises(CallerError):
        await answer(started, request(task=Embed(texts=("hello",))))


async def test_closing_the_answer_aborts_it(started: Started):
    async with aclosing(started.engine.generate(request("tokens=400 pause=0.005", max_tokens=400))) as deltas:
        async for _ in deltas:
            break
    assert started.engine.cache_room() == 1.0


async def test_more_requests_than_slots_are_all_answered(started: Started):
    asked = [request(f"tokens=9 number {number}", max_tokens=9) for number in range(3 * SLOTS)]
    alone = [await answer(started, one) for one in asked[:2]]
    together = await asyncio.gather(*(answer(started, one) for one in asked))
    assert [tokens(deltas) for deltas in together[:2]] == [tokens(deltas) for deltas in alone]
    assert all(deltas[-1].finish_reason for deltas in together)


async def test_on_a_cpu_the_engines_of_a_worker_wait_without_yielding():
    script = (
        "import vllm.distributed.utils as utils, vllm.plugins as plugins; "
        "print(utils.USE_SCHED_YIELD); plugins.load_general_plugins(); print(utils.USE_SCHED_YIELD)"
    )
    said = await asyncio.to_thread(_python, script, os.environ | {vllm_waits.MARK: "1"})
    assert said == ["True", "False"]


def _python(script: str, environment: Mapping[str, str]) -> list[str]:
    """What a fresh process prints: vLLM loads its plugins once."""
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()
