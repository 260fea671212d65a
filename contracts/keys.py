"""The data model: every Redis key is a function here, and no other module spells a key.

All keys of one request and its session carry one hash tag, ``{s0}``, so they live in one cluster slot and every
function of the library touches one slot. What belongs to no request (API keys, fleet, admission) has tags of its own.
Each docstring says *type; what it holds; who writes it; when it ends*. ``docs/keys.md`` is generated from them.
"""

from __future__ import annotations

import hashlib

from contracts.ids import AccessId, RequestId, SessionId, Shard, TenantId, WorkerId, shard_of
from contracts.messages import ServiceClass

PREFIX = "penstock:"


def shard_prefix(shard: Shard) -> str:
    """not a key; the start of every key of a shard, from which the function library builds the keys it finds; –; –"""
    return f"{PREFIX}{{s{shard}}}:"


def request(request_id: RequestId) -> str:
    """hash; state, body, generation, owner, entry, deaths, cancel flag, deadline, followers, turn, names of its idempotency record and its user's index; functions; none before the end, then 2R, or 30 d with a dead letter"""
    return f"{shard_prefix(shard_of(request_id))}request:{request_id}"


def replies(request_id: RequestId) -> str:
    """stream; the log, ids ``<seq>-0``, one field ``<generation>:<type>``; append; R after the end (1 h, 30 d if stored)"""
    return f"{shard_prefix(shard_of(request_id))}replies:{request_id}"


def requests(shard: Shard, model: str, service_class: ServiceClass) -> str:
    """stream + group ``workers``; waiting work: request id; submit; entries leave when their request ends"""
    return f"{shard_prefix(shard)}requests:{model}:{service_class}"


def leases(shard: Shard, model: str) -> str:
    """zset; running request → end of its lease, ms; take, append, renew; members leave at the end"""
    return f"{shard_prefix(shard)}leases:{model}"


def suspects(shard: Shard, model: str) -> str:
    """zset; request that two workers or engines died over → since when, ms; take; members leave when taken, alone, or at the end"""
    return f"{shard_prefix(shard)}suspects:{model}"


def emptying(shard: Shard, model: str) -> str:
    """string; the one busy worker that becomes idle for a suspect; take; one lease"""
    return f"{shard_prefix(shard)}emptying:{model}"


def bell(shard: Shard, model: str) -> str:
    """list; wakes idle workers; submit, release; a take that finds nothing deletes it"""
    return f"{shard_prefix(shard)}bell:{model}"


def deadlines(shard: Shard) -> str:
    """zset; unended request → its deadline, ms; wait, submit; members leave at the end"""
    return f"{shard_prefix(shard)}deadlines"


def grants(shard: Shard, worker: WorkerId) -> str:
    """hash; the last take of one worker, so that a repeated call returns the same grants; take; 60 s"""
    return f"{shard_prefix(shard)}grants:{worker}"


def mailbox(shard: Shard, access: AccessId) -> str:
    """stream, capped; new replies for one access process; append; 30 s, renewed by its owner every 5 s, who then removes what it has read"""
    return f"{shard_prefix(shard)}mailbox:{access}"


def usage(shard: Shard) -> str:
    """stream + group ``limiter``; what each ended request used; terminal append; entries leave when settled"""
    return f"{shard_prefix(shard)}usage"


def idempotency(shard: Shard, tenant: TenantId, key: str) -> str:
    """hash; request id and body fingerprint under a client's idempotency key; submit; 2R"""
    return f"{shard_prefix(shard)}idempotency:{hashed(tenant, key)}"


def deadletters(shard: Shard) -> str:
    """stream; requests given up: id, tenant, model, why, deaths, losses, last engine error; take; by hand, or after 30 d"""
    return f"{shard_prefix(shard)}deadletters"


def sweeping(shard: Shard) -> str:
    """string; somebody has swept the shard a moment ago; sweep; after that moment (1 s)"""
    return f"{shard_prefix(shard)}sweeping"


def swept(shard: Shard) -> str:
    """string; how far the sweeper's round over all unended requests is; sweep; with the round, at most 1 h"""
    return f"{shard_prefix(shard)}swept"


