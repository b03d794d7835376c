-- By what an application is found to share something with others: keyed digests, nothing in clear, and
-- kept for the longest term that a fraud rule counts within (checks.yaml).
CREATE TABLE fraud_trace (
    application_id text        NOT NULL REFERENCES review_case,
    kind           text        NOT NULL,
    digest         bytea       NOT NULL,
    person         text        NOT NULL,  -- pseudonym
    at             timestamptz NOT NULL,  -- of the hand-over
    PRIMARY KEY (application_id, kind)
);
CREATE INDEX fraud_trace_digest ON fraud_trace (kind, digest, at) INCLUDE (person);
CREATE INDEX fraud_trace_at ON fraud_trace (at);
