"""The messages that services send one another: frozen values that know their wire form.

Every message is a msgpack map, so that a field can be added without breaking a reader of yesterday: unknown fields are
ignored, missing ones take their default, and ``version`` changes only when an old reader would misunderstand. Replies,
written once per engine step, are msgpack arrays (a third of the bytes), and grow only at their ends. The files in
``tests/contract/golden`` hold one encoded example of each message; a change there is a change of the contract.
"""

from __future__ import annotations

from typing import Any, Literal, Self, cast

import msgspec

from contracts.errors import DecodeError
from contracts.ids import AccessId, RequestId, SessionId, TenantId, WorkerId

VERSION = 1

ServiceClass = Literal["interactive", "standard", "batch"]
CLASSES: tuple[ServiceClass, ...] = ("interactive", "standard", "batch")
Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "error"]


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value with a wire form. ``decode`` is strict about types and tolerant of unknown fields."""

    def encode(self) -> bytes:
        return _encode(self)

    @classmethod
    def decode(cls, wire: bytes) -> Self:
        """Read one message.

        Raises:
            DecodeError: the bytes are not this message.
        """
        return cast(Self, _decode(wire, cls))


class ChatMessage(Message, frozen=True):
    """One message of a prompt or a history."""

    role: Role
    content: str


class Passage(Message, frozen=True):
    """A retrieved piece of knowledge: what the model may read, where it came from and how well it fits.

    For a FAQ entry ``title`` is its question and ``text`` its answer; for a document ``title`` is the heading above.
    ``score`` is calibrated: the estimated probability, 0 to 1, that the passage answers the question.
    """

    id: str
    collection: str
    source: str
    title: str
    text: str
    score: float


class GenerationParameters(Message, frozen=True):
    """How to sample: the allow-listed parameters, already bounded by access. ``None`` means the engine's default.

    With ``choices`` the answer is one of these texts, word for word; there is no schema then.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    json_schema: dict[str, Any] | None = None
    json_object: bool = False
    choices: tuple[str, ...] = ()

    @property
    def continuable(self) -> bool:
        """Whether another worker may go on from the logged tokens and produce what one worker would have."""
        plain = self.json_schema is None and not self.json_object
        return plain and self.n == 1 and not self.presence_penalty and not self.frequency_penalty


class Generate(Message, frozen=True, tag="generate"):
    """Work for a generating engine: a composed prompt and how to sample from it."""

    messages: tuple[ChatMessage, ...]
    parameters: GenerationParameters = GenerationParameters()
    tools: tuple[dict[str, Any], ...] = ()


class Embed(Message, frozen=True, tag="embed"):
    """Work for an embedding engine: texts, one vector each."""

    texts: tuple[str, ...]


class InferenceRequest(Message, frozen=True):
    """One inference to run. Filled by access, read by workers, and by any access process that follows it.

    ``deadline_seconds`` is a duration from submission; the submit function turns it into a moment of Redis time.
    ``passages`` are those the prompt shows, in order of their marks [1], [2], …; they become citations.
    ``cost_tokens`` is what admission reserved. ``metadata`` is what the client asked us to echo.
    """

    id: RequestId
    tenant: TenantId
    user: str
    key: str
    model: str
    service_class: ServiceClass
    task: Generate | Embed
    created_at: float
    deadline_seconds: float
    served_as: str = ""
    session: SessionId | None = None
    question: str = ""
    passages: tuple[Passage, ...] = ()
    retrieval_skipped: str | None = None
    stored: bool = False
    background: bool = False
    cost_tokens: int = 0
    metadata: dict[str, str] = {}
    extensions: dict[str, Any] = {}
    traceparent: str | None = None
    version: int = VERSION


