"""The shape all data of a pack share: immutable, and no field that nobody reads."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, StringConstraints

K = TypeVar("K")
V = TypeVar("V")


class Frozen(BaseModel):
    """A record that cannot change after it was read; unknown fields are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _seal(value: Mapping[K, V]) -> Mapping[K, V]:
    return MappingProxyType(dict(value))


def _plain(value: Mapping[K, V]) -> dict[K, object]:
    return {key: _plain(inner) if isinstance(inner, Mapping) else inner for key, inner in value.items()}


FrozenMap = Annotated[Mapping[K, V], AfterValidator(_seal), PlainSerializer(_plain)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
LanguageTag = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s,;<>\"]+@[a-z0-9.-]+\.[a-z]{2,}$", max_length=254)]
Labels = FrozenMap[LanguageTag, Annotated[str, StringConstraints(min_length=1)]]
