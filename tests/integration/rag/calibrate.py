"""Make ``rag/calibration.json`` anew, from half of the sample's questions and those of ``calibration.jsonl``, and print
the figures of the other half.

python -m tests.integration.rag.calibrate
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import msgspec

from contracts.ids import TenantId
from rag import Embedder, Knowledge, RagSettings, load_faq
from rag.calibration import calibrate
from rag.evaluation import Observation, evaluate, halves, observe, read_questions
from rag.fusion import FEATURES, Calibration
from rag.milvus import Milvus
from tests.integration.rag.bundled import SAMPLE, BundledEmbedder
from tests.integration.rag.lite import LiteServer

FITTED_FROM = ("questions.jsonl", "calibration.jsonl")
_TENANT = TenantId("calibration")
_NEUTRAL = Calibration(model="", features=FEATURES, weights={}, thresholds={})


async def observed(uri: str, embedder: Embedder, names: Sequence[str]) -> list[list[Observation]]:
    """What the rankers find, on the server at ``uri``, for the questions in each of these files of the sample."""
    settings = RagSettings(milvus_uri=uri)
    knowledge = Knowledge(Milvus(uri, "", timedelta(seconds=30)), embedder, _NEUTRAL, settings)
    await knowledge.open()
    try:
        collection = await knowledge.create_collection(_TENANT, "sample")
        entries = load_faq("faq.jsonl", (SAMPLE / "faq.jsonl").read_bytes())
        await knowledge.load_faq(_TENANT, collection.id, "faq.jsonl", entries)
        return [
            await observe(knowledge.retriever, _TENANT, collection.id, read_questions((SAMPLE / name).read_bytes()))
            for name in names
        ]
    finally:
        await knowledge.close()


def split(asked: Sequence[Observation], more: Sequence[Observation]) -> tuple[list[Observation], list[Observation]]:
    """To fit on, and to report on: ``questions.jsonl`` by halves, ``calibration.jsonl`` to fit on."""
    fitted, rest = halves(asked)
    return [*fitted, *more], rest


def table(observations: list[Observation], calibration: Calibration) -> str:
    """The figures by language, one line a ranker."""
    lines = ["questions ranker  hit@1 hit@3   MRR   AUC  answered refused precision"]
    for name in ("en", "zh"):
        count = sum(one.language == name for one in observations)
        for ranker, score in evaluate(observations, calibration, name).items():
            figures = f"{score.hit_at_1:6.3f}{score.hit_at_3:6.3f}{score.mrr:6.3f}{score.auc:6.3f}"
            tail = "".join(f"{figure:9.3f}" for figure in (score.answered, score.refused, score.precision))
            lines.append(f"{name} {count:4}   {ranker:7}{figures} {tail}")
    return "\n".join(lines)


def main() -> None:
    embedder = BundledEmbedder()
    with tempfile.TemporaryDirectory() as folder, LiteServer(Path(folder) / "milvus") as server:
        [asked, more] = asyncio.run(observed(server.uri, embedder, FITTED_FROM))
    fitted, rest = split(asked, more)
    calibration = calibrate(embedder.model, fitted)
    target = Path(__file__).parents[3] / "rag" / "calibration.json"
    target.write_bytes(msgspec.json.format(msgspec.json.encode(calibration), indent=2) + b"\n")
    sys.stdout.write(table(rest, calibration) + "\n")


if __name__ == "__main__":
    main()
