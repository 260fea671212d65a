"""API keys: who calls, and what the caller may do.

A key is ``sk-<prefix>_<secret>``. Redis holds its HMAC-SHA-256 under a server-side pepper, found by the prefix; the key
itself is shown once. An unknown prefix costs the same comparison as a wrong secret, so timing tells nothing.

An address that sends many wrong keys is answered without a look into Redis until it has waited. A key that was right
here before is looked up all the same: the address may be a proxy's, and others' mistakes are not its owner's.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, get_args

from redis.asyncio import Redis

from access.addresses import Network, Origin, WrongKeys, address_of
from contracts import keys
from contracts.errors import CallerError, LimitExceeded, NotFound
from contracts.ids import TenantId, is_name

Scope = Literal["inference", "knowledge", "push", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
CACHE_LIFE = timedelta(seconds=5)
WRONG_KEYS_PER_MINUTE = 30
_CACHE_SIZE = 10_000
_READ_AT_ONCE = 500
_LONGEST_KEY = 512
_SHAPE = re.compile(r"sk-([0-9a-zA-Z]{8,32})_[0-9A-Za-z_-]{20,128}")


class Unauthenticated(CallerError):
    default_code = "invalid_api_key"


class WrongKey(Unauthenticated):
    """A key that is nobody's, as opposed to none at all or one that has expired."""


class TooManyWrongKeys(LimitExceeded):
    default_code = "too_many_wrong_keys"


class Forbidden(CallerError):
    default_code = "insufficient_scope"


@dataclass(frozen=True)
class Caller:
    """Who sent a request, by a verified key and nothing else. ``key`` is its prefix; ``user`` may be bound to it."""

    tenant: TenantId
    key: str
    scopes: frozenset[str]
    user: str = ""

    def require(self, scope: Scope) -> None:
        """Raises ``Forbidden`` unless the key has ``scope``."""
        if scope not in self.scopes:
            raise Forbidden(f"This API key lacks the scope '{scope}'. Create one that has it with POST /admin/keys.")


@dataclass(frozen=True)
class StoredKey:
    """What may be shown of a key. ``expires_at`` is Unix seconds, 0 for never."""

    prefix: str
    name: str
    tenant: str
    user: str
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float


