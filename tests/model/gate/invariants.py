"""What the gate promises, in words, each with the function that tells whether it is kept."""

from __future__ import annotations

from collections.abc import Callable

from tests.model.gate.store import CAPACITY, Held
from tests.model.gate.world import World


def sums_add_up(world: World) -> bool:
    sums = world.store.sums
    return sums.granted == sums.settled + sums.reserved + sums.refunded


def reserved_is_held(world: World) -> bool:
    return world.store.sums.reserved == _held_tokens(world)


def capacity_is_kept(world: World) -> bool:
    return _held_tokens(world) + world.store.sums.settled <= CAPACITY


def level_is_honest(world: World) -> bool:
    return world.store.level <= CAPACITY - _held_tokens(world) - world.store.sums.settled


def settled_once(world: World) -> bool:
    return all(tally.settled <= 1 for tally in world.store.tallies)


def settled_or_refunded(world: World) -> bool:
    return all(
        tally.granted == tally.settled + tally.refunded + (held is not None)
        for tally, held in zip(world.store.tallies, world.store.held, strict=True)
    )


def what_runs_is_reserved(world: World) -> bool:
    """Unless Redis has lost the grant under which it was submitted."""
    store = world.store
    return all(
        state != "queued" or held is not None or _is_lost(world, grant)
        for state, held, grant in zip(store.states, store.held, store.under, strict=True)
    )


def usage_is_not_lost(world: World) -> bool:
    """With the same exception."""
    store = world.store
    return all(
        state != "ended" or usage or tally.settled or _is_lost(world, grant)
        for state, usage, tally, grant in zip(store.states, store.usage, store.tallies, store.under, strict=True)
    )


def told_is_committed(world: World) -> bool:
    return all(not caller.grant or caller.grant in world.committed for caller in world.callers)


def one_tenure_is_active(world: World) -> bool:
    active = world.store.active
    return active is None or [limiter.tenure for limiter in world.limiters].count(active) <= 1


def deposed_do_not_write(world: World) -> bool:
    return not world.usurped


OF_STATES: dict[str, Callable[[World], bool]] = {
    "At most one tenure is active.": one_tenure_is_active,
    "Who was deposed does not write.": deposed_do_not_write,
    "What a caller was told was committed.": told_is_committed,
    "granted = settled + reserved + refunded.": sums_add_up,
    "The sum of what is reserved is what is held.": reserved_is_held,
    "A request is settled once.": settled_once,
    "A grant is settled or refunded, once.": settled_or_refunded,
    "What runs is reserved.": what_runs_is_reserved,
    "No usage is lost.": usage_is_not_lost,
    "What is held and spent fits the bucket.": capacity_is_kept,
    "The bucket never shows more than is there.": level_is_honest,
}


def submitted_is_not_refunded(before: World, name: str, after: World) -> bool:
    """Redis may lose that it was."""
    return all(
        not state or now.refunded <= was.refunded or _is_lost(before, grant)
        for state, grant, was, now in zip(
            before.store.states, before.store.under, before.store.tallies, after.store.tallies, strict=True
        )
    )


def verdict_stays(before: World, name: str, after: World) -> bool:
    """While its caller may act on it; what Redis loses excepted."""
    return "rolls back" in name or all(
        not _counts(before, request) or before.store.verdicts[request] == after.store.verdicts[request]
        for request in range(len(before.callers))
    )


def _counts(world: World, request: int) -> bool:
    """Whether a stored grant may still be submitted, by a caller that holds it or asks for it."""
    verdict, caller = world.store.verdicts[request], world.callers[request]
    if verdict is None or not verdict.granted or verdict.grant <= world.past or caller.done:
        return False
    return caller.grant == verdict.grant or (caller.phase == "asks" and caller.attempt == verdict.attempt)


OF_STEPS: dict[str, Callable[[World, str, World], bool]] = {
    "No submitted request is refunded.": submitted_is_not_refunded,
    "A verdict stays while it may be acted on.": verdict_stays,
}


def every_caller_has_a_verdict(world: World) -> bool:
    return all(caller.done for caller in world.callers)


def nothing_is_held(world: World) -> bool:
    return not any(world.store.held) and not any(any(limiter.held) for limiter in world.limiters)


def usage_is_settled(world: World) -> bool:
    return not any(world.store.usage)


def bucket_is_exact(world: World) -> bool:
    """What a tenure charged for a grant that was known already, and did not live to give back, comes with time."""
    return world.names > 1 or world.store.level == CAPACITY - world.store.sums.settled


def accepted_has_run(world: World) -> bool:
    """Unless Redis has lost that it was accepted."""
    return world.rolled_back or all(
        state == "ended"
        for caller, state in zip(world.callers, world.store.states, strict=True)
        if caller.phase == "accepted"
    )


AT_REST: dict[str, Callable[[World], bool]] = {
    "Every caller has a verdict.": every_caller_has_a_verdict,
    "No reservation is left.": nothing_is_held,
    "No usage is left unsettled.": usage_is_settled,
    "What came back is in the bucket.": bucket_is_exact,
    "What was accepted has run.": accepted_has_run,
}


def _held_tokens(world: World) -> int:
    return sum(_tokens(held) for held in world.store.held)


def _tokens(held: Held | None) -> int:
    return held.tokens if held is not None else 0


def _is_lost(world: World, grant: int) -> bool:
    return grant in world.committed and grant not in world.store.grants
