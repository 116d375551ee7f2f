"""`integrators/<name>.yaml`: who outside the office receives a stream of its own, for which purposes, and of what.

Everything here is a promise to survivors, so every mistake is refused with its line: a field that is not in the
catalogue, a personal one in clear, a private key, two integrators that could be taken for one.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers
from kintsugi_contracts.documents import Document, nearest, read, validate
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.topic_file import Shareable
from pydantic import AfterValidator, Field, StringConstraints

from kintsugi_country.calendars import Calendar, Deadline
from kintsugi_country.directory import Directory
from kintsugi_country.frozen import Code, Email, Frozen, FrozenMap

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,30}(-[a-z0-9]{1,30}){0,3}$")]
AgencyName = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._-]{1,64}$")]
Said = Annotated[str, StringConstraints(min_length=10, max_length=400)]


def _one_line(text: str) -> str:
    """Raises ValueError for what would look like something else, or end the line that it is written into."""
    if not text.translate(_JOINERS).isprintable():
        raise ValueError("write it on one line, without control or direction characters")
    return text


_JOINERS = {0x200C: None, 0x200D: None}
"""Characters of some scripts that shape a word and are not seen themselves."""
Title = Annotated[str, StringConstraints(min_length=3, max_length=120), AfterValidator(_one_line)]
SealedPurpose = Literal["identity"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the value of a field comes from: a property of an event (of its sealed purpose, for a sealed field)."""

    event: str
    property: str


CLEAR: Mapping[str, Origin] = MappingProxyType(
    {
        "opened_month": Origin("case.opened", "received_at"),
        "casework_type": Origin("case.opened", "casework_type"),
        "age_band": Origin("case.opened", "age_band"),
        "languages": Origin("case.opened", "languages"),
        "area": Origin("case.opened", "area"),
        "needs": Origin("assessment.completed", "needs"),
        "requests": Origin("referral.status_changed", "status"),
    }
)
"""The platform's fields that may stand in clear on a partner's stream. Beside them stand only declared ones."""

SEALED: Mapping[str, Mapping[str, Origin]] = MappingProxyType(
    {
        "identity": MappingProxyType(
            {
                name: Origin("case.opened", name)
                for name in ("preferred_name", "real_name", "gender", "birthdate", "nationalities")
            }
        )
    }
)
"""The fields that may only travel sealed to the partner's key, by purpose."""

BY_NEED = frozenset({"needs", "requests"})
"""Fields that say something of single needs: a purpose that asks for them names the needs it is about."""

_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k", "oth"})


class PublicKey(Frozen):
    """An elliptic-curve public key on P-256, as a JWK (RFC 7517). What is sealed to it only its owner opens."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
    y: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]


def _fields(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names, key=[*CLEAR].index)) if set(names) <= CLEAR.keys() else names


class SharePurpose(Frozen):
    """What one integrator receives for one purpose, and why it needs that."""

    title: Title
    why: Said
    version: Annotated[int, Field(ge=1, le=1000)]
    """The major version of the stream; raised with every change that is not an added field."""
    fields: Annotated[tuple[str, ...], AfterValidator(_fields)]
    """Fields in clear, of :data:`CLEAR` or declared as shareable by an installed service."""
    needs: tuple[Code, ...] = ()
    """The needs this purpose is about: `needs` and `requests` say nothing of any other."""
    sealed: FrozenMap[SealedPurpose, tuple[str, ...]] = Field(default_factory=dict, validate_default=True)
    """Personal fields, of :data:`SEALED`, by sealed purpose."""
    purge_acknowledgement: Deadline
    """How long the integrator has to say that it deleted what it was told to forget."""

    @property
    def sealed_fields(self) -> tuple[str, ...]:
        """The sealed fields by name, such as `identity.real_name`."""
        return tuple(f"{purpose}.{name}" for purpose, names in self.sealed.items() for name in names)


class Integrator(Frozen):
    """A partner with streams of its own. `agency` is what consents to share name."""

    name: Slug
    title: Title
    agency: AgencyName
    contact: Email
    sample: bool = False
    """Fictional: its private key is published for demonstrations, and production refuses to start with it."""
    public_key: PublicKey
    purposes: Annotated[FrozenMap[Slug, SharePurpose], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Known:
    """What an integrator's file may refer to; None where that part of the pack cannot be read."""

    calendars: Mapping[str, Calendar] | None
    directory: Directory | None
    needs: frozenset[str] | None
    shareable: Mapping[str, Shareable]
    """Fields of installed services' own events that may be shared, beside :data:`CLEAR`."""


def read_integrators(folder: Path, known: Known, findings: list[Finding]) -> tuple[Integrator, ...]:
    """The integrators of the pack at `folder`, by name; mistakes are appended to `findings`."""
    found: list[tuple[Document, Integrator]] = []
    for path in sorted((folder / "integrators").glob("*.yaml")):
        document = read(folder, f"integrators/{path.name}", findings)
        if document is None:
            continue
        private = list(_private(document, document.data, ()))
        findings.extend(private)
        integrator = None if private else validate(document, Integrator, document.data, (), findings)
        if integrator is not None:
            findings.extend(document.finding(*each) for each in _contradictions(integrator, path.stem, known))
            found.append((document, integrator))
    for number, (document, integrator) in enumerate(found):
        for _, earlier in found[:number]:
            findings.extend(document.finding(*each) for each in _taken_for_one(integrator, earlier))
    return tuple(integrator for _, integrator in found)


