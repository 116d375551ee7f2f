"""Takes an HTCDS file row by row: each row is one command, and the report says what became of it."""

from __future__ import annotations

from enum import StrEnum

from kintsugi_events import AgeBand, AgeBasis, ChannelKind, ContactBy
from pydantic import BaseModel, ConfigDict, ValidationError

from kintsugi_intake.commands import ChangeContactProfile, Channel, Harm, Identity, ImportCase, Trafficking
from kintsugi_intake.htcds import Row


class Result(StrEnum):
    """What became of a row."""

    taken = "taken"
    already_taken = "already_taken"
    refused = "refused"


class RowReport(BaseModel):
    """One row: its case, or the reason code and the field for which it was not taken. Never what it says."""

    model_config = ConfigDict(frozen=True)

    row: int
    result: Result
    case_ref: str | None = None
    reason: str | None = None
    field: str | None = None


class ImportReport(BaseModel):
    """What became of every row that is not blank, in the file's order."""

    model_config = ConfigDict(frozen=True)

    rows: int
    taken: int
    already_taken: int
    refused: int
    columns_not_read: int
    report: tuple[RowReport, ...]


def summed(rows: list[RowReport], columns_not_read: int) -> ImportReport:
    """The report with its totals."""
    counts = {result: sum(row.result is result for row in rows) for result in Result}
    return ImportReport(
        rows=len(rows),
        taken=counts[Result.taken],
        already_taken=counts[Result.already_taken],
        refused=counts[Result.refused],
        columns_not_read=columns_not_read,
        report=tuple(sorted(rows, key=lambda row: row.row)),
    )


def command_of(row: Row, default_office: str | None) -> ImportCase | RowReport:
    """The command for a row, or its refusal where a value has no place in a case.

    Consents and safe contact are left as not asked: the file's flag is neither. Its addresses are kept, unverified
    and not safe, so that nobody is contacted by them until the survivor has said how.
    """
    try:
        return ImportCase(
            import_ref=row.key,
            office=row.office or default_office,
            channel=row.channel,
            received_on=row.received_on,
            age_basis=row.age_basis,
            age_band=AgeBand.minor if row.age_basis is AgeBasis.presumed_minor else AgeBand.not_asked,
            languages=row.languages,
            casework_type=row.casework_type,
            area=row.area or "not_asked",
            immediate_danger=row.immediate_danger,
            referral_source=row.referral_source,
            identity=Identity(
                preferred_name=row.preferred_name,
                real_name=row.real_name,
                gender=row.gender,
                birthdate=row.birthdate,
                nationalities=row.nationalities,
            ),
            harm=Harm(
                trafficking=Trafficking(status=row.trafficking_status, decided_by=row.decided_by),
                exploitation_types=row.exploitation_types,
                control_methods=row.control_methods,
                recruitment_methods=row.recruitment_methods,
            ),
            contact_profile=_contact(row),
        )
    except ValidationError as error:
        at = error.errors(include_input=False, include_url=False)[0]["loc"]
        field = next((str(part) for part in at if isinstance(part, str)), None)
        return RowReport(row=row.row_number, result=Result.refused, reason="value_refused", field=field)


def _contact(row: Row) -> ChangeContactProfile | None:
    kinds = [ChannelKind.email] if row.email else []
    kinds += [ChannelKind.sms, ChannelKind.voice] if row.phone else []
    if not kinds:
        return None
    return ChangeContactProfile(
        contact_by=ContactBy.not_asked,
        email=row.email,
        phone=row.phone,
        channels=tuple(Channel(kind=kind) for kind in kinds),
    )
