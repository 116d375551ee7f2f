"""The ground of every generated model: events, open enums, sealed values and exact times.

A producer builds events in Python and is held to the letter: unknown fields, raw strings for enums, naive or
non-UTC times are refused. A consumer decodes with `Event.decode`, which ignores unknown fields and reads an unknown
enum value as `unknown`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, core_schema, to_json
from typing_extensions import TypedDict

# Inputs are hidden from errors because an error text may reach a log, and an input may be personal.
_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


class OpenEnum(StrEnum):
    """A list of codes that may grow: what this release does not know is read as its `unknown` member."""

    @classmethod
    def _missing_(cls, value: object) -> OpenEnum | None:
        return cls.__members__.get("unknown") if isinstance(value, str) else None


class Purpose(StrEnum):
    """The sealed purposes of the platform's own services, as constants: why a personal value may be read.

    Each purpose of a subject has a key of its own. A topic file may name others, of the same form as `PURPOSE`.
    """

    identity = "identity"
    contact = "contact"
    assessment = "assessment"
    narrative = "narrative"


PURPOSE = r"^[a-z][a-z0-9_]{0,39}$"
"""What a sealed purpose's name looks like."""

_M = TypeVar("_M", bound=BaseModel)


def replaced(value: _M, update: Mapping[str, Any]) -> _M:
    """A frozen model with other values in some fields, not validated: ``model_copy`` at a fifth of its cost.

    Fields are shared as they are. For models without extra fields and private attributes.
    """
    copy = value.__class__.__new__(value.__class__)
    _set(copy, "__dict__", {**value.__dict__, **update})
    _set(copy, "__pydantic_fields_set__", value.__pydantic_fields_set__ | update.keys())
    _set(copy, "__pydantic_extra__", None)
    _set(copy, "__pydantic_private__", None)
    return copy


_set = object.__setattr__


class Part(BaseModel):
    """An object inside an event: frozen, strict, without unknown fields."""

    model_config = _STRICT


class Plaintext(Part):
    """The open form of a sealed purpose. It exists in memory only: no event is written while it holds one."""


class Sealed(BaseModel):
    """A sealed value with the origin that it needs to be opened; state keeps it whole.

    On the wire it is `kid` and `ct` only; the rest is filled in by `Event.decode` from the record's envelope.
    """

    model_config = _STRICT

    kid: str
    ct: str
    source: str = ""
    id: str = ""
    type: str = ""
    purpose: str = ""

    @classmethod
    def of(cls, kid: str, ct: str, source: str, id: str, type: str, purpose: str) -> Sealed:
        """One whose parts are strings already checked: not validated again, since every event passes here."""
        return replaced(_EMPTY, {"kid": kid, "ct": ct, "source": source, "id": id, "type": type, "purpose": purpose})


_EMPTY = Sealed(kid="", ct="")


class _OnWire(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]

    kid: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._~-]{1,64}$")]
    ct: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]+$", min_length=379)]


def _with_origin(value: _OnWire, info: core_schema.ValidationInfo[tuple[str, str, str] | None]) -> Sealed:
    source, id_, type_ = info.context or ("", "", "")
    return Sealed.of(value["kid"], value["ct"], source, id_, type_, info.field_name or "")


class _SealedOr:
    """From JSON only a sealed value, so that nothing readable is ever taken from the wire; in memory either form."""

    def __init__(self, plaintext: Any) -> None:
        self.plaintext = plaintext

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.json_or_python_schema(
            json_schema=core_schema.with_info_after_validator_function(_with_origin, handler.generate_schema(_OnWire)),
            python_schema=core_schema.union_schema(
                [core_schema.is_instance_schema(Sealed), core_schema.is_instance_schema(self.plaintext)],
            ),
        )


_P = TypeVar("_P", bound=Plaintext)

if TYPE_CHECKING:
    SealedOr: TypeAlias = Sealed | _P
