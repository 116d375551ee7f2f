"""Seals and opens with keys already at hand, so that decisions stay free of I/O."""

from __future__ import annotations

from collections.abc import Mapping

from kintsugi_contracts.base import Plaintext, Sealed

from kintsugi.envelope import Envelope
from kintsugi.sealing import ERASED, DataKey, Erased, seal, unseal

Wanted = tuple[str, str]


class KeysMissing(Exception):
    """A step needs the key of (subject, purpose) that nobody has fetched yet: fetch it and repeat the step.

    ``create`` says that the step seals, so that a key which does not exist is to be made.
    """

    def __init__(self, subject: str, purpose: str, *, create: bool) -> None:
        super().__init__(f"key of {subject} for {purpose}")
        self.wanted: Wanted = (subject, purpose)
        self.create = create


class Vault:
    """The data keys of one batch, by (subject, purpose). A tombstone is :class:`kintsugi.sealing.Erased`."""

    def __init__(self, keys: Mapping[Wanted, DataKey | Erased] | None = None) -> None:
        self.keys: dict[Wanted, DataKey | Erased] = dict(keys or {})

    def seal(self, plaintext: Plaintext, purpose: str, envelope: Envelope) -> Sealed | Erased:
        """Seals for one event. ``Erased`` where the subject was erased: the purpose is then left out.

        Raises :class:`KeysMissing`.
        """
        key = self._key(envelope.subject, purpose, create=True)
        if isinstance(key, Erased):
            return ERASED
        wire = seal(
            plaintext,
            key=key,
            source=envelope.source,
            id=envelope.id,
            type=envelope.type,
            subject=envelope.subject,
            purpose=purpose,
        )
        return Sealed.of(wire["kid"], wire["ct"], envelope.source, envelope.id, envelope.type, str(purpose))

    def open(self, sealed: Sealed, subject: str) -> bytes | Erased:
        """The plaintext JSON, or ``Erased``. Raises :class:`KeysMissing`, SealError where it was moved or altered."""
        key = self._key(subject, sealed.purpose, create=False)
        return ERASED if isinstance(key, Erased) else unseal(sealed, key, subject, sealed.purpose)

    def _key(self, subject: str, purpose: str, *, create: bool) -> DataKey | Erased:
        key = self.keys.get((subject, str(purpose)))
        if key is None:
            raise KeysMissing(subject, str(purpose), create=create)
        return key
