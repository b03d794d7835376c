-- The keys of all personal data. Run by vault_owner in banka_vault; the roles exist before.
-- A key is worth nothing without the bank key, which is never in PostgreSQL.

CREATE SCHEMA vault;
REVOKE ALL ON SCHEMA vault FROM PUBLIC;

-- A person by pseudonym. The row outlives the key, as proof that data was restricted or destroyed.
CREATE TABLE vault.person (
    person_id    uuid        PRIMARY KEY,
    state        text        NOT NULL DEFAULT 'active'
                             CHECK (state IN ('active', 'restricted', 'destroyed')),
    retain_until timestamptz,             -- retention hold (business time); NULL: none
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at     timestamptz              -- business time of destruction
);

CREATE TABLE vault.person_key (
    person_id   uuid  PRIMARY KEY REFERENCES vault.person,
    bank_key_id text  NOT NULL,           -- which bank key wraps it
    wrapped     bytea NOT NULL            -- nonce + AES-256-GCM ciphertext
);

-- Deleting the person's key takes data keys and search entries with it.
CREATE TABLE vault.data_key (
    data_key_id    uuid  PRIMARY KEY,
    person_id      uuid  NOT NULL REFERENCES vault.person_key ON DELETE CASCADE,
    party_id       uuid  NOT NULL,
    application_id uuid  NOT NULL,
    class          text  NOT NULL CHECK (class IN ('contact', 'identity', 'financial', 'document')),
    wrapped        bytea NOT NULL,
    UNIQUE (party_id, application_id, class)
);
CREATE INDEX data_key_person ON vault.data_key (person_id);

CREATE TABLE vault.blind_index (
    kind           text  NOT NULL CHECK (kind IN ('mobile', 'id_number')),
    digest         bytea NOT NULL,        -- HMAC-SHA256 under a key derived from the bank key
    party_id       uuid  NOT NULL,
    application_id uuid  NOT NULL,
    person_id      uuid  NOT NULL REFERENCES vault.person_key ON DELETE CASCADE,
    PRIMARY KEY (kind, digest, party_id, application_id),
    -- one current value of each kind per party and application
    UNIQUE (party_id, application_id, kind)
);
CREATE INDEX blind_index_person ON vault.blind_index (person_id);

-- While a retention term runs after a request for deletion, storage is all that is allowed.
CREATE FUNCTION vault.is_active(wanted uuid) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN EXISTS (SELECT FROM vault.person WHERE person_id = wanted AND state = 'active');

ALTER TABLE vault.data_key    ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.blind_index ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA vault TO intake_app, review_app, notify_app;
GRANT SELECT ON vault.person, vault.person_key, vault.data_key, vault.blind_index
    TO intake_app, review_app, notify_app;
GRANT INSERT ON vault.person, vault.person_key, vault.data_key, vault.blind_index TO intake_app;
GRANT UPDATE (state, retain_until, ended_at) ON vault.person TO intake_app;
GRANT UPDATE (bank_key_id, wrapped) ON vault.person_key TO intake_app;
GRANT UPDATE (person_id, wrapped) ON vault.data_key TO intake_app;
GRANT UPDATE (person_id, digest) ON vault.blind_index TO intake_app;
GRANT DELETE ON vault.person_key TO intake_app;

CREATE POLICY intake_sees ON vault.data_key FOR SELECT TO intake_app
    USING (vault.is_active(person_id));
CREATE POLICY intake_adds ON vault.data_key FOR INSERT TO intake_app
    WITH CHECK (vault.is_active(person_id));
CREATE POLICY intake_moves ON vault.data_key FOR UPDATE TO intake_app
    USING (vault.is_active(person_id)) WITH CHECK (vault.is_active(person_id));
CREATE POLICY review_sees ON vault.data_key FOR SELECT TO review_app
    USING (vault.is_active(person_id));
CREATE POLICY notify_sees_contact ON vault.data_key FOR SELECT TO notify_app
    USING (class = 'contact' AND vault.is_active(person_id));

CREATE POLICY intake_sees ON vault.blind_index FOR SELECT TO intake_app
    USING (vault.is_active(person_id));
CREATE POLICY intake_adds ON vault.blind_index FOR INSERT TO intake_app
    WITH CHECK (vault.is_active(person_id));
CREATE POLICY intake_moves ON vault.blind_index FOR UPDATE TO intake_app
    USING (vault.is_active(person_id)) WITH CHECK (vault.is_active(person_id));
CREATE POLICY review_sees ON vault.blind_index FOR SELECT TO review_app
    USING (vault.is_active(person_id));
CREATE POLICY notify_sees_mobile ON vault.blind_index FOR SELECT TO notify_app
    USING (kind = 'mobile' AND vault.is_active(person_id));