else:

    class SealedOr:
        """`SealedOr[Model]`: a `Sealed`, or the model itself before sealing."""

        def __class_getitem__(cls, plaintext: type[Plaintext]) -> Any:
            return Annotated[Any, _SealedOr(plaintext)]


if TYPE_CHECKING:
    _NothingSealed = Mapping[str, object]
else:

    class _NothingSealed(TypedDict):
        """The sealed values of an event that has none; a generated subclass names its own purposes instead."""

        __pydantic_config__ = ConfigDict(extra="forbid")


class _Exactly:
    """A text form checked by pattern on the wire, so that models and schemas take the same strings."""

    def __init__(self, pattern: str, schema: CoreSchema, lax: CoreSchema) -> None:
        self.pattern, self.schema, self.lax = pattern, schema, lax

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.json_or_python_schema(
            json_schema=core_schema.chain_schema([core_schema.str_schema(pattern=self.pattern), self.lax]),
            python_schema=self.schema,
        )


INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$"
DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"

Instant = Annotated[
    datetime,
    _Exactly(
        INSTANT,
        core_schema.datetime_schema(strict=True, tz_constraint=0),
        core_schema.datetime_schema(strict=False, tz_constraint=0),
    ),
]
"""A moment in UTC: an aware datetime of offset zero in memory, RFC 3339 with `Z` on the wire."""

Day = Annotated[
    date,
    _Exactly(DAY, core_schema.date_schema(strict=True), core_schema.date_schema(strict=False)),
]
"""A calendar day, `YYYY-MM-DD`."""


Purposes: TypeAlias = Mapping[str, type[Plaintext]]


class Event(BaseModel):
    """A fact that happened to a subject. The generated subclasses are the contract; they are never edited by hand."""

    model_config = _STRICT

    type: ClassVar[str]
    """The value of `ce_type`, with the major version."""
    service: ClassVar[str]
    """The service that emits it; `*` for the three that every service emits."""
    purposes: ClassVar[Purposes] = {}
    """The sealed purposes it may carry, each with the model of its plaintext."""
    protective: ClassVar[bool] = False
    """True when it may be released but never discarded."""
    dataclassification: ClassVar[str] = "internal"
    """The value of `ce_dataclassification`: the highest class inside."""
    dataschema: ClassVar[str] = ""
    """The value of `ce_dataschema`."""

    sealed: _NothingSealed = Field(default_factory=dict)
    """Purpose to value, for the purposes the event declares."""

    @classmethod
    def decode(cls, raw: bytes | str, *, source: str = "", id: str = "") -> Self:
        """Read a record's value as a consumer does, and give each sealed value its origin.

        Raises pydantic.ValidationError when the value breaks the contract; its text names fields, never values.
        """
        return cls.model_validate_json(raw, extra="ignore", context=(source, id, cls.type))

    def with_sealed(self, sealed: Mapping[str, Sealed]) -> Self:
        """The same event with these sealed values in place of those it has."""
        return replaced(self, {"sealed": dict(sealed)})

    def sealed_as(self, purpose: str) -> Sealed | None:
        """The sealed value of a purpose, None when the event carries none.

        Raises TypeError when the value is not sealed yet: state is made from sealed events only.
        """
        value = self.sealed.get(purpose)
        if value is None or isinstance(value, Sealed):
            return value
        raise TypeError(f"{self.type}: {purpose} is not sealed yet; seal the event before it is applied to a state")

    def encode(self) -> bytes:
        """The record's value: JSON without absent fields, sealed values as `kid` and `ct`.

        Raises TypeError when a purpose is still plaintext.
        """
        body = self.__pydantic_serializer__.to_json(self, exclude_none=True, exclude={"sealed"})
        if not self.sealed:
            return body
        closed: dict[str, dict[str, str]] = {}
        for purpose in self.sealed:
            value = self.sealed_as(purpose)
            if value is not None:
                closed[str(purpose)] = {"kid": value.kid, "ct": value.ct}
        return body[:-1] + (b',"sealed":' if len(body) > 2 else b'"sealed":') + to_json(closed) + b"}"
