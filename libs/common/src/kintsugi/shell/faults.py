"""What a failure of the database means: this data is refused, or the machinery is not there right now."""

from __future__ import annotations

import asyncio
from enum import Enum, auto

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kintsugi.keyring import KeyringUnavailable
from kintsugi.shell.core import StaleUnit, SubjectFault

_REFUSED = ("22", "23", "54")
_AWAY = ("08", "40", "53", "55", "57", "58", "25")

TRANSIENT = (KeyringUnavailable, StaleUnit)
"""Failures inside a step that are never a subject's fault."""


class Fault(Enum):
    """What to do with a transaction that failed."""

    refused = auto()
    away = auto()
    stale = auto()
    defect = auto()


def sqlstate(error: BaseException) -> str | None:
    """The five-character code of a database error, None where there is none."""
    origin: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    for each in (origin, getattr(origin, "__cause__", None)):
        code = getattr(each, "sqlstate", None) or getattr(each, "pgcode", None)
        if isinstance(code, str):
            return code
    return None


def classify(error: BaseException) -> Fault:
    """Refused: the data's fault, the batch is narrowed down. Away: back off and retry whole. Stale: read anew."""
    if isinstance(error, StaleUnit):
        return Fault.stale
    if isinstance(error, SubjectFault):
        return Fault.refused
    code = sqlstate(error)
    if code is not None:
        if code[:2] in _REFUSED:
            return Fault.refused
        return Fault.away if code[:2] in _AWAY else Fault.defect
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Fault.away
    away = (
        KeyringUnavailable,
        OSError,
        asyncio.TimeoutError,
        PoolTimeout,
        InterfaceError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        asyncpg.ConnectionDoesNotExistError,
    )
    return Fault.away if isinstance(error, away) else Fault.defect
