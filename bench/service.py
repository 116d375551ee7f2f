"""The service that is measured: it opens one sealed purpose, passes a policy, and emits an event that seals another."""

from __future__ import annotations

from datetime import timedelta
from functools import singledispatch

from kintsugi.agenda import Agenda, Deadline
from kintsugi.application import Application
from kintsugi.sealing import Erased
from kintsugi.service import Allowed, Context, Judgement, Service, State, Withheld
from kintsugi.views import Rows, Views
from kintsugi_contracts.base import Purpose, Sealed
from kintsugi_events import ContactProfileChanged, ReferralRequested
from kintsugi_events.intake import ContactProfileChangedContact
from kintsugi_events.referral import ReferralRequestedContact
from pydantic import AwareDatetime
from sqlalchemy import Column, Integer, MetaData, Table, Text


class Asked(State):
    """What the service remembers of a case: its profile, how often it was asked, and until when an answer is due."""

    profile_version: int = 0
    channels: tuple[str, ...] = ()
    contact: Sealed | None = None
    asked: int = 0
    answer_due: AwareDatetime | None = None


@singledispatch
def evolve(event: object, case: Asked) -> Asked:
    """Other events change nothing."""
    return case


@evolve.register
def _(event: ContactProfileChanged, case: Asked) -> Asked:
    return case.model_copy(
        update={
            "profile_version": event.profile_version,
            "channels": tuple(str(channel.kind) for channel in event.channels if channel.safe),
            "contact": event.sealed_as("contact"),
        }
    )


@evolve.register
def _(event: ReferralRequested, case: Asked) -> Asked:
    return case.model_copy(update={"asked": event.attempt, "answer_due": event.answer_due})


def agenda(case: Asked) -> Agenda:
    """The answer, due once."""
    return {"answer/1": Deadline(at=case.answer_due)} if case.answer_due and case.asked == 1 else {}


service = Service("referral", state=Asked, evolve=evolve, agenda=agenda)


def reachable(event: ContactProfileChanged, case: Asked, ctx: Context) -> Judgement:
    """Somebody may be written to."""
    return Allowed() if case.channels else Withheld("no_safe_channel")


@service.on(ContactProfileChanged, reads=(Purpose.contact,), seals=(Purpose.contact,), requires=[reachable])
def ask(event: ContactProfileChanged, case: Asked, ctx: Context) -> list[ReferralRequested]:
    """Asks an agency, with a link that only it can read."""
    opened = ctx.open(case.contact, ContactProfileChangedContact) if case.contact else None
    if opened is None or isinstance(opened, Erased) or not opened.email:
        return []
    return [
        ReferralRequested(
            referral_id=ctx.new_id(),
            option_id="option-1",
            service_id="service-1",
            agency="agency-1",
            consent_id="consent-1",
            answer_due=event.reviewed_at + timedelta(days=3),
            link_expires_at=event.reviewed_at + timedelta(days=14),
            attempt=case.asked + 1,
            requested_at=ctx.now,
            sealed={"contact": ReferralRequestedContact(link=f"https://office.example/provider/{ctx.new_id()}")},
        )
    ]


@service.due("answer")
def overdue(name: str, case: Asked, ctx: Context) -> list[ReferralRequested]:
    """Never due within a measurement."""
    return []


metadata = MetaData()
ASKED = Table(
    "asked", metadata, Column("subject", Text, primary_key=True), Column("asked", Integer), Column("version", Integer)
)


def rows(subject: str, case: Asked) -> Rows:
    """One row a case."""
    return {"asked": [{"asked": case.asked, "version": case.profile_version}]} if case.asked else {}


application: Application[Asked] = Application(service=service, views=Views(metadata, rows))
