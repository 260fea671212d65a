"""Who is next: classes by their shares, urgent first; within a class the tenant that was served least."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import AccessId, RequestId, TenantId
from contracts.messages import CLASSES, AdmissionQuery, ServiceClass
from limiter.tariff import Cost
from limiter.waiter import Waiter
from limiter.waiting_room import CLASS_WEIGHTS, WaitingRoom

TENANTS = st.sampled_from("abc")
TOKENS = st.one_of(st.integers(1, 500), st.sampled_from([100, 200]))  # of which many stand level
REQUESTS = st.tuples(TENANTS, TOKENS, st.sampled_from(CLASSES), st.sampled_from(["", "ana", "bo"]))
Request = tuple[str, int, ServiceClass, str]
ARRIVALS = st.lists(REQUESTS, max_size=40)
WEIGHTS = st.fixed_dictionaries({tenant: st.sampled_from([0.5, 1.0, 3.0]) for tenant in "abc"})
_NAMES = count()


def waiter(
    tenant: str, tokens: int = 100, service_class: ServiceClass = "interactive", user: str = "", *, since: int = 0
) -> Waiter:
    query = AdmissionQuery(
        id=RequestId(f"{tenant}-{next(_NAMES)}"),
        access=AccessId("access-1"),
        tenant=TenantId(tenant),
        user=user,
        key="",
        model="tiny",
        service_class=service_class,
        prompt_tokens=tokens,
        patience_seconds=10,
    )
    purse = ((tenant, "user", user),) if user else ()
    return Waiter(query, Cost(tokens), service_class, since, until_ms=10_000, access=query.access, purse=purse)


def room_of(waiters: Iterable[Waiter], weights: dict[str, float] | None = None) -> WaitingRoom:
    room = WaitingRoom()
    for tenant, weight in (weights or {}).items():
        room.weigh(TenantId(tenant), weight)
    for one in waiters:
        room.join(one)
    return room


def order(room: WaitingRoom) -> list[RequestId]:
    return [one.id for one in room.drain(lambda _: True)]


def tenants(room: WaitingRoom) -> str:
    return "".join(one.query.tenant for one in room.drain(lambda _: True))


def next_one(room: WaitingRoom) -> Waiter:
    return next(room.drain(lambda _: True))


def test_one_tenants_requests_go_by_how_long_they_have_waited_in_whatever_order_they_are_heard() -> None:
    waiters = [waiter("a", since=since) for since in (30, 10, 20, 10)]
    first, second, third, fourth = (waiters[index].id for index in (1, 3, 2, 0))
    assert order(room_of(waiters)) == [first, second, third, fourth]


def test_a_heavy_tenant_does_not_stand_before_a_light_one() -> None:
    room = room_of([*(waiter("h") for _ in range(5)), waiter("l")])
    assert tenants(room).index("l") <= 1


def test_of_tenants_who_stand_level_the_longest_unserved_is_next() -> None:
    room = WaitingRoom()
    for tenant in "ba":
        room.join(waiter(tenant))
        next_one(room)
    for tenant in "abab":
        room.join(waiter(tenant))
    told = [room.waiters[name].query.tenant for name in room.places()]
    assert (told, tenants(room)) == ([*"baba"], "baba")


def test_a_tenant_of_three_times_the_weight_gets_three_times_the_tokens() -> None:
    room = room_of((waiter(tenant) for _ in range(100) for tenant in "ab"), {"a": 3.0})
    assert Counter(tenants(room)[:100]) == {"a": 75, "b": 25}


def test_urgent_classes_go_first() -> None:
    later, now = waiter("a", service_class="batch"), waiter("b", service_class="interactive")
    assert order(room_of([later, now])) == [now.id, later.id]


def test_classes_that_all_wait_share_by_their_weights() -> None:
    room = room_of(waiter(name[0], service_class=name) for name in CLASSES for _ in range(2000))
    assert Counter(tenants(room)[:2100]) == {"i": 1600, "s": 400, "b": 100}


def test_a_class_that_comes_back_does_not_go_before_urgent_ones_for_the_time_it_was_away() -> None:
    room = room_of(waiter("i") for _ in range(40))
    for _ in range(20):
        next_one(room)
    room.join(waiter("b", service_class="batch"))
    assert tenants(room).index("b") == 16


def test_who_may_not_go_is_passed_over_and_keeps_its_place() -> None:
    blocked, free = waiter("a"), waiter("b")
    room = room_of([blocked, free])
    assert [one.id for one in room.drain(lambda one: one is free)] == [free.id]
    assert order(room) == [blocked.id]


def test_a_line_is_asked_once_however_long_it_is() -> None:
    room, asked = room_of(waiter(tenant) for tenant in "aaaaabbbbb"), list[str]()
    assert not list(room.drain(lambda one: bool(asked.append(one.query.tenant))))
    assert asked == ["a", "b"]


def test_a_user_at_its_limit_holds_up_none_but_itself() -> None:
    waiters = [waiter("a", user=user) for user in ("ana", "ana", "bo", "ana", "bo", "")]
    room, asked = room_of(waiters), list[Waiter]()
    gone = list(room.drain(lambda one: asked.append(one) or one.query.user != "ana"))
    assert gone == [waiters[index] for index in (2, 4, 5)]
    assert asked == [waiters[index] for index in (0, 2, 4, 5)]
    assert order(room) == [waiters[index].id for index in (0, 1, 3)]


def test_staying_away_saves_up_no_service() -> None:
    room = room_of(waiter("busy", 1000) for _ in range(10))
    for _ in range(5):
        next_one(room)
    for _ in range(5):
        room.join(waiter("back", 1000))
    assert Counter(next_one(room).query.tenant for _ in range(6)) == {"back": 3, "busy": 3}


def test_waiting_for_a_limit_of_ones_own_saves_up_no_service() -> None:
    room = room_of(waiter(tenant) for tenant in "ab" for _ in range(100))
    for _ in range(50):
        next(room.drain(lambda one: one.query.tenant == "b"))
    assert Counter(next_one(room).query.tenant for _ in range(20)) == {"a": 10, "b": 10}


def test_a_class_that_may_not_go_saves_up_no_service() -> None:
    room = room_of(waiter(name[0], service_class=name) for name in ("interactive", "batch") for _ in range(100))
    for _ in range(50):
        next(room.drain(lambda one: one.service_class == "batch"))
    assert Counter(next_one(room).query.tenant for _ in range(50)) == {"i": 48, "b": 2}


def test_asking_in_vain_while_nobody_goes_costs_no_class_its_turn() -> None:
    room = room_of([waiter("b", 100, "batch"), *(waiter("i", 100) for _ in range(40))])
    gone: list[str] = []
    while "b" not in gone:
        list(room.drain(lambda _: False))
        gone.append(next_one(room).query.tenant)
    assert gone.count("i") == 16


def test_real_service_counts_not_what_was_reserved() -> None:
    room = room_of(waiter(tenant, 4000) for _ in range(40) for tenant in "ab")
    used = {"a": 100, "b": 400}
    gone: Counter[str] = Counter()
    for _ in range(50):
        one = next_one(room)
        gone[one.query.tenant] += used[one.query.tenant]
        room.adjust(one.id, used[one.query.tenant])
    assert abs(gone["a"] - gone["b"]) <= max(used.values())


def test_what_still_runs_is_charged_what_answers_to_its_tenant_use() -> None:
    """Else one request of a light tenant pays, as long as it runs, for a dozen of a heavy one's."""
    room = room_of(waiter("heavy", 4000) for _ in range(400))
    running: deque[Waiter] = deque()
    for turn in range(300):
        if turn in (200, 210):
            room.join(waiter("light", 4000))
        running.append(next_one(room))
        if len(running) > 30:
            room.adjust(running.popleft().id, 200)
        if turn in (202, 212):
            assert not room.waiting_of(TenantId("light"))


