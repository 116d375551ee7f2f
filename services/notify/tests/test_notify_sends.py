"""The moment of sending: what leaves, what waits, what is refused, and how each end is told."""

from dataclasses import replace
from datetime import datetime, timedelta

import kintsugi_events as e
import pytest
from hypothesis import given as over
from hypothesis import strategies as st
from kintsugi.agenda import Delivery, Message, Postpone, Refuse, Result, Send
from kintsugi.sealing import ERASED
from kintsugi.subject import Hold
from kintsugi.testing import SUBJECT, Given, Match
from kintsugi_contracts.base import Event
from kintsugi_contracts.causes import Cause
from kintsugi_country import Pack
from kintsugi_events import ContactProfileChangedContact as Contact
from kintsugi_events import StaffTaskKind as Kind
from kintsugi_events import TaskReason as Reason
from kintsugi_events import WithheldReason as Why
from kintsugi_notify.records import NotificationStatus
from kintsugi_notify.state import CaseFile
from kintsugi_notify.windows import is_open, zone_of

from services.notify.tests.notify_examples import (
    DAY,
    HOUR,
    LINK,
    NOW,
    PACK,
    ZONE,
    asking,
    case_closed,
    case_opened,
    consent,
    ended,
    held,
    mail_channel,
    owed,
    owed_all,
    profile,
    proposed,
    purge,
    requested,
    risk,
    scenario,
    status,
    window,
    withdrawn,
)


def on_hold(given: Given[CaseFile]) -> Given[CaseFile]:
    """The same case, held in notify."""
    at = Hold(Cause.handler_raised, "event", "intake", 9, "x", "kintsugi.case.closed.v1", NOW.isoformat())
    progress = replace(given.subject.progress, hold=at)
    return replace(given, subject=replace(given.subject, progress=progress))


def erased(given: Given[CaseFile]) -> Given[CaseFile]:
    """The same case after the survivor's contact key was erased."""
    given.scenario.stepper.vault.keys[(SUBJECT, "contact")] = ERASED
    return given


def asked(*before: Event, **changes: object) -> Given[CaseFile]:
    """A case with a consent, in which a provider is to be asked."""
    return scenario().given(case_opened(), consent(), *before, requested(**changes))  # type: ignore[arg-type]


def told(*before: Event, pack: Pack = PACK) -> Given[CaseFile]:
    """A case in which the survivor is to be told that there is news."""
    return scenario(pack).given(*before, proposed())


def prepared(given: Given[CaseFile], kind: str) -> Message | Postpone | Refuse:
    return given.prepared(owed(given, kind))


def refusal(given: Given[CaseFile], kind: str) -> str:
    """Why nothing leaves."""
    answer = prepared(given, kind)
    assert isinstance(answer, Refuse), answer
    return answer.reason


def test_a_provider_gets_a_link_and_a_date_in_its_first_language_that_the_country_writes() -> None:
    message = prepared(asked(), "provider_request")
    assert isinstance(message, Message)
    assert (message.template, message.locale) == ("provider_request", "fr")
    assert message.to.get_secret_value() == "desk@door.example"
    assert LINK in message.body.get_secret_value()
    assert message.headers == {"From": "Updates <updates@office.example>"}


def test_a_message_to_a_provider_names_nothing_of_the_case() -> None:
    given = scenario().given(case_opened(), profile(), consent(), requested(), purge())
    for kind in ("provider_request", "purge_request"):
        message = prepared(given, kind)
        assert isinstance(message, Message)
        said = (message.subject.get_secret_value() + message.body.get_secret_value()).replace(LINK, "")
        for secret in ("XA-7F3K2M9Q", SUBJECT[5:], "referral-1", "harbour", "housing", "Tala", "tala@", "from_25"):
            assert secret not in said


