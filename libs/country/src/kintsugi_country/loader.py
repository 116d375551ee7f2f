"""Reads a whole country pack: all of it is right, or it is refused with every mistake named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from kintsugi_contracts.documents import failures, read, validate
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.topic_file import Declarations, Shareable

from kintsugi_country import country as country_rules
from kintsugi_country import instrument as instrument_rules
from kintsugi_country import messages as message_rules
from kintsugi_country.calendars import Deadline, due
from kintsugi_country.country import STAND_IN, Country, Office, Role
from kintsugi_country.directory import Directory
from kintsugi_country.errors import PackError
from kintsugi_country.hsds import read_directory
from kintsugi_country.instrument import Instrument
from kintsugi_country.integrators import Integrator, Known, read_integrators
from kintsugi_country.messages import Catalogue, Text
from kintsugi_country.samples import read_script
from kintsugi_country.templates import Audience

NONE_DECLARED = Declarations()


@dataclass(frozen=True)
class Pack:
    """One country's data, validated and immutable."""

    country: Country
    zone: ZoneInfo
    directory: Directory
    instruments: tuple[Instrument, ...]
    extensions_schema: dict[str, Any]
    """JSON Schema of what this country may put under `extensions.<code>`."""
    _catalogue: Catalogue = field(repr=False)
    integrators: tuple[Integrator, ...] = ()
    """Who receives streams of its own, by name."""
    shareable: Mapping[str, Shareable] = field(default_factory=dict)
    """Fields beyond the platform's own that an integrator may ask for, as installed services declare them."""

    @property
    def code(self) -> str:
        """The country's code, `xa`."""
        return self.country.code

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages the office writes in, the first one first."""
        return tuple(language.code for language in self.country.languages)

    @property
    def opt_out_words(self) -> frozenset[str]:
        """Words that end messages on a channel, case-folded."""
        return frozenset(word.casefold() for word in self.country.opt_out_words)

    def due(self, name: str, start: datetime) -> datetime:
        """The moment (UTC) at which the country's deadline `name` ends for something that began at `start`.

        A deadline that a service declares and the country does not set ends as its declaration says. Raises LookupError
        for a name that is not a deadline and ValueError for a start without a time zone.
        """
        deadline = self.country.deadlines.get(name)
        if deadline is None:
            raise LookupError(f"country {self.code} has no deadline {name!r}")
        return self.end_of(deadline, start)

    def end_of(self, deadline: Deadline, start: datetime) -> datetime:
        """The moment (UTC) at which a deadline of this pack ends. Raises ValueError for a start without a time zone."""
        calendar = self.country.calendars[deadline.calendar] if deadline.calendar else None
        return due(deadline, start, self.zone, calendar)

    def message(self, template: str, locale: str, audience: Audience, **arguments: Any) -> Text | None:
        """The text of a template in exactly this locale, or None: never another language.

        Times among the arguments are written in the country's zone. Raises LookupError for an unknown template and
        ValueError for another audience or other arguments than the template's own.
        """
        return self._catalogue.text(template, locale, audience, arguments)

    def instrument(self, instrument_id: str, version: str | None = None) -> Instrument:
        """That version of an instrument, or its newest one; raises LookupError."""
        found = [i for i in self.instruments if i.id == instrument_id and version in (None, i.version)]
        if not found:
            wanted = f"{instrument_id} {version}" if version else instrument_id
            raise LookupError(f"country {self.code} has no instrument {wanted}")
        return max(found, key=lambda i: tuple(int(part) for part in i.version.split(".")))

    @property
    def recipients(self) -> frozenset[str]:
        """Whom a consent to share may name: the agencies of the directory and of the integrators."""
        return frozenset(agency.id for agency in self.directory.agencies) | {each.agency for each in self.integrators}

    @property
    def baseline_instrument(self) -> Instrument:
        """The newest version of the instrument new assessments use."""
        return self.instrument(self.country.baseline_instrument)

    def office(self, code: str) -> Office:
        """The office with this code; raises LookupError."""
        office = self.country.offices.get(code)
        if office is None:
            raise LookupError(f"country {self.code} has no office {code!r}")
        return office

    def staff(self, office: str, role: Role) -> str:
        """The address that staff messages for this role of this office go to; raises LookupError."""
        address = self.office(office).staff.get(role)
        if address is None:
            raise LookupError(f"office {office} of country {self.code} has no role {role!r}")
        return address

    def tightened(self, service: str, handler: str) -> tuple[str, ...]:
        """The names of the policies the country adds to this handler of this service, in order."""
        return self.country.policies.get(service, {}).get(handler, ())


def load(folder: Path | str, declared: Declarations = NONE_DECLARED) -> Pack:
    """The pack in this folder (`countries/xa`). Raises PackError, which names every mistake.

    `declared` is what installed services add: deadlines that the pack may set, fields that its integrators may ask for.
    """
    pack, findings = _examine(Path(folder), declared)
    if pack is None or findings:
        raise PackError(str(folder), sorted(findings))
    return pack


def check(folder: Path | str, declared: Declarations = NONE_DECLARED) -> list[Finding]:
    """Every mistake of the pack in this folder, samples included, by file and line; empty when it can be used."""
    return sorted(_examine(Path(folder), declared, samples=True)[1])


def _examine(folder: Path, declared: Declarations, *, samples: bool = False) -> tuple[Pack | None, list[Finding]]:
    findings: list[Finding] = []
    if not folder.is_dir():
        return None, [Finding(str(folder), 1, 1, "there is no such folder", "name a folder such as countries/xa")]
    country, sound = _country(folder, declared, findings)
    written = tuple(language.code for language in country.languages) if "languages" in sound else None
    areas = frozenset(area.code for area in country.areas) if "areas" in sound else None
    zone = ZoneInfo(country.zone)
    instruments = _instruments(folder, written or (), findings)
    if "baseline_instrument" in sound:
        _baseline(country, instruments, findings)
    catalogue = _catalogue(folder, written, zone, findings)
    directory = read_directory(folder, areas, findings)
    needs = frozenset(need.need for each in instruments for domain in each.domains for need in domain.needs)
    calendars = country.calendars if "calendars" in sound else None
    known = Known(calendars, directory, needs if instruments else None, declared.shareable)
    integrators = read_integrators(folder, known, findings)
    schema = _extensions(folder, findings)
    if samples and (folder / "samples").is_dir():
        baseline = next((i for i in reversed(instruments) if i.id == country.baseline_instrument), None)
        read_script(folder, directory, baseline, findings, partners=frozenset(each.agency for each in integrators))
    if findings or directory is None or schema is None:
        return None, findings
    return Pack(country, zone, directory, instruments, schema, catalogue, integrators, declared.shareable), findings


def _country(folder: Path, declared: Declarations, findings: list[Finding]) -> tuple[Country, frozenset[str]]:
    """The country, with stand-ins for the sections that cannot be read, and the names of those that can."""
    sections = frozenset(Country.model_fields)
    document = read(folder, "country.yaml", findings)
    if document is None:
        return Country.model_validate(STAND_IN), frozenset()
    country = validate(document, Country, document.data, (), findings)
    if country is None:
        given = document.data if isinstance(document.data, dict) else {}
        wrong = failures(Country, given)
        sections = frozenset(given) & sections - wrong
        country = Country.model_validate({**STAND_IN, **{name: given[name] for name in sections}})
    for path, message, mend in country_rules.contradictions(
        country, folder.resolve().name, sections, declared.deadlines
    ):
        findings.append(document.finding(path, message, mend))
    return country_rules.with_declared(country, declared.deadlines), sections


def _instruments(folder: Path, languages: tuple[str, ...], findings: list[Finding]) -> tuple[Instrument, ...]:
    instruments: list[Instrument] = []
    for path in sorted((folder / "instruments").glob("*.yaml")):
        document = read(folder, f"instruments/{path.name}", findings)
        if document is None:
            continue
        instrument = validate(document, Instrument, document.data, (), findings)
        if instrument is None:
            continue
        for at, message, mend in instrument_rules.contradictions(instrument, languages):
            findings.append(document.finding(at, message, mend))
        if any((i.id, i.version) == (instrument.id, instrument.version) for i in instruments):
            message = f"{instrument.id} {instrument.version} stands in two files"
            findings.append(document.finding(("version",), message, "a version that was used never changes: raise it"))
        instruments.append(instrument)
    _released(folder, instruments, findings)
    return tuple(instruments)


def _released(folder: Path, instruments: list[Instrument], findings: list[Finding]) -> None:
    """A version that was used keeps its scored content for ever: released.json holds its digest."""
    document = read(folder, "instruments/released.json", findings)
    if document is None:
        return
    digests: dict[str, str] = document.data if isinstance(document.data, dict) else {}
    present = {f"{instrument.id} {instrument.version}": instrument for instrument in instruments}
    for name, digest in digests.items():
        instrument = present.get(name)
        if instrument is None:
            message = f"{name} was released and its file is missing or unreadable"
            findings.append(document.finding((name,), message, "put it back: old assessments are read with it"))
        elif not instrument.kept_by(str(digest)):
            message = f"{name} was released, and its scored content is another now"
            mend = "put it back, and make the change under a new version"
            if not str(digest).startswith(instrument_rules.SCORED):
                message = f"{name} was released, and its scored content or a translation is another now"
                mend += f'; if only a translation changed, write "{instrument.digest()}"'
            findings.append(document.finding((name,), message, mend))
    for name in sorted(set(present) - set(digests)):
        mend = f'add "{name}": "{present[name].digest()}"'
        findings.append(document.finding((), f"{name} has no digest: nothing would notice a later change", mend))


def _baseline(country: Country, instruments: tuple[Instrument, ...], findings: list[Finding]) -> None:
    if not any(instrument.id == country.baseline_instrument for instrument in instruments):
        message = f"baseline_instrument is {country.baseline_instrument!r}, and no file in instruments/ has that id"
        findings.append(Finding("country.yaml", 1, 1, message, "add the instrument or name another"))


def _catalogue(folder: Path, languages: tuple[str, ...] | None, zone: ZoneInfo, findings: list[Finding]) -> Catalogue:
    """The messages; `languages` is None where the country's own list cannot be read."""
    sources: dict[str, str] = {}
    present = {path.stem for path in (folder / "messages").glob("*.ftl")}
    for language in sorted(present | set(languages or ())):
        name = f"messages/{language}.ftl"
        if languages is not None and language not in languages:
            message = f"{language} is not one of the country's languages"
            findings.append(Finding(name, 1, 1, message, "add it to languages in country.yaml, or remove the file"))
        if language not in present:
            message = f"the messages in {language} are missing"
            findings.append(Finding(name, 1, 1, message, "translate them: nothing falls back to another language"))
            continue
        try:
            source = (folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            findings.append(Finding(name, 1, 1, f"cannot be read ({type(error).__name__})", "save it as UTF-8"))
            continue
        wrong = list(message_rules.mistakes(name, source))
        findings.extend(wrong)
        if not wrong:
            sources[language] = source
    return Catalogue(sources, zone)


def _extensions(folder: Path, findings: list[Finding]) -> dict[str, Any] | None:
    document = read(folder, "extensions.schema.json", findings)
    if document is None:
        return None
    try:
        Draft202012Validator.check_schema(document.data)
    except SchemaError as error:
        message = f"not a JSON Schema: {error.message}"
        findings.append(document.finding(tuple(error.absolute_path), message, "correct it against JSON Schema 2020-12"))
        return None
    schema: dict[str, Any] = document.data
    return schema
