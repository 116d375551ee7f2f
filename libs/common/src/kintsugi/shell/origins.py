"""Which step made something owed: a send continues the trace of that step, whatever came to its subject since."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from kintsugi.agenda import Agenda, Deadline, Send

T = TypeVar("T")


def origins(
    steps: Sequence[tuple[T, str]], fresh: Mapping[str, Deadline | Send], agenda: Callable[[T], Agenda]
) -> dict[str, str]:
    """The traceparent behind each fresh send. ``steps`` are the states a unit led to, with their traceparents."""
    sends = {name: entry for name, entry in fresh.items() if isinstance(entry, Send)}
    if not sends or not any(trace for _, trace in steps):
        return {}
    if len(steps) == 1:
        return dict.fromkeys(sends, steps[0][1])
    found: dict[str, str] = {}
    for state, trace in reversed(steps):
        try:
            owed = agenda(state)
        except Exception:  # noqa: S112 - a state that was passed through is no longer anybody's concern
            continue
        # From the last step back: an entry is of the first one behind which it stayed as it is.
        for name in [name for name, entry in sends.items() if owed.get(name) != entry]:
            del sends[name]
        found.update(dict.fromkeys(sends, trace))
    return found