def test_a_request_is_repeated_until_the_answer_is_due_and_a_notice_is_sent_at_most_once() -> None:
    given = asked(profile()).after(proposed("referral-9"))
    agenda = given.scenario.stepper.agenda(given.subject)
    request, notice = agenda[owed(given, "provider_request")], agenda[owed(given, "survivor_notice")]
    assert isinstance(request, Send)
    assert isinstance(notice, Send)
    assert (request.delivery, request.recipient, request.expires) == (
        Delivery.at_least_once,
        "open-door",
        NOW + 3 * DAY,
    )
    assert (notice.delivery, notice.recipient) == (Delivery.at_most_once, "survivor")
    assert notice.expires == PACK.due("send_expiry_survivor", NOW)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([withdrawn()], Why.consent_withdrawn),
        ([withdrawn(), consent(id_="consent-2")], Why.consent_withdrawn),
        ([withdrawn(None)], Why.consent_withdrawn),
        ([withdrawn(None, id_="other")], Why.consent_withdrawn),
        ([withdrawn(None, id_="casework", purpose=e.ConsentPurpose.casework)], Why.consent_withdrawn),
        ([consent(id_="consent-2", decision=e.ConsentDecision.refused)], Why.consent_refused),
        ([consent(id_="consent-2", decision=e.ConsentDecision.unknown)], Why.consent_refused),
        ([consent(valid_until=NOW)], Why.consent_expired),
        ([case_closed()], Why.case_closed),
        ([status(e.ReferralStatus.accepted)], Why.no_longer_wanted),
        ([status(e.ReferralStatus.cancelled, e.Party.platform)], Why.no_longer_wanted),
    ],
)
def test_a_provider_is_not_asked_once_it_may_not_be(events: list[Event], reason: Why) -> None:
    given = asked()
    for event in events:
        given = given.after(event)
    assert prepared(given, "provider_request") == Refuse(reason=reason.value)


@pytest.mark.parametrize(
    "event",
    [
        withdrawn("far-shore", id_="other"),
        withdrawn(None, id_="other", purpose=e.ConsentPurpose.contact),
        status(e.ReferralStatus.accepted, referral="another"),
        consent(id_="consent-2"),
        consent(valid_until=NOW + HOUR),
    ],
)
def test_what_concerns_somebody_else_stops_no_request(event: Event) -> None:
    assert isinstance(prepared(asked().after(event), "provider_request"), Message)


def test_a_request_without_any_consent_does_not_leave() -> None:
    given = scenario().given(case_opened(), requested())
    assert prepared(given, "provider_request") == Refuse(reason="consent_missing")


def test_a_caregivers_consent_is_none_where_the_guardian_is_blocked() -> None:
    opened = case_opened(guardian_contact=e.GuardianContact.blocked)
    by_caregiver = consent(obtained_from=e.ObtainedFrom.caregiver)
    given = scenario().given(opened, by_caregiver, requested())
    assert prepared(given, "provider_request") == Refuse(reason="guardian_blocked")
    given = scenario().given(case_opened(), by_caregiver, requested())
    assert isinstance(prepared(given, "provider_request"), Message)


def test_a_request_is_refused_when_it_is_older_than_the_country_allows() -> None:
    limit = PACK.due("send_expiry_provider", NOW)
    assert isinstance(prepared(asked().at(limit - timedelta(seconds=1)), "provider_request"), Message)
    assert prepared(asked().at(limit), "provider_request") == Refuse(reason="expired")


def test_an_expired_link_is_not_sent() -> None:
    given = asked(link_expires_at=NOW)
    assert prepared(given, "provider_request") == Refuse(reason="link_unavailable")


def test_an_erased_link_is_not_sent() -> None:
    assert prepared(erased(asked()), "provider_request") == Refuse(reason="erased")
    assert prepared(erased(scenario().given(purge())), "purge_request") == Refuse(reason="erased")


def test_an_agency_without_an_entry_or_a_language_of_the_country_is_not_written_to() -> None:
    given = scenario().given(case_opened(), consent("nobody"), requested("nobody"))
    assert prepared(given, "provider_request") == Refuse(reason="no_address")
    given = scenario().given(case_opened(), consent("far-shore"), requested("far-shore"))
    assert prepared(given, "provider_request") == Refuse(reason="no_translation")


def test_a_purge_needs_no_consent_and_outlives_the_case() -> None:
    given = scenario().given(case_opened(), consent(), withdrawn(), case_closed(), purge())
    message = prepared(given, "purge_request")
    assert isinstance(message, Message)
    assert message.template == "purge_request"


