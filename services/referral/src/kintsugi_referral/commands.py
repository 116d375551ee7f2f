"""What people ask of this service: survivors through their worker, agencies through their link."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from kintsugi_contracts.base import OpenEnum
from kintsugi_events import StatusReason
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _known(code: OpenEnum) -> OpenEnum:
    if code == "unknown":
        raise ValueError("is not a code of the list")
    return code


Reason = Annotated[StatusReason, AfterValidator(_known)]
Reference = Annotated[str, Field(pattern=r"^[0-9A-Za-z._:~-]{1,100}$")]
ProviderStatus = Literal["accepted", "rejected", "in-progress", "on-hold", "completed", "failed", "cancelled"]


class Chosen(_Command):
    """The survivor's choice: one of the options, none of them, or not now."""

    choice: Literal["option", "none", "not_now"]
    option_id: Reference | None = None

    @model_validator(mode="after")
    def _option_goes_with_its_choice(self) -> Chosen:
        if (self.choice == "option") != (self.option_id is not None):
            raise ValueError("option_id belongs to the choice 'option', and only to it")
        return self


class Choose(Chosen):
    """A choice for one referral."""

    referral_id: Reference


class OfferAgain(_Command):
    """The directory is asked anew for the same need."""

    referral_id: Reference


class Ended(_Command):
    """Why our side ends a referral, and who asked for it."""

    reason: Reason
    asked_by: Literal["survivor", "caseworker"] = "caseworker"


class Cancel(Ended):
    """Our side ends this referral."""

    referral_id: Reference


class MarkAsError(_Command):
    """A referral should never have been recorded."""

    referral_id: Reference


class Link(_Command):
    """What a provider's link stands for, as it was opened; ``expires`` is business time."""

    referral_id: str
    agency: str
    option_id: str
    expires: datetime


class Look(Link):
    """An agency opens its link. ``facts`` False asks for the state alone."""

    kind: Literal["answer", "purge"]
    facts: bool = True


class Answered(_Command):
    """How an agency stands with a request. ``sub_status`` unattended: an appointment was missed, nothing failed."""

    status: ProviderStatus
    reason: Reason | None = None
    sub_status: Literal["unattended"] | None = None


class Answer(Answered, Link):
    """An agency says how it stands with this request."""


class AcknowledgePurge(Link):
    """An agency says that it deleted what it received."""
