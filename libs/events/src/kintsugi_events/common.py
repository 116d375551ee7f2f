# Generated from contracts/ by `python -m kintsugi_contracts.generate`; edit the schemas, not this file.
"""Codes, identifiers and objects that several events share."""

from __future__ import annotations

from typing import Annotated

from kintsugi_contracts.base import OpenEnum, Part
from kintsugi_contracts.causes import Cause as Cause
from pydantic import Field, StringConstraints

Id = Annotated[str, StringConstraints(pattern="^[0-9A-Za-z._:~-]{1,100}$")]
"""An opaque identifier, random, that says nothing about a person."""

EventId = Annotated[str, StringConstraints(pattern="^[!-~]{1,200}$")]
"""The `ce_id` of an event."""

EventType = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_.]{0,198}$")]
"""The `ce_type` of an event."""

Code = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_.-]{0,63}$")]
"""A code defined by the country pack: an instrument, a domain, a need, a template."""

TaskCode = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_-]{0,39}[.][a-z][a-z0-9_]{0,59}$")]
"""What a service asks of staff, in its own words: the service's name, a dot, and a name it gives."""

Version = Annotated[str, StringConstraints(pattern="^[0-9]{1,5}([.][0-9]{1,5}){0,3}$")]
"""A version, major.minor or more."""

CaseRef = Annotated[str, StringConstraints(pattern="^[A-Z]{2}-[0-9A-Z]{8}$")]
"""The short reference people read to each other: country and eight random characters."""

CountryCode = Annotated[str, StringConstraints(pattern="^[a-z]{2}$")]
"""A country office, as in topic names: ISO 3166-1 alpha-2 in small letters; xa to xz are fictional."""

Country = Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2 code in capitals, as in a citizenship."""

Language = Annotated[str, StringConstraints(pattern="^[a-z]{2,3}(-[0-9A-Za-z]{2,8}){0,3}$")]
"""A language as a BCP 47 tag."""

Area = Annotated[str, StringConstraints(pattern="^[0-9A-Za-z_-]{1,32}$")]
"""A coarse area code of the country pack, never an address."""

Agency = Annotated[str, StringConstraints(pattern="^[0-9A-Za-z._-]{1,64}$")]
"""An organisation's identifier in the country's directory."""

Slug = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9]{0,30}(-[a-z0-9]{1,30}){0,3}$")]
"""An integrator, or one of its purposes: lower-case words joined by hyphens."""

RecipientRef = Annotated[str, StringConstraints(pattern="^[a-z2-7]{26}$")]
"""A case as one integrator knows it: keyed, not reversible, another one for each integrator."""

TimeZone = Annotated[str, StringConstraints(pattern="^[A-Za-z_]{1,32}(/[0-9A-Za-z_+-]{1,32}){0,2}$")]
"""An IANA time zone."""

TimeOfDay = Annotated[str, StringConstraints(pattern="^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
"""A wall-clock time, `HH:MM`, 24 hours; `24:00` ends a day."""

Actor = Annotated[str, StringConstraints(pattern="^[0-9A-Za-z._:-]{1,64}$")]
"""Who did it: `timer`, or a role and an opaque staff identifier."""

Source = Annotated[str, StringConstraints(pattern="^[!-~]{1,200}$")]
"""A `ce_source`, or the name of the input's origin when it is not an event."""


class Answer(OpenEnum):
    """A yes-or-no question as it was answered; not asked, declined and unknown are three different answers."""

    yes = "yes"
    no = "no"
    not_asked = "not_asked"
    declined = "declined"
    unknown = "unknown"


class IntakeChannel(OpenEnum):
    """The way by which the survivor came to the organisation."""

    hotline = "hotline"
    walk_in = "walk_in"
    police_referral = "police_referral"
    partner_referral = "partner_referral"
    outreach_point = "outreach_point"
    rescue_operation = "rescue_operation"
    online_form = "online_form"
    other = "other"
    not_asked = "not_asked"
    unknown = "unknown"


class AgeBasis(OpenEnum):
    """What the age band rests on. `presumed_minor`: age unknown, and reason to believe a child."""

    documented = "documented"
    declared = "declared"
    estimated = "estimated"
    presumed_minor = "presumed_minor"
    not_asked = "not_asked"
    declined = "declined"
    unknown = "unknown"