def test_nothing_goes_outward_while_the_case_is_on_hold_but_staff_are_told() -> None:
    given = on_hold(asked(profile(), purge(), risk(), proposed("referral-9"), held()))
    for kind in ("provider_request", "purge_request", "survivor_notice"):
        assert prepared(given, kind) == Postpone(reason="case_on_hold")
    for alert in owed_all(given, "staff_alert"):
        assert isinstance(given.prepared(alert), Message)


def test_an_alert_goes_to_the_role_of_the_cases_office_in_its_language_and_tells_no_detail() -> None:
    given = scenario().given(case_opened(office="hills"), profile(), risk())
    message = prepared(given, "staff_alert")
    assert isinstance(message, Message)
    assert message.to.get_secret_value() == "caseworkers.hills@office.example"
    assert (message.template, message.locale) == ("staff_alert", "fr")
    said = message.subject.get_secret_value() + message.body.get_secret_value()
    [task_id] = given.state.tasks
    assert task_id in said
    for secret in ("XA-7F3K2M9Q", SUBJECT[5:], "danger", "threat", "tala", "hills"):
        assert secret not in said


@pytest.mark.parametrize("office", ["", "closed_long_ago"])
def test_an_alert_of_no_known_office_still_reaches_somebody(office: str) -> None:
    before = [case_opened(office=office)] if office else []
    message = prepared(scenario().given(*before, held()), "staff_alert")
    assert isinstance(message, Message)
    assert message.to.get_secret_value() == "supervisor.harbour@office.example"


def test_a_task_that_somebody_took_is_not_announced() -> None:
    given = scenario().given(case_opened(), risk())
    taken = e.StaffTaskAcknowledged(task_id=next(iter(given.state.tasks)), role=e.Role.caseworker, acknowledged_at=NOW)
    given = given.after(taken)
    assert prepared(given, "staff_alert") == Refuse(reason="no_longer_wanted")
    given.when(ended(owed(given, "staff_alert"), Result.refused, "no_longer_wanted")).then(
        Match(e.NotificationWithheld, reason=Why.no_longer_wanted)
    )


def test_an_escalated_ordinary_task_is_announced_as_a_task_not_as_an_alarm() -> None:
    given = scenario().given(case_opened(), e.AssessmentOverdue(assessment_id="a", due_at=NOW))
    given = given.when(owed(given, "task")).then(e.StaffTaskCreated)
    message = prepared(given, "staff_alert")
    assert isinstance(message, Message)
    assert message.template == "staff_task"
    assert message.to.get_secret_value() == "supervisor.harbour@office.example"


def test_a_survivor_is_told_in_an_open_window_that_there_is_news_and_no_more() -> None:
    message = prepared(told(case_opened(), profile()), "survivor_notice")
    assert isinstance(message, Message)
    assert message.to.get_secret_value() == "tala@post.example"
    assert (message.template, message.locale) == ("survivor_notice", "en")
    said = message.subject.get_secret_value() + message.body.get_secret_value()
    for secret in ("http", "XA-", "referral", "housing", "Kintsugi"):
        assert secret not in said


