"""Vectors that are remembered."""

from __future__ import annotations

from collections.abc import Sequence

from rag.embedding import CachedEmbedder, Vector, embed_in_batches


class Lengths:
    """Its vector is the length of the text."""

    model, dimensions = "lengths", 1

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        self.calls.append(list(texts))
        return [[float(len(text))] for text in texts]


async def test_a_remembered_text_is_not_embedded_again() -> None:
    inner = Lengths()
    cached = CachedEmbedder(inner, 10)
    await cached.embed(["a", "bb"])
    assert await cached.embed(["bb", "ccc", "a"]) == [[2.0], [3.0], [1.0]]
    assert inner.calls == [["a", "bb"], ["ccc"]]


async def test_a_text_that_occurs_twice_is_embedded_once() -> None:
    inner = Lengths()
    assert await CachedEmbedder(inner, 10).embed(["a", "a"]) == [[1.0], [1.0]]
    assert inner.calls == [["a"]]


async def test_the_text_unused_for_longest_is_forgotten_first() -> None:
    inner = Lengths()
    cached = CachedEmbedder(inner, 2)
    for text in ("a", "b", "a", "c", "a", "b"):
        await cached.embed([text])
    assert inner.calls == [["a"], ["b"], ["c"], ["b"]]


async def test_a_cache_without_room_still_embeds() -> None:
    assert await CachedEmbedder(Lengths(), 0).embed(["a", "bb"]) == [[1.0], [2.0]]


async def test_many_texts_go_in_batches() -> None:
    inner = Lengths()
    assert len(await embed_in_batches(inner, ["a"] * 5, 2)) == 5
    assert [len(call) for call in inner.calls] == [2, 2, 1]
