"""Who is let in: the attacks on tokens and links, each refused with its code."""

import base64
import hashlib
import hmac
import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from fastapi import Depends, FastAPI
from kintsugi.auth import (
    AUDIENCE,
    AuthError,
    Caller,
    LinkError,
    LinkSigner,
    Verifier,
    generate_keypair,
    issue,
    issuer_of,
    key_id,
    require,
)
from kintsugi.http import problems

HOUR = timedelta(hours=1)
NOW = datetime(2030, 3, 4, 10, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    pair = generate_keypair(tmp_path_factory.mktemp("keys"))
    return pair.private.read_bytes(), pair.public.read_bytes()


@pytest.fixture(scope="module")
def verifier(keys: tuple[bytes, bytes]) -> Verifier:
    return Verifier(keys[1], issuer_of("xa"), country="xa")


Forge = Callable[..., str]


@pytest.fixture(scope="module")
def forge(keys: tuple[bytes, bytes]) -> Forge:
    """A token signed with the right key, with changed claims and headers; a claim set to None is left out."""
    private = load_pem_private_key(keys[0], None)
    assert isinstance(private, ed25519.Ed25519PrivateKey)

    def token(headers: dict[str, Any] | None = None, **changes: Any) -> str:
        now = datetime.now(UTC)
        claims = {
            "iss": issuer_of("xa"),
            "aud": AUDIENCE,
            "sub": "staff-7",
            "roles": ["caseworker"],
            "country": "xa",
            "iat": now,
            "exp": now + HOUR,
        } | changes
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(
            kept, private, algorithm="EdDSA", headers={"kid": key_id(private.public_key())} | (headers or {})
        )

    return token


def refused(verifier: Verifier, token: str) -> str:
    with pytest.raises(AuthError) as error:
        verifier.verify(token)
    assert error.value.status == 401
    return error.value.code


def segment(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_of_the_office_names_its_caller(keys: tuple[bytes, bytes], verifier: Verifier) -> None:
    assert verifier.verify(issue(keys[0], "supervisor", "staff-1", HOUR, "xa")) == Caller(
        "staff-1", frozenset({"supervisor"}), "xa"
    )


@pytest.mark.parametrize("alg", ["none", "None", "NONE", ""])
def test_a_token_without_a_signature_is_refused(verifier: Verifier, forge: Forge, alg: str) -> None:
    header, payload, _ = forge().split(".")
    kid = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]
    assert refused(verifier, f"{segment({'alg': alg, 'typ': 'JWT', 'kid': kid})}.{payload}.") == "algorithm_refused"


def test_the_public_key_used_as_an_hmac_secret_is_refused(
    keys: tuple[bytes, bytes], verifier: Verifier, forge: Forge
) -> None:
    header, payload, _ = forge().split(".")
    kid = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]
    signed = f"{segment({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{payload}"
    mac = hmac.new(keys[1], signed.encode(), hashlib.sha256).digest()
    token = f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    assert refused(verifier, token) == "algorithm_refused"


def test_another_signature_algorithm_is_refused(verifier: Verifier) -> None:
    assert refused(verifier, jwt.encode({"sub": "x"}, ec.generate_private_key(ec.SECP256R1()), "ES256")) == (
        "algorithm_refused"
    )


def test_a_token_of_another_ed25519_key_is_refused_even_under_the_pinned_kid(verifier: Verifier, forge: Forge) -> None:
    pinned = jwt.get_unverified_header(forge())["kid"]
    stranger = ed25519.Ed25519PrivateKey.generate()
    claims = jwt.decode(forge(), options={"verify_signature": False})
    assert refused(verifier, jwt.encode(claims, stranger, "EdDSA", headers={"kid": pinned})) == "signature_invalid"
    own = jwt.encode(claims, stranger, "EdDSA", headers={"kid": key_id(stranger.public_key())})
    assert refused(verifier, own) == "key_unknown"