def session(session_id: SessionId) -> str:
    """hash; owner, title, metadata, created, on_busy, busy request, tokens of its last window, summary of its oldest turns, count of messages taken out, how far it was learned from; memory, functions; 30 d after its last use, or as set"""
    return f"{shard_prefix(shard_of(session_id))}session:{session_id}"


def turns(session_id: SessionId) -> str:
    """stream, capped; turn.started, turn.finished, push, item.deleted; submit, terminal append, push, say, unsay; with its session"""
    return f"{shard_prefix(shard_of(session_id))}turns:{session_id}"


def interrupting(session_id: SessionId) -> str:
    """string; the latest request that came to interrupt its session; access; with that request's deadline"""
    return f"{shard_prefix(shard_of(session_id))}interrupting:{session_id}"


def session_channel(session_id: SessionId) -> str:
    """channel; that something was said in a session, or that it was changed; submit, terminal append, push, say, unsay, memory; –"""
    return f"{shard_prefix(shard_of(session_id))}said:{session_id}"


def finished_turns(shard: Shard, tenant: TenantId) -> str:
    """stream, capped; a tenant's finished turns for services that watch them: conversation, response, status, question, answer; terminal append, where access has made it; 24 h after no access wants it"""
    return f"{shard_prefix(shard)}finished:{tenant}"


def pushed(shard: Shard, tenant: TenantId, publisher: str, push_id: str) -> str:
    """hash; a push by its publisher's id: fingerprint, entry; push; 24 h"""
    return f"{shard_prefix(shard)}pushed:{hashed(tenant, publisher, push_id)}"


def push_target(shard: Shard, tenant: TenantId, publisher: str, push_id: str) -> str:
    """string; the session that a push to a user goes to, however often it is delivered; access; 24 h"""
    return f"{shard_prefix(shard)}pushtarget:{hashed(tenant, publisher, push_id)}"


def sessions(shard: Shard, tenant: TenantId, user: str) -> str:
    """zset; a user's sessions by last use; memory, adopt; with its last session"""
    return f"{shard_prefix(shard)}sessions:{hashed(tenant, user)}"


def user_requests(shard: Shard, tenant: TenantId, user: str) -> str:
    """zset; a user's requests → when each will be gone, ms; wait, submit, the end; with the last of them"""
    return f"{shard_prefix(shard)}userrequests:{hashed(tenant, user)}"


def profile(tenant: TenantId, user: str) -> str:
    """hash; typed facts about one end user; memory; by hand"""
    return f"{PREFIX}profile:{hashed(tenant, user)}"


def learned(tenant: TenantId, user: str) -> str:
    """hash; facts that one end user has told in conversations, with when and where, and since when turns teach; functions; by hand"""
    return f"{PREFIX}learned:{hashed(tenant, user)}"


def push(publisher: str) -> str:
    """stream + group ``access``; what one publisher says into sessions: id, conversation or user, tenant, type, payload; the publisher; entries leave when delivered or refused"""
    return f"{PREFIX}{{push}}:{publisher}"


def rejected_pushes(publisher: str) -> str:
    """stream, capped; the pushes of a publisher that were refused: id, reason, message; access; 30 d after the last"""
    return f"{PREFIX}{{push}}:{publisher}:rejected"


def publisher_bucket(tenant: TenantId, publisher: str) -> str:
    """hash; what is missing in the bucket of a publisher's pushes to a tenant; quota_charge; when it is full, 1 min at most"""
    return f"{PREFIX}{{push}}:bucket:{hashed(tenant, publisher)}"


def target_bucket(tenant: TenantId, publisher: str, target: str) -> str:
    """hash; what is missing in the bucket of a publisher's pushes to one user, or to a session that is nobody's; quota_charge; when it is full, 1 h at most"""
    return f"{PREFIX}{{push}}:bucket:{hashed(tenant, publisher, target)}"


def counted_push(tenant: TenantId, publisher: str, target: SessionId, push_id: str) -> str:
    """string; a push into a session was counted, and is not counted again; quota_charge; 24 h"""
    return f"{PREFIX}{{push}}:counted:{hashed(tenant, publisher, target, push_id)}"


