"""A request whose client has its id and has gone: nobody could ask again, so an outage is waited out for it."""

from __future__ import annotations

import time

from access.admission import SILENCE_ALLOWED
from contracts.ids import RESPONSE_PREFIX, parse_public
from tests.servers import wait_until
from tests.stack import Stack

QUESTION = "tokens=5"


def test_a_background_response_waits_out_the_death_of_the_only_limiter(pair: Stack) -> None:
    client = pair.client()
    pair.child("limiter-0").kill()
    response = client.responses.create(model="plain", input=QUESTION, background=True)
    time.sleep(SILENCE_ALLOWED.total_seconds() + 2)
    assert client.responses.retrieve(response.id).status == "queued"

    pair.limiter()
    wait_until(lambda: client.responses.retrieve(response.id).status == "completed", "the answer", 20)

    submitted = [line for name in ("access-0", "access-1") for line in pair.child(name).lines]
    request_id = parse_public(response.id, RESPONSE_PREFIX)
    said = [line for line in submitted if line["event"] == "request.submitted" and line["request"] == request_id]
    assert len(said) == 1
