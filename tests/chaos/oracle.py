"""What must hold when all is quiet, whatever had gone wrong before. Pure: evidence in, verdict out.

The scripted engine's answer is a function of its prompt, so the oracle knows every answer before it is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from contracts.functions.protocol import TERMINAL_LETTERS
from contracts.messages import Delta, Failed, Finished, Generate, InferenceRequest, Reset
from contracts.states import TERMINAL
from inference_worker.engines.scripted import answer_tokens, read_script, token_text
from tests.chaos.clients import Question
from tests.chaos.evidence import Entry, Evidence, Found
from tests.chaos.transcript import NEVER_RAN

NO_GENERATION = "-"


@dataclass
class Verdict:
    """What a round came to. ``problems`` say in words what must not be; it passes without any."""

    requests: int = 0
    reply_events: int = 0
    tokens: int = 0
    client_events: int = 0
    resumes: int = 0
    told_resets: int = 0
    told_losses: int = 0
    continued: int = 0
    given_up: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    ends: Counter[str] = field(default_factory=Counter[str])
    problems: list[str] = field(default_factory=list[str])


def judge(evidence: Evidence, questions: Sequence[Question], *, lossy: bool) -> Verdict:
    """Weigh everything. ``lossy``: power failed, so an accepted request may be gone if its client was told."""
    verdict = Verdict(problems=[*evidence.pending, *evidence.leaked])
    for found in evidence.requests.values():
        _judge_log(found, verdict)
    done = Counter(prompt_of(found.request) for found in evidence.requests.values() if found.state == "done")
    for question in questions:
        if done[question.prompt] > 1:
            verdict.doubled += 1
            verdict.problems.append(f"{question.prompt!r} was answered {done[question.prompt]} times")
        _judge_client(question, evidence, verdict, lossy=lossy)
    return verdict


def expected(request: InferenceRequest) -> list[int]:
    """The tokens of the whole answer."""
    task = request.task
    assert isinstance(task, Generate)
    return answer_tokens(task, 0, read_script(task.messages[-1].content).tokens)


def prompt_of(request: InferenceRequest) -> str:
    """What the user asked."""
    assert isinstance(request.task, Generate)
    return request.task.messages[-1].content


def text_of(log: Iterable[Entry]) -> str:
    """The text a log gives, resets heeded."""
    return "".join(reply.text for reply in _since_reset(log))


def _judge_log(found: Found, verdict: Verdict) -> None:
    log = found.log
    verdict.requests += 1
    verdict.reply_events += len(log)
    verdict.ends[found.state] += 1
    verdict.continued += len(generations(log)) > 1
    problems = [*_shape(found), *_tokens(found, verdict)]
    verdict.problems += [f"{found.id} ({found.state}): {problem}" for problem in problems]


def _shape(found: Found) -> list[str]:
    """Numbers without a hole, one end and nothing after it, no generation that comes back."""
    log, problems = found.log, list[str]()
    if [entry.seq for entry in log] != list(range(1, len(log) + 1)):
        problems.append("the log has a hole")
    ends = [entry.seq for entry in log if entry.letter in TERMINAL_LETTERS]
    if found.state not in TERMINAL or len(ends) != 1 or ends[0] != log[-1].seq:
        problems.append(f"ends at {ends} of {len(log)}")
    if len(blocks := generations(log)) != len(set(blocks)):
        problems.append(f"generations are mixed: {blocks}")
    return problems


def _tokens(found: Found, verdict: Verdict) -> list[str]:
    """The answer is the script's: all of it when it is done, a beginning of it otherwise."""
    script = expected(found.request)
    deltas = _since_reset(found.log)
    tokens = [token for delta in deltas for token in delta.token_ids]
    verdict.tokens += len(tokens)
    whole = script if found.state == "done" else script[: len(tokens)]
    if tokens != whole:
        kind = compare(tokens, whole)
        setattr(verdict, kind, getattr(verdict, kind) + 1)
        return [f"tokens {kind}: {tokens} instead of {whole}"]
    if "".join(delta.text for delta in deltas) != "".join(map(token_text, tokens)):
        return ["the text is not that of the tokens"]
    end = found.log[-1].reply if found.log else None
    if isinstance(end, Finished) and end.usage.completion_tokens not in (0, len(tokens)):
        return [f"{end.usage.completion_tokens} tokens settled, {len(tokens)} logged"]
    return []


def compare(got: Sequence[int], whole: Sequence[int]) -> str:
    """In what way two sequences that differ do."""
    if sorted(got) == sorted(whole):
        return "reordered"
    return "doubled" if len(got) > len(whole) else "lost"


def generations(log: Iterable[Entry]) -> list[str]:
    """Who wrote, in the order of writing; each name once for each block."""
    blocks: list[str] = []
    for entry in log:
        if entry.generation != NO_GENERATION and (not blocks or blocks[-1] != entry.generation):
            blocks.append(entry.generation)
    return blocks


def _judge_client(question: Question, evidence: Evidence, verdict: Verdict, *, lossy: bool) -> None:
    verdict.client_events += question.events
    verdict.resumes += question.resumes
    verdict.told_resets += question.resets
    verdict.told_losses += question.gone
    problems = [*question.faults, *_unkept(question, evidence, lossy=lossy)]
    if not (question.end or question.gone):
        problems.append("never heard of an end")
    given_up = question.end == "failed" and _was_given_up(question, evidence)
    verdict.given_up += given_up
    if question.end not in ("completed", "") and not (question.cancelled or given_up):
        why = f" ({question.why})" if question.why else ""
        problems.append(f"ended {question.end}{why}, which nobody had asked for")
    if problems:
        name = f"question {question.number} ({question.kind}, {', '.join(sorted(question.told))})"
        verdict.problems += [f"{name}: {problem}" for problem in problems]


def _was_given_up(question: Question, evidence: Evidence) -> bool:
    """Whether three workers died while they ran it: then it fails, as a poisonous one must."""
    return any(prompt_of(evidence.requests[request].request) == question.prompt for request in evidence.given_up)


def _unkept(question: Question, evidence: Evidence, *, lossy: bool) -> list[str]:
    """What a client was told and Redis does not bear out."""
    problems: list[str] = []
    for request_id in sorted(question.told):
        found = evidence.requests.get(request_id)
        if found is None:
            if not (lossy and (question.gone or question.end)):
                problems.append(f"{request_id} was accepted and is lost")
        elif request_id in question.texts and question.texts[request_id] != _vouched(found, lossy=lossy):
            problems.append(f"{request_id}: the client has {question.texts[request_id]!r}")
    gone = set[str]() if lossy else question.texts.keys() - evidence.requests.keys()
    return problems + [f"{request_id} was answered and is lost" for request_id in gone]


def _vouched(found: Found, *, lossy: bool) -> str:
    """The text that a client may have been given whole: the log's, or the script's if a power loss undid a request that
    was done and it could not be run again."""
    end = found.log[-1].reply if found.log else None
    undone = lossy and isinstance(end, Failed) and end.failure.code == NEVER_RAN
    return "".join(map(token_text, expected(found.request))) if undone else text_of(found.log)


def _since_reset(log: Iterable[Entry]) -> list[Delta]:
    deltas: list[Delta] = []
    for entry in log:
        if isinstance(entry.reply, Reset):
            deltas.clear()
        elif isinstance(entry.reply, Delta):
            deltas.append(entry.reply)
    return deltas
