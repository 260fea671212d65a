"""Where requests come from, and how many wrong API keys an address may send. Pure: time is a parameter.

A wrong key costs a look into Redis, so an address that keeps sending them has to wait. A proxy's address is that of
many callers: keys that were right here before are not kept waiting with the others (see ``auth``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

IPV6_PREFIX = 64
"""An IPv6 client has a network of this size to itself, so that is what counts as one address."""
DEBT_SECONDS = 60.0
"""The longest wait that wrong keys sent at the same time add up to."""


@dataclass(frozen=True)
class Origin:
    """The other end of a connection, and the ``X-Forwarded-For`` headers that came over it, in their order."""

    peer: str
    forwarded: Sequence[str] = ()


def address_of(origin: Origin, trusted: Sequence[Network]) -> str:
    """The address a request came from: the nearest hop that is no trusted proxy.

    What stands left of that hop is its own word and proves nothing. A hop that is no address ends the way too.
    """
    hops = [hop for header in origin.forwarded for hop in header.split(",")]
    found = _parsed(origin.peer)
    while found is not None and hops and any(found in network for network in trusted):
        before = _parsed(hops.pop())
        if before is None:
            break
        found = before
    return origin.peer if found is None else _name(found)


class WrongKeys:
    """How often each address was wrong of late. Each may be ``per_minute`` times at once, then as often a minute.

    One moment an address is all that is kept: when its wrong keys will be forgotten (the generic cell rate algorithm).
    Beyond ``most_addresses`` those that were wrong least recently are forgotten early.
    """

    def __init__(self, per_minute: int, most_addresses: int = 10_000):
        self._apart = 60.0 / per_minute
        self._most_addresses = most_addresses
        self._forgotten_at: dict[str, float] = {}

    def count(self, address: str, now: float) -> None:
        """Another wrong key came from ``address``. ``now`` is in seconds of any clock that does not go back."""
        forgotten_at = max(now, self._forgotten_at.pop(address, now)) + self._apart
        self._forgotten_at[address] = min(forgotten_at, now + 60.0 + DEBT_SECONDS)
        if len(self._forgotten_at) > self._most_addresses:
            del self._forgotten_at[next(iter(self._forgotten_at))]

    def wait_seconds(self, address: str, now: float) -> float:
        """How long ``address`` has to wait before it may be wrong again; 0 for one that need not."""
        full_at = self._forgotten_at.get(address, now) - 60.0
        return max(0.0, full_at + self._apart - now)


def _parsed(hop: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it: bare, with a port, or in brackets."""
    text = hop.strip().removeprefix("[").partition("]")[0]
    if text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _name(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), IPV6_PREFIX), strict=False))