class AgeBand(OpenEnum):
    """Age in bands, so that no date of birth travels in clear. `minor` and `adult` when no more is known."""

    under_6 = "under_6"
    from_6_to_11 = "from_6_to_11"
    from_12_to_14 = "from_12_to_14"
    from_15_to_17 = "from_15_to_17"
    minor = "minor"
    from_18_to_24 = "from_18_to_24"
    from_25_to_39 = "from_25_to_39"
    from_40_to_59 = "from_40_to_59"
    from_60 = "from_60"
    adult = "adult"
    not_asked = "not_asked"
    declined = "declined"
    unknown = "unknown"


class InterpreterGender(OpenEnum):
    """The interpreter's gender the survivor asked for."""

    feminine = "feminine"
    masculine = "masculine"
    no_preference = "no_preference"
    not_asked = "not_asked"
    declined = "declined"
    unknown = "unknown"


class CaseworkType(OpenEnum):
    """The kind of casework, coarse on purpose; forms of exploitation are sealed."""

    trafficking = "trafficking"
    forced_labour = "forced_labour"
    violence_against_women = "violence_against_women"
    violence_against_children = "violence_against_children"
    online_exploitation = "online_exploitation"
    police_abuse = "police_abuse"
    property_rights = "property_rights"
    citizenship = "citizenship"
    other = "other"
    not_asked = "not_asked"
    unknown = "unknown"


class Urgency(OpenEnum):
    """How soon first contact must happen; the country pack gives the deadline of each."""

    high = "high"
    medium = "medium"
    low = "low"
    not_asked = "not_asked"
    unknown = "unknown"


class RiskLevel(OpenEnum):
    """The level of risk the worker assessed."""

    high = "high"
    medium = "medium"
    low = "low"
    none = "none"
    not_asked = "not_asked"
    declined = "declined"
    unknown = "unknown"


class RiskReason(OpenEnum):
    """Why the risk level is what it is."""

    immediate_danger = "immediate_danger"
    trafficker_has_access = "trafficker_has_access"
    threats_received = "threats_received"
    unsafe_housing = "unsafe_housing"
    self_harm = "self_harm"
    medical_emergency = "medical_emergency"
    child_at_risk = "child_at_risk"
    detention_or_return = "detention_or_return"
    safety_score_dropped = "safety_score_dropped"
    other = "other"
    none = "none"
    not_asked = "not_asked"
    declined = "declined"
    unknown = "unknown"


class DependantsBand(OpenEnum):
    """How many people depend on the survivor, in bands."""

    none = "none"
    one = "one"
    two_or_three = "two_or_three"
    four_or_more = "four_or_more"
    not_asked = "not_asked"
    declined = "declined"
    unknown = "unknown"


class GuardianContact(OpenEnum):
    """Whether a minor's guardian may be contacted. Why it is blocked is a guardian fact and sealed."""

    not_applicable = "not_applicable"
    allowed = "allowed"
    blocked = "blocked"
    not_asked = "not_asked"
    unknown = "unknown"


class ReferralSource(OpenEnum):
    """Who sent the survivor to the organisation."""

    self = "self"
    family_or_friend = "family_or_friend"
    community = "community"
    police = "police"
    court = "court"
    health_provider = "health_provider"
    social_services = "social_services"
    partner_organisation = "partner_organisation"
    other_country_office = "other_country_office"
    embassy = "embassy"
    hotline = "hotline"
    online = "online"
    other = "other"
    not_asked = "not_asked"
    declined = "declined"
    unknown = "unknown"


class ConsentPurpose(OpenEnum):
    """What a consent is for. `sharing` names one receiving agency."""

    casework = "casework"
    sharing = "sharing"
    contact = "contact"
    peer_network = "peer_network"
    feedback = "feedback"
    statistics = "statistics"
    unknown = "unknown"


class ConsentDecision(OpenEnum):
    """What was decided when consent was asked."""

    granted = "granted"
    refused = "refused"
    unknown = "unknown"


class ObtainedFrom(OpenEnum):
    """Who gave, refused or withdrew the consent."""

    individual = "individual"
    caregiver = "caregiver"
    designated_authority = "designated_authority"
    other = "other"
    unknown = "unknown"


class ContactBy(OpenEnum):
    """Who may start a contact."""

    organisation = "organisation"
    survivor_only = "survivor_only"
    not_asked = "not_asked"
    declined = "declined"
    unknown = "unknown"


class ChannelKind(OpenEnum):
    """The medium of a message."""

    email = "email"
    sms = "sms"
    voice = "voice"
    webhook = "webhook"
    unknown = "unknown"


class Weekday(OpenEnum):
    """A day of the week in the survivor's time zone."""

    monday = "monday"
    tuesday = "tuesday"
    wednesday = "wednesday"
    thursday = "thursday"
    friday = "friday"
    saturday = "saturday"
    sunday = "sunday"
    unknown = "unknown"


