"""What a person does with records that were kept back: release them, or give them up. Works on the file alone."""

from __future__ import annotations

from typing import Final

from kintsugi_contracts.catalog import Catalog
from kintsugi_events import DiscardReason

from kintsugi.subscribe.record import Held, State
from kintsugi.subscribe.store import Store

REASONS: Final = tuple(reason.value for reason in DiscardReason if reason is not DiscardReason.unknown)


class CannotDo(Exception):
    """What was asked for cannot be done; the text says why and what to do next."""


def release(store: Store, chosen: str | int | None) -> list[str]:
    """Lets subjects go on: the one named by a number or by the beginning of its name, or all for None.

    The running subscriber handles their records again within a second or two, in order; one that does not run does
    so when it starts. Returns the subjects. Raises CannotDo when none is meant, or several are.
    """
    if chosen is None:
        return store.release()
    kept = _number(store, chosen) if isinstance(chosen, int) else None
    if kept is not None and kept.state is State.aside:
        raise CannotDo(
            f"Record {kept.number} was set aside ({kept.cause}): it has no place in any order, so it cannot be "
            "handled. Mend its producer, then discard it"
        )
    subject = kept.subject if kept is not None else _subject(store, str(chosen))
    released = store.release(subject)
    if not released:
        raise CannotDo(f"{subject} is released already: the subscriber goes on with it while it runs")
    return released


def discard(store: Store, number: int, reason: str, *, although_protective: bool = False) -> Held:
    """Gives a record up for good; its subject goes on after it. Returns what it was.

    Raises CannotDo for a reason that is not listed, for one that only waits, and for an event that protects a person
    unless ``although_protective``.
    """
    if reason not in REASONS:
        raise CannotDo(f"'{reason}' is no reason. Choose one: {', '.join(REASONS)}")
    kept = _number(store, number)
    if kept.state is State.waiting:
        raise CannotDo(f"Record {number} only waits behind another of its subject: release or discard that one")
    model = Catalog.installed().by_type(kept.type or "")
    if model is not None and model.protective and not although_protective:
        raise CannotDo(
            f"Record {number} is {kept.type}, which protects a person. Mend the handler and release it; where it "
            "really must be given up, a supervisor says --although-protective"
        )
    store.discard(kept, reason)
    return kept


def _number(store: Store, number: int) -> Held:
    kept = store.get(number)
    if kept is None:
        raise CannotDo(f"There is no record {number} here. See: python -m kintsugi.subscribe held --store F")
    return kept


def _subject(store: Store, beginning: str) -> str:
    whole = beginning if "/" in beginning else f"case/{beginning}"
    found = sorted({kept.subject for kept in store.held() if kept.subject and kept.subject.startswith(whole)})
    if len(found) == 1:
        return found[0]
    if not found:
        raise CannotDo(f"Nothing of a subject that begins with '{beginning}' is held here")
    raise CannotDo(f"'{beginning}' is the beginning of several: {', '.join(found)}. Give more of it")
