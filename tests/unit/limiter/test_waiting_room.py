"""Who is next: classes first, then the tenant that was served least."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import AccessId, RequestId, TenantId
from contracts.messages import AdmissionQuery, ServiceClass
from limiter.waiting_room import Waiter, WaitingRoom

ARRIVALS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 500)), max_size=40)


def waiter(name: str, tenant: str, tokens: int = 100, service_class: ServiceClass = "interactive") -> Waiter:
    query = AdmissionQuery(
        id=RequestId(name),
        access=AccessId("access-1"),
        tenant=TenantId(tenant),
        user="",
        key="",
        model="tiny",
        service_class=service_class,
        tokens=tokens,
        patience_seconds=10,
    )
    return Waiter(query, since_ms=0, until_ms=10_000, access=query.access)


def room_of(waiters: Iterable[Waiter]) -> WaitingRoom:
    room = WaitingRoom()
    for one in waiters:
        room.join(one)
    return room


def order(room: WaitingRoom) -> list[str]:
    return [one.id for one in room.drain(lambda _: True)]


def test_one_tenants_requests_go_in_the_order_they_came() -> None:
    assert order(room_of(waiter(name, "a") for name in "123")) == ["1", "2", "3"]


def test_a_heavy_tenant_does_not_stand_before_a_light_one() -> None:
    room = room_of([*(waiter(f"heavy-{n}", "heavy") for n in range(5)), waiter("light", "light")])
    assert order(room).index("light") <= 1


def test_urgent_classes_go_first() -> None:
    room = room_of([waiter("later", "a", service_class="batch"), waiter("now", "b", service_class="interactive")])
    assert order(room) == ["now", "later"]


def test_who_may_not_go_is_passed_over_and_keeps_its_place() -> None:
    room = room_of([waiter("blocked", "a"), waiter("free", "b")])
    assert [one.id for one in room.drain(lambda one: one.query.tenant == "b")] == ["free"]
    assert order(room) == ["blocked"]


def test_staying_away_saves_up_no_service() -> None:
    room = room_of(waiter(f"busy-{n}", "busy", tokens=1000) for n in range(3))
    granted = room.drain(lambda _: True)
    next(granted)
    for n in range(3):
        room.join(waiter(f"back-{n}", "back", tokens=1000))
    assert room.served[TenantId("back")] == room.served[TenantId("busy")]


@given(ARRIVALS)
def test_the_places_told_are_the_order_in_which_all_go(arrivals: list[tuple[str, int]]) -> None:
    room = room_of(waiter(str(n), tenant, tokens) for n, (tenant, tokens) in enumerate(arrivals))
    told = room.places()
    assert order(room) == sorted(told, key=lambda name: told[name].position)


@given(ARRIVALS)
def test_tokens_ahead_are_those_of_everybody_before(arrivals: list[tuple[str, int]]) -> None:
    room = room_of(waiter(str(n), tenant, tokens) for n, (tenant, tokens) in enumerate(arrivals))
    told, ahead = room.places(), 0
    for one in room.drain(lambda _: True):
        assert told[one.id].tokens_ahead == ahead
        ahead += one.query.tokens
    assert (len(room), room.tokens) == (0, 0)


@given(st.lists(st.integers(1, 500), min_size=20, max_size=60))
def test_two_tenants_who_always_wait_are_served_within_one_request_of_each_other(tokens: list[int]) -> None:
    room = room_of(waiter(f"{tenant}-{n}", tenant, cost) for n, cost in enumerate(tokens) for tenant in "ab")
    for _ in room.drain(lambda _: True):
        if room.waiting_of(TenantId("a")) and room.waiting_of(TenantId("b")):
            assert abs(room.served[TenantId("a")] - room.served[TenantId("b")]) <= max(tokens)
    assert len(room) == 0
