-- What a declined customer asks for: an explanation, or that a person decides anew. A case of its
-- own, which names the application that it reopens; that one stays as it was. `deciders` and
-- `automatic` are those of the decision: whoever made it does not answer.
CREATE TABLE appeal (
    appeal_id      text        PRIMARY KEY,
    application_id text        NOT NULL REFERENCES review_case (application_id),
    number         text        NOT NULL UNIQUE,
    wish           text        NOT NULL CHECK (wish IN ('explanation', 'human-review')),
    asked_by       text        NOT NULL,
    asked_at       timestamptz NOT NULL,
    words          text        NOT NULL,  -- sealed; empty where the customer said nothing
    due            timestamptz NOT NULL,
    deciders       text[]      NOT NULL,
    automatic      boolean     NOT NULL,
    claimed_by     text,
    outcome        text,
    answered_by    text,
    answered_at    timestamptz,
    CHECK (coalesce(claimed_by <> ALL (deciders), true)),
    CHECK (coalesce(answered_by <> ALL (deciders), true)),
    CHECK (CASE WHEN outcome IS NULL THEN answered_by IS NULL AND answered_at IS NULL
        ELSE answered_by IS NOT NULL AND answered_at IS NOT NULL
            AND outcome = ANY (CASE wish WHEN 'explanation' THEN ARRAY['explained']
                ELSE ARRAY['upheld', 'changed'] END) END)
);
-- One at a time of an application; the list of those that wait, by what is due.
CREATE UNIQUE INDEX appeal_open ON appeal (application_id) WHERE outcome IS NULL;
CREATE INDEX appeal_application ON appeal (application_id);
CREATE INDEX appeal_due ON appeal (due, appeal_id) WHERE outcome IS NULL;
CREATE INDEX appeal_answered ON appeal (answered_at, appeal_id) WHERE outcome IS NOT NULL;
