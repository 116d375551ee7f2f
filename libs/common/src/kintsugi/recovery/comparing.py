"""What stands against the fold of its log: every difference by kind, none of their values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from pydantic_core import to_json

from kintsugi.recovery.fold import Folded, Standing
from kintsugi.recovery.writing import view_rows
from kintsugi.service import S, Service
from kintsugi.views import Views

_AGENDA = "SELECT subject, name, body FROM agenda WHERE partition = $1"
_VIEW = """
WITH wanted AS (SELECT r.subject, to_jsonb(r) AS row
                FROM jsonb_populate_recordset(CAST(NULL AS {table}), CAST($1 AS jsonb)) AS r),
     stands AS (SELECT t.subject, to_jsonb(t) AS row FROM {table} AS t WHERE t.subject = ANY($2::text[])),
     missing AS (SELECT * FROM wanted EXCEPT ALL SELECT * FROM stands),
     surplus AS (SELECT * FROM stands EXCEPT ALL SELECT * FROM wanted)
SELECT subject, 'missing' AS what, count(*) AS rows FROM missing GROUP BY subject
UNION ALL SELECT subject, 'surplus', count(*) FROM surplus GROUP BY subject
"""
_NOBODYS = (
    "SELECT DISTINCT subject FROM {table} t WHERE NOT EXISTS (SELECT FROM subjects s WHERE s.subject = t.subject)"
)


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the database is not what its log says. ``detail`` names fields, numbers and tables, never a value."""

    subject: str
    kind: str
    detail: str


class Comparison(Generic[S]):
    """Collects the differences of one service."""

    def __init__(self, connection: Any, service: Service[S], views: Views[S]) -> None:
        self._connection = connection
        self._service = service
        self._views = views
        self.found: list[Difference] = []

    def say(self, subject: str, kind: str, detail: str) -> None:
        """One more difference."""
        self.found.append(Difference(subject, kind, detail))

    async def partition(self, partition: int, folded: Sequence[Folded[S]], standing: Mapping[str, Standing]) -> None:
        """Compares the subjects of one partition number."""
        rows = await self._connection.fetch(_AGENDA, partition)
        owed: dict[str, dict[str, Any]] = {}
        for row in rows:
            owed.setdefault(row["subject"], {})[row["name"]] = json.loads(row["body"])
        for each in folded:
            stands = standing.get(each.subject.id)
            if stands is None:
                self.say(each.subject.id, "subject", "the log knows this subject, the database does not")
                continue
            self._subject(each, stands)
            self._agenda(each, owed.pop(each.subject.id, {}))
        for subject, names in owed.items():
            self.say(subject, "agenda", f"owed without a subject: {', '.join(sorted(names))}")
        compared = [each for each in folded if each.subject.id in standing]
        await self._view_rows(compared)

    async def nobodys(self) -> None:
        """Rows of views whose subject is not there."""
        for name, table in self._views.tables.items():
            for row in await self._connection.fetch(_NOBODYS.format(table=table.name)):
                self.say(row["subject"], "view", f"{name}: rows without a subject")

    def _subject(self, folded: Folded[S], stands: Standing) -> None:
        subject, progress = folded.subject, folded.subject.progress
        if progress.sequence != stands.progress.sequence:
            self.say(
                subject.id,
                "sequence",
                f"the log ends at {progress.sequence}, the database at {stands.progress.sequence}",
            )
        for source in sorted({*progress.cursors, *stands.progress.cursors}):
            ours, theirs = progress.cursors.get(source), stands.progress.cursors.get(source)
            if ours != theirs:
                what = [f"{each.sequence}" if each else "nothing" for each in (ours, theirs)]
                same = "; same number, another id" if what[0] == what[1] else ""
                self.say(subject.id, "cursor", f"{source}: the log says {what[0]}, the database {what[1]}{same}")
        for source, sequence in folded.absent:
            self.say(subject.id, "log", f"{source}:{sequence} was seen and is not on its topic")
        ours_held, theirs_held = progress.hold is not None, stands.progress.hold is not None
        if ours_held != theirs_held:
            self.say(subject.id, "hold", "held in the " + ("log only" if ours_held else "database only"))
        self._state(folded, stands)

    def _state(self, folded: Folded[S], stands: Standing) -> None:
        ours = folded.subject.state.model_dump_json(exclude_defaults=True)
        if ours == stands.state:
            return
        mine, theirs = json.loads(ours), _object(stands.state)
        if mine != theirs:
            fields = sorted(name for name in {*mine, *theirs} if mine.get(name, _ABSENT) != theirs.get(name, _ABSENT))
            self.say(folded.subject.id, "state", f"differs in: {', '.join(fields) or 'form'}")

    def _agenda(self, folded: Folded[S], stands: Mapping[str, Any]) -> None:
        agenda = self._service.agenda(folded.subject.state)
        owed = {name: json.loads(entry.model_dump_json()) for name, entry in agenda.items()}
        for name in sorted({*owed, *stands}):
            if name not in stands:
                self.say(folded.subject.id, "agenda", f"'{name}' is owed and not there")
            elif name not in owed:
                self.say(folded.subject.id, "agenda", f"'{name}' is there and not owed")
            elif owed[name] != stands[name]:
                self.say(folded.subject.id, "agenda", f"'{name}' is owed otherwise")

    async def _view_rows(self, folded: Sequence[Folded[S]]) -> None:
        rows = view_rows(self._views, folded)
        subjects = [each.subject.id for each in folded]
        for name, table in self._views.tables.items():
            wanted = to_json(rows.get(name, [])).decode()
            for row in await self._connection.fetch(_VIEW.format(table=table.name), wanted, subjects):
                self.say(row["subject"], "view", f"{name}: {row['rows']} rows {row['what']}")


_ABSENT = object()


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
