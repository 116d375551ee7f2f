"""Baseline policies: what must hold before a command is decided. A country may only add to them."""

from __future__ import annotations

from typing import Any, NoReturn

from kintsugi.service import Allowed, Context, Judgement, Rejected, Withheld

from kintsugi_intake.commands import GrantConsent
from kintsugi_intake.domain import consent_objection
from kintsugi_intake.state import IntakeFile

_ALLOWED = Allowed()

_EXPLAINED = {
    "case_closed": (
        "The case is closed.",
        "Nothing is added to a closed case; open a new one. Withdrawals and 'stop contact' are still accepted.",
    ),
    "supervisor_approval_needed": (
        "A case is closed with a supervisor's approval.",
        "Ask a supervisor to send this request.",
    ),
    "guardian_blocked": (
        "The guardian may be the suspect and cannot consent for the survivor.",
        "Obtain the consent from the designated authority.",
    ),
    "guardian_or_authority_needed": (
        "The survivor is, or is presumed to be, a minor: their assent alone is not a consent.",
        "Obtain the consent from the caregiver or the designated authority, with the minor's assent.",
    ),
}


def case_is_open(_command: object, case: IntakeFile, _ctx: Context) -> Judgement:
    """Nothing is added to a closed case."""
    return Withheld("case_closed") if case.status == "closed" else _ALLOWED


def supervisor_approves(_command: object, _case: IntakeFile, ctx: Context) -> Judgement:
    """Only a supervisor's own request closes a case; nothing closes it by itself."""
    if ctx.caller is None or "supervisor" not in ctx.caller.roles:
        return Withheld("supervisor_approval_needed")
    return _ALLOWED


def may_consent(command: GrantConsent, case: IntakeFile, _ctx: Context) -> Judgement:
    """A minor's consent comes from a guardian who is not the suspect, or from the designated authority."""
    objection = consent_objection(case.minor, case.guardian_contact, command.obtained_from)
    return Withheld(objection) if objection else _ALLOWED


def refuse(_command: Any, verdict: Withheld, _case: IntakeFile, _ctx: Context) -> NoReturn:
    """Tells the caller why a policy withholds, and what to do."""
    detail, next_step = _EXPLAINED.get(
        verdict.reason, ("A policy of this country withholds it.", "See the country pack's policies.")
    )
    raise Rejected(verdict.reason, detail, next_step=next_step)