def test_a_survivor_who_set_a_code_word_gets_it_and_nothing_else() -> None:
    coded = profile(Contact(email="tala@post.example", code_word="blue kite"), code_word_set=True)
    message = prepared(told(case_opened(), coded), "survivor_notice")
    assert isinstance(message, Message)
    assert message.template == "survivor_notice_code_word"
    assert message.body.get_secret_value().strip() == "blue kite"
    missing = profile(Contact(email="tala@post.example"), code_word_set=True)
    assert prepared(told(case_opened(), missing), "survivor_notice") == Refuse(reason="profile_stale")


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([], Why.profile_missing),
        ([profile(contact_by=e.ContactBy.not_asked)], Why.profile_missing),
        ([profile(contact_by=e.ContactBy.declined)], Why.profile_missing),
        ([profile(contact_by=e.ContactBy.unknown)], Why.profile_missing),
        ([profile(contact_by=e.ContactBy.survivor_only)], Why.survivor_contacts_us),
        ([profile(review_due=NOW)], Why.profile_stale),
        ([profile(windows=())], Why.no_window),
        ([profile(time_zone="Nowhere/Town")], Why.no_window),
        ([profile(channels=())], Why.no_safe_channel),
        ([profile(channels=(mail_channel(safe=False),))], Why.no_safe_channel),
        ([profile(channels=(mail_channel(verified=False),))], Why.channel_unverified),
        (
            [profile(channels=(e.ContactChannel(kind=e.ChannelKind.sms, verified=True, safe=True),))],
            Why.no_safe_channel,
        ),
        ([profile(Contact(phone="+000"))], Why.no_address),
        ([profile(sealed={})], Why.no_address),
        ([profile(language="de")], Why.no_translation),
        ([profile(language="en-GB")], Why.no_translation),
        ([profile(), case_closed()], Why.case_closed),
        ([profile(), consent(None, purpose=e.ConsentPurpose.contact, decision=e.ConsentDecision.refused)],
         Why.consent_refused),
        ([profile(), consent(None, purpose=e.ConsentPurpose.contact, valid_until=NOW)], Why.consent_expired),
        ([profile(), withdrawn(None, purpose=e.ConsentPurpose.contact)], Why.consent_withdrawn),
        ([profile(), withdrawn(None, purpose=e.ConsentPurpose.casework)], Why.consent_withdrawn),
        ([profile(), profile(contact_by=e.ContactBy.survivor_only)], Why.survivor_contacts_us),
        ([profile(), status(e.ReferralStatus.chosen, e.Party.survivor)], Why.no_longer_wanted),
    ],
)  # fmt: skip
def test_a_survivor_is_not_written_to_where_anything_speaks_against_it(events: list[Event], reason: Why) -> None:
    given = scenario().given(case_opened(), proposed())
    for event in events:
        given = given.after(event)
    assert prepared(given, "survivor_notice") == Refuse(reason=reason.value)


def test_an_erased_address_is_not_found() -> None:
    assert prepared(erased(told(case_opened(), profile())), "survivor_notice") == Refuse(reason="erased")


def test_a_window_that_opens_later_is_waited_for() -> None:
    given = told(case_opened(), profile(windows=(window("tuesday", "11:00", "15:00"),)))
    opening = datetime.fromisoformat("2026-03-03T09:00:00+00:00")
    assert prepared(given, "survivor_notice") == Postpone(reason="outside_window", until=opening)
    assert isinstance(prepared(given.at(opening), "survivor_notice"), Message)


def test_a_window_that_opens_after_the_notice_expired_or_the_profile_went_stale_is_not_waited_for() -> None:
    tomorrow = (window("tuesday", "11:00", "15:00"),)
    given = told(case_opened(), profile(windows=tomorrow, review_due=NOW + HOUR))
    assert prepared(given, "survivor_notice") == Refuse(reason="outside_window")
    sunday_evening = (window("monday", "11:00", "11:30"),)
    given = told(case_opened(), profile(windows=sunday_evening))
    assert prepared(given.at(NOW + DAY), "survivor_notice") == Postpone(
        reason="outside_window", until=NOW + 7 * DAY - HOUR
    )
    assert prepared(told(case_opened(), profile(windows=sunday_evening)).at(NOW + 7 * DAY), "survivor_notice") == (
        Refuse(reason="outside_window")
    )


def test_a_country_may_ask_for_a_consent_to_contact() -> None:
    pack = asking("contact_consent_required")
    assert prepared(told(case_opened(), profile(), pack=pack), "survivor_notice") == Refuse(reason="consent_missing")
    yes = consent(None, purpose=e.ConsentPurpose.contact)
    assert isinstance(prepared(told(case_opened(), profile(), yes, pack=pack), "survivor_notice"), Message)


def test_a_country_may_leave_minors_to_their_caseworker() -> None:
    pack = asking("minors_contacted_by_worker_only")
    for band in (e.AgeBand.from_12_to_14, e.AgeBand.minor, e.AgeBand.unknown, e.AgeBand.not_asked):
        given = told(case_opened(age_band=band), profile(), pack=pack)
        assert prepared(given, "survivor_notice") == Refuse(reason="no_safe_channel")
    assert isinstance(prepared(told(case_opened(), profile(), pack=pack), "survivor_notice"), Message)


