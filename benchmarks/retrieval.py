"""``retrieval``: how long a question is searched for among 10,000 entries on Milvus Lite, beside its embedding.

The retriever as the bot has it (both rankers at once, fused), each ranker by itself, and as a floor the plainest search
that Milvus Lite offers: the nearest rows, without filter or text. Entries are made of the sample FAQ's words and have
vectors drawn by chance; the questions are the sample's. Nobody else asks, so a time is that of one search.

Usage: ``python -m benchmarks.retrieval --rounds 5``
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from benchmarks import runner, stats
from benchmarks.processes import Process, Processes, ProcessFailed
from benchmarks.report import Figure
from contracts.errors import DependencyDown
from contracts.ids import TenantId
from penstock import ports
from rag import RagSettings, load_faq
from rag.catalog import Catalog
from rag.embedding import Vector
from rag.evaluation import read_questions
from rag.knowledge import committed_calibration
from rag.milvus import Milvus
from rag.retriever import Retriever
from rag.scope import Scope
from rag.store import Entry, PassageStore

QUICK = {"entries": 200, "questions": 4}
GOAL_MS = 30.0
TENANT, COLLECTION = TenantId("bench"), "vs_0"
FLOOR = "plain"
DIMENSIONS = 384
QUESTION_WORDS, ANSWER_WORDS = 9, 40
WRITTEN_AT_ONCE = 500

Search = Callable[[str], Awaitable[object]]


@dataclass(frozen=True)
class Leg:
    """Milliseconds of each search, and those of a processor that Milvus spent on each."""

    ms: Sequence[float]
    cpu_ms: float


class Chance:
    """An embedder that costs nothing: a vector of length 1 by chance, the same for the same text."""

    model, dimensions = "chance", DIMENSIONS

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        return [_vector(text) for text in texts]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see ``runner.run`` for the exit status."""
    given = runner.options("retrieval", "One search among many entries.", arguments, QUICK, _add)
    return runner.run("retrieval", given, lambda processes, folder: uvloop.run(_measure(processes, folder, given)))


def figures(legs: Mapping[str, Sequence[Leg]]) -> list[Figure]:
    """Percentiles and processor time of each way, against the floor of the same round."""
    told: Sequence[tuple[str, Callable[[Leg], float]]] = (
        ("p50", lambda leg: stats.percentile(leg.ms, 0.5)),
        ("p90", lambda leg: stats.percentile(leg.ms, 0.9)),
        ("CPU in Milvus", lambda leg: leg.cpu_ms),
    )
    return [_figure(way, name, value, legs) for way in legs for name, value in told]


def _figure(way: str, name: str, value: Callable[[Leg], float], legs: Mapping[str, Sequence[Leg]]) -> Figure:
    ours, floor = ([value(leg) for leg in legs[side]] for side in (way, FLOOR))
    spread, goal = stats.spread(ours), GOAL_MS if (way, name) == ("search", "p50") else None
    return Figure(
        f"{way}: {name}",
        "ms",
        spread.value,
        None if way == FLOOR else stats.spread(floor).value,
        spread if way == FLOOR else stats.paired(ours, floor),
        goal="" if goal is None else f"≤ {goal:.0f} ms",
        reached=goal is None or spread.value <= goal,
        rival="" if way == FLOOR else FLOOR,
    )


async def _measure(processes: Processes, folder: Path, given: Namespace) -> runner.Result:
    server, uri = _milvus(processes, folder)
    milvus = Milvus(uri, "", timedelta(minutes=2))
    store = PassageStore(milvus, Chance.model, DIMENSIONS)
    await _opened(store, server)
    began = time.perf_counter()
    await _fill(store, given.entries, given.ways)
    print(f"{given.entries:,} entries after {time.perf_counter() - began:.0f} s", flush=True)
    questions = _questions(given.questions)
    ways = _ways(store, milvus, uri)
    legs: dict[str, list[Leg]] = {name: [] for name in ways}
    for search in ways.values():  # the first search by words builds the index
        await _leg(search, questions[:2], server)
    for number in range(2 * given.rounds):
        for name in ways if number % 2 == 0 else reversed(ways):
            legs[name].append(await _leg(ways[name], questions, server))
    await milvus.close()
    return runner.Result(
        f"retrieval: {given.entries:,} entries, {given.ways} other ways to ask each, {given.rounds} rounds",
        figures(legs),
        runner.nothing_lost(),
        data={"legs": {name: [asdict(leg) for leg in mine] for name, mine in legs.items()}},
    )


