"""A desk to ask from."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from contracts.functions import Protocol
from tests.integration.inference_worker.desk import Desk


@pytest.fixture
def desk(redis: Redis, protocol: Protocol) -> Desk:
    return Desk(redis, protocol)
