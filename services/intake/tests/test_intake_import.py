"""Intake takes HTCDS files row by row."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from kintsugi.testing import Match, Scenario
from kintsugi_country import load
from kintsugi_events import CaseOpened, ContactProfileChanged, RiskRaised
from kintsugi_intake import htcds
from kintsugi_intake.commands import ImportCase
from kintsugi_intake.handlers import service
from kintsugi_intake.imports import Result, RowReport, command_of, summed

PACK = load("countries/xa")
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
SAMPLES = Path("countries/xa/samples/cases.csv").read_bytes()
scenario = Scenario(service, PACK, now=NOW)


def row(**cells: str) -> htcds.Row:
    """One row of a file with these cells."""
    cells = {"prs_FirstName": "Wren", "xa_Office": "harbour", **cells}
    data = ",".join(cells) + "\n" + ",".join(cells.values()) + "\n"
    [found] = htcds.read(data.encode(), "xa")
    assert isinstance(found, htcds.Row)
    return found


def command(**cells: str) -> ImportCase:
    """The command for such a row."""
    made = command_of(row(**cells), None)
    assert isinstance(made, ImportCase)
    return made


def test_every_sample_row_that_can_be_read_opens_a_case() -> None:
    rows = [each for each in htcds.read(SAMPLES, "xa") if isinstance(each, htcds.Row)]
    refs = set()
    for each in rows:
        made = command_of(each, None)
        assert isinstance(made, ImportCase), made
        then = scenario.given().when(made)
        assert then.rejected is None, (each, then.rejected)
        assert isinstance(then.events[0], CaseOpened)
        refs.add(then.events[0].case_ref)
        for event in then.events:
            type(event).decode(event.encode())
    assert len(refs) == len(rows) >= 60


def test_an_imported_case_says_which_file_and_row_it_came_from() -> None:
    made = command()
    scenario.given().when(made).then(Match(CaseOpened, import_ref=made.import_ref))
    assert command().import_ref == made.import_ref
    assert command(prs_SecondName="Heron").import_ref != made.import_ref


def test_what_a_file_cannot_hold_is_not_asked_and_nobody_is_contacted() -> None:
    then = scenario.given().when(command(prs_Email="wren@letterbox.example", con_Consent="1"))
    after = then.then(CaseOpened, Match(ContactProfileChanged, contact_by="not_asked", windows=()))
    profile = after.state.profile
    assert profile is not None
    assert not any(channel.verified or channel.safe for channel in profile.channels)
    assert after.state.consents == {}


def test_a_row_without_an_address_says_nothing_about_contact() -> None:
    scenario.given().when(command()).then(CaseOpened)


def test_an_immediate_danger_in_a_file_alerts_staff() -> None:
    scenario.given().when(command(xa_ImmediateDanger="Yes")).then(CaseOpened, RiskRaised)


def test_a_day_of_first_contact_begins_in_the_countrys_own_time() -> None:
    scenario.given().when(command(cas_IncomingReferralDate="2026-10-08")).then(
        Match(CaseOpened, received_at=datetime(2026, 10, 7, 21, 0, tzinfo=UTC))
    )


def test_a_day_in_the_future_is_refused() -> None:
    scenario.given().when(command(cas_IncomingReferralDate="2026-11-24")).refused("received_in_future")


def test_a_row_without_an_office_takes_the_one_named_for_the_file() -> None:
    without = row(xa_Office="")
    named = command_of(without, "hills")
    assert isinstance(named, ImportCase)
    scenario.given().when(named).then(Match(CaseOpened, office="hills"))
    unnamed = command_of(without, None)
    assert isinstance(unnamed, ImportCase)
    scenario.given().when(unnamed).refused("office_needed")


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ({"prs_Email": "no address"}, "email"),
        ({"prs_Birthdate": "1802-01-01"}, "birthdate"),
        ({"xa_Office": "The Harbour"}, "office"),
        ({"xa_Area": "12 Harbour Street"}, "area"),
    ],
)
def test_a_value_with_no_place_in_a_case_is_refused_by_its_field_without_repeating_it(
    cells: dict[str, str], field: str
) -> None:
    refused = command_of(row(**cells), None)
    assert isinstance(refused, RowReport)
    assert (refused.result, refused.reason) == (Result.refused, "value_refused")
    assert refused.field == field
    assert next(iter(cells.values())) not in repr(refused)


def test_a_report_counts_what_became_of_every_row() -> None:
    report = summed(
        [
            RowReport(row=3, result=Result.refused, reason="name_missing"),
            RowReport(row=2, result=Result.taken, case_ref="XA-00000001"),
            RowReport(row=4, result=Result.already_taken, case_ref="XA-00000002"),
        ],
        columns_not_read=1,
    )
    assert (report.rows, report.taken, report.already_taken, report.refused) == (3, 1, 1, 1)
    assert [each.row for each in report.report] == [2, 3, 4]
