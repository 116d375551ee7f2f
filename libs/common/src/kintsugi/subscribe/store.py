"""A subscriber's own file: how far each subject was handled, and the records that were kept back. SQLite, mode 0600.

Several processes of one subscriber on one machine may share it. What is written survives the end of the process at
once; it survives the end of the machine after :meth:`Store.flush`, which comes before every commit to Kafka.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from kintsugi_contracts.causes import Cause

from kintsugi.envelope import Envelope
from kintsugi.store.rows import Record, dump_headers, load_headers
from kintsugi.subject import Cursor
from kintsugi.subscribe.record import Held, State, Trouble

_VERSION = 1
_LOCK_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cursors (
  subject TEXT NOT NULL, source TEXT NOT NULL, sequence INTEGER NOT NULL, id TEXT NOT NULL,
  PRIMARY KEY (subject, source)
) WITHOUT ROWID;
CREATE TABLE positions (
  topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE kept (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  state TEXT NOT NULL, cause TEXT, detail TEXT NOT NULL, attempts INTEGER NOT NULL, since TEXT NOT NULL,
  subject TEXT, source TEXT, sequence INTEGER, id TEXT, type TEXT,
  topic TEXT NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL, appended_ms INTEGER NOT NULL,
  key BLOB, value BLOB, headers BLOB NOT NULL,
  -- the log's time too: topics that were made anew count their offsets from 0 again
  UNIQUE (topic, partition, "offset", appended_ms)
);
CREATE INDEX kept_by_subject ON kept (subject, source, sequence) WHERE state <> 'aside';
CREATE TABLE discarded (
  number INTEGER PRIMARY KEY, at TEXT NOT NULL, reason TEXT NOT NULL, cause TEXT, subject TEXT, source TEXT,
  sequence INTEGER, id TEXT, type TEXT, topic TEXT NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL
);
"""
_BEHIND_IT = """
INSERT INTO cursors VALUES (?, ?, ?, ?)
ON CONFLICT (subject, source) DO UPDATE SET sequence = excluded.sequence, id = excluded.id
WHERE excluded.sequence > cursors.sequence
"""
_KEEP = """
INSERT OR IGNORE INTO kept (state, cause, detail, attempts, since, subject, source, sequence, id, type,
  topic, partition, "offset", appended_ms, key, value, headers)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_FIRST = "SELECT * FROM kept WHERE subject = ? AND state <> 'aside' ORDER BY number LIMIT 1"
_IN_LINE = "SELECT * FROM kept WHERE subject = ? AND source = ? AND sequence = ? AND state <> 'aside' ORDER BY number"
_BEHIND = "SELECT count(*) FROM kept WHERE subject = ? AND state = 'waiting'"
# SQLite takes the bare columns from the row that has the minimum: the first of each line.
_FIRSTS = "SELECT subject, state, partition, min(number) FROM kept WHERE state <> 'aside' GROUP BY subject"


class StoreError(Exception):
    """The file cannot be used. The text says why, and what to do."""


class Store:
    """The file of one subscriber. Without a ``group`` it must exist: that is how its operator opens it.

    Raises StoreError for a file that is not there, is no such file, or belongs to another group.
    """

    def __init__(self, file: Path, group: str | None = None) -> None:
        self.file = file
        self.is_new = not file.exists()
        if self.is_new:
            if group is None:
                raise StoreError(f"{file} does not exist. Name the .sqlite file in the subscriber's folder: --store F")
            try:
                file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
            except OSError as error:
                raise StoreError(
                    f"{file} cannot be made: {error.strerror}. Name a folder that this user may write to"
                ) from error
        try:
            self._db = sqlite3.connect(file, isolation_level=None, timeout=_LOCK_SECONDS, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._prepare(group)
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{file} cannot be used as a subscriber's store: {error}. Name another folder") from error

    def close(self) -> None:
        """Let the file go."""
        self._db.close()

    def flush(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Notes the next offset of each (topic, partition), and puts everything written so far on the disk.

        Afterwards it survives a machine that loses its power.
        """
        rows = [(topic, partition, at) for (topic, partition), at in positions.items()]
        self._db.execute("PRAGMA synchronous = FULL")
        try:
            with self._together():
                self._db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", rows)
        finally:
            self._db.execute("PRAGMA synchronous = NORMAL")

    def position(self, topic: str, partition: int) -> int | None:
        """The next offset of a partition; None where this file knows nothing of it."""
        row = self._db.execute(
            "SELECT next FROM positions WHERE topic = ? AND partition = ?", (topic, partition)
        ).fetchone()
        return int(row["next"]) if row else None

    # --- how far ------------------------------------------------------------------------------------------------

    def cursor(self, subject: str, source: str) -> Cursor | None:
        """The last event of this source that is behind the subject; None before the first."""
        row = self._db.execute(
            "SELECT sequence, id FROM cursors WHERE subject = ? AND source = ?", (subject, source)
        ).fetchone()
        return Cursor(row["sequence"], row["id"]) if row else None

    def passed(self, envelope: Envelope) -> None:
        """The event is behind its subject: handled or ignored."""
        self._db.execute(_BEHIND_IT, (envelope.subject, envelope.source, envelope.sequence, envelope.id))

    # --- what was kept ------------------------------------------------------------------------------------------

    def keep(self, record: Record, envelope: Envelope | None, state: State, trouble: Trouble | None) -> None:
        """Keeps a record with all its bytes. One that is kept already stays as it is."""
        named = (envelope.subject, envelope.source, envelope.sequence, envelope.id, envelope.type) if envelope else ()
        cause, detail = (trouble.cause.value, trouble.detail) if trouble else (None, "")
        values = (state.value, cause, detail, 1 if state is State.held else 0, _now(), *(named or (None,) * 5))
        place = (record.topic, record.partition, record.offset, record.appended_ms)
        self._db.execute(_KEEP, (*values, *place, record.key, record.value, dump_headers(record.headers)))

    def first(self, subject: str) -> Held | None:
        """The record at which a subject stands; None when it goes on."""
        row = self._db.execute(_FIRST, (subject,)).fetchone()
        return _held(row) if row else None

    def in_line(self, envelope: Envelope) -> list[Held]:
        """What is kept under the sequence of an event of a subject."""
        return self.in_line_at(envelope.subject, envelope.source, envelope.sequence)

    def in_line_at(self, subject: str, source: str, sequence: int) -> list[Held]:
        """What is kept of a subject and source under a sequence."""
        return [_held(row) for row in self._db.execute(_IN_LINE, (subject, source, sequence))]

    def mark(self, number: int, state: State, trouble: Trouble) -> None:
        """A kept record failed again."""
        self._db.execute(
            "UPDATE kept SET state = ?, cause = ?, detail = ?, attempts = attempts + 1 WHERE number = ?",
            (state.value, trouble.cause.value, trouble.detail, number),
        )

    def settle(self, number: int, envelope: Envelope | None) -> None:
        """A kept record was handled or is a duplicate: it leaves the store, and its subject passes ``envelope``."""
        with self._together():
            self._db.execute("DELETE FROM kept WHERE number = ?", (number,))
            if envelope is not None:
                self.passed(envelope)

    def movable(self) -> list[tuple[str, int]]:
        """Subjects whose first kept record is not held, with the partition that they live in."""
        return [(row["subject"], row["partition"]) for row in self._db.execute(_FIRSTS) if row["state"] != "held"]

    # --- for its operator ---------------------------------------------------------------------------------------

    def held(self) -> list[Held]:
        """Everything held, released or set aside, in the order of arrival; what waits is counted in ``behind``."""
        rows = self._db.execute("SELECT * FROM kept WHERE state <> 'waiting' ORDER BY number").fetchall()
        return [_held(row, self._behind(row["subject"])) for row in rows]

    def get(self, number: int) -> Held | None:
        """One kept record."""
        row = self._db.execute("SELECT * FROM kept WHERE number = ?", (number,)).fetchone()
        return _held(row, self._behind(row["subject"])) if row else None

    def release(self, subject: str | None = None) -> list[str]:
        """Lets a subject, or all, be handled again by the running subscriber; returns those concerned."""
        chosen = ("state = 'held'", ()) if subject is None else ("state = 'held' AND subject = ?", (subject,))
        with self._together():
            rows = self._db.execute(f"SELECT DISTINCT subject FROM kept WHERE {chosen[0]}", chosen[1]).fetchall()  # noqa: S608
            self._db.execute(f"UPDATE kept SET state = 'released' WHERE {chosen[0]}", chosen[1])  # noqa: S608
        return [row["subject"] for row in rows]

    def discard(self, kept: Held, reason: str) -> None:
        """Gives a record up for good: its subject passes it, and a line without its content stays behind."""
        place = (kept.record.topic, kept.record.partition, kept.record.offset)
        named = (kept.subject, kept.source, kept.sequence, kept.id)
        cause = kept.cause.value if kept.cause else None
        with self._together():
            self._db.execute("DELETE FROM kept WHERE number = ?", (kept.number,))
            self._db.execute(
                "INSERT INTO discarded VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (kept.number, _now(), reason, cause, *named, kept.type, *place),
            )
            if kept.state is not State.aside:
                self._db.execute(_BEHIND_IT, named)

    # --- inside -------------------------------------------------------------------------------------------------

    def _behind(self, subject: str | None) -> int:
        return int(self._db.execute(_BEHIND, (subject,)).fetchone()[0]) if subject else 0

    @contextmanager
    def _together(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _prepare(self, group: str | None) -> None:
        with self._together():
            version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
            empty = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            if version == 0 and empty and group is not None:
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO about VALUES ('group', ?)", (group,))
                self._db.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise StoreError(f"{self.file} is no store of this release (version {version}, expected {_VERSION})")
            owner = self._db.execute("SELECT value FROM about WHERE name = 'group'").fetchone()["value"]
        if group is not None and owner != group:
            raise StoreError(f"{self.file} belongs to {owner}, not to {group}: name another folder for this one")


def _held(row: sqlite3.Row, behind: int = 0) -> Held:
    record = Record(
        row["topic"],
        row["partition"],
        row["offset"],
        row["key"],
        row["value"],
        load_headers(row["headers"]),
        row["appended_ms"],
    )
    return Held(
        number=row["number"],
        state=State(row["state"]),
        cause=Cause(row["cause"]) if row["cause"] else None,
        detail=row["detail"],
        subject=row["subject"],
        source=row["source"],
        sequence=row["sequence"],
        id=row["id"],
        type=row["type"],
        since=datetime.fromisoformat(row["since"]),
        attempts=row["attempts"],
        record=record,
        behind=behind,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
