"""HTCDS files are read by field name: what can be trusted is taken, and each other row is refused with its reason."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kintsugi_events import (
    AgeBand,
    AgeBasis,
    Answer,
    CaseworkType,
    DecidingBody,
    ExploitationType,
    Gender,
    IntakeChannel,
    TraffickingStatus,
)
from kintsugi_intake.htcds import NotHtcds, Reason, Refused, Row, band_of, read, unknown_columns


def table(*rows: str) -> bytes:
    return "\n".join(rows).encode()


def only(data: bytes) -> Row | Refused:
    (row,) = read(data, "xa")
    return row


def taken(heading: str, cells: str) -> Row:
    row = only(table(heading, cells))
    assert isinstance(row, Row), row
    return row


def refused(heading: str, cells: str) -> Refused:
    row = only(table(heading, cells))
    assert isinstance(row, Refused), row
    return row


def test_columns_are_found_by_name_wherever_they_stand() -> None:
    row = taken("vic_TraffickingStatus,prs_SecondName,prs_FirstName", "Possible,Velisso,Amarande")
    assert (row.preferred_name, row.real_name) == ("Amarande", "Amarande Velisso")
    assert row.trafficking_status is TraffickingStatus.possible
    assert row.casework_type is CaseworkType.trafficking


def test_a_blank_cell_was_not_asked() -> None:
    row = taken("prs_FirstName,prs_Gender,prs_Birthdate,con_Consent,vic_TraffickingStatus", "Amarande,,,,")
    assert row.gender is Gender.not_asked
    assert row.trafficking_status is TraffickingStatus.not_asked
    assert row.consented_to_record is Answer.not_asked
    assert row.age_band(date(2026, 11, 23)) is AgeBand.not_asked
    assert row.immediate_danger is Answer.not_asked


@pytest.mark.parametrize("heading", ["prs_FirstName", "prs_SecondName"])
def test_a_mononym_is_a_whole_name(heading: str) -> None:
    row = taken(f"{heading},prs_Gender", "Suharyanti,Feminine")
    assert (row.preferred_name, row.real_name) == ("Suharyanti", "Suharyanti")


def test_a_right_to_left_name_and_a_very_long_one_are_kept_whole() -> None:
    assert taken("prs_FirstName,prs_SecondName", "نورهان,الزيتوني").real_name == "نورهان الزيتوني"
    assert taken("prs_FirstName", "Bar" * 80).preferred_name == "Bar" * 80


def test_the_template_s_misspelt_field_and_the_right_one_are_both_read() -> None:
    for heading in ("vic_TraffickinStatusDecisionMakingOrg", "vic_TraffickingStatusDecisionMakingOrg"):
        row = taken(f"prs_FirstName,{heading}", "Amarande,CourtOrProsecution")
        assert row.decided_by is DecidingBody.court_or_prosecution


def test_several_values_are_read_where_the_standard_allows_them() -> None:
    row = taken("prs_FirstName,vic_TypeOfExploitation", "Amarande,ForcedLabour; Servitude;ForcedLabour;")
    assert row.exploitation_types == (ExploitationType.forced_labour, ExploitationType.servitude)


def test_codes_are_read_whatever_their_case_and_spacing() -> None:
    row = taken("prs_FirstName,prs_Gender,vic_TypeOfExploitation", "Amarande,transgender feminine,FORCED BEGGING")
    assert row.gender is Gender.transgender_feminine
    assert row.exploitation_types == (ExploitationType.forced_begging,)


def test_rows_of_labels_before_and_after_the_field_names_are_no_cases() -> None:
    data = table("First Name,Birth Date", "prs_FirstName,prs_Birthdate", "First Name,Birthdate", "Amarande,1990-01-01")
    row = only(data)
    assert isinstance(row, Row)
    assert row.row_number == 4


def test_blank_rows_and_a_byte_order_mark_are_ignored() -> None:
    data = b"\xef\xbb\xbf" + table("prs_FirstName,prs_Gender", ",", "", "Amarande,Feminine")
    assert [row.row_number for row in read(data, "xa")] == [4]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_delimiters_are_recognised(mark: str) -> None:
    row = taken(f"prs_FirstName{mark}prs_Gender", f"Amarande{mark}Feminine")
    assert row.gender is Gender.feminine


def test_our_own_columns_carry_what_the_standard_cannot() -> None:
    row = taken(
        "prs_FirstName,xa_Office,xa_Area,xa_Channel,xa_Language,xa_ImmediateDanger",
        "Amarande,harbour,XA-HB,OutreachPoint,ti;en,Yes",
    )
    assert (row.office, row.area, row.languages) == ("harbour", "XA-HB", ("ti", "en"))
    assert (row.channel, row.immediate_danger) == (IntakeChannel.outreach_point, Answer.yes)


def test_another_country_s_columns_are_not_read() -> None:
    data = table("prs_FirstName,xb_ImmediateDanger,prs_Invented", "Amarande,Yes,x")
    row = only(data)
    assert isinstance(row, Row)
    assert row.immediate_danger is Answer.not_asked
    assert unknown_columns(data, "xa") == ("xb_ImmediateDanger", "prs_Invented")


@pytest.mark.parametrize(
    ("heading", "cells", "reason", "field"),
    [
        ("prs_FirstName,prs_Gender", ",Feminine", Reason.name_missing, "prs_FirstName"),
        ("prs_FirstName,prs_Birthdate", "Amarande,03/04/2001", Reason.date_unreadable, "prs_Birthdate"),
        ("prs_FirstName,prs_Birthdate", "Amarande,2001-02-30", Reason.date_unreadable, "prs_Birthdate"),
        ("prs_FirstName,prs_Birthdate", "Amarande,2001-W14-2", Reason.date_unreadable, "prs_Birthdate"),
        ("prs_FirstName,vic_TypeOfExploitation", "Amarande,Slavery", Reason.code_unknown, "vic_TypeOfExploitation"),
        ("prs_FirstName,vic_TraffickingStatus", "Amarande,No;Yes", Reason.several_values, "vic_TraffickingStatus"),
        ("prs_FirstName,prs_Gender", "Amarande,Other", Reason.code_unknown, "prs_Gender"),
        ("prs_FirstName,prs_Citizenship", "Amarande,Xandria", Reason.code_unknown, "prs_Citizenship"),
        ("prs_FirstName,con_Consent", "Amarande,0", Reason.flag_unreadable, "con_Consent"),
        ("prs_FirstName,con_Consent", "Amarande,No;Yes", Reason.flag_unreadable, "con_Consent"),
        ("prs_FirstName,cas_Status", "Amarande,Closed", Reason.case_not_open, "cas_Status"),
        ("prs_FirstName,cas_Status", "Amarande,ClosedReferred", Reason.case_not_open, "cas_Status"),
        ("prs_FirstName,prs_Email", "Amar\ufffdnde,", Reason.text_unreadable, "prs_FirstName"),
        ("prs_FirstName,prs_Email", "Amar\x00nde,", Reason.text_unreadable, "prs_FirstName"),
        ("prs_FirstName,prs_Email", "A" * 251 + ",", Reason.text_too_long, "prs_FirstName"),
        ("prs_FirstName,prs_Email", "Amarande,,x", Reason.too_many_cells, None),
    ],
)
def test_a_row_that_cannot_be_trusted_is_refused_with_its_reason(
    heading: str, cells: str, reason: Reason, field: str | None
) -> None:
    assert refused(heading, cells) == Refused(2, reason, field)


def test_a_birth_after_the_referral_is_refused() -> None:
    heading = "prs_FirstName,prs_Birthdate,cas_IncomingReferralDate"
    assert refused(heading, "Amarande,2027-01-01,2026-10-01").reason is Reason.birth_after_referral


def test_a_refused_row_does_not_cost_the_next_one() -> None:
    data = table("prs_FirstName,prs_Birthdate", "Amarande,soon", "Tesfalem,1990-08-04")
    rows = list(read(data, "xa"))
    assert [type(row) for row in rows] == [Refused, Row]


def test_the_same_row_twice_is_one_case() -> None:
    rows = list(read(table("prs_FirstName,prs_Gender", "Amarande,Feminine", "Amarande,Feminine"), "xa"))
    assert isinstance(rows[0], Row)
    assert rows[1] == Refused(3, Reason.repeated_row)


def test_a_quote_that_never_closes_refuses_the_rest_and_keeps_what_came_before() -> None:
    rows = list(read(table("prs_FirstName,prs_Gender", "Amarande,Feminine", '"Tesfalem,Masculine', "Jovelyn,"), "xa"))
    assert isinstance(rows[0], Row)
    assert rows[1:] == [Refused(3, Reason.not_csv)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "no_field_names"),
        (b"Name,Age\nAmarande,30\n", "no_field_names"),
        ("prs_FirstName\nZo\u00eb".encode("latin-1"), "not_utf8"),
        (b"PK\x03\x04\x14\x00\x06\x00\xff\xfe", "not_utf8"),
    ],
)
def test_a_file_that_is_no_htcds_csv_is_refused_before_any_row(data: bytes, code: str) -> None:
    with pytest.raises(NotHtcds) as error:
        read(data, "xa")
    assert error.value.code == code
    assert error.value.mend


def test_a_row_s_key_depends_on_the_file_and_the_row_only() -> None:
    data = table("prs_FirstName,prs_Gender", "Amarande,Feminine", "Tesfalem,Masculine")
    first, second = ([row.key for row in read(data, "xa") if isinstance(row, Row)] for _ in range(2))
    assert first == second
    assert len(set(first)) == 2
    other = only(table("prs_FirstName,prs_Gender", "Amarande,Feminine"))
    assert isinstance(other, Row)
    assert other.key not in first


def test_a_row_never_shows_the_person() -> None:
    row = taken("prs_FirstName,prs_MobilePhone", "Amarande,+999 70 100 000")
    assert "Amarande" not in repr(row)
    assert "999" not in repr(row)


@pytest.mark.parametrize(
    ("born", "band"),
    [
        ("2021-11-24", AgeBand.under_6),
        ("2020-11-23", AgeBand.from_6_to_11),
        ("2014-11-24", AgeBand.from_6_to_11),
        ("2014-11-23", AgeBand.from_12_to_14),
        ("2008-11-24", AgeBand.from_15_to_17),
        ("2008-11-23", AgeBand.from_18_to_24),
        ("1987-01-01", AgeBand.from_25_to_39),
        ("1986-01-01", AgeBand.from_40_to_59),
        ("1966-11-23", AgeBand.from_60),
        ("2027-01-01", AgeBand.unknown),
    ],
)
def test_a_birthday_decides_the_band_on_its_day(born: str, band: AgeBand) -> None:
    assert band_of(date.fromisoformat(born), date(2026, 11, 23)) is band


def test_child_labour_without_a_birthdate_means_a_presumed_minor() -> None:
    row = taken("prs_FirstName,vic_TypeOfExploitation", "Amarande,ChildLabour")
    assert row.age_basis is AgeBasis.presumed_minor
    assert row.age_band(date(2026, 11, 23)) is AgeBand.minor


@given(st.lists(st.text(max_size=30), max_size=6))
def test_no_text_whatever_makes_the_reader_raise(lines: list[str]) -> None:
    data = "\n".join(["prs_FirstName,prs_Birthdate,vic_TypeOfExploitation", *lines]).encode("utf-8", "surrogatepass")
    try:
        rows = list(read(data, "xa"))
    except NotHtcds:
        return
    assert all(isinstance(row, Row | Refused) for row in rows)