_Mistake = tuple[tuple[int | str, ...], str, str]


def _private(document: Document, data: Any, at: tuple[int | str, ...]) -> Iterator[Finding]:
    """A private key in a pack is known to everybody who has the pack: it is not ignored, it is refused."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            if key in _PRIVATE and "kty" in data:
                mend = "take it out of every copy and make a new pair: give only kty, crv, x and y of the new one"
                yield document.finding((*at, key), f"{key} is part of a private key", mend)
            else:
                yield from _private(document, value, (*at, key))


def _contradictions(integrator: Integrator, stem: str, known: Known) -> Iterator[_Mistake]:
    if integrator.name != stem:
        yield ("name",), f"name is {integrator.name!r} but the file is {stem}.yaml", "give both the same name"
    key = integrator.public_key
    if not _on_the_curve(key) or any(_text(_number(part)) != part for part in (key.x, key.y)):
        yield ("public_key",), "x and y are no point of P-256", "copy the public key again, from the partner itself"
    if known.directory is not None and not _may_be(integrator.agency, known.directory):
        mend = "use an id of organizations.json, or a name of its own such as labour-ministry"
        yield ("agency",), f"the directory has no agency {integrator.agency}", mend
    for name, purpose in integrator.purposes.items():
        for path, message, mend in _of_purpose(purpose, known):
            yield ("purposes", name, *path), message, mend


def _of_purpose(purpose: SharePurpose, known: Known) -> Iterator[_Mistake]:
    personal = {name: group for group, names in SEALED.items() for name in names}
    for number, name in enumerate(purpose.fields):
        if name in personal:
            yield (
                ("fields", number),
                f"{name} is personal and never travels in clear",
                f"move it to sealed: {{{personal[name]}: …}}",
            )
        elif name not in CLEAR and name not in known.shareable:
            message = f"{name} is no field that can be shared"
            yield ("fields", number), message, nearest(name, [*CLEAR, *known.shareable])
    for group, names in purpose.sealed.items():
        for number, name in enumerate(names):
            if name not in SEALED[group]:
                yield (
                    ("sealed", group, number),
                    f"{name} is no field of {group} that can be shared",
                    nearest(name, SEALED[group]),
                )
        if not names:
            yield ("sealed", group), f"{group} seals nothing", "name the fields it needs, or remove it"
    of_sealed = ((f"sealed.{group}", names) for group, names in purpose.sealed.items())
    for where, names in (("fields", purpose.fields), ("needs", purpose.needs), *of_sealed):
        for number, name in enumerate(names):
            if name in names[:number]:
                yield (*where.split("."), number), f"{name} stands twice", "keep one of the two"
    if not purpose.fields and not purpose.sealed_fields:
        yield ("fields",), "the purpose shares nothing", "name the fields it needs, or remove the purpose"
    if BY_NEED & set(purpose.fields) and not purpose.needs:
        message = f"{', '.join(sorted(BY_NEED & set(purpose.fields)))} would tell of every need of a survivor"
        yield ("fields",), message, "add needs: the codes this purpose is about"
    if purpose.needs and not BY_NEED & set(purpose.fields):
        yield ("needs",), "needs has no effect without the field needs or requests", "remove it or add the field"
    if known.needs is not None:
        for number, need in enumerate(purpose.needs):
            if need not in known.needs:
                yield ("needs", number), f"no instrument finds the need {need}", nearest(need, known.needs)
    calendar = purpose.purge_acknowledgement.calendar
    if known.calendars is not None and calendar is not None and calendar not in known.calendars:
        mend = "name one of: " + ", ".join(sorted(known.calendars))
        yield ("purge_acknowledgement", "calendar"), f"there is no calendar {calendar!r}", mend


def _taken_for_one(integrator: Integrator, earlier: Integrator) -> Iterator[_Mistake]:
    if integrator.agency == earlier.agency:
        message = f"agency {integrator.agency} belongs to integrator {earlier.name} already"
        yield ("agency",), message, "a consent names one recipient: give each integrator an agency of its own"
    # The same x with the other y is opened by the same private key.
    if _number(integrator.public_key.x) == _number(earlier.public_key.x):
        message = f"the public key is that of integrator {earlier.name}"
        yield ("public_key",), message, "ask the partner for a key of its own: else each reads what the other receives"


def _on_the_curve(key: PublicKey) -> bool:
    try:
        EllipticCurvePublicNumbers(_number(key.x), _number(key.y), SECP256R1()).public_key()
    except ValueError:
        return False
    return True


def _number(part: str) -> int:
    return int.from_bytes(urlsafe_b64decode(part + "="))


def _text(number: int) -> str:
    return urlsafe_b64encode(number.to_bytes(32)).decode().rstrip("=")


def _may_be(agency: str, directory: Directory) -> bool:
    """An agency of the directory, or one that is none: a body that receives a stream and offers no service."""
    if any(agency == each.id for each in directory.agencies):
        return True
    try:
        UUID(agency)
    except ValueError:
        return True
    return False
