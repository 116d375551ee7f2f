"""The statements that run for every batch: one per table, arrays in, ``unnest`` and COPY inside."""

from sqlalchemy import text

INSERT_MISSING = text("""
INSERT INTO subjects (subject, partition)
SELECT s, p FROM unnest(CAST(:subjects AS text[]), CAST(:partitions AS smallint[])) AS n (s, p)
ORDER BY s COLLATE "C"
ON CONFLICT (subject) DO NOTHING
""")

# A second statement, so that what decides is read after the lock was granted.
LOCK = text("""
SELECT subject, version, sequence, progress, state, status, hold, waiting, waiting_since, partition, fold_version
FROM subjects WHERE subject = ANY(CAST(:subjects AS text[]))
ORDER BY subject COLLATE "C" FOR UPDATE
""")

MACHINE_NOW = text("SELECT now()")

BUSINESS_NOW = text("SELECT instant FROM business_clock")

UPDATE_SUBJECTS = text("""
UPDATE subjects AS s SET
    version = s.version + 1, sequence = n.sequence, progress = n.progress, state = n.state, status = n.status,
    hold = n.hold, held_since = CASE WHEN n.hold IS NULL THEN NULL ELSE coalesce(s.held_since, now()) END,
    waiting = n.waiting,
    waiting_since = CASE WHEN n.waiting = 0 THEN NULL
                         WHEN n.progressed THEN now() ELSE coalesce(s.waiting_since, now()) END,
    fold_version = n.fold_version
FROM unnest(CAST(:subjects AS text[]), CAST(:versions AS bigint[]), CAST(:sequences AS bigint[]),
            CAST(:progresses AS text[]), CAST(:states AS text[]), CAST(:statuses AS text[]), CAST(:holds AS text[]),
            CAST(:waitings AS integer[]), CAST(:progressed AS boolean[]), CAST(:fold_versions AS integer[]))
     AS n (subject, version, sequence, progress, state, status, hold, waiting, progressed, fold_version)
WHERE s.subject = n.subject AND s.version = n.version
""")

QUEUE = text("""
SELECT topic, partition, "offset", key, headers, body, extract(epoch FROM appended_at) * 1000 AS appended_ms
FROM inputs
WHERE subject = :subject AND source = :source AND status IN ('waiting', 'held') AND sequence >= :sequence
  AND (sequence, partition, "offset") > (:sequence, :partition, :offset)
ORDER BY sequence, partition, "offset" LIMIT :most
""")

ID_AT = text("""
SELECT id FROM inputs
WHERE subject = :subject AND source = :source AND sequence = :sequence
  AND status IN ('applied', 'ignored', 'discarded') LIMIT 1
""")

SETTLE = text("""
UPDATE inputs AS i SET
    status = n.status, cause = n.cause, detail = coalesce(n.detail, i.detail), settled_at = now(),
    key = CASE WHEN n.keep THEN i.key END, headers = CASE WHEN n.keep THEN i.headers END,
    body = CASE WHEN n.keep THEN i.body END
FROM unnest(CAST(:subjects AS text[]), CAST(:sources AS text[]), CAST(:sequences AS bigint[]),
            CAST(:topics AS text[]), CAST(:partitions AS smallint[]), CAST(:offsets AS bigint[]),
            CAST(:statuses AS text[]), CAST(:causes AS text[]), CAST(:details AS text[]), CAST(:keep AS boolean[]))
     AS n (subject, source, sequence, topic, partition, "offset", status, cause, detail, keep)
WHERE i.subject = n.subject AND i.source = n.source AND i.sequence = n.sequence
  AND i.topic = n.topic AND i.partition = n.partition AND i."offset" = n."offset"
""")

AGENDA_REMOVE = text("""
DELETE FROM agenda AS a USING unnest(CAST(:subjects AS text[]), CAST(:names AS text[])) AS n (subject, name)
WHERE a.subject = n.subject AND a.name = n.name
""")

AGENDA_WRITE = text("""
INSERT INTO agenda (subject, name, kind, body, due_at, partition, recipient, trace)
SELECT * FROM unnest(CAST(:subjects AS text[]), CAST(:names AS text[]), CAST(:kinds AS text[]),
                     CAST(:bodies AS text[]), CAST(:dues AS timestamptz[]), CAST(:partitions AS smallint[]),
                     CAST(:recipients AS text[]), CAST(:traces AS text[]))
ON CONFLICT (subject, name) DO UPDATE SET
    kind = excluded.kind, body = excluded.body, due_at = excluded.due_at, recipient = excluded.recipient,
    trace = excluded.trace, attempt = 0, claim = NULL, retry_at = NULL, not_before = NULL, postponed = NULL
""")

# What was postponed for a hold, a window or a consent is looked at again as soon as its subject has changed.
AGENDA_WAKE = text("""
UPDATE agenda SET retry_at = NULL
WHERE subject = ANY(CAST(:subjects AS text[])) AND postponed IS NOT NULL AND retry_at IS NOT NULL
""")

ADVANCE_POSITIONS = text("""
UPDATE positions AS p SET next_offset = n.next_offset
FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS smallint[]), CAST(:expected AS bigint[]),
            CAST(:next AS bigint[])) AS n (topic, partition, expected, next_offset)
WHERE p.topic = n.topic AND p.partition = n.partition AND p.next_offset = n.expected
""")

LOAD_POSITIONS = text("""
SELECT topic, partition, next_offset FROM positions WHERE topic = ANY(CAST(:topics AS text[]))
""")

ENSURE_POSITIONS = text("""
INSERT INTO positions (topic, partition)
SELECT * FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS smallint[]))
ON CONFLICT DO NOTHING
""")

READ_TO_END = text("""
UPDATE positions AS p SET read_to_end = :at, read_to_end_business = :business
FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS smallint[])) AS n (topic, partition)
WHERE p.topic = n.topic AND p.partition = n.partition
""")

INPUT_COLUMNS = (
    "topic", "partition", "offset", "kind", "source", "id", "sequence", "subject", "type", "status", "cause",
    "detail", "hash", "key", "headers", "body", "appended_at", "settled_at",
)  # fmt: skip

OUTBOX_COLUMNS = ("topic", "partition", "subject", "sequence", "type", "headers", "value")
