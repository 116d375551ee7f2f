"""Assessment instruments as data: domains, items, a scale, and the needs that scores point to.

Nothing here assumes six domains or a scale of 1 to 4. How answers are scored is the assessment service's rule.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from kintsugi_country.frozen import Code, Frozen, FrozenMap, Labels, LanguageTag

ItemId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$", max_length=60)]
SCORED = "scored:"
Mistake = tuple[tuple[int | str, ...], str, str]


class Scale(Frozen):
    """Whole numbers from `minimum` to `maximum`; `most_vulnerable` says which end needs most."""

    minimum: int
    maximum: int
    most_vulnerable: Literal["minimum", "maximum"] = "minimum"
    labels: FrozenMap[int, Labels]

    @model_validator(mode="after")
    def _every_point_labelled(self) -> Scale:
        if self.minimum >= self.maximum:
            raise ValueError("minimum must be below maximum")
        missing = [str(point) for point in range(self.minimum, self.maximum + 1) if point not in self.labels]
        if missing:
            raise ValueError(f"the points {', '.join(missing)} of the scale have no label")
        return self


class Item(Frozen):
    """One sub-domain that is scored."""

    id: ItemId
    label: Labels


class Question(Frozen):
    """A question a country added. It is never scored."""

    id: ItemId
    label: Labels


class Band(Frozen):
    """A need of this `band` exists when the mean of the need's items is at most `at_most`."""

    band: Literal["urgent", "high", "moderate", "low"]
    at_most: float


class Need(Frozen):
    """A need that low scores point to. `items` empty means all items of the domain; bands go from urgent to low."""

    need: Code
    items: tuple[ItemId, ...] = ()
    bands: Annotated[tuple[Band, ...], Field(min_length=1)]

    def band_for(self, mean: float) -> str | None:
        """The first band whose limit `mean` does not exceed, or None when there is no need."""
        return next((band.band for band in self.bands if mean <= band.at_most), None)


class Domain(Frozen):
    """A domain: its score is the mean of its scored items, incomplete below `minimum_scored` of them."""

    code: Code
    label: Labels
    minimum_scored: Annotated[int, Field(ge=1)]
    alert_on_drop: bool = False
    items: Annotated[tuple[Item, ...], Field(min_length=1)]
    needs: tuple[Need, ...] = ()


class Instrument(Frozen):
    """One version of an instrument. Comparisons are valid only within one `major` version."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=60)]
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
    title: Labels
    purpose: Labels
    licence: str
    original: LanguageTag | None = None
    """The language it was made and tested in: every other wording is a translation. None where that is not known."""
    scale: Scale
    domains: Annotated[tuple[Domain, ...], Field(min_length=1)]
    unscored: tuple[Question, ...] = ()

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def items(self) -> tuple[Item, ...]:
        """Every scored item, in the order of the file."""
        return tuple(item for domain in self.domains for item in domain.items)

    def domain(self, code: str) -> Domain:
        """The domain with this code; raises LookupError."""
        for domain in self.domains:
            if domain.code == code:
                return domain
        raise LookupError(f"instrument {self.id} {self.version} has no domain {code}")

    def domain_of(self, item_id: str) -> Domain | None:
        """The domain of a scored item; None for an unscored question or an unknown id."""
        return next((domain for domain in self.domains if any(item.id == item_id for item in domain.items)), None)

    def digest(self) -> str:
        """What `released.json` keeps of a version that was used: `scored:` and the SHA-256 of what is scored.

        That is the scale, domains, items, bands and needs, with their wording in the original language. No translation
        and no unscored question changes it.
        """
        return SCORED + _sha256(_worded_in(self.original, self._scored()))

    def kept_by(self, digest: str) -> bool:
        """Whether this is the version that a digest was taken of.

        Digests without `scored:`, which older releases took, cover all translations too; they hold as long as none of
        those changed either.
        """
        return digest == (self.digest() if digest.startswith(SCORED) else _sha256(self._scored()))

    def _scored(self) -> dict[str, Any]:
        return self.model_dump(mode="json", include={"id", "version", "scale", "domains"}, exclude_defaults=True)


def _sha256(scored: object) -> str:
    return hashlib.sha256(json.dumps(scored, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _worded_in(language: str | None, part: Any) -> Any:
    """The same with no wording but that of one language."""
    if isinstance(part, list):
        return [_worded_in(language, each) for each in part]
    if not isinstance(part, dict):
        return part
    found: dict[str, Any] = {}
    for key, value in part.items():
        match key:
            case "label":
                found[key] = value.get(language)
            case "labels":
                found[key] = {point: labels.get(language) for point, labels in value.items()}
            case _:
                found[key] = _worded_in(language, value)
    return found


def contradictions(instrument: Instrument, languages: tuple[str, ...]) -> Iterator[Mistake]:
    """Mistakes no single field shows: (path in the file, what, how to mend it)."""
    if instrument.original is not None and instrument.original not in languages:
        languages = (*languages, instrument.original)
    seen: set[str] = set()
    yield from _missing_labels(("title",), instrument.title, languages)
    yield from _missing_labels(("purpose",), instrument.purpose, languages)
    for point, labels in instrument.scale.labels.items():
        yield from _missing_labels(("scale", "labels", point), labels, languages)
    for d, domain in enumerate(instrument.domains):
        at: tuple[int | str, ...] = ("domains", d)
        yield from _missing_labels((*at, "label"), domain.label, languages)
        if domain.minimum_scored > len(domain.items):
            message = f"minimum_scored is {domain.minimum_scored}, but {domain.code} has {len(domain.items)} items"
            yield (*at, "minimum_scored"), message, "lower it, or the domain is always incomplete"
        for i, item in enumerate(domain.items):
            yield from _missing_labels((*at, "items", i, "label"), item.label, languages)
            if item.id in seen:
                yield (*at, "items", i, "id"), f"the item {item.id} stands twice", "give each item an id of its own"
            seen.add(item.id)
        yield from _needs(at, domain, instrument.scale)
    for q, question in enumerate(instrument.unscored):
        yield from _missing_labels(("unscored", q, "label"), question.label, languages)
        if question.id in seen:
            yield ("unscored", q, "id"), f"{question.id} is already an item", "give the question an id of its own"
        seen.add(question.id)


def _needs(at: tuple[int | str, ...], domain: Domain, scale: Scale) -> Iterator[Mistake]:
    own = {item.id for item in domain.items}
    for n, need in enumerate(domain.needs):
        for i, item in enumerate(need.items):
            if item not in own:
                message = f"the need {need.need} reads {item}, which is not an item of {domain.code}"
                yield (*at, "needs", n, "items", i), message, "name items of this domain"
        limits = [band.at_most for band in need.bands]
        if limits != sorted(limits):
            yield (*at, "needs", n, "bands"), "the limits of the bands must rise", "put the most urgent band first"
        if any(not scale.minimum <= limit <= scale.maximum for limit in limits):
            message = f"a limit lies outside the scale {scale.minimum}-{scale.maximum}"
            yield (*at, "needs", n, "bands"), message, "correct the limit"


def _missing_labels(at: tuple[int | str, ...], labels: Labels, languages: tuple[str, ...]) -> Iterator[Mistake]:
    missing = [language for language in languages if language not in labels]
    if missing:
        yield at, f"no wording in {', '.join(missing)}", "add it: nothing falls back to another language"