def stored_file(tenant: TenantId, file_id: str) -> str:
    """hash; an uploaded file: name, purpose, bytes; access; 30 d"""
    return f"{PREFIX}file:{hashed(tenant, file_id)}"


def stored_files(tenant: TenantId) -> str:
    """zset; the ids of a tenant's uploaded files by time; access; 30 d after the last"""
    return f"{PREFIX}files:{hashed(tenant)}"


def api_key(prefix: str) -> str:
    """hash; digest, tenant, user, scopes, expiry of one API key; access; at its expiry"""
    return f"{PREFIX}apikey:{prefix}"


def api_keys() -> str:
    """set; the prefixes of all API keys, for listing; access; by hand"""
    return f"{PREFIX}apikeys"


def tokenizer(sha256: str) -> str:
    """string; a served model's tokenizer.json, so access counts tokens without torch; workers; 24 h, renewed by heartbeats"""
    return f"{PREFIX}tokenizer:{sha256}"


def fleet() -> str:
    """hash; worker → its last heartbeat; workers; members leave on drain or when the limiter finds them stale"""
    return f"{PREFIX}fleet"


def gate_prefix() -> str:
    """not a key; the start of every key of the gate, from which its functions build the keys they write; –; –"""
    return f"{PREFIX}{{gate}}:"


def active_limiter() -> str:
    """string; who decides, as ``<epoch>:<limiter>``; the active limiter; 1.2 s, renewed"""
    return f"{gate_prefix()}active"


def limiter_epoch() -> str:
    """string; counter of takeovers; a limiter that becomes active; never"""
    return f"{gate_prefix()}epoch"


def verdict(request_id: RequestId) -> str:
    """hash; the latest verdict on one request, and its decision; the active limiter; 10 min, renewed while it waits"""
    return f"{gate_prefix()}verdict:{request_id}"


def ledger(tenant: TenantId) -> str:
    """hash; a tenant's sums by unit and model, ``granted:tokens:<model>`` (granted = settled + reserved + refunded) and ``requests:<model>``; the active limiter; by hand"""
    return f"{gate_prefix()}ledger:{tenant}"


def spent(tenant: TenantId, period: str) -> str:
    """hash; tokens and nanos that a tenant's requests have used in one day or month (UTC); the active limiter; 3 days, 63 days"""
    return f"{gate_prefix()}spent:{tenant}:{period}"


def levels(account: str) -> str:
    """hash; the levels of one account's buckets: a tenant's, a user's, an API key's; the active limiter; when they are full"""
    return f"{gate_prefix()}levels:{account}"


def estimates(tenant: TenantId) -> str:
    """hash; model → how long its answers to this tenant are, as learned: ``<mean>:<deviation>:<error>``; the active limiter; 30 d"""
    return f"{gate_prefix()}estimates:{tenant}"


def reservations() -> str:
    """hash; granted request → Reservation, msgpack; the active limiter; fields leave when settled"""
    return f"{gate_prefix()}reservations"


def last_commit() -> str:
    """hash; tenure and number of the gate's last commit, so that a late copy of an earlier one is known; the active limiter; 1 h"""
    return f"{gate_prefix()}commit"


def limits(tenant: TenantId) -> str:
    """hash; the limits set for a tenant; access (admin), read by the limiter; by hand"""
    return f"{gate_prefix()}limits:{tenant}"


def gate_status() -> str:
    """hash; model → ModelStatus (waiting, outstanding, slots), the number to scale on; the active limiter; 10 s"""
    return f"{gate_prefix()}status"


def asks_channel() -> str:
    """channel; Asks: what the access processes ask and withdraw, a loop tick's at a time; access; –"""
    return f"{PREFIX}asks"


def verdicts_channel(access: AccessId) -> str:
    """channel; lists of Verdict for one access process; the active limiter; –"""
    return f"{PREFIX}verdicts:{access}"


def library_name(sha256: str) -> str:
    """function library; named by its own source, so two releases never overwrite one another; connection; by hand"""
    return f"penstock_{sha256[:12]}"


def hashed(*parts: str) -> str:
    """A key segment from user-supplied strings, which never stand in a key as they are."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return digest.hexdigest()[:32]