class CloseReason(OpenEnum):
    """Why a case was closed; it can always re-open without penalty."""

    goals_met = "goals_met"
    survivor_request = "survivor_request"
    transferred = "transferred"
    moved_away = "moved_away"
    lost_contact = "lost_contact"
    returned = "returned"
    deceased = "deceased"
    duplicate = "duplicate"
    opened_in_error = "opened_in_error"
    other = "other"
    unknown = "unknown"


class Role(OpenEnum):
    """A role of staff."""

    caseworker = "caseworker"
    supervisor = "supervisor"
    country_lead = "country_lead"
    operator = "operator"
    unknown = "unknown"


class AssessmentPurpose(OpenEnum):
    """Why an assessment is made."""

    baseline = "baseline"
    follow_up = "follow_up"
    closing = "closing"
    unknown = "unknown"


class AnsweringStatus(OpenEnum):
    """Where a questionnaire stands."""

    in_progress = "in_progress"
    paused = "paused"
    unknown = "unknown"


class NeedBand(OpenEnum):
    """How pressing a need is."""

    urgent = "urgent"
    high = "high"
    moderate = "moderate"
    low = "low"
    unknown = "unknown"


class AssessmentDeclineReason(OpenEnum):
    """Why an assessment will not be made. It never affects access to help."""

    survivor_declined = "survivor_declined"
    no_safe_setting = "no_safe_setting"
    language_not_available = "language_not_available"
    worker_withdrew = "worker_withdrew"
    other = "other"
    unknown = "unknown"


class MatchReason(OpenEnum):
    """Why a service is offered as an option."""

    need_met = "need_met"
    age_eligible = "age_eligible"
    language_spoken = "language_spoken"
    interpreter_available = "interpreter_available"
    area_served = "area_served"
    remote_service = "remote_service"
    confirmed_recently = "confirmed_recently"
    capacity_available = "capacity_available"
    no_cost = "no_cost"
    accessible = "accessible"
    unknown = "unknown"


class Choice(OpenEnum):
    """What the survivor chose. `none` and `not_now` are choices, not failures."""

    option = "option"
    none = "none"
    not_now = "not_now"
    unknown = "unknown"


class ReferralStatus(OpenEnum):
    """The state of a referral: the states of HL7 SDOH Clinical Care, and three of our own before `requested`."""

    draft = "draft"
    proposed = "proposed"
    chosen = "chosen"
    consented = "consented"
    requested = "requested"
    accepted = "accepted"
    rejected = "rejected"
    in_progress = "in-progress"
    on_hold = "on-hold"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"
    entered_in_error = "entered-in-error"
    unknown = "unknown"


class ReferralSubStatus(OpenEnum):
    """What happened within a state, without changing it."""

    unattended = "unattended"
    unknown = "unknown"


class StatusReason(OpenEnum):
    """Why a referral was rejected, cancelled, put on hold or failed."""

    out_of_funds = "out_of_funds"
    not_eligible = "not_eligible"
    no_capacity = "no_capacity"
    language_not_available = "language_not_available"
    area_not_served = "area_not_served"
    service_closed = "service_closed"
    no_answer = "no_answer"
    unreachable = "unreachable"
    survivor_declined = "survivor_declined"
    survivor_withdrew = "survivor_withdrew"
    survivor_not_ready = "survivor_not_ready"
    safety_concern = "safety_concern"
    consent_withdrawn = "consent_withdrawn"
    case_closed = "case_closed"
    moved_away = "moved_away"
    transferred = "transferred"
    duplicate = "duplicate"
    recorded_in_error = "recorded_in_error"
    other = "other"
    unknown = "unknown"


class Party(OpenEnum):
    """Who set a state."""

    provider = "provider"
    caseworker = "caseworker"
    survivor = "survivor"
    platform = "platform"
    unknown = "unknown"


class WithheldReason(OpenEnum):
    """Why something did not leave. Withholding is an outcome, not an error."""

    consent_missing = "consent_missing"
    consent_refused = "consent_refused"
    consent_withdrawn = "consent_withdrawn"
    consent_expired = "consent_expired"
    consent_not_fresh = "consent_not_fresh"
    case_on_hold = "case_on_hold"
    case_closed = "case_closed"
    no_longer_wanted = "no_longer_wanted"
    expired = "expired"
    erased = "erased"
    guardian_blocked = "guardian_blocked"
    service_unavailable = "service_unavailable"
    link_unavailable = "link_unavailable"
    reflection_period = "reflection_period"
    outside_window = "outside_window"
    no_window = "no_window"
    survivor_contacts_us = "survivor_contacts_us"
    no_safe_channel = "no_safe_channel"
    channel_unverified = "channel_unverified"
    channel_suspended = "channel_suspended"
    opted_out = "opted_out"
    profile_missing = "profile_missing"
    profile_stale = "profile_stale"
    no_translation = "no_translation"
    no_address = "no_address"
    unknown = "unknown"


