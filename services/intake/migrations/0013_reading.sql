-- What a machine read on pictures of ID cards, where the office has one read: a queue of papers, and
-- of each what was suggested. A suggestion counts for nothing until somebody reads the card.
-- says: {field: sealed under the person's key}; told: {field: how sure, and what speaks against it}.
CREATE TABLE card_reading (
    document_id    text        PRIMARY KEY REFERENCES document,
    application_id text        NOT NULL REFERENCES application,
    side           text        NOT NULL CHECK (side IN ('front', 'back')),
    state          text        NOT NULL DEFAULT 'waiting'
                               CHECK (state IN ('waiting', 'read', 'failed')),
    tries          int         NOT NULL DEFAULT 0,
    claimed_until  timestamptz,
    at             timestamptz,
    failure        text        CHECK ((failure IS NOT NULL) = (state = 'failed')),
    says           jsonb       CHECK ((says IS NOT NULL) = (state = 'read')),
    told           jsonb
);
CREATE INDEX card_reading_waiting ON card_reading (document_id) WHERE state = 'waiting';
-- the reader looks for what arrived of late
CREATE INDEX document_received ON document (received_at);
