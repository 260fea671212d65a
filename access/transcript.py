"""What a log says so far: its replies folded into the answer. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from contracts.messages import (
    Cancelled,
    Delta,
    Failed,
    Failure,
    Finished,
    InferenceRequest,
    Passage,
    Reply,
    Reset,
    SequenceFinished,
    SequenceStarted,
    Started,
    Usage,
)

_MARK = re.compile(r"\[(\d{1,2})\]")

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]


@dataclass
class Transcript:
    """The answer's texts by sequence index, how they ended, and what the end said. ``seq`` is the last reply folded."""

    seq: int = 0
    status: Status = "queued"
    texts: dict[int, str] = field(default_factory=dict)
    vectors: dict[int, bytes] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    failure: Failure | None = None
    incomplete: Literal["max_output_tokens", "deadline"] | None = None

    @property
    def text(self) -> str:
        """The first sequence's text."""
        return self.texts.get(0, "")

    @property
    def ended(self) -> bool:
        return self.status not in ("queued", "in_progress")

    def fold(self, seq: int, reply: Reply) -> None:  # noqa: C901  (one line for each of the eight replies)
        """Take in the next reply of the log."""
        self.seq = seq
        match reply:
            case Started():
                self.status = "in_progress"
            case SequenceStarted(index=index):
                self.texts.setdefault(index, "")
            case Delta(index=index, text=text, vector=vector):
                self.texts[index] = self.texts.get(index, "") + text
                if vector is not None:
                    self.vectors[index] = vector
            case SequenceFinished(index=index, reason=reason):
                self.reasons[index] = reason
            case Reset():
                self.texts.clear()
                self.reasons.clear()
            case Finished(usage=usage, status=status):
                self._finish(usage, status)
            case Failed(failure=failure, usage=usage):
                self.status, self.failure, self.usage = "failed", failure, usage
            case Cancelled(usage=usage):
                self.status, self.usage = "cancelled", usage

    def _finish(self, usage: Usage, status: str) -> None:
        self.usage = usage
        self.status = "completed" if status == "done" else "incomplete"
        if status == "incomplete":
            self.incomplete = "max_output_tokens"
        elif status == "expired":
            self.incomplete = "deadline"


@dataclass(frozen=True)
class Citation:
    """A mark ``[n]`` in an answer: which passage, and where the mark stands (characters, end exclusive)."""

    passage: Passage
    number: int
    start: int
    end: int


def citations(text: str, passages: tuple[Passage, ...]) -> list[Citation]:
    """The marks in ``text`` that name one of the passages the prompt showed."""
    found = [(int(match[1]), match) for match in _MARK.finditer(text)]
    return [
        Citation(passages[number - 1], number, match.start(), match.end())
        for number, match in found
        if 1 <= number <= len(passages)
    ]


def file_citation(citation: Citation) -> dict[str, Any]:
    """The annotation of the Responses API; ``title``, ``text``, ``score`` are ours, so a page can open the passage."""
    passage = citation.passage
    return {
        "type": "file_citation",
        "file_id": passage.id,
        "filename": passage.source,
        "index": citation.start,
        "title": passage.title,
        "text": passage.text,
        "score": round(passage.score, 4),
        "vector_store_id": passage.collection,
    }


def url_citation(citation: Citation) -> dict[str, Any]:
    """The annotation of chat completions, whose one kind names a URL."""
    passage = citation.passage
    return {
        "type": "url_citation",
        "url_citation": {
            "start_index": citation.start,
            "end_index": citation.end,
            "title": passage.title or passage.source,
            "url": f"penstock:/v1/vector_stores/{passage.collection}/passages/{passage.id}",
        },
    }


def served_name(request: InferenceRequest) -> str:
    """The model name the client asked for: a preset's, or the model's own."""
    return request.served_as or request.model