class PurgeReason(OpenEnum):
    """Why a recipient is asked to delete what it received."""

    consent_withdrawn = "consent_withdrawn"
    case_closed = "case_closed"
    subject_erased = "subject_erased"
    sent_in_error = "sent_in_error"
    consent_expired = "consent_expired"
    guardian_blocked = "guardian_blocked"
    unknown = "unknown"


class DisclosureWay(OpenEnum):
    """How something left the office: a record on an integrator's stream, or facts behind an agency's link."""

    stream = "stream"
    link = "link"
    unknown = "unknown"


class Certainty(OpenEnum):
    """Whether a disclosure is known to have happened. `possible`: an attempt may have arrived, and nobody can say."""

    confirmed = "confirmed"
    possible = "possible"
    unknown = "unknown"


class Audience(OpenEnum):
    """Whom a message is for."""

    provider = "provider"
    staff = "staff"
    survivor = "survivor"
    unknown = "unknown"


class FailureReason(OpenEnum):
    """Why a message was not delivered to its gateway, or is not known to have been."""

    gateway_refused = "gateway_refused"
    address_refused = "address_refused"
    bounced = "bounced"
    timed_out = "timed_out"
    connection_failed = "connection_failed"
    not_attempted = "not_attempted"
    outcome_unknown = "outcome_unknown"
    expired = "expired"
    unknown = "unknown"


class StaffTaskKind(OpenEnum):
    """What a member of staff is asked to do."""

    act_on_risk = "act_on_risk"
    check_safety = "check_safety"
    present_options = "present_options"
    obtain_consent = "obtain_consent"
    follow_up_provider = "follow_up_provider"
    complete_assessment = "complete_assessment"
    contact_survivor = "contact_survivor"
    review_profile = "review_profile"
    check_delivery = "check_delivery"
    check_purge = "check_purge"
    release_input = "release_input"
    other_task = "other_task"
    unknown = "unknown"


class TaskReason(OpenEnum):
    """What made the task necessary."""

    immediate_danger = "immediate_danger"
    risk_raised = "risk_raised"
    safety_deteriorated = "safety_deteriorated"
    options_proposed = "options_proposed"
    assessment_overdue = "assessment_overdue"
    provider_overdue = "provider_overdue"
    provider_accepted = "provider_accepted"
    provider_rejected = "provider_rejected"
    purge_overdue = "purge_overdue"
    input_held = "input_held"
    notification_failed = "notification_failed"
    delivery_unknown = "delivery_unknown"
    requested = "requested"
    options_exhausted = "options_exhausted"
    consent_missing = "consent_missing"
    consent_refused = "consent_refused"
    consent_withdrawn = "consent_withdrawn"
    consent_expired = "consent_expired"
    consent_not_fresh = "consent_not_fresh"
    case_on_hold = "case_on_hold"
    case_closed = "case_closed"
    no_longer_wanted = "no_longer_wanted"
    expired = "expired"
    erased = "erased"
    guardian_blocked = "guardian_blocked"
    service_unavailable = "service_unavailable"
    link_unavailable = "link_unavailable"
    reflection_period = "reflection_period"
    outside_window = "outside_window"
    no_window = "no_window"
    survivor_contacts_us = "survivor_contacts_us"
    no_safe_channel = "no_safe_channel"
    channel_unverified = "channel_unverified"
    channel_suspended = "channel_suspended"
    opted_out = "opted_out"
    profile_missing = "profile_missing"
    profile_stale = "profile_stale"
    no_translation = "no_translation"
    no_address = "no_address"
    unknown = "unknown"


class InputKind(OpenEnum):
    """What kind of input it was."""

    event = "event"
    command = "command"
    deadline = "deadline"
    outcome = "outcome"
    unknown = "unknown"


class DiscardReason(OpenEnum):
    """Why an operator gave an input up."""

    producer_defect = "producer_defect"
    consumer_defect = "consumer_defect"
    superseded = "superseded"
    duplicate_fact = "duplicate_fact"
    test_record = "test_record"
    recorded_elsewhere = "recorded_elsewhere"
    supervisor_decision = "supervisor_decision"
    unknown = "unknown"


