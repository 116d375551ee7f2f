"""What is asked of this service."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class AcknowledgePurge(BaseModel):
    """An integrator says that it deleted what it had received of a case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    purge_id: str
    integrator: str