class Usage(Message, frozen=True):
    """Tokens a request used, by the served model's own tokenizer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class Failure(Message, frozen=True):
    """Why a request failed, in words for its caller. ``fault`` says whose: see ``contracts.errors``."""

    code: str
    message: str
    fault: Literal["caller", "overload", "dependency", "engine"] = "engine"
    param: str | None = None


class Started(Message, frozen=True, array_like=True, tag="started"):
    """A worker began. ``model_revision`` names the weights, so that a continuation can tell whether it may go on."""

    worker: WorkerId
    model_revision: str = ""


class SequenceStarted(Message, frozen=True, array_like=True, tag="sequence_started"):
    index: int = 0


class Delta(Message, frozen=True, array_like=True, tag="delta"):
    """New text and the token ids behind it. ``vector`` holds little-endian float32 when the task is an embedding.

    ``token_ids`` may run ahead of ``text`` (half a UTF-8 character, a possible stop string).
    """

    index: int = 0
    text: str = ""
    token_ids: tuple[int, ...] = ()
    vector: bytes | None = None


class SequenceFinished(Message, frozen=True, array_like=True, tag="sequence_finished"):
    index: int = 0
    reason: FinishReason = "stop"


class Finished(Message, frozen=True, array_like=True, tag="finished"):
    """The one good end. ``status`` is ``incomplete`` when a limit cut the answer, also for a deadline (``expired``)."""

    usage: Usage
    status: Literal["done", "incomplete", "expired"] = "done"


class Failed(Message, frozen=True, array_like=True, tag="failed"):
    failure: Failure
    usage: Usage = Usage()


class Cancelled(Message, frozen=True, array_like=True, tag="cancelled"):
    usage: Usage = Usage()


class Reset(Message, frozen=True, array_like=True, tag="reset"):
    """What came before is void; the answer starts again. Sent where a continuation could not be right."""

    reason: str


Reply = Started | SequenceStarted | Delta | SequenceFinished | Finished | Failed | Cancelled | Reset
TERMINAL = (Finished, Failed, Cancelled)


class AdmissionQuery(Message, frozen=True):
    """Access asks the limiter: may this request go?

    ``prompt_tokens`` is what the prompt is expected to be, before it is composed. ``answer_tokens`` is what the caller
    bounded each of its ``sequences`` to, 0 where it did not: then the gate expects what it has learned.
    ``waited_seconds`` is how long the caller waits already: a limiter that has not heard of it gives it that place.
    ``attempt`` grows each time the request is asked for anew, after a withdrawal: words of other attempts are void.
    ``user`` and ``key`` are empty where there is none.
    """

    id: RequestId
    access: AccessId
    tenant: TenantId
    user: str
    key: str
    model: str
    service_class: ServiceClass
    prompt_tokens: int
    patience_seconds: float
    answer_tokens: int = 0
    sequences: int = 1
    waited_seconds: float = 0.0
    attempt: int = 0
    version: int = VERSION


class Withdrawal(Message, frozen=True):
    """A request will not be submitted under this ``attempt``, nor under any before it."""

    id: RequestId
    attempt: int


class Correction(Message, frozen=True):
    """The prompt of a granted request as it was composed, in tokens."""

    id: RequestId
    prompt_tokens: int


class Asks(Message, frozen=True):
    """What one access process says to the limiter in one loop tick; withdrawals come before queries.

    A lost correction or withdrawal costs accuracy for a while, never the account: usage settles, and an unused grant
    runs out.
    """

    queries: tuple[AdmissionQuery, ...] = ()
    withdrawn: tuple[Withdrawal, ...] = ()
    corrections: tuple[Correction, ...] = ()


class Verdict(Message, frozen=True):
    """The limiter's decision on an ``attempt``, or its latest word to a caller who waits.

    ``granted`` holds until ``grant_until`` (Unix seconds of the Redis clock), for ``tokens``, in ``service_class``, of
    which a policy may have made another than was asked for. ``queued`` carries ``position`` (1 is next),
    ``tokens_ahead`` and ``eta_seconds``; ``number`` counts the updates of one wait.
    ``refused`` carries ``reason`` and ``retry_after_seconds``.
    ``limits`` feeds the ``x-ratelimit-*`` headers.
    """

    id: RequestId
    decision: Literal["granted", "queued", "refused"]
    attempt: int = 0
    number: int = 0
    grant_until: float = 0.0
    tokens: int = 0
    service_class: ServiceClass | None = None
    position: int = 0
    tokens_ahead: int = 0
    eta_seconds: float = 0.0
    reason: str = ""
    message: str = ""
    retry_after_seconds: float = 0.0
    limits: LimitsView | None = None
    version: int = VERSION


class LimitsView(Message, frozen=True):
    """What is left to a caller at the moment of a verdict: of its tenant's, its user's and its key's buckets, the one
    with the least left. ``reset_seconds`` is the time until full."""

    limit_tokens: int
    remaining_tokens: int
    reset_tokens_seconds: float
    limit_requests: int
    remaining_requests: int
    reset_requests_seconds: float


class ModelStatus(Message, frozen=True):
    """The gate's view of one model, published every second: ``waiting`` + ``outstanding`` is the number to scale on.

    ``outstanding`` requests are granted and not yet settled; ``slots`` are those of ready workers. The fleet's measured
    speed is ``tokens_per_second``. ``eta_error`` is the median of |told - waited| / waited over recent waits, and
    ``estimate_error`` the mean of |expected - used| / used over recent answers; both 0 before there were any.
    """

    waiting: int = 0
    waiting_tokens: int = 0
    outstanding: int = 0
    slots: int = 0
    tokens_per_second: float = 0.0
    eta_error: float = 0.0
    estimate_error: float = 0.0


class ModelFacts(Message, frozen=True):
    """What a worker announces of its model, so that access can count tokens without torch.

    ``tokenizer_sha256`` names the ``tokenizer.json`` stored under ``keys.tokenizer``; empty if there is none.
    """

    name: str
    revision: str
    kind: Literal["generate", "embed"]
    max_model_len: int
    dimensions: int = 0
    tokenizer_sha256: str = ""
    chat_template: str = ""


class Heartbeat(Message, frozen=True):
    """A worker's regular word to the fleet. ``cache_room`` is the free share of the engine's KV cache, 0 to 1."""

    worker: WorkerId
    model: ModelFacts
    state: Literal["loading", "ready", "draining", "unhealthy"]
    slots: int
    free_slots: int
    cache_room: float
    tokens_per_second: float
    shards: tuple[int, ...]
    at: float
    version: int = VERSION


_encoder = msgspec.msgpack.Encoder()
_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}


def encode_reply(reply: Reply) -> bytes:
    """The payload of one log entry."""
    return _encode(reply)


def decode_reply(wire: bytes) -> Reply:
    """Read the payload of one log entry.

    Raises:
        DecodeError: the bytes are no reply.
    """
    return cast(Reply, _decode(wire, Reply))


def is_terminal(reply: Reply) -> bool:
    """Whether ``reply`` is the end of its log."""
    return isinstance(reply, TERMINAL)


def _encode(message: Any) -> bytes:
    return _encoder.encode(message)


def _decode(wire: bytes, kind: Any) -> object:
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        return decoder.decode(wire)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        name = getattr(kind, "__name__", "Reply")
        raise DecodeError(f"not a {name}: {error}") from error
