"""Pages of other origins: nobody unless named, and then for what a chat frontend needs."""

from __future__ import annotations

import httpx2
import pytest
from pydantic import ValidationError

from access.app import create_app
from access.settings import AccessSettings
from rag.settings import RagSettings

SHOP = "https://shop.example"
ASKS = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,last-event-id"}


async def answer(method: str, *allowed: str, origin: str = SHOP, **headers: str) -> httpx2.Response:
    """What an access process that allows these origins says to a page of ``origin``."""
    transport = httpx2.ASGITransport(create_app(AccessSettings(origins=allowed), RagSettings()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://access") as http:
        return await http.request(method, "/v1/nothing", headers={"origin": origin, **headers}, content=b"")


async def test_a_named_origin_may_send_a_key_and_a_cursor() -> None:
    told = await answer("OPTIONS", SHOP, **ASKS)
    assert told.status_code == 200
    assert told.headers["access-control-allow-origin"] == SHOP
    assert told.headers["access-control-allow-headers"] == ASKS["access-control-request-headers"]
    assert "access-control-allow-credentials" not in told.headers


async def test_a_named_origin_may_read_why_it_was_refused_and_under_which_id() -> None:
    told = await answer("POST", SHOP, **{"content-length": str(2 << 20)})
    assert told.status_code == 413
    assert told.headers["access-control-allow-origin"] == SHOP
    assert "x-request-id" in told.headers["access-control-expose-headers"]


@pytest.mark.parametrize("allowed", [(), ("https://other.example",), ("https://shop.example:8443",)])
async def test_another_origin_may_nothing(allowed: tuple[str, ...]) -> None:
    for told in (await answer("OPTIONS", *allowed, **ASKS), await answer("POST", *allowed)):
        assert told.headers.get("access-control-allow-origin") in (None, *allowed)
        assert told.headers.get("access-control-allow-origin") != SHOP


@pytest.mark.parametrize("wrong", ["*", "null", "shop.example", "https://shop.example/", "https://shop.example/a", ""])
def test_what_is_no_origin_is_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(ValidationError, match="an origin is as a browser sends it"):
        AccessSettings(origins=(wrong,))