class Gender(OpenEnum):
    """Gender as the survivor gives it."""

    feminine = "feminine"
    masculine = "masculine"
    transgender_feminine = "transgender_feminine"
    transgender_masculine = "transgender_masculine"
    non_conforming = "non_conforming"
    self_described = "self_described"
    not_asked = "not_asked"
    declined = "declined"
    unknown = "unknown"


class TraffickingStatus(OpenEnum):
    """An assertion of whether the person is a victim of trafficking; it prioritises and never denies help."""

    possible = "possible"
    actual = "actual"
    not_a_victim = "not_a_victim"
    not_asked = "not_asked"
    unknown = "unknown"


class DecidingBody(OpenEnum):
    """The kind of body that asserted a trafficking status."""

    police = "police"
    ngo = "ngo"
    court_or_prosecution = "court_or_prosecution"
    other_government = "other_government"
    other = "other"
    unknown = "unknown"


class ExploitationType(OpenEnum):
    """Form of exploitation, after the HTCDS list."""

    forced_labour = "forced_labour"
    sexual_exploitation = "sexual_exploitation"
    child_labour = "child_labour"
    forced_marriage = "forced_marriage"
    servitude = "servitude"
    forced_military_by_non_state_actors = "forced_military_by_non_state_actors"
    organ_removal = "organ_removal"
    forced_begging = "forced_begging"
    forced_adoption = "forced_adoption"
    surrogacy = "surrogacy"
    other = "other"
    not_asked = "not_asked"
    declined = "declined"
    unknown = "unknown"


class ControlMethod(OpenEnum):
    """Means by which a person was controlled, after the HTCDS list."""

    physical_threats = "physical_threats"
    threats_law_enforcement = "threats_law_enforcement"
    threaten_children_family = "threaten_children_family"
    debt_bondage = "debt_bondage"
    false_promises = "false_promises"
    physical_abuse = "physical_abuse"
    sexual_abuse = "sexual_abuse"
    takes_earnings = "takes_earnings"
    restricts_financial_access = "restricts_financial_access"
    restricts_medical_care = "restricts_medical_care"
    withholds_necessities = "withholds_necessities"
    psychological_abuse = "psychological_abuse"
    psychoactive_substance = "psychoactive_substance"
    excessive_working_hours = "excessive_working_hours"
    withholds_documents = "withholds_documents"
    other = "other"
    unknown = "unknown"


class RecruitmentMethod(OpenEnum):
    """How a person was recruited, after the HTCDS list."""

    at_a_place_of_business = "at_a_place_of_business"
    at_an_educational_institution = "at_an_educational_institution"
    at_work = "at_work"
    through_online_social_networks = "through_online_social_networks"
    through_an_online_advertisement = "through_an_online_advertisement"
    through_a_television_advert = "through_a_television_advert"
    through_a_newspaper_advert = "through_a_newspaper_advert"
    through_family_or_family_events = "through_family_or_family_events"
    through_friends_or_social_events = "through_friends_or_social_events"
    other = "other"
    unknown = "unknown"


class GuardianPresence(OpenEnum):
    """Whether a minor has a guardian."""

    present = "present"
    absent = "absent"
    designated_authority = "designated_authority"
    not_applicable = "not_applicable"
    not_asked = "not_asked"
    declined = "declined"
    unknown = "unknown"


class AnswerKind(OpenEnum):
    """What kind of answer an item got. Nothing is imputed for the last three."""

    value = "value"
    not_applicable = "not_applicable"
    declined = "declined"
    insufficient_information = "insufficient_information"
    unknown = "unknown"


class AssessmentContext(OpenEnum):
    """The environment an assessment is scored against."""

    current_living = "current_living"
    reintegration_environment = "reintegration_environment"
    not_asked = "not_asked"
    unknown = "unknown"


class About(Part):
    """The event a message or a task is about."""

    type: EventType
    """The type of that event."""
    event_id: EventId
    """The id of that event."""


class Position(Part):
    """A place in a source's sequence for this subject."""

    source: Source
    """The source."""
    sequence: Annotated[int, Field(ge=1, le=9007199254740992)]
    """The sequence."""


class ItemAnswer(Part):
    """One answer of a questionnaire."""

    kind: AnswerKind
    """Whether a value was given."""
    value: Annotated[float, Field(ge=-1000000, le=1000000)] | None = None
    """The value, only when the kind is `value`."""
