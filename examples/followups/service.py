"""A service that follows up: whoever asks about sights in Beijing is told of a hotel.

It knows Penstock by two Redis streams only. It reads finished turns of its tenant, and writes pushes to a stream of its
own. A push is put in once by its id, so the service keeps no position: started anew, it reads from the beginning.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import redis

PLACES = ("beijing", "forbidden city", "summer palace", "great wall")
SIGHTS = ("sight", "see", "visit")
OFFER = "Staying in Beijing? The Lotus Court is ten minutes on foot from the Forbidden City, from 70 EUR a night."

Turn = Mapping[str, str]


def main() -> None:
    """Run until stopped. REDIS_URL, TENANT, PUBLISHER and SHARDS say where and for whom."""
    tenant, publisher = os.environ.get("TENANT", "default"), os.environ.get("PUBLISHER", "hotels")
    turns = [f"penstock:{{s{shard}}}:finished:{tenant}" for shard in range(int(os.environ.get("SHARDS", "1")))]
    server = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True, socket_timeout=30)
    for turn in finished(server, turns):
        if (push := follow_up(turn, tenant)) is not None:
            server.xadd(f"penstock:{{push}}:{publisher}", {**push})


def finished(server: redis.Redis, streams: list[str]) -> Iterator[Turn]:
    """Every finished turn that is kept, then each as it comes."""
    position = dict.fromkeys(streams, "0")
    while True:
        for stream in streams:
            found: Any = server.xread({stream: position[stream]}, count=100, block=1000 // len(streams))
            for _, entries in found or ():
                for entry, turn in entries:
                    position[stream] = entry
                    yield turn


def follow_up(turn: Turn, tenant: str) -> dict[str, str] | None:
    """The push for a turn, under an id that is the same whenever the turn is read; ``None`` for most turns."""
    question = turn["question"].lower()
    if turn["status"] != "done" or not _any(PLACES, question) or not _any(SIGHTS, question):
        return None
    payload = {"text": OFFER, "metadata": {"hotel": "lotus-court", "after": turn["response"]}}
    return {
        "id": f"hotel-{turn['response']}",
        "conversation": turn["conversation"],
        "tenant": tenant,
        "type": "message",
        "payload": json.dumps(payload),
    }


def _any(words: tuple[str, ...], text: str) -> bool:
    return any(word in text for word in words)


if __name__ == "__main__":
    main()
