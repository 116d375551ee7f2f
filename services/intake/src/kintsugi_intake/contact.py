"""The safe-contact profile: what a change leaves of it, and how all contact is stopped."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kintsugi.sealing import Erased
from kintsugi.service import Context, Rejected
from kintsugi_events import (
    ContactBy,
    ContactChannel,
    ContactProfileChanged,
    ContactProfileChangedContact,
    ContactProfileChangedSealed,
    ContactWindow,
)

from kintsugi_intake.commands import ChangeContactProfile, said
from kintsugi_intake.domain import profile_objection, unverified
from kintsugi_intake.opening import past
from kintsugi_intake.state import IntakeFile

UNDETERMINED = "und"
"""The language of a profile that names none: no text exists in it, so nothing is sent in a language not chosen."""

_OBJECTIONS = {
    "window_ends_before_start": (
        "A contact window ends before it starts.",
        "A window lies within one day; split one that passes midnight in two ('24:00' ends a day).",
    ),
    "channel_twice": ("A channel is named twice.", "Name each kind of channel once."),
    "channel_without_address": (
        "A channel has no address.",
        "Send the email or phone with its channel; sms and voice use the phone.",
    ),
    "language_needed": (
        "The organisation would start contact, and no language was chosen.",
        "Send the language in which the survivor wants to be written to.",
    ),
    "time_zone_unknown": ("The time zone is not in the IANA database.", "Send a name such as Europe/Malta."),
}


def changed(patch: ChangeContactProfile, case: IntakeFile, ctx: Context) -> ContactProfileChanged:
    """The whole profile after a patch. Raises Rejected where it could not be followed safely."""
    before = case.profile
    old = _addresses(case, ctx)
    given = patch.model_fields_set
    new = ContactProfileChangedContact(
        email=patch.email if "email" in given else old.email,
        phone=patch.phone if "phone" in given else old.phone,
        code_word=patch.code_word if "code_word" in given else old.code_word,
    )
    if patch.windows is not None:
        windows = tuple(ContactWindow(**said(window)) for window in patch.windows)
    else:
        windows = before.windows if before else ()
    if patch.channels is not None:
        channels = tuple(ContactChannel(**said(channel)) for channel in patch.channels)
    else:
        channels = unverified(
            before.channels if before else (),
            email_changed=new.email != old.email,
            phone_changed=new.phone != old.phone,
        )
    contact_by = patch.contact_by or (before.contact_by if before else ContactBy.not_asked)
    language = patch.language or (before.language if before else _first_language(case))
    time_zone = patch.time_zone or (before.time_zone if before else ctx.pack.country.zone)
    objection = profile_objection(windows, channels, email=new.email is not None, phone=new.phone is not None)
    if objection is None and contact_by is ContactBy.organisation and language == UNDETERMINED:
        objection = "language_needed"
    if objection is None and not _known(time_zone):
        objection = "time_zone_unknown"
    if objection is not None:
        detail, next_step = _OBJECTIONS[objection]
        raise Rejected(objection, detail, status=422, next_step=next_step)
    reviewed_at = past(patch.reviewed_at, ctx, "reviewed_in_future")
    return ContactProfileChanged(
        profile_version=before.version + 1 if before else 1,
        contact_by=contact_by,
        language=language,
        time_zone=time_zone,
        windows=windows,
        channels=channels,
        code_word_set=new.code_word is not None,
        reviewed_at=reviewed_at,
        review_due=ctx.pack.due("profile_review", reviewed_at),
        sealed={} if new == ContactProfileChangedContact() else ContactProfileChangedSealed(contact=new),
    )


def stopped(case: IntakeFile, ctx: Context) -> ContactProfileChanged:
    """A profile by which only the survivor makes contact.

    It carries no address and needs no key, so that it holds even where nothing can be opened; contact is taken up
    again only with addresses that are given and verified anew.
    """
    before = case.profile
    return ContactProfileChanged(
        profile_version=before.version + 1 if before else 1,
        contact_by=ContactBy.survivor_only,
        language=before.language if before else _first_language(case),
        time_zone=before.time_zone if before else ctx.pack.country.zone,
        windows=(),
        channels=(),
        code_word_set=False,
        reviewed_at=ctx.now,
        review_due=ctx.pack.due("profile_review", ctx.now),
    )


def _addresses(case: IntakeFile, ctx: Context) -> ContactProfileChangedContact:
    sealed = case.profile.contact if case.profile else None
    if sealed is None:
        return ContactProfileChangedContact()
    opened = ctx.open(sealed, ContactProfileChangedContact)
    if isinstance(opened, Erased):
        raise Rejected(
            "erased",
            "The survivor's data were erased; no contact profile is kept.",
            next_step="Open a new case if the survivor comes back.",
        )
    return opened


def _first_language(case: IntakeFile) -> str:
    return case.languages[0] if case.languages else UNDETERMINED


def _known(time_zone: str) -> bool:
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
