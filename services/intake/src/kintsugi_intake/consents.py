"""Consent by purpose and agency: given, refused, taken back."""

from __future__ import annotations

from datetime import UTC

from kintsugi.service import Context, Rejected
from kintsugi_events import ConsentDecision, ConsentPurpose, ConsentRecorded, ConsentWithdrawn, ObtainedFrom

from kintsugi_intake.commands import GrantConsent, RefuseConsent, WithdrawConsent
from kintsugi_intake.state import Consent, IntakeFile


def granted(command: GrantConsent, ctx: Context) -> ConsentRecorded:
    """The consent that was given. Raises Rejected where purpose, agency or time cannot be."""
    _agency_fits(command.purpose, command.agency, agency_needed=True)
    if command.agency is not None and command.agency not in ctx.pack.recipients:
        raise Rejected(
            "agency_unknown",
            "The country knows no agency with that identifier.",
            status=422,
            next_step="Use an organisation's id from the country's directory, or the agency of one of its integrators.",
        )
    until = command.valid_until.astimezone(UTC) if command.valid_until else None
    if until is not None and until <= ctx.now:
        raise Rejected(
            "consent_already_expired",
            "The consent would have ended before it was recorded.",
            status=422,
            next_step="Send a valid_until that lies ahead, or none for a consent without an end.",
        )
    return ConsentRecorded(
        consent_id=ctx.new_id(),
        purpose=command.purpose,
        agency=command.agency,
        decision=ConsentDecision.granted,
        recorded_at=ctx.now,
        valid_until=until,
        text_version=command.text_version,
        language=command.language,
        obtained_from=command.obtained_from,
    )


def refused(command: RefuseConsent, ctx: Context) -> ConsentRecorded:
    """The consent that was asked for and not given."""
    _agency_fits(command.purpose, command.agency, agency_needed=True)
    return ConsentRecorded(
        consent_id=ctx.new_id(),
        purpose=command.purpose,
        agency=command.agency,
        decision=ConsentDecision.refused,
        recorded_at=ctx.now,
        text_version=command.text_version,
        language=command.language,
        obtained_from=command.obtained_from,
    )


def withdrawn(consent: Consent, obtained_from: ObtainedFrom, ctx: Context) -> ConsentWithdrawn:
    """A consent that ends now."""
    return ConsentWithdrawn(
        consent_id=consent.consent_id,
        purpose=consent.purpose,
        agency=consent.agency,
        withdrawn_at=ctx.now,
        obtained_from=obtained_from,
    )


def meant(command: WithdrawConsent, case: IntakeFile) -> list[Consent]:
    """The consents a withdrawal names. Raises Rejected where nobody was ever asked for one.

    A repeated withdrawal, or one of a consent that was refused, names it still: asking twice is no error. A name
    nobody knows is one, since the caller would believe that something ended.
    """
    _agency_fits(command.purpose, command.agency, agency_needed=False)
    if command.purpose is ConsentPurpose.sharing and command.agency is None:
        found = list(case.consents_for(command.purpose))
    else:
        consent = case.consent(command.purpose, command.agency)
        found = [consent] if consent else []
    if not found:
        raise Rejected(
            "nothing_to_withdraw",
            "The case has no consent for that purpose and agency.",
            status=404,
            next_step="See the case's consents with GET /cases/{ref}; 'sharing' without agency withdraws all of them.",
        )
    return found


def _agency_fits(purpose: ConsentPurpose, agency: str | None, *, agency_needed: bool) -> None:
    sharing = purpose is ConsentPurpose.sharing
    if sharing and agency is None and agency_needed:
        raise Rejected(
            "agency_needed",
            "Consent to share names the agency that receives.",
            status=422,
            next_step="Send one request for each agency.",
        )
    if not sharing and agency is not None:
        raise Rejected(
            "agency_not_applicable",
            "Only consent to share names an agency.",
            status=422,
            next_step="Leave out the agency, or use the purpose 'sharing'.",
        )