@pytest.mark.parametrize("kid", ["../../../../dev/null", "/etc/passwd", "k' OR '1'='1", "file:///dev/null", ""])
def test_a_kid_is_compared_and_never_looked_up(verifier: Verifier, forge: Forge, kid: str) -> None:
    assert refused(verifier, forge({"kid": kid})) == "key_unknown"


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://elsewhere.example/keys"},
        {"jwk": {"kty": "OKP"}},
        {"x5u": "https://x.example"},
        {"crit": ["exp"]},
    ],
    ids=lambda header: next(iter(header)),
)
def test_a_header_that_brings_its_own_key_is_refused(verifier: Verifier, forge: Forge, header: dict[str, Any]) -> None:
    assert refused(verifier, forge(header)) == "token_malformed"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aud": None}, "claim_missing"),
        ({"aud": "elsewhere"}, "audience_wrong"),
        ({"aud": [AUDIENCE, "elsewhere"]}, "audience_wrong"),
        ({"iss": None}, "claim_missing"),
        ({"iss": issuer_of("xb")}, "issuer_wrong"),
        ({"exp": None}, "claim_missing"),
        ({"exp": datetime.now(UTC) - HOUR}, "token_expired"),
        ({"exp": "never"}, "token_malformed"),
        ({"iat": datetime.now(UTC) + HOUR}, "token_not_yet_valid"),
        ({"nbf": datetime.now(UTC) + HOUR}, "token_not_yet_valid"),
        ({"sub": None}, "claim_missing"),
        ({"sub": ""}, "claim_invalid"),
        ({"sub": "two words"}, "claim_invalid"),
        ({"roles": None}, "claim_missing"),
        ({"roles": []}, "claim_invalid"),
        ({"roles": ["root"]}, "claim_invalid"),
        ({"roles": "operator"}, "claim_invalid"),
        ({"roles": [["operator"]]}, "claim_invalid"),
        ({"country": None}, "claim_missing"),
        ({"country": "xb"}, "country_wrong"),
        ({"country": "../xa"}, "claim_invalid"),
    ],
)
def test_a_well_signed_token_with_wrong_claims_is_refused(
    verifier: Verifier, forge: Forge, changes: dict[str, Any], code: str
) -> None:
    assert refused(verifier, forge(**changes)) == code


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "é.é.é", "....", "A" * 5000])
def test_what_is_no_token_is_refused(verifier: Verifier, token: str) -> None:
    assert refused(verifier, token) == "token_malformed"


def test_an_altered_claim_breaks_the_signature(verifier: Verifier, forge: Forge) -> None:
    header, payload, signature = forge().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert refused(verifier, f"{header}.{segment(claims | {'roles': ['operator']})}.{signature}") == "signature_invalid"


@pytest.mark.parametrize(
    ("role", "subject", "ttl", "country"),
    [
        ("root", "s", HOUR, "xa"),
        ("operator", "a b", HOUR, "xa"),
        ("operator", "s", timedelta(0), "xa"),
        ("operator", "s", HOUR, "XA"),
    ],
)
def test_a_token_that_would_not_verify_is_not_issued(
    keys: tuple[bytes, bytes], role: str, subject: str, ttl: timedelta, country: str
) -> None:
    with pytest.raises(ValueError, match=r"role|staff id|valid for|country"):
        issue(keys[0], role, subject, ttl, country)


def test_a_key_pair_is_private_and_made_once(tmp_path: Path) -> None:
    pair = generate_keypair(tmp_path / "keys")
    assert stat.S_IMODE(pair.private.stat().st_mode) == 0o600
    before = pair.private.read_bytes(), pair.public.read_bytes()
    pair.public.unlink()
    assert generate_keypair(tmp_path / "keys") == pair
    assert (pair.private.read_bytes(), pair.public.read_bytes()) == before


def test_a_verifier_takes_no_other_kind_of_key() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ValueError, match="not an Ed25519 key"):
        Verifier(pem, issuer_of("xa"))
    with pytest.raises(ValueError, match="not an Ed25519 key"):
        issue(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "operator", "s", HOUR, "xa")


