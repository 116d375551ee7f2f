"""What a notification says about itself in events: for whom, in which wording, about what. Never an address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kintsugi.service import Context
from kintsugi_contracts.base import Event
from kintsugi_events import (
    About,
    Audience,
    NotificationWithheld,
    StaffTaskKind,
    TaskReason,
    WithheldReason,
)

from kintsugi_notify.domain import notification_id
from kintsugi_notify.handlers.core import about, task
from kintsugi_notify.records import HeldInput, MailKind, ProviderMail, Task
from kintsugi_notify.state import CaseFile

NO_LANGUAGE = "und"


@dataclass(frozen=True, slots=True)
class Letter:
    """A notification in references and codes. ``locale`` is the language it is, or would have been, written in."""

    notification_id: str
    audience: Audience
    template: str
    locale: str
    about: About
    agency: str | None = None
    referral_id: str | None = None
    task_id: str | None = None


def mail_letter(mail: ProviderMail, ctx: Context) -> Letter:
    """A request or a purge, in the first of the agency's languages that the country writes."""
    return Letter(
        notification_id(mail.entry),
        Audience.provider,
        mail.kind.value,
        agency_language(mail.agency, ctx),
        mail.about,
        agency=mail.agency,
        referral_id=mail.referral_id,
    )


def alert_letter(known: Task, case: CaseFile, ctx: Context) -> Letter:
    """The announcement of a task, in its office's language."""
    return Letter(
        notification_id(known.alert),
        Audience.staff,
        "staff_alert" if case.cannot_wait(known) else "staff_task",
        office_of(case, ctx)[1],
        known.about,
        referral_id=known.referral_id,
        task_id=known.task_id,
    )


def hold_letter(held: HeldInput, case: CaseFile, ctx: Context) -> Letter:
    """The alert that notify itself holds the case."""
    return Letter(
        notification_id(held.entry),
        Audience.staff,
        "staff_alert",
        office_of(case, ctx)[1],
        held.about,
        task_id=held.task_id,
    )


def notice_letter(known: Task, case: CaseFile) -> Letter:
    """The notice that goes with a task, in the survivor's language and no other."""
    coded = case.profile is not None and case.profile.code_word_set
    return Letter(
        notification_id(known.notice),
        Audience.survivor,
        "survivor_notice_code_word" if coded else "survivor_notice",
        case.profile.language if case.profile else NO_LANGUAGE,
        known.about,
        referral_id=known.referral_id,
        task_id=known.task_id,
    )


def agency_language(agency_id: str, ctx: Context) -> str:
    """The agency's first language that the country writes; else its first one, in which there is no translation."""
    try:
        languages = ctx.pack.directory.agency(agency_id).languages
    except LookupError:
        return NO_LANGUAGE
    written = [language for language in languages if language in ctx.pack.languages]
    return next(iter((*written, *languages)), NO_LANGUAGE)


def office_of(case: CaseFile, ctx: Context) -> tuple[str, str]:
    """The code and language of the case's office; of the country's first one while the case's is not known.

    An alert about a case of no known office must reach somebody.
    """
    offices = ctx.pack.country.offices
    code = case.office if case.office in offices else next(iter(offices))
    return code, offices[code].language


def unlinked(
    kind: MailKind, event: Event, case: CaseFile, ctx: Context, *, referral_id: str, agency: str
) -> Sequence[Event]:
    """A request to write that carries no link: withheld at once, and a person takes over."""
    why = about(event, ctx)
    purge = kind is MailKind.purge
    follow = StaffTaskKind.check_purge if purge else StaffTaskKind.follow_up_provider
    return [
        NotificationWithheld(
            notification_id=ctx.new_id(),
            audience=Audience.provider,
            template=kind.value,
            locale=agency_language(agency, ctx),
            about=why,
            reason=WithheldReason.link_unavailable,
            withheld_at=ctx.now,
            agency=agency,
            referral_id=referral_id,
        ),
        *task(follow, TaskReason.link_unavailable, why, case, ctx, referral_id=referral_id),
    ]
