"""What a partner may find on its share topic, good and bad: the stream the subscribers in ``examples`` practise on."""

import base64
import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from joserfc import jwe
from joserfc.jwk import ECKey

_TYPE = "kintsugi.share.labour-registry.wage-claims.v1"
_SCHEMA = "https://schemas.kintsugi.example/share/xa/labour-registry/wage-claims/v1.schema.json"


@dataclass(frozen=True)
class Practised:
    """One record as it is produced. A ``value`` of None is a tombstone."""

    key: str
    value: bytes | None
    headers: Mapping[str, str | None]


def identifier(said: str) -> str:
    """A UUID that is the same in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"kintsugi practice: {said}"))


def case_id(label: str) -> str:
    """A case as a partner knows it: 26 characters that lead back to nobody."""
    return base64.b32encode(hashlib.sha256(label.encode()).digest()[:16]).decode().rstrip("=").lower()


PURGE = identifier("purge of amal")
NOT_MY_PURGE = identifier("purge the office does not know")


def stream(partner: ECKey) -> list[Practised]:
    """All records in the order they are produced; names are sealed to the public half of ``partner``."""
    return list(_good(partner)) + list(_bad(partner)) + list(_ending(partner))


def _good(partner: ECKey) -> Iterator[Practised]:
    needs = [{"need": "legal_aid", "band": "high"}]
    amal = {"sealed": {"identity": sealed(partner, "amal")}, "needs": needs, "languages": ["ar"]}
    yield _record("amal", 1, **amal)
    yield _record("badr", 1, area=None)
    changed = _record("amal", 2, requests=[{"need": "legal_aid", "status": "accepted"}], **amal)
    yield changed
    yield changed  # at least once
    # From an office that is newer than the schema: a field, a status and a band that no reader has heard of.
    needs = [{"need": "employment", "band": "overwhelming"}, {"need": "legal_aid", "band": "low"}]
    yield _record("carim", 1, status="paused", needs=needs, colour_of_the_folder="blue")


def _bad(partner: ECKey) -> Iterator[Practised]:
    name = sealed(partner, "dalia")
    yield _record("dalia", 1, needs="legal_aid")
    yield replace(_record("dalia", 2), value=b"not JSON")
    yield replace(_record("dalia", 3), value=b'{"case": "' + b"\xff" * 26 + b'", "revision": 3, "status": "open"}')
    yield replace(_record("dalia", 4), value=b"")
    yield _record("dalia", 5, sealed={"identity": f"{name[:-22]}{'A' * 22}"})
    yield _record("dalia", 6, sealed={"identity": sealed(ECKey.generate_key("P-256"), "dalia")})
    yield _record("dalia", 7, sealed={"identity": sealed(partner, "dalia", enc="A128GCM")})
    yield _record("dalia", 8, sealed={"identity": sealed(partner, "dalia", preferred_name=["Dalia"])})
    yield _record("dalia", 9, sealed={"identity": sealed(partner, "amal")})
    yield replace(_record("dalia", 10), key=case_id("badr"))
    # Good, but for one thing that a reader can do without: the mark that tells a repetition.
    nameless = _record("dalia", 11)
    yield replace(nameless, headers={name: text for name, text in nameless.headers.items() if name != "ce_id"})
    yield replace(nameless, headers={**nameless.headers, "ce_id": None})
    yield _record("dalia", 12, sealed={"identity": name})


def _ending(partner: ECKey) -> Iterator[Practised]:
    yield _record("amal", 3, status="closed")
    tombstone = _tombstone("amal", PURGE)
    yield tombstone
    yield tombstone
    yield _tombstone("emre", NOT_MY_PURGE)
    # A consent given again: the case comes back under the same id.
    yield _record("amal", 4, sealed={"identity": sealed(partner, "amal")})


def sealed(partner: ECKey, label: str, *, enc: str = "A256GCM", **instead: object) -> str:
    """The name of a case as a compact JWE to the partner's key, padded so that its length tells nothing."""
    content = {"case": case_id(label), "preferred_name": label.capitalize(), **instead}
    public = ECKey.import_key(partner.as_dict(private=False))
    header = {"alg": "ECDH-ES", "enc": enc, "kid": partner.thumbprint()}
    return jwe.encrypt_compact(header, json.dumps(content).ljust(256), public, algorithms=["ECDH-ES", enc])


def _record(label: str, revision: int, **fields: Any) -> Practised:
    case = case_id(label)
    value = {"case": case, "revision": revision, "status": "open", "opened_month": "2026-11", **fields}
    headers = _headers(label, f"{label} {revision}") | {"ce_dataschema": _SCHEMA, "content-type": "application/json"}
    return Practised(case, json.dumps(value).encode(), headers)


def _tombstone(label: str, purge: str) -> Practised:
    headers = _headers(label, f"{label} ends") | {"ce_purgeid": purge, "ce_purgedue": "2026-12-01T09:00:00Z"}
    return Practised(case_id(label), None, headers)


def _headers(label: str, said: str) -> dict[str, str | None]:
    return {
        "ce_specversion": "1.0",
        "ce_id": identifier(said),
        "ce_source": "/xa/share",
        "ce_type": _TYPE,
        "ce_time": "2026-11-21T09:00:00Z",
        "ce_subject": case_id(label),
        "ce_dataclassification": "internal",
    }
