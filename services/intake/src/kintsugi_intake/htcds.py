"""Reads cases from a CSV in IOM's Human Trafficking Case Data Standard (HTCDS 2.0): all that can be taken is taken.

Columns are found by field name, wherever they stand; unknown columns are ignored, and `unknown_columns` names them.
A blank cell was not asked. A row that cannot be trusted is refused whole, with a code and the field, never with what
it says: refusals are read by people who may not see the person.

Five columns of our own may follow the standard's, written with the country's code: `xa_Office`, `xa_Area`,
`xa_Channel`, `xa_Language` and `xa_ImmediateDanger`. The standard has no field for them.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeVar

from kintsugi_events import (
    AgeBand,
    AgeBasis,
    Answer,
    CaseworkType,
    ControlMethod,
    DecidingBody,
    ExploitationType,
    Gender,
    IntakeChannel,
    RecruitmentMethod,
    ReferralSource,
    TraffickingStatus,
)

E = TypeVar("E", bound=StrEnum)

_FIELD = re.compile(r"^(org|prs|vic|per|cas|cco|hte|spl|con)_[a-z]+$", re.IGNORECASE)
_DAY = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
_LOCAL = ("Office", "Area", "Channel", "Language", "ImmediateDanger")
_READ = (
    "prs_FirstName",
    "prs_SecondName",
    "prs_Birthdate",
    "prs_Gender",
    "prs_Citizenship",
    "prs_Email",
    "prs_HomePhone",
    "prs_MobilePhone",
    "vic_TraffickingStatus",
    "vic_TraffickingStatusDecisionMakingOrg",
    "vic_MethodOfRecruitment",
    "vic_MethodsOfControl",
    "vic_TypeOfExploitation",
    "cas_Status",
    "cas_ReferringOrganisation",
    "cas_IncomingReferralDate",
    "con_Consent",
)
# The standard's own template misspells this field.
_MISSPELT = {"vic_traffickinstatusdecisionmakingorg": "vic_TraffickingStatusDecisionMakingOrg"}
_ALIASES = {"nonspecifiedunknown": "unknown"}
_LONGEST = {"prs_FirstName": 250, "prs_SecondName": 249, "prs_Email": 320, "prs_HomePhone": 40, "prs_MobilePhone": 40}
_HEADER_WITHIN = 5


class Reason(StrEnum):
    """Why a row was not taken."""

    too_many_cells = "too_many_cells"
    not_csv = "not_csv"
    text_unreadable = "text_unreadable"
    text_too_long = "text_too_long"
    name_missing = "name_missing"
    date_unreadable = "date_unreadable"
    birth_after_referral = "birth_after_referral"
    code_unknown = "code_unknown"
    several_values = "several_values"
    flag_unreadable = "flag_unreadable"
    case_not_open = "case_not_open"
    repeated_row = "repeated_row"


class NotHtcds(ValueError):
    """The file as a whole cannot be read; `code` is `not_utf8`, `not_csv` or `no_field_names`."""

    def __init__(self, code: str, mend: str) -> None:
        super().__init__(f"The file is not an HTCDS CSV ({code}): {mend}")
        self.code = code
        self.mend = mend


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that was not taken. `row_number` counts the file's rows from 1 as a spreadsheet does."""

    row_number: int
    reason: Reason
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One case as the file gives it. Its repr shows no personal value."""

    row_number: int
    key: str
    """The same for the same row of the same file: what an import is idempotent by."""
    preferred_name: str
    real_name: str
    gender: Gender
    birthdate: date | None
    nationalities: tuple[str, ...]
    email: str | None
    phone: str | None
    received_on: date | None
    trafficking_status: TraffickingStatus
    decided_by: DecidingBody
    exploitation_types: tuple[ExploitationType, ...]
    control_methods: tuple[ControlMethod, ...]
    recruitment_methods: tuple[RecruitmentMethod, ...]
    casework_type: CaseworkType
    referral_source: ReferralSource
    consented_to_record: Answer
    """The file's own flag: `yes` or not asked. It is not a consent to share or to contact."""
    office: str | None
    area: str | None
    channel: IntakeChannel
    languages: tuple[str, ...]
    immediate_danger: Answer

    def __repr__(self) -> str:
        return f"Row({self.row_number}, {self.key})"

    @property
    def age_basis(self) -> AgeBasis:
        """Declared where there is a birthdate; presumed a minor where only child labour is recorded."""
        if self.birthdate is not None:
            return AgeBasis.declared
        if ExploitationType.child_labour in self.exploitation_types:
            return AgeBasis.presumed_minor
        return AgeBasis.not_asked

    def age_band(self, on: date) -> AgeBand:
        """The band of the person's age on that day."""
        if self.birthdate is None:
            return AgeBand.minor if self.age_basis is AgeBasis.presumed_minor else AgeBand.not_asked
        return band_of(self.birthdate, on)


