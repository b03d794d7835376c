-- What an operator must know of a parked event. tries: ever; blocked_key.attempts begins anew with
-- each retry that somebody asks for. first_tried: machine time, null where it was never tried.
-- repairs: id of the partner's event whose place this one of ours has taken. left_out: a partner's
-- event that was skipped, and whose partner is still to be told.
ALTER TABLE messaging.parked_event
    ADD COLUMN first_tried timestamptz,
    ADD COLUMN tries       int NOT NULL DEFAULT 0,
    ADD COLUMN repairs     text,
    ADD COLUMN left_out    boolean NOT NULL DEFAULT false;
UPDATE messaging.parked_event SET first_tried = parked_at, tries = 1 WHERE failed;

-- Consumers that stopped because too many events failed; a row goes when an operator resumes it.
CREATE TABLE messaging.halted_consumer (
    consumer  text        PRIMARY KEY,
    reason    text        NOT NULL,
    halted_at timestamptz NOT NULL DEFAULT now()
);

-- Partners' events that an operator replaced, as the partner sent them, and who answers for it.
CREATE TABLE messaging.repaired_event (
    event_id    text        PRIMARY KEY, -- of the event that took its place
    consumer    text        NOT NULL,
    topic       text        NOT NULL,
    subject     text        NOT NULL,
    repaired_id text        NOT NULL, -- the partner's
    headers     text        NOT NULL, -- JSON [[name, base64 | null], ...]
    body        bytea,
    who         text        NOT NULL,
    why         text        NOT NULL,
    repaired_at timestamptz NOT NULL DEFAULT now()
);

DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE ON messaging.repaired_event FROM %I',
        current_setting('banka.app_role')
    );
END $$;
