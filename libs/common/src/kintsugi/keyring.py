"""The keys of sealed values: one random data key per subject and purpose, wrapped by the purpose's own key.

The keyring is a database of its own per country. Erasing a subject destroys its keys and leaves tombstones, so that
nothing can make them again. An unwrapped key stays in this process for at most a minute.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from kintsugi.failpoints import reach
from kintsugi.sealing import ERASED, DataKey, Erased
from kintsugi.store.pooling import reading, replace_closed

KeyName = tuple[str, str]
"""(subject, purpose), for example ("case/0b6f…", "contact")."""

CACHE_SECONDS: Final = 50.0
"""How long an unwrapped key is kept, counted from before it was read. Ten seconds less than the promised minute:
what a batch holds in its hands is used within them."""

_READ = text("""
SELECT k.subject, k.purpose, k.kid, k.wrapped
FROM unnest(CAST(:subjects AS text[]), CAST(:purposes AS text[])) AS w (subject, purpose)
JOIN keyring.data_key k ON k.subject = w.subject AND k.purpose = w.purpose
""")

# In key order, so that two processes making overlapping sets of keys cannot deadlock.
_CREATE = text("""
INSERT INTO keyring.data_key (subject, purpose, kid, wrapped)
SELECT n.subject, n.purpose, n.kid, n.wrapped
FROM unnest(CAST(:subjects AS text[]), CAST(:purposes AS text[]), CAST(:kids AS text[]), CAST(:wrapped AS bytea[]))
     AS n (subject, purpose, kid, wrapped)
ORDER BY n.subject COLLATE "C", n.purpose COLLATE "C"
ON CONFLICT (subject, purpose) DO NOTHING
RETURNING subject, purpose
""")

_ERASE = text("SELECT keyring.erase(:subject)")

_ONE_OF_EACH = text("""
SELECT g.purpose, k.subject, k.kid, k.wrapped
FROM keyring.role_purpose g
LEFT JOIN LATERAL (
    SELECT d.subject, d.kid, d.wrapped FROM keyring.data_key d
    WHERE d.purpose = g.purpose AND d.wrapped IS NOT NULL LIMIT 1
) k ON true
WHERE g.role = current_user
""")


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no usable key. It is falsy.

    `absent`: none was made yet (or none may be read). `unreadable`: a key is there, and the purpose's key-encryption
    key does not open it; it is never overwritten.
    """

    reason: Literal["absent", "unreadable"] = "absent"

    def __bool__(self) -> Literal[False]:
        return False


class KeyringError(Exception):
    """The keyring is not set up for what was asked of it. The text says what to change, and names no subject."""


class KeyringUnavailable(Exception):
    """The keyring's database did not answer: an infrastructure fault, to be tried again, never a subject's fault."""


Found = dict[KeyName, DataKey | Erased | Missing]
_Moment = tuple[float, int]


