-- One row per application: what lists, rules and other applications of the same person need.
-- No personal data: persons are pseudonyms, their fields lie sealed in application_file.
CREATE TABLE application (
    application_id     text        PRIMARY KEY,
    state              text        NOT NULL,
    state_version      int         NOT NULL,
    state_since        timestamptz NOT NULL,
    application_number text        NOT NULL UNIQUE,
    branch             text        NOT NULL,
    region             text        NOT NULL,
    channel            text        NOT NULL,
    product            text        NOT NULL,
    product_version    text        NOT NULL,
    applicant_type     text        NOT NULL,
    person             text        NOT NULL,  -- pseudonym of who will hold the card
    created_at         timestamptz NOT NULL,
    submitted_at       timestamptz,
    passed_at          timestamptz,           -- last hand-over: its papers count as accepted
    material_deadline  timestamptz,
    reapply_from       date,                  -- of a decline
    card_id            text        UNIQUE,
    partner            text,                  -- who sent it, and the partner's own name for it
    partner_reference  text,
    imported           boolean     NOT NULL DEFAULT false,
    CHECK ((partner IS NULL) = (partner_reference IS NULL))
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX application_partner ON application (partner, partner_reference);
CREATE INDEX application_person ON application (person);
CREATE INDEX application_branch ON application (branch, created_at DESC);
CREATE INDEX application_created ON application (created_at DESC);

-- What hangs on an application: parties (fields sealed), consent, what is wanted, the card's facts.
CREATE TABLE application_file (
    application_id text  PRIMARY KEY REFERENCES application,
    body           jsonb NOT NULL
);

-- Every paper that arrived; its bytes lie encrypted in the document store under its SHA-256.
CREATE TABLE document (
    document_id     text        PRIMARY KEY,
    document_number text        NOT NULL UNIQUE,
    application_id  text        NOT NULL REFERENCES application,
    item            text        NOT NULL,
    sha256          text        NOT NULL,
    media_type      text        NOT NULL,
    size            int         NOT NULL,
    received_at     timestamptz NOT NULL,
    issued_on       date
);
CREATE INDEX document_application ON document (application_id, received_at);

-- The running number within a branch and business day.
CREATE TABLE number_counter (
    branch text NOT NULL,
    day    date NOT NULL,
    last   int  NOT NULL,
    PRIMARY KEY (branch, day)
);

-- Requests that carried an idempotency key, with the answer that a repetition gets. digest: keyed,
-- because a body holds personal data. The answer holds none.
CREATE TABLE request (
    client text        NOT NULL,
    key    text        NOT NULL,
    digest bytea       NOT NULL,
    status int         NOT NULL,
    body   jsonb       NOT NULL,
    at     timestamptz NOT NULL,
    PRIMARY KEY (client, key)
);

-- Who did what with an application.
CREATE TABLE application_history (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application_id text        NOT NULL REFERENCES application,
    at             timestamptz NOT NULL,
    actor          text        NOT NULL,
    action         text        NOT NULL,
    details        jsonb       NOT NULL
);
CREATE INDEX application_history_application ON application_history (application_id, id);

-- Who looked at whose personal data, and who searched. application_id NULL: a search.
CREATE TABLE personal_view (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application_id text,
    at             timestamptz NOT NULL,
    staff_id       text        NOT NULL,
    what           text        NOT NULL,
    reason         text
);
CREATE INDEX personal_view_application ON personal_view (application_id, id);

-- What arrived, was done or looked at is never rewritten.
DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE ON document, application_history, personal_view FROM %I',
        current_setting('banka.app_role')
    );
END $$;
