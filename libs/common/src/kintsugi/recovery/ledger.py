"""The account of every record after a rebuild, and where the consumer goes on: pure.

A position is the first offset of its partition that holds an input nobody has accounted for. Below it every record
has exactly one row in ``inputs``; from it on none has, since the consumer reads those records (again).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.causes import Cause

from kintsugi.envelope import kind_of
from kintsugi.recovery.fold import Folded
from kintsugi.recovery.log import Entry, History
from kintsugi.service import S, Service
from kintsugi.shell.writing import InputRow

Place = tuple[str, int]
"""A topic and an offset; the partition is the one at hand."""

_IN_LINE = ("waiting", "held")


@dataclass(slots=True)
class Account:
    """What to write for one partition of the topics a service reads.

    ``settled`` are rows that waited and are behind a cursor now; ``again`` the first offsets, by topic, whose rows go
    because the consumer reads from there; ``left`` counts the records that are left to be decided.
    """

    rows: list[InputRow] = field(default_factory=list)
    settled: list[tuple[str, int, str, Cause | None]] = field(default_factory=list)
    again: dict[str, int] = field(default_factory=dict)
    left: int = 0


class Ledger(Generic[S]):
    """Judges the records of one partition number against the rebuilt cursors."""

    def __init__(
        self,
        service: Service[S],
        histories: Mapping[str, History],
        folded: Mapping[str, Folded[S]],
        known: Mapping[Place, str],
        catalog: Catalog,
        kinds: Collection[str],
    ) -> None:
        """``kinds`` are those of subject that the service has rows for."""
        self._kinds = kinds
        self._service = service
        self._catalog = catalog
        self._histories = histories
        self._folded = folded
        self._known = known
        self._statuses: dict[str, str] = {}

    def account(self, topics: Mapping[str, tuple[Sequence[Entry], int]]) -> Account:
        """``topics`` give, for each source, its records and its end. Sets how many inputs each subject waits with."""
        account = Account()
        for topic, (entries, end) in topics.items():
            judged = [(entry, self._judge(entry)) for entry in entries]
            position = next((entry.record.offset for entry, said in judged if said is None), end)
            account.again[topic] = position
            account.left += sum(1 for _, said in judged if said is None)
            for entry, said in judged:
                if said is None or entry.record.offset >= position:
                    continue
                self._write(account, entry, *said)
        return account

    def _write(self, account: Account, entry: Entry, status: str, cause: Cause | None) -> None:
        record = entry.record
        known = self._known.get((record.topic, record.offset))
        if status in _IN_LINE:
            self._folded[entry.envelope.subject].waiting += 1
        if known is None:
            account.rows.append(InputRow(record, entry.parsed.envelope, status, cause))
        elif known in _IN_LINE and status not in _IN_LINE:
            account.settled.append((record.topic, record.offset, status, cause))

    def _judge(self, entry: Entry) -> tuple[str, Cause | None] | None:
        """A status and its cause; None for what the consumer is to decide."""
        envelope, record = entry.parsed.envelope, entry.record
        if envelope is None:
            return "dead", entry.parsed.fault or Cause.unknown
        if kind_of(envelope.subject) not in self._kinds:
            return "ignored", None
        folded = self._folded.get(envelope.subject)
        history = self._histories.get(envelope.subject)
        if folded is None or history is None:
            return None
        source, sequence = envelope.service, envelope.sequence
        progress = folded.subject.progress
        if sequence > progress.cursor(source):
            if self._known.get((record.topic, record.offset)) in _IN_LINE:
                return "waiting", None
            if not folded.stands:
                return None
            at = progress.hold
            if at is not None and at.kind == "event" and at.input_id == envelope.id and at.sequence == sequence:
                return "held", at.cause
            return "waiting", None
        first = history.sources.get(source, {}).get(sequence)
        if first is not entry:
            same = first is None or first.envelope.id == envelope.id
            return ("duplicate", None) if same else ("dead", Cause.sequence_reused)
        match folded.passed.get((source, sequence)):
            case "discarded":
                return "discarded", None
            case "without":
                return "dead", Cause.gap
            case _:
                return self._applied(envelope.type), None

    def _applied(self, type_: str) -> str:
        status = self._statuses.get(type_)
        if status is None:
            model = self._catalog.by_type(type_)
            takes = model is not None and self._service.takes(model, self._catalog)
            status = self._statuses[type_] = "applied" if takes else "ignored"
        return status


def settled_columns(account: Account) -> dict[str, list[Any]]:
    """The settled rows as arrays."""
    return {
        "topics": [topic for topic, _, _, _ in account.settled],
        "offsets": [offset for _, offset, _, _ in account.settled],
        "statuses": [status for _, _, status, _ in account.settled],
        "causes": [cause for _, _, _, cause in account.settled],
    }
