"""What a decision needs to speak to partners: ids made for each alone, their public keys, and their contracts.

An id is a MAC under a key of its own for each partner: without the office's secret nobody can make it from the case,
come back from it to the case, or find out which id of one partner is which of another.
"""

from __future__ import annotations

import base64
import hmac
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.jwk import ECKey
from jsonschema import Draft202012Validator
from kintsugi.secrets import read_key_file
from kintsugi.settings import Profile, Settings, SettingsError
from kintsugi_contracts.catalog import Catalog
from kintsugi_country import Pack

from kintsugi_share.contract import ROOT, EventSchemas, record_schema, schema_id, sealed_schema
from kintsugi_share.domain import stream_key

PADDED_TO = 256
"""Sealed plaintexts are padded to a multiple of this many bytes: the length of a name says something of it."""


class RecordUnfit(Exception):
    """What would be sent breaks the partner's contract. The text names places and rules, never values."""


@dataclass(frozen=True, slots=True)
class Contract:
    """The contract of one stream, and the key of its reader."""

    schema_id: str
    record: Draft202012Validator
    sealed: Mapping[str, Draft202012Validator]
    key: ECKey


@dataclass(frozen=True, slots=True)
class Partners:
    """The snapshot for ``ctx.resources``. ``contracts`` are by stream."""

    country: str
    secret: bytes = field(repr=False)
    contracts: Mapping[str, Contract] = field(repr=False)

    def ref(self, integrator: str, subject: str) -> str:
        """The case as this integrator knows it: 128 bits, 26 characters of lower-case base32."""
        mac = self._mac(integrator, "case", subject)[:16]
        return base64.b32encode(mac).decode().rstrip("=").lower()

    def record_id(self, integrator: str, said: str) -> str:
        """The ``ce_id`` of a record, the same whenever it is sent again, and as little joinable as the case's id."""
        return str(uuid.UUID(bytes=self._mac(integrator, "record", said)[:16], version=4))

    def seal(self, stream: str, plaintext: Mapping[str, object]) -> str:
        """Personal values for the owner of the stream's key alone (JWE compact). Raises RecordUnfit, LookupError."""
        contract = self.contracts[stream]
        _fits(contract.sealed["identity"], plaintext)
        text = json.dumps(plaintext, ensure_ascii=False, separators=(",", ":")).encode()
        padded = text + b" " * (-len(text) % PADDED_TO)
        header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": contract.key.thumbprint()}
        return jwe.encrypt_compact(header, padded, contract.key)

    def check(self, stream: str, record: Mapping[str, object]) -> Contract:
        """The contract of a stream, which ``record`` fits. Raises RecordUnfit, LookupError."""
        contract = self.contracts[stream]
        _fits(contract.record, record)
        return contract

    def digest_key(self, integrator: str) -> bytes:
        """Under which the office compares what records of this integrator say."""
        return self._key(integrator, "digest")

    def _mac(self, integrator: str, what: str, said: str) -> bytes:
        return hmac.digest(self._key(integrator, what), said.encode(), "sha256")

    def _key(self, integrator: str, what: str) -> bytes:
        info = f"kintsugi-share/1|{self.country}|{integrator}|{what}".encode()
        return HKDF(SHA256(), 32, salt=None, info=info).derive(self.secret)


def contracts_of(pack: Pack, events: EventSchemas) -> dict[str, Contract]:
    """The contract of every stream that a country declares, by stream."""
    found: dict[str, Contract] = {}
    for integrator in pack.integrators:
        key = ECKey.import_key(integrator.public_key.model_dump())
        for name, purpose in integrator.purposes.items():
            at = (pack.code, integrator.name, name)
            found[stream_key(integrator.name, name, purpose.version)] = Contract(
                schema_id(*at, purpose.version),
                Draft202012Validator(record_schema(*at, purpose, events)),
                {group: Draft202012Validator(sealed_schema(*at, purpose, group, events)) for group in purpose.sealed},
                key,
            )
    return found


def partners(settings: Settings, pack: Pack) -> Partners:
    """The snapshot of a process. Raises SettingsError and KeyFileError where it may not start as things are."""
    if settings.share_key is None:
        raise SettingsError("KINTSUGI_SHARE_KEY is not set: partners' case ids cannot be made. Name a key file.")
    samples = sorted(each.name for each in pack.integrators if each.sample)
    if samples and settings.profile is Profile.production:
        raise SettingsError(
            f"country '{pack.code}' shares with {', '.join(samples)}, a sample whose private key everybody has. "
            "Give it a key of its own and remove 'sample: true', or remove the file."
        )
    contracts = contracts_of(pack, EventSchemas(settings.contracts, pack.shareable, Catalog.installed().folders))
    for contract in contracts.values():
        _as_published(settings.contracts, contract)
    return Partners(pack.code, read_key_file(settings.share_key), contracts)


def _as_published(contracts: Path, contract: Contract) -> None:
    """A partner reads by the published contract: a process that would send by another one does not start."""
    for validator in (contract.record, *contract.sealed.values()):
        schema: Any = validator.schema
        file = contracts / str(schema["$id"]).removeprefix(ROOT)
        try:
            published = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            published = None
        if published != schema:
            raise SettingsError(
                f"{file} is not what the country pack says: run `python -m kintsugi_share.schemas`, "
                "have the change reviewed, and start again"
            )


def _fits(validator: Draft202012Validator, value: Mapping[str, Any]) -> None:
    wrong = sorted(f"{'.'.join(map(str, e.absolute_path))}: {e.validator}" for e in validator.iter_errors(value))
    if wrong:
        raise RecordUnfit("; ".join(wrong))
