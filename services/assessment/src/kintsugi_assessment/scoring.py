"""The engine: domain scores, needs and change, from any instrument of the pack. Pure; nothing is ever imputed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from kintsugi_country import Domain, Instrument, Need, Scale
from kintsugi_events import AnswerKind, NeedBand

from kintsugi_assessment.domain import Answers

_PRESSING: Final = (NeedBand.urgent, NeedBand.high, NeedBand.moderate, NeedBand.low)


@dataclass(frozen=True, slots=True)
class Score:
    """A domain's score: the mean of its scored items. ``mean`` is None where too few were scored: incomplete."""

    domain: str
    scored_items: int
    mean: float | None


@dataclass(frozen=True, slots=True)
class FoundNeed:
    """A need that the answers point to, and how pressing it is."""

    domain: str
    need: str
    band: NeedBand


@dataclass(frozen=True, slots=True)
class Drop:
    """A domain that stands worse than before, on the instrument's own scale."""

    domain: str
    previous: float
    current: float


def scored(instrument: Instrument, answers: Answers) -> tuple[Score, ...]:
    """The score of every domain, in the instrument's order."""
    return tuple(_score(domain, answers) for domain in instrument.domains)


def incomplete(scores: Iterable[Score]) -> tuple[str, ...]:
    """The domains that cannot be read."""
    return tuple(score.domain for score in scores if score.mean is None)


def needs(instrument: Instrument, answers: Answers) -> tuple[FoundNeed, ...]:
    """The needs the answers point to, the most pressing first.

    A need is read from its own items. In an incomplete domain it is read only where every one of them was scored:
    whoever leaves out other questions of the domain does not lose the help that this one asks for.
    """
    found: list[tuple[tuple[int, float], FoundNeed]] = []
    for domain in instrument.domains:
        whole = _score(domain, answers).mean is not None
        for need in domain.needs:
            values = _values(_items(need, domain), answers)
            if not values or not (whole or (need.items and len(values) == len(need.items))):
                continue
            wellbeing = _wellbeing(_mean(values), instrument.scale)
            if (band := need.band_for(wellbeing)) is not None:
                known = NeedBand(band)
                found.append(((_PRESSING.index(known), wellbeing), FoundNeed(domain.code, need.need, known)))
    return tuple(need for _, need in sorted(found, key=lambda each: each[0]))


def comparable(instrument: Instrument, other_id: str, other_version: str) -> bool:
    """Whether scores of another assessment may be compared: the same instrument and major version only."""
    return instrument.id == other_id and instrument.major == int(other_version.split(".")[0])


def changes(now: Iterable[Score], before: Mapping[str, float]) -> dict[str, float]:
    """By domain, how far the score moved on the instrument's scale; only where both were complete."""
    return {
        score.domain: score.mean - before[score.domain]
        for score in now
        if score.mean is not None and score.domain in before
    }


def dropped(instrument: Instrument, now: Iterable[Score], before: Mapping[str, float]) -> tuple[Drop, ...]:
    """The domains the instrument watches that stand worse than before, whatever all others do."""
    watched = {domain.code for domain in instrument.domains if domain.alert_on_drop}
    found = [
        Drop(score.domain, before[score.domain], score.mean)
        for score in now
        if score.domain in watched and score.mean is not None and score.domain in before
    ]
    scale = instrument.scale
    return tuple(drop for drop in found if _wellbeing(drop.current, scale) < _wellbeing(drop.previous, scale))


def _score(domain: Domain, answers: Answers) -> Score:
    values = _values((item.id for item in domain.items), answers)
    mean = _mean(values) if len(values) >= domain.minimum_scored else None
    return Score(domain.code, len(values), mean)


def _items(need: Need, domain: Domain) -> tuple[str, ...]:
    return need.items or tuple(item.id for item in domain.items)


def _values(items: Iterable[str], answers: Answers) -> list[float]:
    found = (answers.get(item) for item in items)
    return [
        answer.value
        for answer in found
        if answer is not None and answer.kind is AnswerKind.value and answer.value is not None
    ]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _wellbeing(value: float, scale: Scale) -> float:
    """The value counted so that low means most vulnerable, whichever end of its scale an instrument means by that."""
    return value if scale.most_vulnerable == "minimum" else scale.minimum + scale.maximum - value
