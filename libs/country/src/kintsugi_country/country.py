"""`country.yaml`: what one country office decides for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kintsugi_contracts.documents import nearest
from kintsugi_contracts.topic_file import DeclaredDeadline
from pydantic import AfterValidator, Field, StringConstraints

from kintsugi_country.calendars import Calendar, Deadline
from kintsugi_country.frozen import Code, Email, Frozen, FrozenMap, LanguageTag

DeadlineName = Literal[
    "first_contact_high",
    "first_contact_medium",
    "first_contact_low",
    "risk_alert",
    "assessment_baseline",
    "assessment_follow_up",
    "provider_answer",
    "profile_review",
    "link_validity",
    "purge_acknowledgement",
    "staff_task",
    "send_expiry_provider",
    "send_expiry_staff",
    "send_expiry_survivor",
    "directory_freshness",
]
DEADLINES: tuple[DeadlineName, ...] = get_args(DeadlineName)

Role = Literal["caseworker", "supervisor", "country_lead"]
ROLES: tuple[Role, ...] = get_args(Role)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone of the IANA database, such as Europe/Malta") from None
    return name


class Language(Frozen):
    """A language the office writes in: every message template exists in it."""

    code: LanguageTag
    name: str
    direction: Literal["ltr", "rtl"]


class Area(Frozen):
    """A coarse area. Only its code travels in events."""

    code: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9-]{0,15}$")]
    name: str


class Office(Frozen):
    """One office of the country: the areas it serves and whom staff messages reach, by role."""

    name: str
    language: LanguageTag
    areas: Annotated[tuple[str, ...], Field(min_length=1)]
    staff: FrozenMap[Role, Email]


class Channel(Frozen):
    """A way in which messages leave. `sender` is neutral: it names neither the programme nor its subject."""

    enabled: bool
    sender: Email | None = None
    sender_name: str | None = None


class Restoration(Frozen):
    """When an assessment may be called restored: a total score and the publication it was read in."""

    total_at_least: float
    source: Annotated[str, StringConstraints(min_length=10)]


class Thresholds(Frozen):
    """Numbers that need a source. `restoration` is absent until the country has one."""

    restoration: Restoration | None = None


class Retention(Frozen):
    """How many days a class of records is kept after its case closed, and why."""

    days: Annotated[int, Field(ge=1)]
    source: str | None = None


class Country(Frozen):
    """The office's own decisions, validated."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]
    name: str
    fictional: bool = False
    zone: Annotated[str, AfterValidator(_known_zone)]
    languages: Annotated[tuple[Language, ...], Field(min_length=1)]
    areas: Annotated[tuple[Area, ...], Field(min_length=1)]
    offices: Annotated[FrozenMap[Code, Office], Field(min_length=1)]
    channels: FrozenMap[Literal["email", "sms", "voice", "webhook"], Channel]
    calendars: FrozenMap[Code, Calendar]
    deadlines: FrozenMap[Code, Deadline]
    """Those of :data:`DEADLINES`, and those that installed services declare."""
    opt_out_words: Annotated[tuple[str, ...], Field(min_length=1)]
    thresholds: Thresholds = Thresholds()
    retention: FrozenMap[Code, Retention]
    baseline_instrument: str
    """The id of the instrument new assessments use."""
    policies: FrozenMap[Code, FrozenMap[Code, tuple[Code, ...]]] = Field(default_factory=dict, validate_default=True)
    """Tightenings by name, by service and handler: each can only forbid more than the baseline."""


Mistake = tuple[tuple[int | str, ...], str, str]

STAND_IN: dict[str, object] = {
    "code": "zz",
    "name": "",
    "zone": "UTC",
    "languages": [{"code": "und", "name": "", "direction": "ltr"}],
    "areas": [{"code": "ZZ", "name": ""}],
    "offices": {"none": {"name": "", "language": "und", "areas": ["ZZ"], "staff": {}}},
    "channels": {},
    "calendars": {},
    "deadlines": {},
    "opt_out_words": [""],
    "retention": {},
    "baseline_instrument": "",
}
"""What takes the place of a section that cannot be read, so that the others are checked all the same."""


