"""The kit's tables: subjects, inputs, outbox, agenda, attempts, positions, commands, clock, audit.

Text keys sort by byte (collation C), so that every lock order is the same on every machine.
"""

from alembic import op

revision = "kit_0001"
down_revision = None
branch_labels = ("kit",)
depends_on = None

_STATEMENTS = """
CREATE TABLE subjects (
    subject       text COLLATE "C" PRIMARY KEY,
    version       bigint NOT NULL DEFAULT 0,
    sequence      bigint NOT NULL DEFAULT 0,
    progress      text NOT NULL DEFAULT '{}',
    state         text NOT NULL DEFAULT '{}',
    status        text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'ok', 'waiting', 'held', 'blocked')),
    hold          text,
    held_since    timestamptz,
    waiting       integer NOT NULL DEFAULT 0,
    waiting_since timestamptz,
    partition     smallint NOT NULL,
    fold_version  integer NOT NULL DEFAULT 0
);
CREATE INDEX subjects_unsettled ON subjects (status, waiting_since) WHERE status IN ('waiting', 'held', 'blocked');

CREATE TABLE inputs (
    topic      text COLLATE "C" NOT NULL,
    partition  smallint NOT NULL,
    "offset"   bigint NOT NULL,
    kind       text NOT NULL DEFAULT 'event',
    source     text COLLATE "C",
    id         text COLLATE "C",
    sequence   bigint,
    subject    text COLLATE "C",
    type       text,
    status     text NOT NULL,
    cause      text,
    detail     text,
    hash       bytea,
    key        bytea,
    headers    bytea,
    body       bytea,
    appended_at timestamptz,
    arrived_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz
) PARTITION BY RANGE (arrived_at);
CREATE TABLE inputs_rest PARTITION OF inputs DEFAULT;
CREATE INDEX inputs_of_subject ON inputs (subject, source, sequence);
CREATE INDEX inputs_unsettled ON inputs (status, subject) WHERE status IN ('waiting', 'held', 'dead');

CREATE TABLE outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic      text NOT NULL,
    partition  smallint NOT NULL,
    subject    text COLLATE "C" NOT NULL,
    sequence   bigint NOT NULL,
    type       text NOT NULL,
    headers    bytea NOT NULL,
    value      bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE published (
    id           bigint NOT NULL,
    topic        text NOT NULL,
    partition    smallint NOT NULL,
    subject      text COLLATE "C" NOT NULL,
    sequence     bigint NOT NULL,
    type         text NOT NULL,
    headers      bytea NOT NULL,
    value        bytea NOT NULL,
    created_at   timestamptz NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (published_at);
CREATE TABLE published_rest PARTITION OF published DEFAULT;
CREATE INDEX published_since ON published (published_at, id);

CREATE TABLE agenda (
    subject    text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('deadline', 'send')),
    body       text NOT NULL,
    due_at     timestamptz NOT NULL,
    partition  smallint NOT NULL,
    recipient  text,
    attempt    integer NOT NULL DEFAULT 0,
    claim      uuid,
    retry_at   timestamptz,
    not_before timestamptz,
    postponed  text,
    PRIMARY KEY (subject, name)
);
CREATE INDEX agenda_due ON agenda (kind, due_at);

CREATE TABLE attempts (
    claim       uuid PRIMARY KEY,
    subject     text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    attempt     integer NOT NULL,
    recipient   text NOT NULL,
    delivery    text NOT NULL,
    template    text,
    locale      text,
    claimed_at  timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL,
    result      text,
    reason      text,
    settled     boolean NOT NULL DEFAULT false,
    ended_at    timestamptz
);
CREATE INDEX attempts_open ON attempts (lease_until) WHERE NOT settled;
CREATE INDEX attempts_of_recipient ON attempts (subject, recipient) WHERE result IS NULL;

CREATE TABLE positions (
    topic        text NOT NULL,
    partition    smallint NOT NULL,
    next_offset  bigint NOT NULL DEFAULT 0,
    read_to_end  timestamptz,
    read_to_end_business timestamptz,
    PRIMARY KEY (topic, partition)
);

CREATE TABLE commands (
    caller     text NOT NULL,
    path       text NOT NULL,
    key        text NOT NULL,
    body       bytea NOT NULL,
    subject    text,
    status     smallint,
    answer     bytea,
    etag       text,
    seen       text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, path, key)
);
CREATE INDEX commands_by_age ON commands (created_at);

CREATE TABLE business_clock (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    instant timestamptz
);
INSERT INTO business_clock (one, instant) VALUES (true, NULL);

CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    actor   text NOT NULL,
    action  text NOT NULL,
    subject text,
    detail  text NOT NULL DEFAULT '{}'
);

CREATE TABLE service_facts (
    name  text PRIMARY KEY,
    value text NOT NULL
);
"""


def upgrade() -> None:
    """Makes the tables."""
    for statement in _STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """There is no way back: a service restores a backup and recovers from the topics."""
    raise RuntimeError("kit_0001 cannot be undone: restore a backup, then run 'kintsugi recover'")
