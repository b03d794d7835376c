-- Changes of a card's limit after the decision: each a case of its own, which names the application
-- whose card it is about; that one stays as it was. `body` holds the whole of it, with the checks and
-- the sealed inputs and verdict that it rests on; the columns are what lists and rules need. Amounts in
-- fen. `agreed_at`: when the customer asked; null where the bank lowers by itself.
CREATE TABLE limit_change (
    change_id      text        PRIMARY KEY,
    application_id text        NOT NULL REFERENCES review_case (application_id),
    number         text        NOT NULL UNIQUE,
    kind           text        NOT NULL CHECK (kind IN ('increase', 'temporary', 'decrease')),
    asked_at       timestamptz NOT NULL,
    agreed_at      timestamptz,
    until          date,
    state          text        NOT NULL,
    due            timestamptz NOT NULL,
    before         bigint      NOT NULL,
    wanted         bigint      NOT NULL CHECK (wanted >= 0),
    ceiling        bigint,
    granted        bigint,
    policy_digest  text        REFERENCES policy_archive,
    decided_by     text[]      NOT NULL,
    decided_at     timestamptz,
    body           jsonb       NOT NULL,
    CHECK (state IN ('checking', 'held', 'deciding', 'proposed', 'in_force', 'granted', 'refused', 'ended')),
    CHECK ((kind = 'temporary') = (until IS NOT NULL)),
    CHECK (kind = 'decrease' OR agreed_at IS NOT NULL),
    CHECK (kind = 'decrease' OR granted IS NULL OR coalesce(granted <= least(ceiling, wanted), false)),
    CHECK (kind = 'decrease' OR granted IS NULL OR policy_digest IS NOT NULL),
    CHECK (kind <> 'decrease' OR granted IS NULL OR granted BETWEEN 0 AND before - 1),
    CHECK (cardinality(decided_by) < 2 OR decided_by[1] <> decided_by[2]),
    CHECK (agreed_at IS NOT NULL OR granted IS NULL OR cardinality(decided_by) = 2),
    CHECK ((state IN ('in_force', 'granted', 'ended')) = (granted IS NOT NULL)),
    CHECK ((state IN ('in_force', 'granted', 'ended', 'refused')) = (decided_at IS NOT NULL))
);
-- One at a time waits for its decision, and one temporary limit is in force.
CREATE UNIQUE INDEX limit_change_open ON limit_change (application_id)
    WHERE state IN ('checking', 'held', 'deciding', 'proposed');
CREATE UNIQUE INDEX limit_change_in_force ON limit_change (application_id) WHERE state = 'in_force';
CREATE INDEX limit_change_application ON limit_change (application_id);
CREATE INDEX limit_change_due ON limit_change (due, change_id)
    WHERE state IN ('checking', 'held', 'deciding', 'proposed');
CREATE INDEX limit_change_decided ON limit_change (decided_at, change_id) WHERE decided_at IS NOT NULL;

DO $$
BEGIN
    EXECUTE format('REVOKE DELETE ON limit_change FROM %I', current_setting('banka.app_role'));
END $$;
