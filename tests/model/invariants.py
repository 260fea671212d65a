"""What the delivery protocol promises, in words, each with the function that tells whether it is kept."""

from __future__ import annotations

from collections.abc import Callable

from contracts.states import may
from tests.model.store import ENDED, NOBODY
from tests.model.world import World

BACK = ("rolls back", "power lost")


def log_is_contiguous(world: World) -> bool:
    return [reply.seq for reply in world.store.log] == list(range(1, len(world.store.log) + 1))


def tokens_are_in_their_places(world: World) -> bool:
    return all(reply.ends or reply.what == f"t{reply.seq}" for reply in world.store.log)


def one_end_and_it_is_last(world: World) -> bool:
    return not any(reply.ends for reply in world.store.log[:-1])


def generations_take_turns(world: World) -> bool:
    """Once another has written, who was before does not write again."""
    seen: list[int] = []
    for reply in world.store.log:
        if reply.generation not in seen:
            seen.append(reply.generation)
        elif reply.generation != seen[-1]:
            return False
    return True


def owner_wrote_all_behind_its_base(world: World) -> bool:
    store = world.store
    return all(
        reply.generation == me.generation
        for me in world.workers
        if me.generation and me.generation == store.generation
        for reply in store.log
        if me.base < reply.seq and reply.seq <= me.acked
    )


def one_owner(world: World) -> bool:
    owners = [me for me in world.workers if me.generation and me.generation == world.store.generation]
    return len(owners) <= 1


def end_and_state_agree(world: World) -> bool:
    """The reverse may wait for who finds it."""
    store = world.store
    return store.state not in ENDED or store.ended == store.state


def released_is_free(world: World) -> bool:
    return not world.store.released or world.store.lease != "held"


def the_innocent_are_not_blamed(world: World) -> bool:
    return world.store.deaths <= world.faults


def submitted_once(world: World) -> bool:
    return len(world.store.queue) <= 1 or world.faults > 0


def view_has_no_hole(world: World) -> bool:
    return [reply.seq for reply in world.client.view] == list(range(1, len(world.client.view) + 1))


def answer_is_the_log(world: World) -> bool:
    """Unless Redis lost that end after it was shown."""
    client, log = world.client, world.store.log
    return not client.at_end or client.view == log or client.view[-1] not in log


def accepted_is_not_refused(world: World) -> bool:
    """Who is told that it was refused has nothing that runs."""
    return world.client.asked != "refused" or world.store.entry == 0


OF_STATES: dict[str, Callable[[World], bool]] = {
    "The log has no hole.": log_is_contiguous,
    "No token is doubled or out of place.": tokens_are_in_their_places,
    "There is one end, and nothing after it.": one_end_and_it_is_last,
    "Who was fenced does not write again.": generations_take_turns,
    "At most one worker owns the request.": one_owner,
    "Nobody else writes behind an owner's take.": owner_wrote_all_behind_its_base,
    "A terminal state has its terminal reply.": end_and_state_agree,
    "What was released is free to take.": released_is_free,
    "No death is counted where nobody died.": the_innocent_are_not_blamed,
    "A request stands in the queue once.": submitted_once,
    "What a client was shown has no hole.": view_has_no_hole,
    "A client that was shown the end was shown the log.": answer_is_the_log,
    "Who is told 'refused' has nothing running.": accepted_is_not_refused,
}


def nothing_is_lost(before: World, name: str, after: World) -> bool:
    return any(back in name for back in BACK) or after.store.log[: len(before.store.log)] == before.store.log


def states_follow_the_table(before: World, name: str, after: World) -> bool:
    was, now = before.store.state, after.store.state
    return was == now or any(back in name for back in BACK) or may(was or None, now)  # type: ignore[arg-type]


def who_holds_the_lease_writes_the_end(before: World, name: str, after: World) -> bool:
    ended_by_nobody = after.store.ended and not before.store.ended and after.store.log[-1].generation == NOBODY
    return not (ended_by_nobody and before.store.lease == "held")


def a_cancel_is_not_forgotten(before: World, name: str, after: World) -> bool:
    return before.store.cancel != "cancel" or any(back in name for back in BACK) or after.store.cancel == "cancel"


OF_STEPS: dict[str, Callable[[World, str, World], bool]] = {
    "What Redis has acknowledged stays.": nothing_is_lost,
    "States change as the table says.": states_follow_the_table,
    "Who holds the lease writes the end.": who_holds_the_lease_writes_the_end,
    "A cancel is not forgotten.": a_cancel_is_not_forgotten,
}


def has_ended(world: World) -> bool:
    return not world.store.state or world.store.state in ENDED


def nothing_is_pending(world: World) -> bool:
    """A take that was cut short may leave the delivered entry of a request that had ended: a place in the stream."""
    store = world.store
    queue = [entry for entry in store.queue if not (world.torn and entry.delivered)]
    return not queue and not store.lease and not store.suspect and not store.watched


def no_key_is_left(world: World) -> bool:
    return not world.store.state or world.store.expires


def client_has_it_all(world: World) -> bool:
    """An end that Redis lost after it was shown is an end."""
    client, log = world.client, world.store.log
    had_another_end = client.at_end and client.view[-1] not in log
    return client.asked != "accepted" or client.gone or client.view == log or had_another_end


def nobody_waited_for_the_deadline(world: World) -> bool:
    """Only what nobody submitted is left to its deadline, or what Redis does not remember to have been submitted."""
    return not world.waited or world.client.asked != "accepted" or not world.store.entry


AT_REST: dict[str, Callable[[World], bool]] = {
    "Every request comes to an end.": has_ended,
    "Nothing is left pending.": nothing_is_pending,
    "What was accepted does not wait for its deadline.": nobody_waited_for_the_deadline,
    "An ended request leaves no key for ever.": no_key_is_left,
    "Every client gets the whole answer, or is told.": client_has_it_all,
}
