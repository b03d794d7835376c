-- One row per application, as review knows it: what lists and rules need. No personal data.
CREATE TABLE review_case (
    application_id     text        PRIMARY KEY,
    state              text        NOT NULL,
    state_version      int         NOT NULL,
    application_number text        NOT NULL,
    branch             text        NOT NULL,
    region             text        NOT NULL,
    channel            text        NOT NULL,
    product            text        NOT NULL,
    product_version    text        NOT NULL,
    applicant_type     text        NOT NULL,
    person             text,                  -- pseudonym of whom the checks are about
    claimed_by         text,
    claimed_at         timestamptz,
    proposed_by        text,                  -- first signature; a second is awaited
    queued_at          timestamptz,           -- since when it lies in the reviewers' queue
    held_at            timestamptz,
    due                timestamptz,           -- end of review's own term
    findings           text[]      NOT NULL DEFAULT '{}',
    advice             text,
    granted_limit      bigint,                -- fen
    category           text,                  -- of a decline
    imported           boolean     NOT NULL DEFAULT false
) WITH (fillfactor = 80);
CREATE INDEX review_case_queue ON review_case (due, application_id) WHERE state = 'manual_review';
CREATE INDEX review_case_held ON review_case (held_at, application_id) WHERE state = 'on_hold';
CREATE INDEX review_case_person ON review_case (person) WHERE granted_limit IS NOT NULL;
CREATE INDEX review_case_number ON review_case (application_number);

-- What hangs on a case: the hand-over (personal fields sealed), checks (answers sealed), the
-- policy's recommendation (inputs sealed), the open proposal.
CREATE TABLE case_file (
    application_id text  PRIMARY KEY REFERENCES review_case,
    body           jsonb NOT NULL
);

-- Every policy that ever decided, whole, so that a decision can be computed again.
CREATE TABLE policy_archive (
    digest     text        PRIMARY KEY,
    version    text        NOT NULL,
    source     text        NOT NULL,
    first_used timestamptz NOT NULL DEFAULT now()
);

-- Decisions with their frozen evidence. inputs and verdict are sealed; written once.
CREATE TABLE decision (
    decision_id    text        PRIMARY KEY,
    application_id text        NOT NULL REFERENCES review_case,
    outcome        text        NOT NULL CHECK (outcome IN ('approve', 'decline')),
    automatic      boolean     NOT NULL,
    decided_by     text[]      NOT NULL,
    reasons        text[]      NOT NULL,
    granted_limit  bigint,
    category       text,
    reapply_from   date,
    inputs         text        NOT NULL,
    verdict        text        NOT NULL,
    policy_version text        NOT NULL,
    policy_digest  text        NOT NULL REFERENCES policy_archive,
    decided_at     timestamptz NOT NULL,
    -- two different people, or nobody
    CHECK (cardinality(decided_by) = CASE WHEN automatic THEN 0 ELSE 2 END),
    CHECK (automatic OR decided_by[1] <> decided_by[2]),
    CHECK ((outcome = 'approve') = (granted_limit IS NOT NULL)),
    CHECK ((outcome = 'decline') = (category IS NOT NULL AND reapply_from IS NOT NULL))
);
-- an application is decided once
CREATE UNIQUE INDEX decision_application ON decision (application_id);

-- Who did what with a case. Confidential lines are compliance's alone (反洗钱法 35).
CREATE TABLE case_history (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application_id text        NOT NULL REFERENCES review_case,
    at             timestamptz NOT NULL,
    actor          text        NOT NULL,
    action         text        NOT NULL,
    details        jsonb       NOT NULL,
    confidential   boolean     NOT NULL
);
CREATE INDEX case_history_application ON case_history (application_id, id);

-- Who looked at whose personal data.
CREATE TABLE personal_view (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application_id text        NOT NULL,
    at             timestamptz NOT NULL,
    staff_id       text        NOT NULL,
    what           text        NOT NULL
);

-- What was decided, done or looked at is never rewritten.
DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE ON policy_archive, decision, case_history, personal_view FROM %I',
        current_setting('banka.app_role')
    );
END $$;
