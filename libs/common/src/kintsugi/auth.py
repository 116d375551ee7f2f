"""Who calls: bearer tokens of staff and integrators (JWT, Ed25519), and the sealed links by which providers answer.

Only the algorithm EdDSA and one pinned key are ever accepted, whatever a token's header says.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from kintsugi.http.problems import Problem

STAFF: Final = frozenset({"caseworker", "supervisor", "operator"})
INTEGRATOR: Final = "integrator"
"""A partner with a stream of its own; the token's subject is its name in the country pack."""
ROLES: Final = STAFF | {INTEGRATOR}
AUDIENCE: Final = "kintsugi"
ALGORITHMS: Final = ["EdDSA"]

_LONGEST_TOKEN = 4096
_CLOCK_SKEW = timedelta(seconds=10)
_SUBJECT = re.compile(r"[!-~]{1,200}")
_COUNTRY = re.compile(r"[a-z]{2}")


class AuthError(Problem):
    """A request without a usable token (status 401) or without the role it needs (403).

    `code` is one of token_missing, token_malformed, algorithm_refused, key_unknown, signature_invalid, token_expired,
    token_not_yet_valid, issuer_wrong, audience_wrong, country_wrong, claim_missing, claim_invalid, role_missing.
    """

    def __init__(self, code: str) -> None:
        title, what_next = _EXPLAINED[code]
        status = 403 if code == "role_missing" else 401
        headers = {} if status == 403 else {"WWW-Authenticate": 'Bearer realm="kintsugi"'}
        super().__init__(status, code, title, what_next=what_next, headers=headers)


_ASK_AGAIN = "Ask for a new token of this country's office and send it as `Authorization: Bearer`."
_EXPLAINED: Final = {
    "token_missing": ("No bearer token was sent", _ASK_AGAIN),
    "token_malformed": ("The bearer token is not a JWT this service reads", _ASK_AGAIN),
    "algorithm_refused": ("The token is not signed with EdDSA", _ASK_AGAIN),
    "key_unknown": ("The token names a signing key this service does not trust", _ASK_AGAIN),
    "signature_invalid": ("The token's signature does not verify", _ASK_AGAIN),
    "token_expired": ("The token has expired", _ASK_AGAIN),
    "token_not_yet_valid": ("The token is not valid yet", "Check the clocks of both machines, then try again."),
    "issuer_wrong": ("The token was issued by another office", _ASK_AGAIN),
    "audience_wrong": ("The token was issued for another use", _ASK_AGAIN),
    "country_wrong": ("The token is of another country", "Use the office of the country that the token names."),
    "claim_missing": ("The token lacks a claim this service needs", _ASK_AGAIN),
    "claim_invalid": ("The token holds a claim this service cannot read", _ASK_AGAIN),
    "role_missing": ("Your role does not cover this", "Ask a colleague whose role does, or an administrator for it."),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: an opaque staff id or an integrator's name, roles out of `ROLES`, and the country."""

    sub: str
    roles: frozenset[str]
    country: str


class KeyPair(NamedTuple):
    """Where a key pair is kept."""

    private: Path
    public: Path


def generate_keypair(folder: Path) -> KeyPair:
    """Make the office's signing key in `folder`, readable by its owner only; one that is there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    pair = KeyPair(folder / "jwt-private.pem", folder / "jwt-public.pem")
    try:
        handle = os.open(pair.private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(handle, "wb") as file:
            key = Ed25519PrivateKey.generate()
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = _private(pair.private.read_bytes()).public_key()
    pair.public.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return pair


def issuer_of(country: str) -> str:
    """The `iss` of tokens that a country's office makes."""
    return f"kintsugi/{country}"


def issue(private_key: bytes, role: str, subject: str, ttl: timedelta, country: str) -> str:
    """A signed token for one member of staff or integrator, in one role.

    `private_key` is PEM, `ttl` counts by the machine clock.

    Raises ValueError for an unknown role, a country that is not two lower-case letters, or a `ttl` not above zero.
    """
    if role not in ROLES:
        raise ValueError(f"{role!r} is no role: use one of {', '.join(sorted(ROLES))}")
    if not _COUNTRY.fullmatch(country):
        raise ValueError("a country is two lower-case letters, such as xa")
    if not _SUBJECT.fullmatch(subject):
        raise ValueError("a staff id is 1 to 200 printable ASCII characters")
    if ttl <= timedelta(0):
        raise ValueError("a token must be valid for some time: give a ttl above zero")
    key = _private(private_key)
    now = datetime.now(UTC)
    claims = {
        "iss": issuer_of(country),
        "aud": AUDIENCE,
        "sub": subject,
        "roles": [role],
        "country": country,
        "iat": now,
        "exp": now + ttl,
        "jti": str(uuid.uuid4()),
    }
    return jwt.encode(claims, key, algorithm=ALGORITHMS[0], headers={"kid": key_id(key.public_key())})


def key_id(key: Ed25519PublicKey) -> str:
    """The key's JWK thumbprint (RFC 7638), the only `kid` that its verifier accepts."""
    x = urlsafe_b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).rstrip(b"=").decode()
    return (
        urlsafe_b64encode(sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()).rstrip(b"=").decode()
    )


