"""Make ``rag/calibration.json`` anew, from half of the sample's questions, and print the figures of the other half.

python -m tests.integration.rag.calibrate
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import msgspec

from contracts.ids import TenantId
from rag import Embedder, Knowledge, RagSettings, load_faq
from rag.calibration import calibrate
from rag.evaluation import Observation, evaluate, halves, observe, read_questions
from rag.fusion import FEATURES, Calibration
from rag.milvus import Milvus
from tests.integration.rag.lite import LiteServer
from tests.integration.rag.minilm import SAMPLE, MiniLM

_TENANT = TenantId("calibration")
_NEUTRAL = Calibration(model="", features=FEATURES, weights={}, threshold=0.0)


async def observed_sample(uri: str, embedder: Embedder) -> list[Observation]:
    """Every sample question and what the rankers find for it, on the server at ``uri``."""
    settings = RagSettings(milvus_uri=uri)
    knowledge = Knowledge(Milvus(uri, "", timedelta(seconds=30)), embedder, _NEUTRAL, settings)
    await knowledge.open()
    try:
        collection = await knowledge.create_collection(_TENANT, "sample")
        entries = load_faq("faq.jsonl", (SAMPLE / "faq.jsonl").read_bytes())
        await knowledge.load_faq(_TENANT, collection.id, "faq.jsonl", entries)
        questions = read_questions((SAMPLE / "questions.jsonl").read_bytes())
        return await observe(knowledge.retriever, _TENANT, collection.id, questions)
    finally:
        await knowledge.close()


def table(observations: list[Observation], calibration: Calibration) -> str:
    """The figures by language, one line a ranker."""
    lines = ["questions ranker  hit@1 hit@3   MRR   AUC  answered refused precision"]
    for name in ("en", "zh"):
        group = [one for one in observations if one.language == name]
        for ranker, score in evaluate(group, calibration).items():
            figures = f"{score.hit_at_1:6.3f}{score.hit_at_3:6.3f}{score.mrr:6.3f}{score.auc:6.3f}"
            tail = "".join(f"{figure:9.3f}" for figure in (score.answered, score.refused, score.precision))
            lines.append(f"{name} {len(group):4}   {ranker:7}{figures} {tail}")
    return "\n".join(lines)


def main() -> None:
    embedder = MiniLM()
    with tempfile.TemporaryDirectory() as folder, LiteServer(Path(folder) / "milvus") as server:
        observations = asyncio.run(observed_sample(server.uri, embedder))
    fitted, held_out = halves(observations)
    calibration = calibrate(embedder.model, fitted)
    target = Path(__file__).parents[3] / "rag" / "calibration.json"
    target.write_bytes(msgspec.json.format(msgspec.json.encode(calibration), indent=2) + b"\n")
    sys.stdout.write(table(held_out, calibration) + "\n")


if __name__ == "__main__":
    main()