def test_a_drain_that_is_broken_off_leaves_the_others_where_they_were() -> None:
    room = room_of(waiter(tenant) for tenant in "aabb")
    told = [name for name, _ in sorted(room.places().items(), key=lambda place: place[1])]
    assert [next_one(room).id for _ in range(4)] == told


def test_who_leaves_and_who_joins_during_a_drain_are_minded() -> None:
    leaves, stays = waiter("a", service_class="batch"), waiter("a", service_class="batch")
    room = room_of([waiter("a"), leaves, stays])
    walk = room.drain(lambda _: True)
    next(walk)
    room.leave(leaves.id)
    joins = waiter("b", service_class="batch")
    room.join(joins)
    assert {one.id for one in walk} == {stays.id, joins.id}
    assert (len(room), room.tokens) == (0, 0)


def test_a_forgotten_tenant_does_not_start_before_those_who_stayed() -> None:
    room = room_of(waiter(tenant) for tenant in "ab" for _ in range(10))
    order(room)
    for tenant in "ab":
        room.forget(TenantId(tenant))
    for _ in range(10):
        room.join(waiter("b"))
        room.join(waiter("a"))
    assert Counter(next_one(room).query.tenant for _ in range(4)) == {"a": 2, "b": 2}


@given(ARRIVALS, WEIGHTS, st.lists(TOKENS, max_size=10))
def test_the_places_told_are_the_order_in_which_all_go(
    arrivals: list[Request], weights: dict[str, float], used: list[int]
) -> None:
    room = room_of((waiter(*one) for one in arrivals), weights)
    _serve_some(room, used)
    told, ahead, own = room.places(), 0, Counter[str]()
    for position, one in enumerate(room.drain(lambda _: True), 1):
        assert told[one.id] == (position, ahead, own[one.query.tenant])
        ahead += one.cost.tokens
        own[one.query.tenant] += one.cost.tokens
    assert len(told) == len(arrivals) - min(len(used), len(arrivals))


