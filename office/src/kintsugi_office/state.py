"""``office.json``: what an office runs right now, for the other commands. It holds passwords: mode 0600."""

import contextlib
import os
from pathlib import Path
from typing import Literal

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError


class OfficeNotRunning(RuntimeError):
    """No office runs in this data folder."""


class OfficeAlreadyRuns(RuntimeError):
    """Another supervisor holds this data folder."""


class ProcessState(BaseModel):
    """One process of the office. ``ports`` by service: several when they share a process."""

    model_config = ConfigDict(frozen=True)

    pid: int | None
    state: Literal["starting", "ready", "waiting", "stopped"]
    restarts: int = 0
    ports: dict[str, int] = {}
    log: str


class OfficeState(BaseModel):
    """Everything another command needs to find the running office."""

    model_config = ConfigDict(frozen=True)

    pid: int
    started: float
    phase: Literal["starting", "ready", "stopping"]
    country: str
    profile: str
    shape: str
    project: str
    bootstrap: str
    services: dict[str, str]
    versions: dict[str, str]
    databases: dict[str, str]
    keyrings: dict[str, str]
    processes: dict[str, ProcessState]

    @property
    def alive(self) -> bool:
        """Whether the supervisor that wrote this is still the process with its pid."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started) < 2 and process.status() != psutil.STATUS_ZOMBIE
        return False


def write(file: Path, state: OfficeState) -> None:
    """Replace the file at once, so that a reader never sees half of it."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(state.model_dump_json(indent=1))
    draft.replace(file)


def read(file: Path) -> OfficeState | None:
    """What the file says, whether or not that office still runs; None when there is none or it is unreadable."""
    try:
        return OfficeState.model_validate_json(file.read_text())
    except (FileNotFoundError, ValidationError):
        return None


def running(file: Path) -> OfficeState:
    """The state of an office that runs. Raises OfficeNotRunning with what to do."""
    state = read(file)
    if state is None or not state.alive:
        raise OfficeNotRunning(f"No office runs in {file.parent}. Start it: kintsugi up (or name its folder: --data).")
    return state
