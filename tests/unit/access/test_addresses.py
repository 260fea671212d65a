"""Where requests come from, and how long an address waits that sent wrong keys."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access.addresses import Origin, WrongKeys, address_of

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def test_without_a_proxy_it_is_the_peers() -> None:
    assert address_of(Origin("203.0.113.7"), PROXIES) == "203.0.113.7"


def test_a_strangers_word_for_another_address_is_not_believed() -> None:
    assert address_of(Origin("203.0.113.7", ["198.51.100.1"]), PROXIES) == "203.0.113.7"


def test_a_trusted_proxy_is_believed() -> None:
    assert address_of(Origin("10.0.0.1", ["203.0.113.7"]), PROXIES) == "203.0.113.7"


def test_what_a_client_wrote_itself_stands_left_of_it_and_is_passed_over() -> None:
    assert address_of(Origin("10.0.0.1", ["198.51.100.1, 203.0.113.7, 10.2.2.2"]), PROXIES) == "203.0.113.7"


def test_the_last_of_several_headers_is_the_nearest() -> None:
    assert address_of(Origin("10.0.0.1", ["198.51.100.1", "203.0.113.7"]), PROXIES) == "203.0.113.7"


@pytest.mark.parametrize("hop", ["203.0.113.7:4711", " 203.0.113.7 ", "::ffff:203.0.113.7", "[::ffff:203.0.113.7]:80"])
def test_a_hop_may_be_written_in_several_ways(hop: str) -> None:
    assert address_of(Origin("10.0.0.1", [hop]), PROXIES) == "203.0.113.7"


def test_an_ipv6_client_is_its_whole_network() -> None:
    hops = ("2001:db8::1", "2001:db8::ffff:2", "[2001:db8:0:0:7::1]:443")
    assert {address_of(Origin("fd00::1", [hop]), PROXIES) for hop in hops} == {"2001:db8::/64"}


@pytest.mark.parametrize("hop", ["", "unknown", "_hidden", "300.1.1.1", "10.0.0.1:80:80"])
def test_a_hop_that_is_no_address_is_the_proxys(hop: str) -> None:
    assert address_of(Origin("10.0.0.1", [f"203.0.113.7, {hop}"]), PROXIES) == "10.0.0.1"


def test_where_every_hop_is_a_proxy_it_is_the_furthest() -> None:
    assert address_of(Origin("10.0.0.1", ["10.0.0.3, 10.0.0.2"]), PROXIES) == "10.0.0.3"


def test_a_peer_without_an_address_is_its_name() -> None:
    assert address_of(Origin("testclient", ["203.0.113.7"]), PROXIES) == "testclient"


def test_a_few_wrong_keys_need_not_wait() -> None:
    wrong = WrongKeys(per_minute=30)
    for _ in range(29):
        wrong.count("a", now=100.0)
    assert wrong.wait_seconds("a", now=100.0) == 0


def test_many_wrong_keys_wait_for_the_next_one() -> None:
    wrong = WrongKeys(per_minute=30)
    for _ in range(30):
        wrong.count("a", now=100.0)
    assert wrong.wait_seconds("a", now=100.0) == pytest.approx(2.0)
    assert wrong.wait_seconds("a", now=102.0) == 0


def test_others_do_not_wait() -> None:
    wrong = WrongKeys(per_minute=1)
    wrong.count("a", now=0.0)
    assert wrong.wait_seconds("a", now=0.0) > 0
    assert wrong.wait_seconds("b", now=0.0) == 0


def test_after_a_minute_of_rest_all_is_forgotten() -> None:
    wrong = WrongKeys(per_minute=30)
    for _ in range(30):
        wrong.count("a", now=0.0)
    for _ in range(29):
        wrong.count("a", now=60.0)
    assert wrong.wait_seconds("a", now=60.0) == 0


def test_a_thousand_at_the_same_moment_wait_a_minute_longer_and_no_more() -> None:
    wrong = WrongKeys(per_minute=30)
    for _ in range(1000):
        wrong.count("a", now=0.0)
    assert wrong.wait_seconds("a", now=0.0) == pytest.approx(62.0)


def test_its_memory_is_bounded() -> None:
    wrong = WrongKeys(per_minute=1, most_addresses=100)
    for number in range(1000):
        wrong.count(f"address-{number}", now=0.0)
    assert [wrong.wait_seconds(f"address-{number}", now=0.0) > 0 for number in (0, 899, 900, 999)] == [
        False,
        False,
        True,
        True,
    ]


@given(st.lists(st.floats(min_value=0, max_value=300), max_size=200).map(sorted), st.integers(1, 60))
def test_whoever_waits_as_told_is_wrong_no_more_than_the_rate_allows(arrivals: list[float], per_minute: int) -> None:
    wrong, let_in = WrongKeys(per_minute), list[float]()
    for now in arrivals:
        if wrong.wait_seconds("a", now) == 0:
            wrong.count("a", now)
            let_in.append(now)
    in_a_minute = [sum(start <= now < start + 60 for now in let_in) for start in let_in]
    assert max(in_a_minute, default=0) <= 2 * per_minute
