"""What runs beside the work must not end by itself."""

from __future__ import annotations

import asyncio

import pytest

from inference_worker.tasks import for_ever


async def test_a_side_task_that_ends_is_an_error():
    with pytest.raises(RuntimeError, match="heartbeat"):
        await for_ever("heartbeat", asyncio.sleep(0))