def with_declared(country: Country, declared: Mapping[str, DeclaredDeadline]) -> Country:
    """The country with the defaults of declared deadlines that it does not set itself."""
    defaults = {
        name: Deadline(**each.default.model_dump()) for name, each in declared.items() if name not in country.deadlines
    }
    return country.model_copy(update={"deadlines": MappingProxyType({**country.deadlines, **defaults})})


def contradictions(
    country: Country, folder_name: str, sound: frozenset[str], declared: Mapping[str, DeclaredDeadline]
) -> Iterator[Mistake]:
    """Mistakes no single field shows, in the sections that could be read: (path, what, how to mend it)."""
    checks: tuple[tuple[set[str], Callable[[], Iterator[Mistake]]], ...] = (
        ({"code"}, lambda: _code(country, folder_name)),
        ({"deadlines"}, lambda: _deadlines(country, declared)),
        ({"deadlines", "calendars"}, lambda: _calendars(country, declared)),
        ({"offices"}, lambda: _roles(country)),
        ({"offices", "languages"}, lambda: _office_languages(country)),
        ({"offices", "areas"}, lambda: _office_areas(country)),
        ({"languages"}, lambda: _repeated(("languages",), [language.code for language in country.languages])),
        ({"areas"}, lambda: _repeated(("areas",), [area.code for area in country.areas])),
        ({"channels"}, lambda: _email(country)),
    )
    for sections, found in checks:
        if sections <= sound:
            yield from found()


def _code(country: Country, folder_name: str) -> Iterator[Mistake]:
    if country.code != folder_name:
        yield ("code",), f"code is {country.code!r} but the folder is {folder_name!r}", "give both the same name"


def _deadlines(country: Country, declared: Mapping[str, DeclaredDeadline]) -> Iterator[Mistake]:
    known = [*DEADLINES, *declared]
    for name in country.deadlines:
        if name not in known:
            yield ("deadlines", name), f"deadlines: {name!r} is not known here", nearest(name, known)
    for required in DEADLINES:
        if required not in country.deadlines:
            yield ("deadlines",), f"the deadline {required} is missing", f"add {required}: {{amount: …, unit: …}}"


def _calendars(country: Country, declared: Mapping[str, DeclaredDeadline]) -> Iterator[Mistake]:
    for name, each in declared.items():
        calendar = each.default.calendar
        if name not in country.deadlines and calendar is not None and calendar not in country.calendars:
            message = f"{name} is not set, and its service counts it by the calendar {calendar!r}, which is not here"
            yield ("deadlines",), message, f"add {name}: {{amount: …, unit: …}} or the calendar"
    for name, deadline in country.deadlines.items():
        if deadline.calendar is not None and deadline.calendar not in country.calendars:
            mend = "name one of: " + ", ".join(sorted(country.calendars))
            yield ("deadlines", name, "calendar"), f"there is no calendar {deadline.calendar!r}", mend


def _roles(country: Country) -> Iterator[Mistake]:
    for code, office in country.offices.items():
        for role in ROLES:
            if role not in office.staff:
                message = f"office {code} has no address for the role {role}"
                yield ("offices", code, "staff"), message, f"add {role}: an address somebody reads"


def _office_languages(country: Country) -> Iterator[Mistake]:
    languages = {language.code for language in country.languages}
    for code, office in country.offices.items():
        if office.language not in languages:
            message = f"office {code} reads {office.language!r}, which the country does not write"
            yield ("offices", code, "language"), message, "name one of: " + ", ".join(sorted(languages))


def _office_areas(country: Country) -> Iterator[Mistake]:
    areas = {area.code for area in country.areas}
    for code, office in country.offices.items():
        for number, area in enumerate(office.areas):
            if area not in areas:
                message = f"office {code} serves {area!r}, which is not an area"
                yield ("offices", code, "areas", number), message, "add it to areas or correct the code"


def _email(country: Country) -> Iterator[Mistake]:
    email = country.channels.get("email")
    if email is None or not email.enabled or email.sender is None:
        yield (
            ("channels",),
            "e-mail is not ready: staff and providers are reached by it",
            "add email: {enabled, sender}",
        )


def _repeated(at: tuple[str, ...], values: list[str]) -> Iterator[Mistake]:
    for number, value in enumerate(values):
        if value in values[:number]:
            yield (*at, number), f"{value!r} stands twice", "keep one of the two"
