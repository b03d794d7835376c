-- Questions about all past decisions, asked in the background: who asked what, and what it came to.
CREATE TABLE portfolio_run (
    run_id   text        PRIMARY KEY,
    kind     text        NOT NULL CHECK (kind IN ('replay', 'drift')),
    asked    jsonb       NOT NULL,
    source   text,                -- of a replay: the candidate's whole text
    asked_by text        NOT NULL,
    asked_at timestamptz NOT NULL,
    ended_at timestamptz,
    fault    text,                -- why it could not be answered
    tally    jsonb,
    closed   int,                 -- decisions whose keys are gone
    sha256   text,                -- of the report
    CHECK ((kind = 'replay') = (source IS NOT NULL)),
    CHECK ((ended_at IS NULL) = (tally IS NULL AND fault IS NULL))
);
CREATE INDEX portfolio_run_open ON portfolio_run (asked_at, run_id) WHERE ended_at IS NULL;
CREATE INDEX portfolio_run_kind ON portfolio_run (kind, asked_at DESC);

-- What is done of a run: a part without a tally is still to be done, by whoever comes first.
CREATE TABLE portfolio_run_part (
    run_id      text        NOT NULL REFERENCES portfolio_run,
    number      int         NOT NULL,
    begins_at   timestamptz NOT NULL,
    begins_with text        NOT NULL,  -- its first decision
    tally       jsonb,
    closed      int,
    decisions   int,
    PRIMARY KEY (run_id, number)
);
CREATE INDEX portfolio_run_part_open ON portfolio_run_part (run_id, number) WHERE tally IS NULL;

-- Applications that a candidate would have decided otherwise. Limits in fen.
CREATE TABLE portfolio_difference (
    run_id         text   NOT NULL REFERENCES portfolio_run,
    part           int    NOT NULL,
    place          int    NOT NULL,
    application_id text   NOT NULL REFERENCES review_case,
    old            text   NOT NULL,
    new            text   NOT NULL,
    old_limit      bigint NOT NULL,
    new_limit      bigint NOT NULL,
    reasons_gone   text[] NOT NULL,
    reasons_new    text[] NOT NULL,
    PRIMARY KEY (run_id, part, place)
);

-- What the policy in force said at the same moment, to compare with. Rows of before have none.
ALTER TABLE shadow_verdict
    ADD COLUMN live_digest      text REFERENCES policy_archive,
    ADD COLUMN live_outcome     text,
    ADD COLUMN live_findings    text[],
    ADD COLUMN live_recommended bigint,  -- fen
    ADD COLUMN live_points      int;

DO $$
DECLARE
    app text := current_setting('banka.app_role');
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE ON portfolio_run, portfolio_run_part, portfolio_difference FROM %I', app);
    EXECUTE format('GRANT UPDATE (ended_at, fault, tally, closed, sha256) ON portfolio_run TO %I', app);
    EXECUTE format('GRANT UPDATE (tally, closed, decisions) ON portfolio_run_part TO %I', app);
END $$;
