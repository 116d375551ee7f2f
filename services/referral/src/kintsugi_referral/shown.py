"""What an agency may see of a request: codes and coarse facts, and only while it is open and consented to."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from kintsugi_referral.domain import ANSWER_REASONS, MAY_BE_UNATTENDED, answers
from kintsugi_referral.links import LinkKind
from kintsugi_referral.state import CaseFile


class Facts(BaseModel):
    """What is known of the need: codes, a coarse area and an age band. No name, no contact, no story."""

    need: str
    area: str
    age_band: str
    languages: list[str]


class Reply(BaseModel):
    """An answer that is possible now; ``reasons`` is empty where none is required."""

    status: str
    reasons: list[str]


class Shown(BaseModel):
    """A request as its agency sees it. ``facts`` is absent once it ended or the consent for it did."""

    kind: LinkKind
    status: str
    sub_status: str | None
    facts: Facts | None
    answers: list[Reply]
    may_be_unattended: bool
    answer_due: datetime | None
    purge_due: datetime | None
    purged: bool
    link_expires_at: datetime
    step: int


def shown(case: CaseFile, referral_id: str, kind: LinkKind, expires: datetime, *, facts: bool) -> Shown:
    """What to show of a referral through a link of this kind."""
    referral = case.referrals[referral_id]
    answering = kind == "answer"
    return Shown(
        kind=kind,
        status=referral.status.value,
        sub_status=referral.sub_status,
        facts=Facts(need=referral.need, area=case.area, age_band=case.age_band, languages=list(case.languages))
        if answering and facts and referral.open
        else None,
        answers=[
            Reply(status=status.value, reasons=list(ANSWER_REASONS.get(status, ())))
            for status in (answers(referral.status) if answering else ())
        ],
        may_be_unattended=answering and referral.status in MAY_BE_UNATTENDED and referral.sub_status is None,
        answer_due=referral.answer_due if answering and referral.open else None,
        purge_due=referral.purge_due,
        purged=referral.purged_at is not None,
        link_expires_at=expires,
        step=referral.step,
    )
