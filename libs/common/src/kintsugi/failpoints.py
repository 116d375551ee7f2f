"""Named places between two steps that change state, where a test may kill this process as if the power failed.

``KINTSUGI_FAILPOINT=consume.locked:3`` kills the process with SIGKILL the third time it comes by. Production
refuses to start with that variable set. Without it a place costs one comparison.
"""

from __future__ import annotations

import os
import signal

NAMES = frozenset(
    {
        "consume.locked",
        "consume.decided",
        "consume.subjects_written",
        "consume.inputs_written",
        "consume.outbox_written",
        "consume.agenda_written",
        "consume.positions_written",
        "consume.committed",
        "request.inserted",
        "request.locked",
        "request.answered",
        "request.committed",
        "timer.picked",
        "timer.committed",
        "send.claimed",
        "send.attempt_committed",
        "send.sent",
        "send.outcome_written",
        "send.outcome_committed",
        "relay.read",
        "relay.acknowledged",
        "relay.moved",
        "relay.committed",
        "keyring.created",
    }
)
"""Every place there is. A test kills at each, and another that each is in the code exactly once."""


def armed() -> str | None:
    """The setting that is armed in this process, or None."""
    return os.environ.get("KINTSUGI_FAILPOINT") or None


_name, _, _nth = (armed() or "").partition(":")
_left = int(_nth or 1)


def reach(name: str) -> None:
    """Passes the place ``name``; does not return if it is the armed one and its turn has come."""
    global _left
    if name != _name:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