def band_of(birthdate: date, on: date) -> AgeBand:
    """The age band of somebody born on `birthdate`, on the day `on`; unknown before the birth."""
    if birthdate > on:
        return AgeBand.unknown
    age = on.year - birthdate.year - ((on.month, on.day) < (birthdate.month, birthdate.day))
    limits = (
        (6, AgeBand.under_6),
        (12, AgeBand.from_6_to_11),
        (15, AgeBand.from_12_to_14),
        (18, AgeBand.from_15_to_17),
        (25, AgeBand.from_18_to_24),
        (40, AgeBand.from_25_to_39),
        (60, AgeBand.from_40_to_59),
    )
    return next((band for limit, band in limits if age < limit), AgeBand.from_60)


def read(data: bytes, country: str) -> Iterator[Row | Refused]:
    """Every row of the file that is not blank, taken or refused. `country` is the country's code, `xa`.

    Raises NotHtcds, before any row, when the file as a whole cannot be read.
    """
    records, columns = _open(data, country)
    return _rows(records, columns, hashlib.sha256(data).hexdigest()[:32], country)


def unknown_columns(data: bytes, country: str) -> tuple[str, ...]:
    """The headings of columns that were not read, in the file's order. Raises NotHtcds as `read` does."""
    _, columns = _open(data, country)
    known = {*_READ, *(f"{country}_{name}" for name in _LOCAL)}
    return tuple(name for name in columns if name and name not in known)


Records = Iterator[tuple[int, list[str]] | Refused]


