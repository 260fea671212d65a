"""``POST /v1/embeddings``: texts in, vectors out, by the embedding model of the fleet."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter
from pydantic import Field, StringConstraints
from starlette.responses import JSONResponse, Response

from access.auth import Caller
from access.context import ByCaller, Context, InContext
from access.ratelimits import headers_of
from access.routes.bodies import Body, Name
from contracts.errors import CallerError, NotFound
from contracts.ids import Shard, new_request_id
from contracts.messages import AdmissionQuery

router = APIRouter(tags=["embeddings"])

Text = Annotated[str, StringConstraints(min_length=1, max_length=8_000)]


class EmbeddingBody(Body):
    """What we honour of OpenAI's embeddings: texts, not token ids."""

    model: Name
    input: Text | Annotated[list[Text], Field(min_length=1, max_length=256)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: Name | None = None

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


@router.post("/v1/embeddings")
async def create_embeddings(body: EmbeddingBody, context: InContext, caller: ByCaller) -> Response:
    """One vector per text; admitted and counted like every other request."""
    caller.require("inference")
    _check(context, body)
    query = _query(context, caller, body)
    verdict = await context.admission.ask(query)
    vectors, tokens = await context.embedder.run(
        caller.tenant,
        body.texts,
        verdict.service_class or query.service_class,
        request_id=query.id,
        grant_until=verdict.grant_until,
    )
    data = [_embedding(at, vector, body.encoding_format) for at, vector in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    whole = {"object": "list", "data": data, "model": body.model, "usage": usage}
    return JSONResponse(whole, headers=headers_of(verdict.limits))


def _check(context: Context, body: EmbeddingBody) -> None:
    served = context.embedder.model
    if body.model != served:
        message = f"The embedding model '{body.model}' does not exist. There is: {served}."
        raise NotFound(message, code="model_not_found", param="model")
    native = context.embedder.dimensions
    if body.dimensions not in (None, native):
        message = f"'{served}' makes vectors of {native} dimensions and no others. Leave 'dimensions' out."
        raise CallerError(message, code="unsupported_value", param="dimensions")


def _query(context: Context, caller: Caller, body: EmbeddingBody) -> AdmissionQuery:
    count = context.fleet.counter(body.model)
    return AdmissionQuery(
        id=new_request_id(Shard(0)),
        access=context.id,
        tenant=caller.tenant,
        user=caller.user or body.user or "",
        key=caller.key,
        model=body.model,
        service_class="interactive",
        prompt_tokens=sum(count(text) for text in body.texts),
        sequences=0,  # nothing is generated
        patience_seconds=context.settings.patience.total_seconds(),
    )


def _embedding(index: int, vector: np.ndarray, encoding_format: str) -> dict[str, Any]:
    encoded = (
        base64.b64encode(vector.astype("<f4").tobytes()).decode() if encoding_format == "base64" else vector.tolist()
    )
    return {"object": "embedding", "index": index, "embedding": encoded}