class Verifier:
    """Checks tokens against one pinned public key (PEM). With `country`, tokens of other countries are refused."""

    def __init__(
        self, public_key_pem: bytes, issuer: str, audience: str = AUDIENCE, *, country: str | None = None
    ) -> None:
        key = load_pem_public_key(public_key_pem)
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("the public key that checks tokens is not an Ed25519 key: make the pair with the office")
        self._key, self._kid = key, key_id(key)
        self._issuer, self._audience, self._country = issuer, audience, country

    def verify(self, token: str) -> Caller:
        """The caller a token speaks for, by the machine clock. Raises AuthError with the code of what is wrong."""
        if len(token) > _LONGEST_TOKEN:
            raise AuthError("token_malformed")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise AuthError("token_malformed") from None
        if not header.keys() <= {"alg", "kid", "typ"}:
            raise AuthError("token_malformed")
        if header.get("alg") not in ALGORITHMS:
            raise AuthError("algorithm_refused")
        if header.get("kid") != self._kid:
            raise AuthError("key_unknown")
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                leeway=_CLOCK_SKEW,
                options={"require": ["iss", "aud", "sub", "iat", "exp", "roles", "country"], "strict_aud": True},
            )
        except jwt.PyJWTError as error:
            raise AuthError(_code_of(error)) from None
        return self._caller(claims)

    def _caller(self, claims: dict[str, Any]) -> Caller:
        sub, roles, country = claims["sub"], claims["roles"], claims["country"]
        if (
            not (isinstance(sub, str) and _SUBJECT.fullmatch(sub))
            or not (
                isinstance(roles, list) and roles and all(isinstance(role, str) and role in ROLES for role in roles)
            )
            or not (isinstance(country, str) and _COUNTRY.fullmatch(country))
        ):
            raise AuthError("claim_invalid")
        if self._country is not None and country != self._country:
            raise AuthError("country_wrong")
        return Caller(sub, frozenset(roles), country)


_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="A staff token (JWT, EdDSA).")


def require(*roles: str) -> Callable[..., Awaitable[Caller]]:
    """A FastAPI dependency that gives the Caller, who must have one of these roles; without roles, any of the staff's.

    The application's `Verifier` is `app.state.verifier`. Raises AuthError, which the border answers as a problem.
    """
    if unknown := set(roles) - ROLES:
        raise ValueError(f"no such role: {', '.join(sorted(unknown))}")
    wanted = frozenset(roles) or STAFF

    async def caller(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
    ) -> Caller:
        if credentials is None:
            raise AuthError("token_missing")
        verifier: Verifier = request.app.state.verifier
        found = verifier.verify(credentials.credentials)
        if found.roles.isdisjoint(wanted):
            raise AuthError("role_missing")
        return found

    return caller


class LinkError(Problem):
    """A provider's link cannot be used: `link_invalid` (404) or `link_expired` (410). It says no more than that."""

    def __init__(self, code: str) -> None:
        status, title = (410, "This link has expired") if code == "link_expired" else (404, "This link is not valid")
        super().__init__(status, code, title, what_next="Ask the office that sent it for a new one.")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a provider's link stands for. `jti` names this link, so that a service can take it once."""

    purpose: str
    referral_id: str
    subject: str
    agency: str
    jti: str
    expires: datetime


class LinkSigner:
    """Makes and opens the tokens of provider links (AES-SIV under a key derived from 32 secret bytes).

    A token is encrypted, not only signed: a link must not show the case it belongs to. It is deterministic, so that a
    mail that is sent again is the same mail.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError(f"the link key has {len(key)} bytes: give one of 32")
        self._aead = AESSIV(HKDF(SHA256(), 64, salt=None, info=b"kintsugi-link/1").derive(key))

    def sign(self, purpose: str, referral_id: str, subject: str, agency: str, jti: str, expires: datetime) -> str:
        """A URL-safe token that only `verify` with the same purpose opens. `expires` is aware, business time."""
        until = int(expires.timestamp())
        body = json.dumps([referral_id, subject, agency, jti, until], separators=(",", ":")).encode()
        return urlsafe_b64encode(self._aead.encrypt(body, [purpose.encode()])).rstrip(b"=").decode()

    def verify(self, token: str, purpose: str, now: datetime) -> Claims:
        """What the token stands for at `now` (the business clock). Raises LinkError."""
        if len(token) > _LONGEST_TOKEN or not re.fullmatch(r"[A-Za-z0-9_-]+", token):
            raise LinkError("link_invalid")
        try:
            body = self._aead.decrypt(urlsafe_b64decode(token + "=" * (-len(token) % 4)), [purpose.encode()])
        except (InvalidTag, ValueError):
            raise LinkError("link_invalid") from None
        referral_id, subject, agency, jti, until = json.loads(body)
        expires = datetime.fromtimestamp(until, UTC)
        if now >= expires:
            raise LinkError("link_expired")
        return Claims(purpose, referral_id, subject, agency, jti, expires)


def _private(pem: bytes) -> Ed25519PrivateKey:
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("the key that signs tokens is not an Ed25519 key: make the pair with the office")
    return key


def _code_of(error: jwt.PyJWTError) -> str:
    codes: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
        (jwt.ExpiredSignatureError, "token_expired"),
        (jwt.ImmatureSignatureError, "token_not_yet_valid"),
        (jwt.MissingRequiredClaimError, "claim_missing"),
        (jwt.InvalidIssuerError, "issuer_wrong"),
        (jwt.InvalidAudienceError, "audience_wrong"),
        (jwt.InvalidSignatureError, "signature_invalid"),
        (jwt.InvalidAlgorithmError, "algorithm_refused"),
        (jwt.DecodeError, "token_malformed"),
    )
    return next((code for kind, code in codes if isinstance(error, kind)), "claim_invalid")