def _ways(store: PassageStore, milvus: Milvus, uri: str) -> dict[str, Search]:
    embedder, settings, scope = Chance(), RagSettings(milvus_uri=uri), Scope(TENANT, [COLLECTION])
    retriever = Retriever(store, Catalog(milvus), embedder, committed_calibration(), settings)

    async def vector(question: str) -> Vector:
        return (await embedder.embed([question]))[0]

    async def by_meaning(question: str) -> object:
        return await store.by_meaning(scope, await vector(question), settings.candidates)

    async def plain(question: str) -> object:
        near = {"metric_type": "COSINE", "params": {"ef": 128}}
        return await milvus.search(
            store.name,
            "dense",
            await vector(question),
            where="",
            fields=["entry"],
            limit=settings.candidates,
            options=near,
        )

    return {
        "search": lambda question: retriever.find(TENANT, [COLLECTION], question),
        "by meaning": by_meaning,
        "by words": lambda question: store.by_terms(scope, question, settings.candidates),
        FLOOR: plain,
    }


async def _leg(search: Search, questions: Sequence[str], server: Process) -> Leg:
    spent: list[float] = []
    before = sum(server.cpu_seconds().values())
    for question in questions:
        began = time.perf_counter()
        await search(question)
        spent.append(1e3 * (time.perf_counter() - began))
    return Leg(spent, 1e3 * (sum(server.cpu_seconds().values()) - before) / len(questions))


def _milvus(processes: Processes, folder: Path) -> tuple[Process, str]:
    (port,) = ports.free(1)
    address = ["--host", ports.LOOPBACK, "--port", str(port), "--data-dir", str(folder / "milvus")]
    server = processes.start("milvus", [sys.executable, "-m", "milvus_lite", "server", *address])
    return server, f"http://{ports.LOOPBACK}:{port}"


async def _opened(store: PassageStore, server: Process) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            return await store.open()
        except DependencyDown as error:
            if time.monotonic() > end:
                raise ProcessFailed(f"Milvus Lite does not answer:\n{server.last_words()}") from error
            await asyncio.sleep(0.2)


async def _fill(store: PassageStore, count: int, ways: int) -> None:
    embedder, made = Chance(), _entries(count, ways)
    for _ in range(0, count, WRITTEN_AT_ONCE):
        some = [entry for entry, _ in zip(made, range(WRITTEN_AT_ONCE), strict=False)]
        vectors = await embedder.embed([text for entry in some for text in entry.searched])
        await store.upsert(TENANT, COLLECTION, some, vectors)
    await store.seal()


def _entries(count: int, ways: int) -> Iterator[Entry]:
    """Texts as long as the sample's, of its English words, as frequent as there."""
    rows = load_faq("faq.jsonl", (files("rag") / "sample" / "faq.jsonl").read_bytes())
    words = [word for row in rows if row.question.isascii() for word in f"{row.question} {row.answer}".split()]
    chance = random.Random(7)

    def text(length: int) -> str:
        return " ".join(chance.choices(words, k=length))

    for number in range(count):
        also = tuple(text(QUESTION_WORDS) for _ in range(ways))
        yield Entry(
            f"{number:032x}", "faq", f"faq#{number}", text(QUESTION_WORDS), text(ANSWER_WORDS), also, str(number)
        )


def _questions(count: int) -> list[str]:
    asked = read_questions((files("rag") / "sample" / "questions.jsonl").read_bytes())
    return [one.question for one in asked if one.question.isascii()][:count]


def _vector(text: str) -> Vector:
    drawn = np.random.default_rng([*text.encode()]).normal(size=DIMENSIONS)
    return (drawn / np.linalg.norm(drawn)).tolist()


def _add(parser: Any) -> None:
    parser.add_argument("--entries", type=int, default=10_000, help="entries in the store")
    parser.add_argument("--ways", type=int, default=0, help="other ways to ask of each entry")
    parser.add_argument("--questions", type=int, default=100, help="searches in a leg")


if __name__ == "__main__":
    sys.exit(main())