@over(
    moment=st.integers(0, 7 * 24 * 60).map(lambda minutes: NOW + timedelta(minutes=minutes)),
    start=st.integers(0, 23),
    days=st.lists(st.sampled_from(["monday", "wednesday", "sunday"]), max_size=3),
)
def test_no_notice_ever_leaves_outside_the_windows(moment: datetime, start: int, days: list[str]) -> None:
    windows = tuple(window(day, f"{start:02}:00", f"{start:02}:45") for day in days)
    given = told(case_opened(), profile(windows=windows)).at(moment)
    zone = zone_of(ZONE)
    assert zone is not None
    if isinstance(prepared(given, "survivor_notice"), Message):
        assert is_open(windows, zone, moment)
    else:
        assert not is_open(windows, zone, moment)


def test_what_was_sent_is_told_once_and_no_longer_owed() -> None:
    given = asked()
    name = owed(given, "provider_request")
    sent = ended(name, Result.sent, attempt=2).model_copy(update={"template": "provider_request", "locale": "fr"})
    about = e.About(type="kintsugi.referral.requested.v1", event_id=name.partition("/")[2])
    given = given.when(sent).then(
        Match(
            e.NotificationSent,
            audience=e.Audience.provider,
            template="provider_request",
            locale="fr",
            about=about,
            agency="open-door",
            referral_id="referral-1",
            attempt=2,
            sent_at=NOW,
        )
    )
    given.owes_nothing("provider_request/…")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Why.consent_withdrawn, Kind.present_options),
        (Why.consent_expired, Kind.obtain_consent),
        (Why.no_address, Kind.follow_up_provider),
        (Why.erased, Kind.follow_up_provider),
    ],
)
def test_a_withheld_request_comes_back_to_a_person(reason: Why, kind: Kind) -> None:
    given = asked()
    given.when(ended(owed(given, "provider_request"), Result.refused, reason.value, 0)).then(
        Match(e.NotificationWithheld, reason=reason, audience=e.Audience.provider, locale="fr"),
        Match(e.StaffTaskCreated, kind=kind, reason=Reason(reason.value), referral_id="referral-1"),
    ).owes_nothing("provider_request/…")


def test_a_request_nobody_wants_any_more_is_no_work() -> None:
    given = asked()
    given.when(ended(owed(given, "provider_request"), Result.refused, "no_longer_wanted", 0)).then(
        Match(e.NotificationWithheld, reason=Why.no_longer_wanted)
    )


@pytest.mark.parametrize(
    ("result", "code", "failure", "reason"),
    [
        (Result.failed, "address_refused", e.FailureReason.address_refused, Reason.notification_failed),
        (Result.failed, "no_answer", e.FailureReason.timed_out, Reason.notification_failed),
        (Result.failed, "something_new", e.FailureReason.unknown, Reason.notification_failed),
        (Result.failed, None, e.FailureReason.unknown, Reason.notification_failed),
        (Result.expired, "expired", e.FailureReason.expired, Reason.notification_failed),
        (Result.refused, "expired", e.FailureReason.expired, Reason.notification_failed),
        (Result.unknown, "no_outcome", e.FailureReason.outcome_unknown, Reason.delivery_unknown),
    ],
)
def test_a_request_that_did_not_arrive_is_checked_by_a_person(
    result: Result, code: str | None, failure: e.FailureReason, reason: Reason
) -> None:
    given = asked()
    given.when(ended(owed(given, "provider_request"), result, code)).then(
        Match(e.NotificationFailed, reason=failure, final=True),
        Match(e.StaffTaskCreated, kind=Kind.check_delivery, reason=reason, referral_id="referral-1"),
    ).owes_nothing("provider_request/…")


