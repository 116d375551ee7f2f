"""What notify remembers of a case, and how events change it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import singledispatch

from kintsugi.service import State
from kintsugi_contracts.base import Event
from kintsugi_events import (
    About,
    AgeBand,
    AssessmentCompleted,
    AssessmentDeclined,
    Audience,
    CaseClosed,
    CaseOpened,
    ConsentDecision,
    ConsentPurpose,
    ConsentRecorded,
    ConsentWithdrawn,
    ContactProfileChanged,
    GuardianContact,
    InputDiscarded,
    InputHeld,
    InputKind,
    InputReleased,
    NotificationFailed,
    NotificationSent,
    NotificationWithheld,
    PartnerPurgeAcknowledged,
    PurgeAcknowledged,
    PurgeRequested,
    ReferralRequested,
    ReferralStatus,
    ReferralStatusChanged,
    StaffTaskAcknowledged,
    StaffTaskCreated,
    StaffTaskKind,
    TaskReason,
)

from kintsugi_notify.domain import ANSWERED, ENDS_WITH_THE_CASE, URGENT, hold_task_id, notification_id, settled_by
from kintsugi_notify.records import (
    Consent,
    Given,
    HeldInput,
    MailKind,
    Notification,
    NotificationStatus,
    Profile,
    ProviderMail,
    Task,
    TaskStatus,
)

_EVENT_TYPE = re.compile(r"[a-z][a-z0-9_.]{0,198}")


class CaseFile(State):
    """One case as notify knows it. Events of several services fill it in whatever order they come."""

    case_ref: str = ""
    office: str = ""
    age_band: AgeBand = AgeBand.unknown
    guardian_contact: GuardianContact = GuardianContact.unknown
    closed: bool = False
    profile: Profile | None = None
    consents: Mapping[str, Consent] = {}
    """By purpose and agency, see :func:`consent_key`."""
    withdrawn: tuple[str, ...] = ()
    """Ids of consents that were withdrawn, whatever was recorded after."""
    mails: Mapping[str, ProviderMail] = {}
    """By agenda entry."""
    tasks: Mapping[str, Task] = {}
    held: Mapping[str, HeldInput] = {}
    """By the id of the task that each asks for."""
    released: Mapping[str, int] = {}
    """By input id: how many holds at it have ended, by release or discard."""
    ended: Mapping[str, Notification] = {}
    """By notification id."""
    again: Mapping[str, int] = {}
    """By notification id: how often an attempt was given up before it began."""

    def ends(self, entry: str) -> Notification | None:
        """How the notification of an agenda entry ended; None while it is owed."""
        return self.ended.get(notification_id(entry))

    def stands(self, held: HeldInput) -> bool:
        """Whether a hold has not ended. A release names only the input, so it ends the oldest hold at that input."""
        input_id = held.about.event_id
        same = sorted((each.held_at, each.task_id) for each in self.held.values() if each.about.event_id == input_id)
        return same.index((held.held_at, held.task_id)) >= self.released.get(input_id, 0)

    def cannot_wait(self, task: Task) -> bool:
        """Whether a task is announced at once and goes up as fast as an alert: by its kind, or as its chain began."""
        first = self.tasks.get(task.root, task)
        return task.kind in URGENT or (task.kind is StaffTaskKind.other_task and first.alert_until is not None)


def consent_key(purpose: ConsentPurpose, agency: str | None) -> str:
    """Where the latest consent for a purpose, and for sharing an agency, is kept."""
    return f"{purpose}/{agency or ''}"


def key_of(entry: str) -> str:
    """The part of an agenda entry after its kind: the id of a task, a held input or an event."""
    return entry.partition("/")[2]


@singledispatch
def evolve(_event: Event, case: CaseFile) -> CaseFile:
    """The case after an event; types that are not registered leave it as it was."""
    return case


@evolve.register
def _(event: CaseOpened, case: CaseFile) -> CaseFile:
    return case.model_copy(
        update={
            "case_ref": event.case_ref,
            "office": event.office,
            "age_band": event.age_band,
            "guardian_contact": event.guardian_contact,
            "closed": False,
        }
    )


@evolve.register
def _(_event: CaseClosed, case: CaseFile) -> CaseFile:
    return _settle(case.model_copy(update={"closed": True}), lambda task: task.kind in ENDS_WITH_THE_CASE)


@evolve.register
def _(event: ConsentRecorded, case: CaseFile) -> CaseFile:
    consent = Consent(
        consent_id=event.consent_id,
        # What this release cannot read is not a permission.
        given=Given.granted if event.decision is ConsentDecision.granted else Given.refused,
        valid_until=event.valid_until,
        obtained_from=event.obtained_from,
    )
    return case.model_copy(update={"consents": {**case.consents, consent_key(event.purpose, event.agency): consent}})


@evolve.register
def _(event: ConsentWithdrawn, case: CaseFile) -> CaseFile:
    consents = {**case.consents, consent_key(event.purpose, event.agency): _withdrawn(event.consent_id)}
    named = [key for key, consent in case.consents.items() if consent.consent_id == event.consent_id]
    # A withdrawal that names neither an agency nor a consent we know means all of that purpose.
    whole = f"{event.purpose}/" if event.agency is None and not named else None
    for key, consent in case.consents.items():
        if key in named or (whole and key.startswith(whole)):
            consents[key] = _withdrawn(consent.consent_id)
    return case.model_copy(update={"consents": consents, "withdrawn": (*case.withdrawn, event.consent_id)})


@evolve.register
def _(event: ContactProfileChanged, case: CaseFile) -> CaseFile:
    profile = Profile(
        contact_by=event.contact_by,
        language=event.language,
        time_zone=event.time_zone,
        windows=event.windows,
        channels=event.channels,
        code_word_set=event.code_word_set,
        review_due=event.review_due,
        contact=event.sealed_as("contact"),
    )
    changed = case.model_copy(update={"profile": profile})
    return _settle(changed, lambda task: task.kind is StaffTaskKind.review_profile)


@evolve.register
def _(event: ReferralRequested, case: CaseFile) -> CaseFile:
    link = event.sealed_as("contact")
    if link is not None:
        case = _mail(
            case,
            ProviderMail(
                kind=MailKind.request,
                about=About(type=event.type, event_id=link.id),
                referral_id=event.referral_id,
                agency=event.agency,
                consent_id=event.consent_id,
                since=event.requested_at,
                due=event.answer_due,
                link=link,
                link_expires_at=event.link_expires_at,
            ),
        )
    kinds = settled_by(ReferralStatus.requested)
    return _settle(case, lambda task: task.referral_id == event.referral_id and task.kind in kinds)


@evolve.register
def _(event: ReferralStatusChanged, case: CaseFile) -> CaseFile:
    if event.status in ANSWERED:
        case = _answered(case, MailKind.request, event.referral_id)
    kinds = settled_by(event.status)
    return _settle(case, lambda task: task.referral_id == event.referral_id and task.kind in kinds)


@evolve.register
def _(event: PurgeRequested, case: CaseFile) -> CaseFile:
    link = event.sealed_as("contact")
    if link is None:
        return case
    return _mail(
        case,
        ProviderMail(
            kind=MailKind.purge,
            about=About(type=event.type, event_id=link.id),
            referral_id=event.referral_id,
            agency=event.agency,
            consent_id=event.consent_id,
            since=event.requested_at,
            due=event.due_at,
            link=link,
        ),
    )


@evolve.register
def _(event: PurgeAcknowledged, case: CaseFile) -> CaseFile:
    case = _answered(case, MailKind.purge, event.referral_id, event.agency)
    return _settle(case, lambda task: task.referral_id == event.referral_id and task.kind is StaffTaskKind.check_purge)


@evolve.register
def _(event: PartnerPurgeAcknowledged, case: CaseFile) -> CaseFile:
    return _settle(case, lambda task: task.root == event.purge_id)


@evolve.register(AssessmentCompleted)
@evolve.register(AssessmentDeclined)
def _(event: AssessmentCompleted | AssessmentDeclined, case: CaseFile) -> CaseFile:
    return _settle(
        case,
        lambda task: task.assessment_id == event.assessment_id and task.kind is StaffTaskKind.complete_assessment,
    )


@evolve.register
def _(event: InputHeld, case: CaseFile) -> CaseFile:
    held = held_input(event)
    return case.model_copy(update={"held": {**case.held, held.task_id: held}})


@evolve.register(InputReleased)
@evolve.register(InputDiscarded)
def _(event: InputReleased | InputDiscarded, case: CaseFile) -> CaseFile:
    ended = case.released.get(event.input_id, 0) + 1
    return case.model_copy(update={"released": {**case.released, event.input_id: ended}})


@evolve.register
def _(event: StaffTaskCreated, case: CaseFile) -> CaseFile:
    above = case.tasks.get(event.escalates or "")
    task = Task(
        task_id=event.task_id,
        kind=event.kind,
        code=event.code,
        reason=event.reason,
        role=event.role,
        office=event.office,
        due_at=event.due_at,
        about=event.about,
        created_at=event.created_at,
        root=above.root if above else event.escalates or event.task_id,
        referral_id=event.referral_id,
        assessment_id=event.assessment_id,
        escalates=event.escalates,
        alert_until=event.alert_until,
        notice_until=event.notice_until,
    )
    tasks = {**case.tasks, task.task_id: task}
    if above:
        tasks[above.task_id] = above.model_copy(update={"escalated": True})
    case = case.model_copy(update={"tasks": tasks})
    if event.reason is TaskReason.purge_overdue:
        due = {
            entry: mail.model_copy(update={"chased": True})
            for entry, mail in case.mails.items()
            if mail.kind is MailKind.purge and mail.about == event.about
        }
        case = case.model_copy(update={"mails": {**case.mails, **due}})
    return case


@evolve.register
def _(event: StaffTaskAcknowledged, case: CaseFile) -> CaseFile:
    taken = case.tasks.get(event.task_id)
    if taken is None:
        return case
    word = {
        "status": TaskStatus.acknowledged,
        "acknowledged_at": event.acknowledged_at,
        "acknowledged_by": event.role,
    }
    return _tasks(case, lambda task: task.root == taken.root and task.status is not TaskStatus.acknowledged, word)


@evolve.register
def _(event: NotificationSent, case: CaseFile) -> CaseFile:
    return _end(case, event, NotificationStatus.sent, at=event.sent_at, attempt=event.attempt)


@evolve.register
def _(event: NotificationFailed, case: CaseFile) -> CaseFile:
    if not event.final:
        again = {**case.again, event.notification_id: case.again.get(event.notification_id, 0) + 1}
        return case.model_copy(update={"again": again})
    return _end(
        case, event, NotificationStatus.failed, at=event.failed_at, attempt=event.attempt, reason=event.reason.value
    )


@evolve.register
def _(event: NotificationWithheld, case: CaseFile) -> CaseFile:
    return _end(case, event, NotificationStatus.withheld, at=event.withheld_at, reason=event.reason.value)


def held_input(event: InputHeld) -> HeldInput:
    """A hold, about the event that is held; about the hold itself where an input of another kind is."""
    known = event.input_kind is InputKind.event and _EVENT_TYPE.fullmatch(event.input_type)
    return HeldInput(
        task_id=hold_task_id(event.source, event.input_id, event.held_at),
        about=About(type=event.input_type if known else event.type, event_id=event.input_id),
        held_at=event.held_at,
    )


def _withdrawn(consent_id: str) -> Consent:
    return Consent(consent_id=consent_id, given=Given.withdrawn)


def _mail(case: CaseFile, mail: ProviderMail) -> CaseFile:
    return case.model_copy(update={"mails": {**case.mails, mail.entry: mail}})


def _answered(case: CaseFile, kind: MailKind, referral_id: str, agency: str | None = None) -> CaseFile:
    mails = {
        entry: mail.model_copy(update={"answered": True})
        if mail.kind is kind and mail.referral_id == referral_id and agency in (None, mail.agency)
        else mail
        for entry, mail in case.mails.items()
    }
    return case.model_copy(update={"mails": mails})


def _settle(case: CaseFile, needless: Callable[[Task], bool]) -> CaseFile:
    return _tasks(case, lambda task: task.status is TaskStatus.open and needless(task), {"status": TaskStatus.settled})


def _tasks(case: CaseFile, which: Callable[[Task], bool], update: Mapping[str, object]) -> CaseFile:
    changed = {key: task.model_copy(update=update) for key, task in case.tasks.items() if which(task)}
    return case.model_copy(update={"tasks": {**case.tasks, **changed}}) if changed else case


def _end(
    case: CaseFile,
    event: NotificationSent | NotificationFailed | NotificationWithheld,
    status: NotificationStatus,
    *,
    at: object,
    attempt: int = 0,
    reason: str | None = None,
) -> CaseFile:
    ended = Notification.model_validate(
        {
            "notification_id": event.notification_id,
            "audience": Audience(event.audience),
            "status": status,
            "template": event.template,
            "locale": event.locale,
            "about": event.about,
            "at": at,
            "attempt": attempt,
            "reason": reason,
            "channel": event.channel,
            "agency": event.agency,
            "referral_id": event.referral_id,
            "task_id": event.task_id,
        }
    )
    return case.model_copy(update={"ended": {**case.ended, event.notification_id: ended}})
