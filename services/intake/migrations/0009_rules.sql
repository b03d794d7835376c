-- On which device a form was filled in, as a keyed digest: that several persons used one is known by
-- it, and which one it is is not. Of applications whose channel says so, and swept once nobody looks
-- at it any more.
CREATE TABLE application_device (
    application_id text        PRIMARY KEY REFERENCES application,
    digest         bytea       NOT NULL,
    at             timestamptz NOT NULL
);
CREATE INDEX application_device_digest ON application_device (digest);
CREATE INDEX application_device_at ON application_device (at);

-- What somebody read on a paper, sealed by the form's fields; the last that was read counts.
CREATE TABLE paper_reading (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document_id    text        NOT NULL REFERENCES document,
    application_id text        NOT NULL REFERENCES application,
    at             timestamptz NOT NULL,
    actor          text        NOT NULL,
    says           jsonb       NOT NULL
);
CREATE INDEX paper_reading_application ON paper_reading (application_id, id);

-- What was read is never rewritten.
DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE ON paper_reading FROM %I',
        current_setting('banka.app_role')
    );
END $$;
