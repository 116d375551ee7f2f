-- The keyring's database, apart from every service's. Safe to run again.
-- A row of data_key without wrapped bytes is a tombstone: its primary key keeps the key from being made again, also
-- against a creation that runs at the same moment.

CREATE SCHEMA IF NOT EXISTS keyring;
REVOKE ALL ON SCHEMA keyring FROM PUBLIC;

CREATE TABLE IF NOT EXISTS keyring.purpose (
    name text COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]{0,39}$')
);
-- Keyrings of earlier releases took no digits.
ALTER TABLE keyring.purpose DROP CONSTRAINT IF EXISTS purpose_name_check;
ALTER TABLE keyring.purpose ADD CONSTRAINT purpose_name_check CHECK (name ~ '^[a-z][a-z0-9_]{0,39}$');

-- Which role may read and make the keys of which purpose.
CREATE TABLE IF NOT EXISTS keyring.role_purpose (
    role    text NOT NULL,
    purpose text COLLATE "C" NOT NULL REFERENCES keyring.purpose (name),
    PRIMARY KEY (role, purpose)
);

CREATE TABLE IF NOT EXISTS keyring.data_key (
    subject text COLLATE "C" NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
    purpose text COLLATE "C" NOT NULL REFERENCES keyring.purpose (name),
    kid     text COLLATE "C" UNIQUE,
    wrapped bytea,
    PRIMARY KEY (subject, purpose),
    CHECK (wrapped IS NULL OR kid IS NOT NULL)
) WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);  -- old versions of erased rows go soon

-- The erasures to apply again after a restore, before a restored keyring may open.
CREATE TABLE IF NOT EXISTS keyring.erased (
    subject   text COLLATE "C" PRIMARY KEY,
    erased_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE keyring.data_key ENABLE ROW LEVEL SECURITY;

DROP POLICY IF EXISTS granted_read ON keyring.data_key;
CREATE POLICY granted_read ON keyring.data_key FOR SELECT
    USING (purpose = ANY (ARRAY(SELECT g.purpose FROM keyring.role_purpose g WHERE g.role = current_user)));

DROP POLICY IF EXISTS granted_create ON keyring.data_key;
CREATE POLICY granted_create ON keyring.data_key FOR INSERT
    WITH CHECK (
        wrapped IS NOT NULL
        AND purpose = ANY (ARRAY(SELECT g.purpose FROM keyring.role_purpose g WHERE g.role = current_user))
    );

-- Destroys every key of a subject and leaves tombstones for all purposes; returns how many keys it destroyed.
CREATE OR REPLACE FUNCTION keyring.erase(erased_subject text) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    destroyed integer;
BEGIN
    INSERT INTO keyring.erased (subject) VALUES (erased_subject) ON CONFLICT DO NOTHING;
    INSERT INTO keyring.data_key (subject, purpose)
        SELECT erased_subject, p.name FROM keyring.purpose p ORDER BY p.name
        ON CONFLICT DO NOTHING;
    UPDATE keyring.data_key SET wrapped = NULL WHERE subject = erased_subject AND wrapped IS NOT NULL;
    GET DIAGNOSTICS destroyed = ROW_COUNT;
    RETURN destroyed;
END
$$;
REVOKE ALL ON FUNCTION keyring.erase(text) FROM PUBLIC;