def machine_seconds() -> float:
    """Seconds of the machine's own clock. Where the system can, it goes on while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Keyring:
    """The keyring as one service sees it: only the purposes whose key-encryption keys it was given.

    `url` is an SQLAlchemy URL (postgresql+asyncpg), `keks` holds 32 bytes per purpose. It connects when first used.
    `now` is the machine clock, never the business clock.
    """

    def __init__(
        self,
        url: str,
        keks: Mapping[str, bytes],
        *,
        cache_size: int = 5_000,
        cache_seconds: float = CACHE_SECONDS,
        now: Callable[[], float] = machine_seconds,
    ) -> None:
        if not 0 <= cache_seconds <= 60:
            raise KeyringError("cache_seconds must be at most 60: an erasure is promised to act within a minute")
        for purpose, kek in keks.items():
            if len(kek) != 32:
                raise KeyringError(f"the key-encryption key of {purpose} has {len(kek)} bytes: give one of 32")
        self._keks = {str(purpose): AESGCM(kek) for purpose, kek in keks.items()}
        self._cache = _Cache(cache_size, cache_seconds, now)
        self._engine = create_async_engine(
            url,
            pool_size=4,
            max_overflow=0,
            pool_timeout=10,
            pool_use_lifo=True,
            hide_parameters=True,
            connect_args={
                "timeout": 5,
                "command_timeout": 10,
                "server_settings": {
                    "application_name": "kintsugi-keyring",
                    # A key must survive a crash of the server: what it sealed would else be lost for ever.
                    "synchronous_commit": "on",
                    "idle_in_transaction_session_timeout": "10s",
                },
            },
        )
        replace_closed(self._engine)
        self._reading = reading(self._engine)

    @property
    def purposes(self) -> frozenset[str]:
        """The purposes it can open."""
        return frozenset(self._keks)

    async def fetch(self, wanted: Iterable[KeyName], create: AbstractSet[KeyName] = frozenset()) -> Found:
        """The key of everything in `wanted` and `create`; what is in `create` and absent is made and committed first.

        Concurrent creators get the same key. One query reads, one more creates. Raises KeyringError for a purpose this
        service was not given, KeyringUnavailable when the database does not answer.
        """
        names = {(subject, str(purpose)) for subject, purpose in (*wanted, *create)}
        if refused := sorted({purpose for _, purpose in names} - self._keks.keys()):
            raise KeyringError(
                f"this service was given no key-encryption key for {', '.join(refused)}: grant it the purpose"
            )
        found, since = self._cache.read(names)
        if len(found) == len(names):
            return found
        read = await self._read(sorted(names - found.keys()))
        absent = sorted(
            (subject, str(purpose)) for subject, purpose in create if read.get((subject, str(purpose))) == Missing()
        )
        if absent:
            read |= await self._create(absent)
        return found | self._cache.keep(read, since)

    async def erase(self, subject: str) -> int:
        """Destroy every key of a subject, of all purposes, for ever; returns how many keys there were.

        Safe to repeat. Other processes stop opening the subject within a minute, or as soon as they `forget` it.
        """
        try:
            async with self._engine.begin() as connection:
                destroyed: int = (await connection.execute(_ERASE, {"subject": subject})).scalar_one()
        except (SQLAlchemyError, OSError) as error:
            raise _translated(error) from error
        self._cache.erased((subject, purpose) for purpose in self._keks)
        return destroyed

    def forget(self, subject: str) -> None:
        """Drop a subject's unwrapped keys from this process, so that the next use reads the keyring again."""
        self._cache.forget((subject, purpose) for purpose in self._keks)

    async def check(self) -> None:
        """Prove at start that the database grants each purpose and that each key-encryption key is the right one.

        Raises KeyringError when not: a service that went on would hold every survivor's case.
        """
        try:
            async with self._engine.connect() as connection:
                rows = (await connection.execute(_ONE_OF_EACH)).all()
        except (SQLAlchemyError, OSError) as error:
            raise _translated(error) from error
        if missing := sorted(self._keks.keys() - {row.purpose for row in rows}):
            raise KeyringError(
                f"the keyring grants this role nothing for {', '.join(missing)}: run the migration job, which grants it"
            )
        for row in rows:
            if row.kid is not None and row.purpose in self._keks:
                key = self._unwrap((row.subject, row.purpose), row.kid, row.wrapped)
                if not isinstance(key, DataKey):
                    raise KeyringError(
                        f"the key-encryption key of {row.purpose} does not open the keyring's keys: "
                        "give this service the one they were made with"
                    )

    async def aclose(self) -> None:
        """Close the connections and drop every unwrapped key."""
        self._cache.clear()
        await self._engine.dispose()

    async def _read(self, names: list[KeyName]) -> Found:
        try:
            async with self._reading.connect() as connection:
                return await self._select(connection, names)
        except (SQLAlchemyError, OSError) as error:
            raise _translated(error) from error

    async def _create(self, names: list[KeyName]) -> Found:
        made = {name: (secrets.token_urlsafe(16), os.urandom(32)) for name in names}
        rows = {
            **_columns(names),
            "kids": [kid for kid, _ in made.values()],
            "wrapped": [self._wrap(name, kid, secret) for name, (kid, secret) in made.items()],
        }
        try:
            async with self._engine.begin() as connection:
                won = {(row.subject, row.purpose) for row in await connection.execute(_CREATE, rows)}
            reach("keyring.created")
            keys: Found = {name: DataKey(*made[name]) for name in won}
            if lost := [name for name in names if name not in won]:
                async with self._reading.connect() as connection:
                    keys |= await self._select(connection, lost)
        except (SQLAlchemyError, OSError) as error:
            raise _translated(error) from error
        return keys

    async def _select(self, connection: AsyncConnection, names: list[KeyName]) -> Found:
        keys: Found = dict.fromkeys(names, Missing())
        for subject, purpose, kid, wrapped in await connection.execute(_READ, _columns(names)):
            name = (subject, purpose)
            keys[name] = ERASED if wrapped is None else self._unwrap(name, kid, wrapped)
        return keys

    def _wrap(self, name: KeyName, kid: str, secret: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._keks[name[1]].encrypt(nonce, secret, _bound(name, kid))

    def _unwrap(self, name: KeyName, kid: str, wrapped: bytes) -> DataKey | Missing:
        try:
            return DataKey(kid, self._keks[name[1]].decrypt(wrapped[:12], wrapped[12:], _bound(name, kid)))
        except (InvalidTag, ValueError):
            return Missing("unreadable")


class _Cache:
    """Unwrapped keys and tombstones for a bounded time and number, oldest first out."""

    def __init__(self, size: int, seconds: float, now: Callable[[], float]) -> None:
        self._size, self._seconds, self._now = size, seconds, now
        self._kept: dict[KeyName, tuple[DataKey | Erased, float]] = {}
        self._dropped = 0
        self._sweep: asyncio.TimerHandle | None = None

    def read(self, names: Iterable[KeyName]) -> tuple[Found, _Moment]:
        """What is still fresh of these, and the moment from which anything read now is to be counted."""
        moment = self._now()
        while self._kept and next(iter(self._kept.values()))[1] <= moment:
            del self._kept[next(iter(self._kept))]
        kept = self._kept
        found: Found = {name: kept[name][0] for name in names if name in kept and kept[name][1] > moment}
        return found, (moment, self._dropped)

    def keep(self, keys: Found, since: _Moment) -> Found:
        """Keep what was read; what was erased here meanwhile is given as erased, however the read went."""
        moment, dropped = since
        settled: Found = {}
        for name, key in keys.items():
            known = self._kept.get(name)
            settled[name] = ERASED if known and isinstance(known[0], Erased) else key
            if dropped == self._dropped and not isinstance(key, Missing):
                self._kept[name] = (key, moment + self._seconds)
        while len(self._kept) > self._size:
            del self._kept[next(iter(self._kept))]
        self._plan_sweep()
        return settled

    def erased(self, names: Iterable[KeyName]) -> None:
        self.forget(names := list(names))
        self._kept.update(dict.fromkeys(names, (ERASED, self._now() + self._seconds)))
        self._plan_sweep()

    def forget(self, names: Iterable[KeyName]) -> None:
        self._dropped += 1  # a read under way may carry what is dropped here: it is not kept
        for name in names:
            self._kept.pop(name, None)

    def clear(self) -> None:
        self._dropped += 1
        self._kept.clear()
        if self._sweep:
            self._sweep.cancel()
            self._sweep = None

    def _plan_sweep(self) -> None:
        """An idle process must not keep keys in memory until somebody asks for one."""
        if self._kept and self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(self._seconds, self._swept)

    def _swept(self) -> None:
        self._sweep = None
        moment = self._now()
        self._kept = {name: entry for name, entry in self._kept.items() if entry[1] > moment}
        self._plan_sweep()


def _columns(names: list[KeyName]) -> dict[str, Any]:
    return {"subjects": [subject for subject, _ in names], "purposes": [purpose for _, purpose in names]}


def _bound(name: KeyName, kid: str) -> bytes:
    """A wrapped key moved to another subject or purpose does not open."""
    return "|".join(("kintsugi-keyring/1", *name, kid)).encode()


def _translated(error: Exception) -> Exception:
    state = getattr(getattr(error, "orig", None), "sqlstate", None) if isinstance(error, DBAPIError) else None
    if isinstance(state, str) and state in ("42501", "42P01", "3F000", "42883"):
        return KeyringError(f"the keyring's database refuses this role (SQLSTATE {state}): run the migration job")
    if isinstance(error, DBAPIError | PoolTimeout | OSError):
        return KeyringUnavailable(f"the keyring's database does not answer (SQLSTATE {state or 'none'})")
    return error