def _open(data: bytes, country: str) -> tuple[Records, list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotHtcds("not_utf8", "save it as CSV UTF-8") from None
    records = _records(text, _delimiter(text))
    # The standard's templates put a row of labels before or after the row of field names.
    for record in records:
        if isinstance(record, Refused):
            raise NotHtcds("not_csv", "export it again as CSV")
        number, cells = record
        if number > _HEADER_WITHIN:
            break
        if any(_FIELD.match(cell.strip()) for cell in cells):
            return records, [_field_name(cell, country) for cell in cells]
    raise NotHtcds("no_field_names", "keep the row of field names such as prs_FirstName among the first five rows")


def _delimiter(text: str) -> str:
    # Spreadsheets in many languages export with semicolons or tabs.
    header = next((line for line in text.splitlines()[:_HEADER_WITHIN] if "prs_" in line.casefold()), ",")
    return max(",;\t", key=header.count)


def _records(text: str, delimiter: str) -> Records:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    while True:
        number += 1
        try:
            yield number, next(reader)
        except StopIteration:
            return
        except csv.Error:
            # Where a quote never closes, no later row can be told from the broken one.
            yield Refused(number, Reason.not_csv)
            return


def _field_name(cell: str, country: str) -> str:
    name = cell.strip()
    folded = name.casefold()
    if folded in _MISSPELT:
        return _MISSPELT[folded]
    known = (*_READ, *(f"{country}_{local}" for local in _LOCAL))
    return next((field for field in known if field.casefold() == folded), name)


def _rows(records: Records, columns: list[str], file_key: str, country: str) -> Iterator[Row | Refused]:
    seen: set[tuple[tuple[str, str], ...]] = set()
    for record in records:
        if isinstance(record, Refused):
            yield record
            continue
        number, cells = record
        if not any(cell.strip() for cell in cells) or _is_labels(columns, cells):
            continue
        if len(cells) > len(columns):
            yield Refused(number, Reason.too_many_cells)
            continue
        values = {name: cell.strip() for name, cell in zip(columns, cells, strict=False) if name and cell.strip()}
        content = tuple(sorted(values.items()))
        if content in seen:
            yield Refused(number, Reason.repeated_row)
            continue
        seen.add(content)
        try:
            yield _Reader(values, country).row(number, f"{file_key}:{number}")
        except _Mistake as mistake:
            yield Refused(number, mistake.reason, mistake.field)


def _is_labels(columns: list[str], cells: list[str]) -> bool:
    pairs = [(name, cell) for name, cell in zip(columns, cells, strict=False) if cell.strip()]
    same = sum(_letters(cell) == _letters(name.partition("_")[2]) for name, cell in pairs)
    return len(pairs) > 1 and same * 2 >= len(pairs)


def _letters(text: str) -> str:
    return "".join(mark for mark in text.casefold() if mark.isalnum())


class _Mistake(Exception):
    def __init__(self, reason: Reason, field: str) -> None:
        super().__init__(reason, field)
        self.reason = reason
        self.field = field


class _Reader:
    """One row's values, each turned into a code, a date or a text, or refused by its field's name."""

    def __init__(self, values: Mapping[str, str], country: str) -> None:
        self._values = values
        self._country = country

    def row(self, number: int, key: str) -> Row:
        for field, value in self._values.items():
            self._readable(field, value)
        first, second = self._values.get("prs_FirstName"), self._values.get("prs_SecondName")
        preferred = first or second
        if preferred is None:
            raise _Mistake(Reason.name_missing, "prs_FirstName")
        born, received = self._day("prs_Birthdate"), self._day("cas_IncomingReferralDate")
        if born and received and born > received:
            raise _Mistake(Reason.birth_after_referral, "prs_Birthdate")
        if self._word("cas_Status", {"active", "followup", "closed", "closedreferred"}) in ("closed", "closedreferred"):
            raise _Mistake(Reason.case_not_open, "cas_Status")
        status = self._one("vic_TraffickingStatus", TraffickingStatus, TraffickingStatus.not_asked)
        trafficked = status in (TraffickingStatus.possible, TraffickingStatus.actual)
        sent = "cas_ReferringOrganisation" in self._values
        return Row(
            row_number=number,
            key=key,
            preferred_name=preferred,
            real_name=" ".join(part for part in (first, second) if part),
            gender=self._one("prs_Gender", Gender, Gender.not_asked),
            birthdate=born,
            nationalities=self._countries("prs_Citizenship"),
            email=self._values.get("prs_Email"),
            phone=self._values.get("prs_MobilePhone") or self._values.get("prs_HomePhone"),
            received_on=received,
            trafficking_status=status,
            decided_by=self._one("vic_TraffickingStatusDecisionMakingOrg", DecidingBody, DecidingBody.unknown),
            exploitation_types=self._many("vic_TypeOfExploitation", ExploitationType),
            control_methods=self._many("vic_MethodsOfControl", ControlMethod),
            recruitment_methods=self._many("vic_MethodOfRecruitment", RecruitmentMethod),
            casework_type=CaseworkType.trafficking if trafficked else CaseworkType.not_asked,
            referral_source=ReferralSource.partner_organisation if sent else ReferralSource.not_asked,
            consented_to_record=self._flag("con_Consent"),
            office=self._values.get(f"{self._country}_Office"),
            area=self._values.get(f"{self._country}_Area"),
            channel=self._one(f"{self._country}_Channel", IntakeChannel, IntakeChannel.not_asked),
            languages=self._languages(),
            immediate_danger=self._one(f"{self._country}_ImmediateDanger", Answer, Answer.not_asked),
        )

    def _readable(self, field: str, value: str) -> None:
        # U+FFFD is what a wrong encoding leaves of a letter: the name would be wrong for ever.
        if any(mark == "\ufffd" or (unicodedata.category(mark) == "Cc" and mark not in "\n\r\t") for mark in value):
            raise _Mistake(Reason.text_unreadable, field)
        if len(value) > _LONGEST.get(field, 20_000):
            raise _Mistake(Reason.text_too_long, field)

    def _day(self, field: str) -> date | None:
        value = self._values.get(field)
        if value is None:
            return None
        # 03/04/2001 is two different days, so only YYYY-MM-DD is taken.
        if _DAY.match(value):
            with contextlib.suppress(ValueError):
                return date.fromisoformat(value)
        raise _Mistake(Reason.date_unreadable, field)

    def _parts(self, field: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in self._values.get(field, "").split(";") if part.strip())

    def _word(self, field: str, known: set[str]) -> str | None:
        parts = self._parts(field)
        if not parts:
            return None
        if len(parts) > 1:
            raise _Mistake(Reason.several_values, field)
        word = _letters(parts[0])
        if word not in known:
            raise _Mistake(Reason.code_unknown, field)
        return word

    def _one(self, field: str, codes: type[E], blank: E) -> E:
        known = {_letters(code.value): code for code in codes}
        known |= {alias: codes(code) for alias, code in _ALIASES.items() if code in codes.__members__}
        word = self._word(field, set(known))
        return blank if word is None else known[word]

    def _many(self, field: str, codes: type[E]) -> tuple[E, ...]:
        known = {_letters(code.value): code for code in codes}
        found = []
        for part in self._parts(field):
            code = known.get(_letters(part))
            if code is None:
                raise _Mistake(Reason.code_unknown, field)
            found.append(code)
        return tuple(dict.fromkeys(found))

    def _countries(self, field: str) -> tuple[str, ...]:
        parts = tuple(part.upper() for part in self._parts(field))
        if any(not re.fullmatch(r"[A-Z]{2}", part) for part in parts):
            raise _Mistake(Reason.code_unknown, field)
        return tuple(dict.fromkeys(parts))

    def _languages(self) -> tuple[str, ...]:
        field = f"{self._country}_Language"
        parts = self._parts(field)
        if any(not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", part) for part in parts):
            raise _Mistake(Reason.code_unknown, field)
        return tuple(dict.fromkeys(parts))

    def _flag(self, field: str) -> Answer:
        value = self._values.get(field)
        if value is None:
            return Answer.not_asked
        # The standard writes 1 or nothing; anything else could mean a refusal that is read as a yes.
        if value != "1":
            raise _Mistake(Reason.flag_unreadable, field)
        return Answer.yes
