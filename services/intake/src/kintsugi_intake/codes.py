"""Closed lists at the door: a caller's typing error is refused, where an event's new code would be read as unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import kintsugi_events as events
from kintsugi_contracts.base import OpenEnum
from pydantic import BeforeValidator
from pydantic_core import PydanticKnownError


def _listed(codes: type[OpenEnum], *, without_unknown: bool = False) -> BeforeValidator:
    allowed = [code for code in codes if not (without_unknown and code == "unknown")]

    def check(value: object) -> object:
        if value in allowed:
            return value
        raise PydanticKnownError("enum", {"expected": ", ".join(allowed)})

    checked: Callable[[object], object] = check
    return BeforeValidator(checked)


Answer = Annotated[events.Answer, _listed(events.Answer)]
IntakeChannel = Annotated[events.IntakeChannel, _listed(events.IntakeChannel)]
AgeBasis = Annotated[events.AgeBasis, _listed(events.AgeBasis)]
AgeBand = Annotated[events.AgeBand, _listed(events.AgeBand)]
Gender = Annotated[events.Gender, _listed(events.Gender)]
InterpreterGender = Annotated[events.InterpreterGender, _listed(events.InterpreterGender)]
CaseworkType = Annotated[events.CaseworkType, _listed(events.CaseworkType)]
Urgency = Annotated[events.Urgency, _listed(events.Urgency)]
RiskLevel = Annotated[events.RiskLevel, _listed(events.RiskLevel)]
RiskReason = Annotated[events.RiskReason, _listed(events.RiskReason)]
DependantsBand = Annotated[events.DependantsBand, _listed(events.DependantsBand)]
ReferralSource = Annotated[events.ReferralSource, _listed(events.ReferralSource)]
GuardianPresence = Annotated[events.GuardianPresence, _listed(events.GuardianPresence)]
TraffickingStatus = Annotated[events.TraffickingStatus, _listed(events.TraffickingStatus)]
DecidingBody = Annotated[events.DecidingBody, _listed(events.DecidingBody)]
ExploitationType = Annotated[events.ExploitationType, _listed(events.ExploitationType)]
ControlMethod = Annotated[events.ControlMethod, _listed(events.ControlMethod)]
RecruitmentMethod = Annotated[events.RecruitmentMethod, _listed(events.RecruitmentMethod)]
ContactBy = Annotated[events.ContactBy, _listed(events.ContactBy)]
ConsentPurpose = Annotated[events.ConsentPurpose, _listed(events.ConsentPurpose, without_unknown=True)]
ObtainedFrom = Annotated[events.ObtainedFrom, _listed(events.ObtainedFrom, without_unknown=True)]
ChannelKind = Annotated[events.ChannelKind, _listed(events.ChannelKind, without_unknown=True)]
Weekday = Annotated[events.Weekday, _listed(events.Weekday, without_unknown=True)]
CloseReason = Annotated[events.CloseReason, _listed(events.CloseReason, without_unknown=True)]
