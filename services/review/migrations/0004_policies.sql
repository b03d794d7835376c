-- Which version of the credit policy was proposed by whom, approved by whom, and since when it decides.
CREATE TABLE policy_release (
    release_id     text        PRIMARY KEY,
    version        text        NOT NULL,
    digest         text        NOT NULL REFERENCES policy_archive,
    proposed_by    text        NOT NULL,
    proposed_at    timestamptz NOT NULL,
    effective_from timestamptz NOT NULL,
    why            text        NOT NULL,
    outcome        text        CHECK (outcome IN ('approved', 'rejected', 'withdrawn')),
    decided_by     text,
    decided_at     timestamptz,
    words          text        NOT NULL DEFAULT '',
    baseline       boolean     NOT NULL DEFAULT false,  -- what the installation began with
    CHECK ((outcome IS NULL) = (decided_at IS NULL)),
    -- whoever proposed a policy does not approve it
    CHECK (baseline OR (decided_by IS NULL) = (outcome IS NULL)),
    CHECK (baseline OR outcome = 'withdrawn' OR decided_by <> proposed_by)
);
CREATE UNIQUE INDEX policy_release_baseline ON policy_release (baseline) WHERE baseline;
CREATE UNIQUE INDEX policy_release_open ON policy_release (digest) WHERE outcome IS NULL;

-- Versions that run beside the one in force on every new case, without effect.
CREATE TABLE policy_shadow (
    digest     text        NOT NULL REFERENCES policy_archive,
    started_by text        NOT NULL,
    started_at timestamptz NOT NULL,
    ended_by   text,
    ended_at   timestamptz,
    PRIMARY KEY (digest, started_at),
    CHECK ((ended_by IS NULL) = (ended_at IS NULL))
);
CREATE UNIQUE INDEX policy_shadow_running ON policy_shadow (digest) WHERE ended_at IS NULL;

-- What such a version would have said. Nothing rests on it.
CREATE TABLE shadow_verdict (
    application_id text        NOT NULL REFERENCES review_case,
    digest         text        NOT NULL REFERENCES policy_archive,
    scoring_round  int         NOT NULL,
    outcome        text        NOT NULL,
    advice         text        NOT NULL,
    findings       text[]      NOT NULL,
    recommended    bigint      NOT NULL,  -- fen
    points         int,
    pricing_class  text,
    at             timestamptz NOT NULL,
    PRIMARY KEY (application_id, digest, scoring_round)
);
CREATE INDEX shadow_verdict_digest ON shadow_verdict (digest, at);

-- What the score card gave, and the class of prices; decisions of policies without one have neither.
ALTER TABLE decision ADD COLUMN points int, ADD COLUMN pricing_class text;
CREATE INDEX decision_at ON decision (decided_at, application_id);

DO $$
DECLARE
    app text := current_setting('banka.app_role');
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE ON policy_release, policy_shadow, shadow_verdict FROM %I', app);
    -- only what becomes of a proposal is written later
    EXECUTE format('GRANT UPDATE (outcome, decided_by, decided_at, words) ON policy_release TO %I', app);
    EXECUTE format('GRANT UPDATE (ended_by, ended_at) ON policy_shadow TO %I', app);
END $$;
