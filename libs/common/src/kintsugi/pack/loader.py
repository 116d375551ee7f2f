"""Reads a whole country pack: all of it is right, or it is refused with every mistake named."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from kintsugi.pack import country as country_rules
from kintsugi.pack import instrument as instrument_rules
from kintsugi.pack import messages as message_rules
from kintsugi.pack.calendars import due
from kintsugi.pack.country import Country, DeadlineName, Office, Role
from kintsugi.pack.directory import Directory
from kintsugi.pack.findings import Finding, PackError
from kintsugi.pack.hsds import read_directory
from kintsugi.pack.instrument import Instrument
from kintsugi.pack.messages import Catalogue, Text
from kintsugi.pack.samples import read_script
from kintsugi.pack.source import read, validate
from kintsugi.pack.templates import Audience


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

    def due(self, name: DeadlineName, start: datetime) -> datetime:
        """The moment (UTC) at which the country's deadline `name` ends for something that began at `start`.

        Raises LookupError for a name that is not a deadline and ValueError for a start without a time zone.
        """
        deadline = self.country.deadlines.get(name)
        if deadline is None:
            raise LookupError(f"country {self.code} has no deadline {name!r}")
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


def load(folder: Path | str) -> Pack:
    """The pack in this folder (`countries/xa`). Raises PackError, which names every mistake."""
    pack, findings = examine(Path(folder))
    if pack is None or findings:
        raise PackError(str(folder), sorted(findings))
    return pack


def check(folder: Path | str) -> list[Finding]:
    """Every mistake of the pack in this folder, in the order of files and lines; empty when it can be used."""
    pack, findings = examine(Path(folder))
    if pack is not None and (Path(folder) / "samples").is_dir():
        read_script(Path(folder), pack.directory, pack.baseline_instrument, findings)
    return sorted(findings)


def examine(folder: Path) -> tuple[Pack | None, list[Finding]]:
    """The pack, if it can be used, and everything wrong with it."""
    findings: list[Finding] = []
    if not folder.is_dir():
        return None, [Finding(str(folder), 1, 1, "there is no such folder", "name a folder such as countries/xa")]
    country = _country(folder, findings)
    if country is None:
        return None, findings
    languages = tuple(language.code for language in country.languages)
    zone = ZoneInfo(country.zone)
    instruments = _instruments(folder, country, languages, findings)
    catalogue = _catalogue(folder, languages, zone, findings)
    directory = read_directory(folder, frozenset(area.code for area in country.areas), findings)
    schema = _extensions(folder, findings)
    if findings or directory is None or catalogue is None or schema is None:
        return None, findings
    return Pack(country, zone, directory, instruments, schema, catalogue), findings


def _country(folder: Path, findings: list[Finding]) -> Country | None:
    document = read(folder, "country.yaml", findings)
    if document is None:
        return None
    country = validate(document, Country, document.data, (), findings)
    if country is not None:
        for path, message, mend in country_rules.contradictions(country, folder.resolve().name):
            findings.append(document.finding(path, message, mend))
    return country


def _instruments(
    folder: Path, country: Country, languages: tuple[str, ...], findings: list[Finding]
) -> tuple[Instrument, ...]:
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
    if not any(instrument.id == country.baseline_instrument for instrument in instruments):
        message = f"baseline_instrument is {country.baseline_instrument!r}, and no file in instruments/ has that id"
        findings.append(Finding("country.yaml", 1, 1, message, "add the instrument or name another"))
    return tuple(instruments)


def _catalogue(folder: Path, languages: tuple[str, ...], zone: ZoneInfo, findings: list[Finding]) -> Catalogue | None:
    sources: dict[str, str] = {}
    present = {path.stem for path in (folder / "messages").glob("*.ftl")}
    for language in sorted(present - set(languages)):
        name = f"messages/{language}.ftl"
        findings.append(Finding(name, 1, 1, f"{language} is not one of the country's languages", "add it to languages"))
    for language in languages:
        name = f"messages/{language}.ftl"
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
    return Catalogue(sources, zone) if set(sources) == set(languages) else None


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
    schema: dict[str, Any] = json.loads(document.text)
    return schema
