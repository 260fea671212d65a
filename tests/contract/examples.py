"""One example of every message. ``python -m tests.contract.examples`` writes the golden files that are missing."""

from __future__ import annotations

from pathlib import Path

from contracts.ids import AccessId, RequestId, SessionId, TenantId, WorkerId
from contracts.messages import (
    AdmissionQuery,
    Asks,
    Cancelled,
    ChatMessage,
    Correction,
    Delta,
    Embed,
    Failed,
    Failure,
    Finished,
    Generate,
    GenerationParameters,
    Heartbeat,
    InferenceRequest,
    LimitsView,
    Message,
    ModelFacts,
    ModelStatus,
    Passage,
    Reply,
    Reset,
    SequenceFinished,
    SequenceStarted,
    Started,
    Usage,
    Verdict,
    Withdrawal,
    encode_reply,
)

GOLDEN = Path(__file__).parent / "golden"

_REQUEST = RequestId("s0_00112233445566778899aabbccddeeff")
_SESSION = SessionId("s0_ffeeddccbbaa99887766554433221100")
_TENANT = TenantId("acme")
_USAGE = Usage(prompt_tokens=120, completion_tokens=34, cached_tokens=64)
_FAILURE = Failure(code="context_length_exceeded", message="Shorten it.", fault="caller", param="messages")
_ASKED = ChatMessage(role="user", content="Wie lange dauert die Lieferung? 多久？")
_PARAMETERS = GenerationParameters(
    max_tokens=256,
    temperature=0.5,
    top_p=0.9,
    presence_penalty=0.1,
    frequency_penalty=0.2,
    seed=7,
    stop=("\n\n",),
    n=2,
    json_schema={"type": "object"},
    json_object=True,
    choices=("Two days. [1]",),
)
_PASSAGE = Passage(
    id="p1", collection="vs_1", source="faq.csv#delivery", title="Delivery?", text="Two days.", score=0.75
)
_GENERATE = Generate(messages=(_ASKED,), parameters=_PARAMETERS, tools=({"type": "file_search"},))
_FACTS = ModelFacts(
    name="penstock-faq",
    revision="1",
    kind="generate",
    max_model_len=2048,
    dimensions=384,
    tokenizer_sha256="ab" * 32,
    chat_template="{{ messages }}",
)
_QUERY = AdmissionQuery(
    id=_REQUEST,
    attempt=7,
    access=AccessId("access-1"),
    tenant=_TENANT,
    user="u-1",
    key="k1",
    model="penstock-faq",
    service_class="standard",
    prompt_tokens=384,
    patience_seconds=10.0,
    answer_tokens=128,
    sequences=2,
    waited_seconds=1.5,
)
_WITHDRAWAL = Withdrawal(id=_REQUEST, attempt=7)
_CORRECTION = Correction(id=_REQUEST, prompt_tokens=448)
_LIMITS = LimitsView(
    limit_tokens=1000,
    remaining_tokens=488,
    reset_tokens_seconds=30.5,
    limit_requests=60,
    remaining_requests=59,
    reset_requests_seconds=1.0,
)

MESSAGES: tuple[Message, ...] = (
    _ASKED,
    _PASSAGE,
    _PARAMETERS,
    _GENERATE,
    Embed(texts=("one", "二")),
    InferenceRequest(
        id=_REQUEST,
        tenant=_TENANT,
        user="u-1",
        key="k1",
        model="penstock-faq",
        service_class="standard",
        task=_GENERATE,
        created_at=1_700_000_000.5,
        deadline_seconds=600.0,
        served_as="faq-bot",
        session=_SESSION,
        question="Wie lange?",
        passages=(_PASSAGE,),
        retrieval_skipped="timeout",
        stored=True,
        background=True,
        cost_tokens=512,
        metadata={"order": "7"},
        extensions={"instructions": "Be kind."},
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    ),
    _USAGE,
    _FAILURE,
    _QUERY,
    _CORRECTION,
    _WITHDRAWAL,
    Asks(queries=(_QUERY,), withdrawn=(_WITHDRAWAL,), corrections=(_CORRECTION,)),
    Verdict(
        id=_REQUEST,
        attempt=7,
        decision="queued",
        number=3,
        grant_until=1_700_000_015.0,
        tokens=640,
        service_class="batch",
        position=2,
        tokens_ahead=900,
        eta_seconds=4.5,
        reason="waiting",
        message="Soon.",
        retry_after_seconds=1.5,
        limits=_LIMITS,
    ),
    _LIMITS,
    ModelStatus(
        waiting=3,
        waiting_tokens=900,
        outstanding=16,
        slots=8,
        tokens_per_second=812.5,
        eta_error=0.25,
        estimate_error=0.5,
    ),
    _FACTS,
    Heartbeat(
        worker=WorkerId("worker-1"),
        model=_FACTS,
        state="ready",
        slots=16,
        free_slots=3,
        cache_room=0.25,
        tokens_per_second=812.5,
        shards=(0, 1),
        at=1_700_000_000.0,
    ),
)

REPLIES: tuple[Reply, ...] = (
    Started(worker=WorkerId("worker-1"), model_revision="1"),
    SequenceStarted(index=1),
    Delta(index=1, text="Zwei Tage 两天", token_ids=(17, 1999), vector=b"\x00\x00\x80?"),
    SequenceFinished(index=1, reason="length"),
    Finished(usage=_USAGE, status="incomplete"),
    Failed(failure=_FAILURE, usage=_USAGE),
    Cancelled(usage=_USAGE),
    Reset(reason="other weights"),
)


def wire(example: Message | Reply) -> bytes:
    return encode_reply(example) if example in REPLIES else example.encode()  # type: ignore[arg-type]


def golden(example: Message | Reply) -> Path:
    """Hexadecimal text, so that a change shows in a diff."""
    return GOLDEN / f"{type(example).__name__}.hex"


def main() -> None:
    for example in (*MESSAGES, *REPLIES):
        if not golden(example).exists():
            golden(example).write_text(wire(example).hex("\n", -32) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