@given(st.lists(st.one_of(REQUESTS, st.integers(0, 60), st.none()), max_size=60))
def test_it_knows_how_many_wait_for_how_much(steps: list[Request | int | None]) -> None:
    """A request joins, the one of that number leaves (again), or the next one goes."""
    room, model, known = WaitingRoom(), dict[RequestId, Waiter](), list[Waiter]()
    for step in steps:
        if isinstance(step, tuple):
            known.append(waiter(*step))
            model[known[-1].id] = known[-1]
            room.join(known[-1])
        elif step is None:
            for one in room.drain(lambda _: True):
                del model[one.id]
                break
        elif step < len(known):
            assert room.leave(known[step].id) is model.pop(known[step].id, None)
        assert (room.waiters, len(room)) == (model, len(model))
        assert room.tokens == sum(one.cost.tokens for one in model.values())
        for tenant in "abc":
            assert room.waiting_of(TenantId(tenant)) == sum(one.query.tenant == tenant for one in model.values())


@given(st.lists(st.tuples(TOKENS, TOKENS), min_size=20, max_size=60), WEIGHTS, st.integers(0, 8))
def test_real_service_of_two_who_always_wait_stays_within_a_few_requests(
    requests: list[tuple[int, int]], weights: dict[str, float], running: int
) -> None:
    """The bound of VTC: of two that always wait, weighted service differs by one request; here also those that run."""
    room = room_of((waiter(tenant, reserved) for reserved, _ in requests for tenant in "ab"), weights)
    used = {one.id: requests[index // 2][1] for index, one in enumerate(room.waiters.values())}
    served, unsettled = Counter[str](), deque[Waiter]()
    for one in room.drain(lambda _: True):
        if not all(room.waiting_of(TenantId(tenant)) for tenant in "ab"):
            break
        served[one.query.tenant] += used[one.id]
        unsettled.append(one)
        while len(unsettled) > running:
            ended = unsettled.popleft()
            room.adjust(ended.id, used[ended.id])
        gap = abs(served["a"] / weights["a"] - served["b"] / weights["b"])
        assert gap <= 500 * (1 + running) / min(weights["a"], weights["b"]) + 1e-6


@given(
    st.lists(TOKENS, min_size=1, max_size=4),
    st.lists(st.tuples(TENANTS, st.integers(100, 500)), min_size=1, max_size=4),
)
def test_no_class_and_no_tenant_starves(patient: list[int], busy: list[tuple[str, int]]) -> None:
    """However many come to the urgent class, a batch request goes once they were served its tokens times the ratio."""
    room = room_of(waiter("patient", tokens, "batch") for tokens in patient)
    first, served = patient[0] * CLASS_WEIGHTS["interactive"], 0
    for tenant, tokens in _for_ever(busy):
        room.join(waiter(tenant, tokens))
        one = next_one(room)
        if one.query.tenant == "patient":
            break
        served += one.cost.tokens
        assert served <= first + 500


@given(st.lists(st.tuples(TENANTS, TOKENS), min_size=1, max_size=60))
def test_of_many_light_tenants_each_goes_within_a_round(arrivals: list[tuple[str, int]]) -> None:
    room = room_of(waiter(tenant, tokens) for tenant, tokens in arrivals)
    for _ in range(500):
        room.join(waiter("heavy", 500))
    gone = tenants_in_turn(room, len({tenant for tenant, _ in arrivals}) + 1)
    assert {*gone} == {tenant for tenant, _ in arrivals} | {"heavy"}


def tenants_in_turn(room: WaitingRoom, turns: int) -> list[str]:
    return [next_one(room).query.tenant for _ in range(turns)]


def _serve_some(room: WaitingRoom, used: list[int]) -> None:
    for tokens, one in zip(used, room.drain(lambda _: True), strict=False):
        room.adjust(one.id, tokens)


def _for_ever(requests: list[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    while True:
        yield from requests
