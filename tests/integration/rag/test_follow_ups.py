"""Questions in conversations, from the held-out dialogues of the sample: what the question before is worth.

Right is: the right entry stands first, or there is none and none is shown.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from contracts.ids import TenantId
from rag import Embedder, Knowledge, RagSettings, load_faq
from rag.embedding import Vector
from rag.evaluation import Question
from rag.terms import Language, language
from tests.integration.rag.bundled import SAMPLE
from tests.integration.rag.lite import LiteServer

LANGUAGES: tuple[Language, ...] = ("en", "zh")


class Dialogue(Question, frozen=True):
    """``kind`` is ``follow-up`` (it needs what was said), ``change`` (it must not take it), or ``outside`` (a follow-up
    without an answer)."""

    kind: str = ""


class Asked(msgspec.Struct, frozen=True):
    """A dialogue, and whether it comes out right: in the conversation, alone, always joined to what was said."""

    dialogue: Dialogue
    in_conversation: bool
    alone: bool
    joined: bool


@pytest.fixture(scope="module")
def held_out(lite: LiteServer, embedder: Embedder) -> list[Asked]:
    lines = (SAMPLE / "held_out_dialogues.jsonl").read_bytes().splitlines()
    return asyncio.run(asked(lite.uri, embedder, [msgspec.json.decode(line, type=Dialogue) for line in lines]))


async def asked(uri: str, embedder: Embedder, dialogues: Sequence[Dialogue]) -> list[Asked]:
    """Every dialogue's last question, searched in three ways."""
    tenant = TenantId(f"tenant-{secrets.token_hex(4)}")
    knowledge = Knowledge.connect(RagSettings(milvus_uri=uri, deadline=timedelta(seconds=20)), embedder)
    await knowledge.open()
    try:
        collection = (await knowledge.create_collection(tenant, "sample")).id
        entries = load_faq("faq.jsonl", (SAMPLE / "faq.jsonl").read_bytes())
        await knowledge.load_faq(tenant, collection, "faq.jsonl", entries)

        async def is_right(dialogue: Dialogue, question: str, history: Sequence[str] = ()) -> bool:
            retrieval = await knowledge.retriever.retrieve(tenant, [collection], question, history, limit=1)
            assert retrieval.skipped is None
            found = [passage.source.partition("#")[2] for passage in retrieval.passages]
            return found == ([] if dialogue.key is None else [dialogue.key])

        return [
            Asked(
                one,
                await is_right(one, one.question, one.history),
                await is_right(one, one.question),
                await is_right(one, f"{one.history[-1]} {one.question}"),
            )
            for one in dialogues
        ]
    finally:
        await knowledge.close()


def share(outcomes: Sequence[bool]) -> float:
    return sum(outcomes) / len(outcomes)


def spoken(all_asked: list[Asked], name: Language, kind: str = "") -> list[Asked]:
    return [
        one
        for one in all_asked
        if language(" ".join([*one.dialogue.history, one.dialogue.question])) == name and kind in one.dialogue.kind
    ]


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_conversation_is_worth_more_than_the_question_alone_or_always_joined(
    held_out: list[Asked], name: Language
) -> None:
    some = spoken(held_out, name)
    right = share([one.in_conversation for one in some])
    assert right >= 0.85
    assert right > share([one.alone for one in some]) + 0.1
    assert right > share([one.joined for one in some]) + 0.1


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_change_of_topic_loses_nothing_by_what_was_said(held_out: list[Asked], name: Language) -> None:
    changes = spoken(held_out, name, "change")
    assert share([one.in_conversation for one in changes]) >= share([one.alone for one in changes])


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_follow_up_without_an_answer_is_still_refused(held_out: list[Asked], name: Language) -> None:
    outside = spoken(held_out, name, "outside")
    assert share([one.in_conversation for one in outside]) >= 0.8
    assert share([one.joined for one in outside]) < 0.5


async def test_both_texts_are_embedded_in_one_request(
    settings: RagSettings, embedder: Embedder, tenant: TenantId
) -> None:
    requests: list[list[str]] = []

    class Counting:
        model, dimensions = embedder.model, embedder.dimensions

        async def embed(self, texts: Sequence[str]) -> list[Vector]:
            requests.append(list(texts))
            return await embedder.embed(texts)

    knowledge = Knowledge.connect(settings, Counting())
    await knowledge.open()
    await knowledge.retriever.find(tenant, ["vs_0"], "and for kids?", ["What does a ticket cost?"])
    await knowledge.close()
    assert requests == [["and for kids?", "What does a ticket cost? and for kids?"]]
