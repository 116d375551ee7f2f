"""Decides: one function per command; it returns the events that follow, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from kintsugi.service import Context, Service
from kintsugi_contracts.base import Event, Purpose
from kintsugi_events import CaseClosed, Role

from kintsugi_intake.commands import (
    ChangeContactProfile,
    CloseCase,
    FirstConsent,
    GrantConsent,
    ImportCase,
    OpenCase,
    RefuseConsent,
    StopContact,
    WithdrawConsent,
)
from kintsugi_intake.consents import granted, meant, refused, withdrawn
from kintsugi_intake.contact import changed, stopped
from kintsugi_intake.opening import opened, raised
from kintsugi_intake.policies import case_is_open, may_consent, refuse, supervisor_approves
from kintsugi_intake.state import IntakeFile, evolve

service = Service("intake", state=IntakeFile, evolve=evolve)

_ALL = (Purpose.identity, Purpose.contact, Purpose.assessment, Purpose.narrative)


@service.command(OpenCase, creates=True, seals=_ALL)
def open_case(command: OpenCase, case: IntakeFile, ctx: Context) -> list[Event]:
    """A case begins: the facts, the alarm if somebody is in danger, what was consented to, how contact is safe."""
    first = opened(command, ctx)
    known = evolve(first, case)
    events: list[Event] = [first, *raised(first, ctx)]
    for consent in command.consents:
        events += _first_consent(consent, known, ctx)
    if command.contact_profile is not None:
        events.append(changed(command.contact_profile, known, ctx))
    return events


@service.command(ImportCase, creates=True, seals=_ALL)
def import_case(command: ImportCase, case: IntakeFile, ctx: Context) -> list[Event]:
    """A case begins with what a file holds of it; consents and safe contact are not asked yet."""
    first = opened(command, ctx)
    events: list[Event] = [first, *raised(first, ctx)]
    if command.contact_profile is not None:
        events.append(changed(command.contact_profile, evolve(first, case), ctx))
    return events


@service.command(GrantConsent, requires=[case_is_open, may_consent])
def grant(command: GrantConsent, _case: IntakeFile, ctx: Context) -> list[Event]:
    """A consent is given; it takes the place of an earlier one for the same purpose and agency."""
    return [granted(command, ctx)]


@service.command(RefuseConsent, tightens=True)
def refuse_consent(command: RefuseConsent, case: IntakeFile, ctx: Context) -> list[Event]:
    """The survivor said no: what was granted before ends, and the refusal is on record."""
    no = refused(command, ctx)
    before = case.consent(command.purpose, command.agency)
    ends: list[Event] = [withdrawn(before, command.obtained_from, ctx)] if before and before.granted else []
    return [*ends, no]


@service.command(WithdrawConsent, tightens=True)
def withdraw(command: WithdrawConsent, case: IntakeFile, ctx: Context) -> list[Event]:
    """A consent ends at once, whatever state the case is in; repeating it changes nothing."""
    return [withdrawn(each, command.obtained_from, ctx) for each in meant(command, case) if each.granted]


@service.command(ChangeContactProfile, reads=(Purpose.contact,), seals=(Purpose.contact,), requires=[case_is_open])
def change_contact_profile(command: ChangeContactProfile, case: IntakeFile, ctx: Context) -> list[Event]:
    """The survivor said how they can be reached safely."""
    return [changed(command, case, ctx)]


@service.command(StopContact, tightens=True)
def stop_contact(_command: StopContact, case: IntakeFile, ctx: Context) -> list[Event]:
    """From now on only the survivor makes contact; accepted in every state of the case."""
    return [stopped(case, ctx)]


@service.command(CloseCase, requires=[case_is_open, supervisor_approves])
def close(command: CloseCase, _case: IntakeFile, ctx: Context) -> list[Event]:
    """The case ends with a reason and a supervisor's approval."""
    return [CaseClosed(reason=command.reason, closed_at=ctx.now, approved_role=Role.supervisor)]


for _handler in (grant, change_contact_profile, close):
    _handler.withheld(refuse)


def _first_consent(consent: FirstConsent, case: IntakeFile, ctx: Context) -> Sequence[Event]:
    if isinstance(consent, RefuseConsent):
        return [refused(consent, ctx)]
    return grant.run(consent, case, ctx)
