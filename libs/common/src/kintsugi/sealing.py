"""Seal personal values so that an event can stay in a log for ever while the person can still be forgotten.

A sealed value is AES-256-GCM over one JSON object under the data key of (subject, purpose). The associated data binds
it to its event, subject and purpose: moved anywhere else it does not open. The format, with test vectors for other
languages, is in contracts/sealing.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from typing import Final, Literal, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import BaseModel

BLOCK: Final = 256
"""Plaintext is padded with spaces to a multiple of this many bytes, so that a length says little."""

_NONCE, _TAG = 12, 16
_KEY = 32
_FIELD = re.compile(r"[!-{}~]{1,200}")  # printable ASCII without "|", which separates the fields of the AAD
_FIELDS = re.compile(r"[!-{}~]{1,200}(?:\|[!-{}~]{1,200}){5}")
_CANONICAL_ENDS = {2: "AQgw", 3: "AEIMQUYcgkosw048"}  # by length modulo 4; the unused low bits must be zero

SealFault = Literal["field_refused", "kid_mismatch", "malformed", "not_authentic"]


class SealError(Exception):
    """A value could not be sealed or opened. The text names the fault and the purpose, never a value.

    `code`: `field_refused` (a key or a field of the associated data is unusable), `kid_mismatch` (sealed under another
    key), `malformed` (not the format), `not_authentic` (altered, or moved from another event, subject or purpose).
    """

    def __init__(self, code: SealFault, explanation: str) -> None:
        super().__init__(f"{code}: {explanation}")
        self.code: SealFault = code


class Erased:
    """What opening gives once the key was destroyed: a value, not an error, so that replays go on. It is falsy."""

    __slots__ = ()

    def __bool__(self) -> Literal[False]:
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Erased)

    def __hash__(self) -> int:
        return hash(Erased)

    def __repr__(self) -> str:
        return "Erased()"


ERASED: Final = Erased()


class DataKey:
    """The unwrapped key of one (subject, purpose). Its text form shows the key's id only.

    `kid` travels with what it sealed; `secret` is 32 random bytes.
    """

    __slots__ = ("_aead", "kid")

    kid: str

    def __init__(self, kid: str, secret: bytes) -> None:
        if len(secret) != _KEY:
            raise SealError("field_refused", f"a data key has {_KEY} bytes, not {len(secret)}")
        self.kid = kid
        self._aead = AESGCM(secret)

    def __repr__(self) -> str:
        return f"DataKey(kid={self.kid!r})"

    def __reduce__(self) -> str:
        raise TypeError("a data key stays in the memory of its process: it cannot be pickled or copied")


class SealedValue(Protocol):
    """What `unseal` needs: the wire form with its origin, as `kintsugi_contracts.base.Sealed` has it."""

    @property
    def kid(self) -> str: ...
    @property
    def ct(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...


def seal(
    plaintext: BaseModel | bytes, *, key: DataKey, source: str, id: str, type: str, subject: str, purpose: str
) -> dict[str, str]:
    """Seal one JSON object for one event; returns its wire form, `{"kid", "ct"}`.

    A model is written as JSON without its absent fields; bytes must be UTF-8 JSON already. `source`, `id`, `type` and
    `subject` are those of the event that will carry the value. Raises SealError(`field_refused`).
    """
    aad = _associated(source, id, type, subject, purpose, key.kid)
    nonce = os.urandom(_NONCE)
    return {"kid": key.kid, "ct": _text(nonce + key._aead.encrypt(nonce, _padded(plaintext), aad))}


def unseal(sealed: SealedValue, key: DataKey, subject: str, purpose: str) -> bytes:
    """The UTF-8 JSON that was sealed, without its padding.

    Raises SealError when the value was sealed under another key, altered, or moved from another event, subject or
    purpose.
    """
    if sealed.kid != key.kid:
        raise SealError("kid_mismatch", f"the value of purpose '{purpose}' was sealed under another key of the subject")
    aad = _associated(sealed.source, sealed.id, sealed.type, subject, purpose, sealed.kid)
    raw = _bytes(sealed.ct, purpose)
    try:
        padded = key._aead.decrypt(raw[:_NONCE], raw[_NONCE:], aad)
    except InvalidTag:
        raise SealError(
            "not_authentic",
            f"the value of purpose '{purpose}' was altered, or sealed for another event, subject or purpose",
        ) from None
    return padded.rstrip(b" ")


def _padded(plaintext: BaseModel | bytes) -> bytes:
    if isinstance(plaintext, BaseModel):
        plaintext = plaintext.model_dump_json(exclude_none=True, by_alias=True, context={"reveal": True}).encode()
    if not plaintext.endswith(b"}"):
        raise SealError("malformed", "what is sealed is one JSON object, without anything after its last brace")
    return plaintext + b" " * (-len(plaintext) % BLOCK)


def _associated(*fields: str) -> bytes:
    joined = "|".join(fields)
    if not _FIELDS.fullmatch(joined):
        for name, field in zip(("source", "id", "type", "subject", "purpose", "kid"), fields, strict=True):
            if not _FIELD.fullmatch(field):
                raise SealError(
                    "field_refused",
                    f"{name} is empty, longer than 200, or has a character outside printable ASCII or '|': "
                    "check the envelope's origin",
                )
    return b"kintsugi/1|" + joined.encode()


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str, purpose: str) -> bytes:
    """Canonical base64url only: of two texts for the same bytes one would pass as a different value."""
    rest = len(text) % 4
    try:
        if "+" in text or "/" in text or "=" in text or (rest and text[-1] not in _CANONICAL_ENDS.get(rest, "")):
            raise NotBase64
        raw = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise SealError("malformed", f"ct of purpose '{purpose}' is not base64url without padding") from None
    if len(raw) < _NONCE + BLOCK + _TAG or (len(raw) - _NONCE - _TAG) % BLOCK:
        raise SealError("malformed", f"ct of purpose '{purpose}' has {len(raw)} bytes: no padded value has that length")
    return raw
