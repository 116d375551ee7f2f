"""Decides: one function per input; it returns the events that follow, and nothing else."""

from __future__ import annotations

from kintsugi.service import Context, Service
from @@events import @@Event
from kintsugi_contracts.base import Event
from kintsugi_events import @@Cause

from @@package.state import CaseFile, agenda, evolve

service = Service("@@service", state=CaseFile, evolve=evolve, agenda=agenda, fold_version=1)


@service.on(@@Cause)
def record(_event: @@Cause, _case: CaseFile, ctx: Context) -> list[Event]:
    """What follows from @@cause."""
    return [@@Event(@@{noun}_id=ctx.new_id(), recorded_at=ctx.now)]