@pytest.mark.parametrize(
    ("result", "code"), [(Result.refused, "no_address"), (Result.failed, "address_refused"), (Result.expired, None)]
)
def test_a_purge_that_did_not_reach_the_provider_is_followed_up(result: Result, code: str | None) -> None:
    given = scenario().given(case_opened(), purge())
    then = given.when(ended(owed(given, "purge_request"), result, code))
    assert [type(event) for event in then.events][1] is e.StaffTaskCreated
    assert Match(e.StaffTaskCreated, kind=Kind.check_purge, referral_id="referral-1") == then.events[1]


def test_a_sent_purge_is_still_awaited() -> None:
    given = scenario().given(case_opened(), purge())
    given = given.when(ended(owed(given, "purge_request"), Result.sent)).then(e.NotificationSent)
    given.owes("purge/…").owes_nothing("purge_request/…")


def test_an_attempt_that_never_began_is_owed_again_even_to_a_survivor() -> None:
    given = told(case_opened(), profile())
    name = owed(given, "survivor_notice")
    given = given.when(ended(name, Result.not_attempted)).then(
        Match(e.NotificationFailed, reason=e.FailureReason.not_attempted, final=False)
    )
    given.owes(name)
    assert isinstance(given.prepared(name), Message)
    given.when(ended(name, Result.not_attempted)).then(Match(e.NotificationFailed, final=False)).owes(name)


def test_a_notice_of_unknown_outcome_is_never_repeated_and_becomes_a_task() -> None:
    given = told(case_opened(), profile())
    given.when(ended(owed(given, "survivor_notice"), Result.unknown, "no_outcome")).then(
        Match(e.NotificationFailed, audience=e.Audience.survivor, reason=e.FailureReason.outcome_unknown, final=True),
        Match(e.StaffTaskCreated, kind=Kind.check_delivery, reason=Reason.delivery_unknown),
    ).owes_nothing("survivor_notice/…")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Why.no_window, Kind.review_profile),
        (Why.profile_stale, Kind.review_profile),
        (Why.channel_unverified, Kind.review_profile),
        (Why.no_translation, Kind.contact_survivor),
        (Why.outside_window, Kind.contact_survivor),
        (Why.survivor_contacts_us, Kind.contact_survivor),
    ],
)
def test_a_withheld_notice_becomes_a_task_for_the_caseworker(reason: Why, kind: Kind) -> None:
    given = told(case_opened(), profile())
    given.when(ended(owed(given, "survivor_notice"), Result.refused, reason.value, 0)).then(
        Match(e.NotificationWithheld, audience=e.Audience.survivor, reason=reason, locale="en"),
        Match(
            e.StaffTaskCreated,
            kind=kind,
            reason=Reason(reason.value),
            role=e.Role.caseworker,
            assessment_id="assessment-1",
        ),
    ).owes_nothing("survivor_notice/…")


def test_a_notice_that_waited_too_long_was_withheld() -> None:
    given = told(case_opened(), profile())
    given.when(ended(owed(given, "survivor_notice"), Result.expired, "expired", 0)).then(
        Match(e.NotificationWithheld, reason=Why.expired), Match(e.StaffTaskCreated, reason=Reason.expired)
    )


def test_a_notice_without_a_profile_names_no_language() -> None:
    given = told(case_opened())
    given.when(ended(owed(given, "survivor_notice"), Result.refused, "profile_missing", 0)).then(
        Match(e.NotificationWithheld, locale="und"), Match(e.StaffTaskCreated, kind=Kind.review_profile)
    )


def test_an_alert_that_reaches_nobody_goes_to_the_next_role_at_once() -> None:
    given = scenario().given(case_opened(), risk())
    first = next(iter(given.state.tasks))
    given = given.when(ended(owed(given, "staff_alert"), Result.failed, "address_refused")).then(
        Match(e.NotificationFailed, audience=e.Audience.staff, task_id=first),
        Match(e.StaffTaskCreated, role=e.Role.supervisor, escalates=first, kind=Kind.act_on_risk),
    )
    given = given.when(ended(owed(given, "staff_alert"), Result.unknown)).then(
        e.NotificationFailed, Match(e.StaffTaskCreated, role=e.Role.country_lead)
    )
    given.when(ended(owed(given, "staff_alert"), Result.failed)).then(e.NotificationFailed).owes_nothing(
        "staff_alert/…"
    )