class KeyRing:
    """All API keys. A verified key is believed for ``cache_life``, so a revocation takes at most that long.

    ``trusted_proxies`` are believed when they say whom they speak for.
    """

    def __init__(
        self,
        redis: Redis,
        pepper: str,
        trusted_proxies: Sequence[Network] = (),
        cache_life: timedelta = CACHE_LIFE,
    ):
        self._redis = redis
        self._pepper = pepper.encode()
        self._trusted_proxies = trusted_proxies
        self._cache_life = cache_life.total_seconds()
        self._verified: dict[str, tuple[float, Caller]] = {}
        self._wrong_keys = WrongKeys(WRONG_KEYS_PER_MINUTE)

    async def authenticate(self, authorization: str | None, origin: Origin) -> Caller:
        """The caller behind an ``Authorization: Bearer …`` header.

        Raises:
            Unauthenticated: no key, or not a valid one.
            TooManyWrongKeys: this one is not known here, and too many that were wrong came from where it came from.
        """
        key = _bearer(authorization)
        digest = self._digest(key)
        known = self._verified.get(digest)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        address = address_of(origin, self._trusted_proxies)
        if known is None:
            self._refuse_guessing(address)
        try:
            caller = await self._verify(key, digest)
        except WrongKey:
            self._verified.pop(digest, None)
            self._wrong_keys.count(address, time.monotonic())
            raise
        self._believe(digest, caller)
        return caller

    async def create(
        self, name: str, tenant: str, scopes: Sequence[str], *, user: str = "", expires_at: float = 0.0, key: str = ""
    ) -> tuple[str, StoredKey]:
        """A new key and what is stored of it. ``key`` is given for one that was chosen elsewhere.

        Raises:
            CallerError: an unknown scope or a bad tenant name.
        """
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise CallerError(f"Scopes are {', '.join(SCOPES)}; got {', '.join(unknown) or 'none'}.", param="scopes")
        if not is_name(tenant):
            raise CallerError("A tenant is named by letters, digits, '.', '_' and '-', at most 64.", param="tenant")
        key = key or f"sk-{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"
        stored = StoredKey(_prefix(key, self._digest(key)), name, tenant, user, tuple(scopes), time.time(), expires_at)
        await self._store(stored, self._digest(key))
        return key, stored

    async def list(self) -> list[StoredKey]:
        """All keys, without their secrets."""
        raw: Any = await self._redis.smembers(keys.api_keys())
        prefixes: list[str] = sorted(prefix.decode() for prefix in raw)
        rows: list[Any] = []
        for first in range(0, len(prefixes), _READ_AT_ONCE):
            async with self._redis.pipeline(transaction=False) as pipe:
                for prefix in prefixes[first : first + _READ_AT_ONCE]:
                    pipe.hgetall(keys.api_key(prefix))
                rows += await pipe.execute()
        return [_stored(prefix, row) for prefix, row in zip(prefixes, rows, strict=True) if row]

    async def revoke(self, prefix: str) -> None:
        """Make a key invalid, everywhere within ``cache_life``.

        Raises:
            NotFound: no key has this prefix.
        """
        await self._redis.srem(keys.api_keys(), prefix)
        self._verified.clear()
        if not await self._redis.delete(keys.api_key(prefix)):
            raise NotFound(f"No API key with prefix '{prefix}'.", code="key_not_found", param="prefix")

    def _refuse_guessing(self, address: str) -> None:
        wait = self._wrong_keys.wait_seconds(address, time.monotonic())
        if wait > 0:
            message = f"Too many wrong API keys came from your address. Try again in {wait:.1f} s."
            raise TooManyWrongKeys(message, retry_after_seconds=wait)

    def _believe(self, digest: str, caller: Caller) -> None:
        if len(self._verified) >= _CACHE_SIZE:
            self._verified.clear()
        self._verified[digest] = (time.monotonic() + self._cache_life, caller)

    async def _verify(self, key: str, digest: str) -> Caller:
        row: Any = await self._redis.hgetall(keys.api_key(_prefix(key, digest)))
        matches = hmac.compare_digest(row.get(b"digest", b"0" * 64), digest.encode())
        if not row or not matches:
            raise WrongKey("Incorrect API key. Use a key made with POST /admin/keys, or the one 'make up' printed.")
        stored = _stored(_prefix(key, digest), row)
        if stored.expires_at and stored.expires_at < time.time():
            raise Unauthenticated(
                "This API key has expired. Create a new one with POST /admin/keys.", code="expired_api_key"
            )
        return Caller(TenantId(stored.tenant), stored.prefix, frozenset(stored.scopes), stored.user)

    async def _store(self, stored: StoredKey, digest: str) -> None:
        fields: dict[Any, Any] = {
            "digest": digest,
            "name": stored.name,
            "tenant": stored.tenant,
            "user": stored.user,
            "scopes": " ".join(stored.scopes),
            "created_at": stored.created_at,
            "expires_at": stored.expires_at,
        }
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hset(keys.api_key(stored.prefix), mapping=fields)
            pipe.sadd(keys.api_keys(), stored.prefix)
            if stored.expires_at:
                pipe.expireat(keys.api_key(stored.prefix), int(stored.expires_at) + 86400)
            await pipe.execute()

    def _digest(self, key: str) -> str:
        return hmac.digest(self._pepper, key.encode("utf-8", "surrogatepass"), "sha256").hex()


def _bearer(authorization: str | None) -> str:
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthenticated("No API key. Send it as 'Authorization: Bearer sk-…'.", code="missing_api_key")
    if len(key) > _LONGEST_KEY:
        raise Unauthenticated("This is no API key: it is too long.")
    return key.strip()


def _prefix(key: str, digest: str) -> str:
    """The part of a key that finds it. A key chosen by hand (``PENSTOCK_API_KEY``) has none: its hash finds it."""
    match = _SHAPE.fullmatch(key)
    return match[1] if match else digest[:32]


def _stored(prefix: str, row: dict[bytes, bytes]) -> StoredKey:
    def text(name: bytes) -> str:
        return row.get(name, b"").decode()

    return StoredKey(
        prefix=prefix,
        name=text(b"name"),
        tenant=text(b"tenant"),
        user=text(b"user"),
        scopes=tuple(text(b"scopes").split()),
        created_at=float(text(b"created_at") or 0),
        expires_at=float(text(b"expires_at") or 0),
    )
