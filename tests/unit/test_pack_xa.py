"""The pack of Xandria gives services what they ask for, agrees with the contracts, and cannot be changed."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import kintsugi_events as events
import pytest
from kintsugi_country import ROLES, TEMPLATES, Pack, load
from kintsugi_country.directory import ServiceStatus
from kintsugi_country.hsds import OPT_IN_TYPES
from kintsugi_country.instrument import Band
from kintsugi_country.templates import Audience
from pydantic import ValidationError

FOLDER = Path(__file__).parents[2] / "countries" / "xa"
LATER = datetime(2026, 11, 25, 14, 0, tzinfo=UTC)
SEEDED_TYPES = {
    "trauma_therapist",
    "safe_house",
    "support_group_in_person",
    "support_group_online",
    "help_line",
    "government_rehabilitation",
    "government_finance",
    "government_education",
    "government_employment",
    "government_assessment",
    "government_housing",
    "child_friendly_space",
    "legal_aid",
    "survivor_network",
    "family_support",
}


@pytest.fixture(scope="module")
def pack() -> Pack:
    return load(FOLDER)


def test_the_provider_has_three_working_days_to_answer(pack: Pack) -> None:
    thursday = datetime(2026, 11, 19, 14, 0, tzinfo=UTC)
    assert pack.due("provider_answer", thursday) == datetime(2026, 11, 24, 14, 0, tzinfo=UTC)


def test_an_unknown_deadline_is_an_error_and_not_a_guess(pack: Pack) -> None:
    with pytest.raises(LookupError, match="provider_anwser"):
        pack.due("provider_anwser", LATER)


def test_a_message_is_written_in_its_own_language_and_the_country_s_time(pack: Pack) -> None:
    text = pack.message("provider_request", "fr", "provider", link="https://office.example/a", answer_due=LATER)
    assert text is not None
    assert text.subject == "Une demande attend votre réponse"
    assert "\nhttps://office.example/a\n" in text.body
    assert "mercredi 25 novembre 2026, 16:00" in text.body


def test_a_right_to_left_message_keeps_its_link_whole(pack: Pack) -> None:
    text = pack.message("purge_request", "ar", "provider", link="https://office.example/a", due=LATER)
    assert text is not None
    assert "\nhttps://office.example/a\n" in text.body


@pytest.mark.parametrize("locale", ["ti", "en-GB", "EN", ""])
def test_a_missing_translation_never_falls_back(pack: Pack, locale: str) -> None:
    assert pack.message("survivor_notice", locale, "survivor") is None


def test_a_message_says_nothing_but_its_own_arguments(pack: Pack) -> None:
    with pytest.raises(ValueError, match="exactly"):
        pack.message("survivor_notice", "en", "survivor", name="Amarande")
    with pytest.raises(ValueError, match="exactly"):
        pack.message("provider_request", "en", "provider", link="https://office.example/a")
    with pytest.raises(ValueError, match="for staff"):
        pack.message("staff_alert", "en", "survivor", task="T-1", due=LATER)
    with pytest.raises(LookupError, match="did you mean 'staff_alert'"):
        pack.message("staff_allert", "en", "staff", task="T-1", due=LATER)


@pytest.mark.parametrize("locale", ["en", "fr", "ar"])
@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_message_can_be_written_in_every_language(pack: Pack, name: str, locale: str) -> None:
    template = TEMPLATES[name]
    given = {argument: LATER if argument.endswith("due") else f"<{argument}>" for argument in template.arguments}
    text = pack.message(name, locale, template.audience, **given)
    assert text is not None
    assert text.subject
    assert "\n" not in text.subject
    for argument in template.arguments:
        assert argument.endswith("due") or f"<{argument}>" in text.body


def test_messages_to_survivors_hold_no_link_and_no_reference() -> None:
    allowed = {"code_word"}
    assert all(t.arguments <= allowed for t in TEMPLATES.values() if t.audience == "survivor")


def test_every_role_of_every_office_reaches_somebody(pack: Pack) -> None:
    for code in pack.country.offices:
        for role in ROLES:
            assert pack.staff(code, role).endswith("@office.example")
    with pytest.raises(LookupError, match="no office 'moon'"):
        pack.staff("moon", "caseworker")


def test_the_instrument_has_six_domains_of_at_least_four_items(pack: Pack) -> None:
    instrument = pack.baseline_instrument
    assert len(instrument.domains) == 6
    assert all(len(domain.items) >= 4 for domain in instrument.domains)
    assert (instrument.scale.minimum, instrument.scale.maximum) == (1, 4)
    assert pack.instrument("demo-outcomes", "1.0.0") is instrument
    with pytest.raises(LookupError, match=r"no instrument demo-outcomes 9\.0\.0"):
        pack.instrument("demo-outcomes", "9.0.0")


def test_lower_means_give_more_pressing_needs(pack: Pack) -> None:
    need = pack.baseline_instrument.domain("safety").needs[0]
    bands = [need.band_for(mean) for mean in (1.0, 1.5, 1.75, 2.0, 2.5, 2.6, 4.0)]
    assert bands == ["urgent", "urgent", "high", "high", "moderate", None, None]


def test_every_need_has_services_and_every_service_a_need(pack: Pack) -> None:
    needs = {need.need for domain in pack.baseline_instrument.domains for need in domain.needs}
    offered = {need for service in pack.directory.services for need in service.needs}
    assert needs == offered
    assert all(len(pack.directory.services_for(need)) >= 3 for need in needs)
    assert pack.directory.services_for("a_pony") == ()


def test_the_directory_covers_every_resource_type_and_every_status(pack: Pack) -> None:
    services = pack.directory.services
    assert len(services) >= 30
    assert {kind for service in services for kind in service.resource_types} >= SEEDED_TYPES
    assert {service.status for service in services} == set(ServiceStatus)
    assert any(service.assured_on is None for service in services)
    assert all(agency.email.endswith(".example") for agency in pack.directory.agencies)


def test_peer_support_is_opt_in_and_shelters_are_redacted(pack: Pack) -> None:
    for service in pack.directory.services:
        assert service.opt_in == bool(OPT_IN_TYPES & set(service.resource_types))
        assert service.redacted == ("safe_house" in service.resource_types)


def test_a_service_is_found_by_id_and_knows_whom_it_admits(pack: Pack) -> None:
    child = next(s for s in pack.directory.services if s.name == "Trauma therapy for children")
    assert pack.directory.service(child.id) is child
    assert pack.directory.agency(child.agency.id) == child.agency
    assert child.admits(12, 14)
    assert not child.admits(15, 18)
    assert child.serves("XA-BD")
    assert child.speaks(("ti", "fr"))
    assert not child.speaks(("ti",))
    with pytest.raises(LookupError, match="no service"):
        pack.directory.service("nowhere")


def test_what_the_pack_names_fits_the_contracts(pack: Pack) -> None:
    codes = re.compile(r"^[a-z][a-z0-9_.-]{0,63}$")
    assert set(get_args(Band.model_fields["band"].annotation)) == set(events.NeedBand) - {"unknown"}
    assert set(get_args(Audience)) == set(events.Audience) - {"unknown"}
    assert set(ROLES) <= set(events.Role)
    assert all(codes.match(name) for name in (*TEMPLATES, *pack.country.offices, pack.baseline_instrument.id))
    assert all(codes.match(d.code) for d in pack.baseline_instrument.domains)
    assert all(re.match(r"^[0-9A-Za-z_-]{1,32}$", area.code) for area in pack.country.areas)
    assert all(re.match(r"^[0-9A-Za-z._-]{1,64}$", agency.id) for agency in pack.directory.agencies)


def test_nothing_in_a_pack_can_be_changed(pack: Pack) -> None:
    with pytest.raises(ValidationError):
        pack.country.name = "Elsewhere"  # type: ignore[misc]
    with pytest.raises(TypeError):
        pack.country.deadlines["risk_alert"] = pack.country.deadlines["staff_task"]  # type: ignore[index]
    with pytest.raises(AttributeError):
        pack.zone = None  # type: ignore[misc, assignment]


def test_a_country_without_tightenings_tightens_nothing(pack: Pack) -> None:
    assert pack.tightened("notify", "survivor_notice") == ()


def test_opt_out_words_are_compared_without_case(pack: Pack) -> None:
    assert {"stop", "arrêt", "توقف"} <= pack.opt_out_words