def test_an_alert_that_fails_after_the_task_escalated_escalates_no_further() -> None:
    given = scenario().given(case_opened(), risk())
    alert = owed(given, "staff_alert")
    given = given.when(owed(given, "task")).then(e.StaffTaskCreated)
    given.when(ended(alert, Result.failed, "gateway_refused")).then(e.NotificationFailed)


def test_notify_alerts_on_a_hold_of_its_own_that_no_handler_can_make_a_task_of() -> None:
    given = on_hold(scenario().given(case_opened()))
    own = held()
    stepper = given.scenario.stepper
    given = replace(given, subject=replace(given.subject, state=stepper.service.evolve(own, given.state)))
    message = prepared(given, "hold_alert")
    assert isinstance(message, Message)
    assert message.to.get_secret_value() == "supervisor.harbour@office.example"
    name = owed(given, "hold_alert")
    sent = given.when(ended(name, Result.sent)).then(
        Match(e.NotificationSent, audience=e.Audience.staff),
        Match(e.StaffTaskCreated, kind=Kind.release_input, alert_until=None),
    )
    sent.owes_nothing("hold_alert/…").owes_nothing("staff_alert/…").owes("task/…")
    given.when(ended(name, Result.failed, "address_refused")).then(
        e.NotificationFailed, Match(e.StaffTaskCreated, kind=Kind.release_input)
    ).owes("staff_alert/…")
    done = e.InputReleased(source="/xa/intake", sequence=1, input_id="0197-a", released_by="operator:1")
    given.after(done).owes_nothing("hold_alert/…")


def test_a_second_hold_of_notify_at_the_same_input_alerts_anew() -> None:
    given = scenario().given(case_opened())
    evolve = given.scenario.stepper.service.evolve
    done = e.InputReleased(source="/xa/intake", sequence=1, input_id="0197-a", released_by="operator:1")
    state = evolve(done, evolve(held(), given.state))
    given = replace(given, subject=replace(given.subject, state=state)).owes_nothing("hold_alert/…")
    again = replace(given, subject=replace(given.subject, state=evolve(held(at=NOW + HOUR), state)))
    again.owes("hold_alert/…")
    ended_too = replace(again, subject=replace(again.subject, state=evolve(done, again.state)))
    ended_too.owes_nothing("hold_alert/…")


def test_every_notification_has_one_end_and_the_state_survives_storage() -> None:
    given = asked(profile(), risk(), proposed("referral-9"), purge())
    for name in [n for kind in ("provider_request", "purge_request", "survivor_notice", "staff_alert")
                 for n in owed_all(given, kind)]:  # fmt: skip
        given = given.when(ended(name, Result.sent)).then(e.NotificationSent)
    assert [ended_.status for ended_ in given.state.ended.values()] == [NotificationStatus.sent] * 4
    assert CaseFile.model_validate_json(given.state.model_dump_json()) == given.state


@pytest.mark.parametrize("kind", ["provider_request", "survivor_notice"])
def test_a_refusal_of_casework_after_its_withdrawal_does_not_let_messages_leave_again(kind: str) -> None:
    casework = e.ConsentPurpose.casework
    agreed = scenario().given(
        case_opened(),
        profile(),
        consent(),
        consent(None, id_="c-2", purpose=casework),
        proposed("referral-9"),
        requested(),
    )
    assert isinstance(prepared(agreed, kind), Message)
    taken_back = agreed.after(withdrawn(None, id_="c-2", purpose=casework))
    assert refusal(taken_back, kind) == Why.consent_withdrawn
    refused = taken_back.after(consent(None, id_="c-3", purpose=casework, decision=e.ConsentDecision.refused))
    assert refusal(refused, kind) == Why.consent_refused


@pytest.mark.parametrize("kind", ["provider_request", "survivor_notice"])
def test_a_first_refusal_of_casework_lets_no_message_leave(kind: str) -> None:
    no = consent(None, id_="c-2", purpose=e.ConsentPurpose.casework, decision=e.ConsentDecision.refused)
    given = scenario().given(case_opened(), profile(), consent(), proposed("referral-9"), requested(), no)
    assert refusal(given, kind) == Why.consent_refused