@pytest.fixture
def app(verifier: Verifier) -> FastAPI:
    app = FastAPI()
    app.state.verifier = verifier
    problems.install(app)

    @app.get("/held")
    async def held(caller: Annotated[Caller, Depends(require("operator", "supervisor"))]) -> dict[str, str]:
        return {"sub": caller.sub}

    @app.get("/any")
    async def any_role(caller: Annotated[Caller, Depends(require())]) -> dict[str, str]:
        return {"sub": caller.sub}

    return app


async def get(app: FastAPI, path: str, header: str | None) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://office") as client:
        return await client.get(path, headers={"Authorization": header} if header is not None else {})


async def test_the_dependency_gives_the_caller_of_a_role_it_takes(app: FastAPI, forge: Forge) -> None:
    answer = await get(app, "/held", f"Bearer {forge(roles=['caseworker', 'operator'])}")
    assert (answer.status_code, answer.json()) == (200, {"sub": "staff-7"})
    assert (await get(app, "/any", f"Bearer {forge()}")).status_code == 200


async def test_a_role_that_is_not_enough_is_a_403_problem(app: FastAPI, forge: Forge) -> None:
    answer = await get(app, "/held", f"Bearer {forge()}")
    assert (answer.status_code, answer.json()["code"]) == (403, "role_missing")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic c3RhZmY6cHc="])
async def test_a_request_without_a_token_is_a_401_problem(app: FastAPI, header: str | None) -> None:
    answer = await get(app, "/any", header)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_refused_token_is_not_repeated_in_the_answer(app: FastAPI) -> None:
    answer = await get(app, "/any", "Bearer canary.token.value")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_malformed")
    assert "canary" not in answer.text


def test_a_role_that_does_not_exist_cannot_be_required() -> None:
    with pytest.raises(ValueError, match="no such role: admin"):
        require("admin")


SIGNER = LinkSigner(bytes(range(32)))
CASE = "case/0b6f3e0a-58b1-4c58-9d0e-6f5a2f0a9c11"


def link(expires: datetime = NOW + HOUR, signer: LinkSigner = SIGNER) -> str:
    return signer.sign("provider_answer", "referral-1", CASE, "harbour-house", "jti-1", expires)


def test_a_link_tells_its_provider_what_was_signed() -> None:
    claims = SIGNER.verify(link(), "provider_answer", NOW)
    assert (claims.referral_id, claims.subject, claims.agency, claims.jti) == (
        "referral-1",
        CASE,
        "harbour-house",
        "jti-1",
    )
    assert claims.expires == NOW + HOUR


def test_a_link_ends_at_its_expiry_by_the_clock_it_is_given() -> None:
    assert SIGNER.verify(link(), "provider_answer", NOW + HOUR - timedelta(seconds=1))
    with pytest.raises(LinkError) as error:
        SIGNER.verify(link(), "provider_answer", NOW + HOUR)
    assert (error.value.code, error.value.status) == ("link_expired", 410)


def test_a_link_serves_one_purpose() -> None:
    with pytest.raises(LinkError, match="link_invalid"):
        SIGNER.verify(link(), "withdraw_consent", NOW)


def test_a_link_of_another_key_is_invalid() -> None:
    with pytest.raises(LinkError, match="link_invalid"):
        SIGNER.verify(link(signer=LinkSigner(bytes(32))), "provider_answer", NOW)


def test_every_altered_character_makes_a_link_invalid() -> None:
    token = link()
    for position in range(len(token) - 1):
        altered = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        with pytest.raises(LinkError, match="link_invalid"):
            SIGNER.verify(altered, "provider_answer", NOW)


@pytest.mark.parametrize("token", ["", "A", "a b", "../..", "=" * 8, "é", "A" * 5000])
def test_what_is_no_link_is_invalid(token: str) -> None:
    with pytest.raises(LinkError, match="link_invalid"):
        SIGNER.verify(token, "provider_answer", NOW)


def test_a_link_shows_neither_case_nor_agency_and_is_the_same_when_sent_again() -> None:
    token = link()
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert b"case" not in raw
    assert b"harbour" not in raw
    assert token == link()


def test_a_link_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        LinkSigner(bytes(31))
