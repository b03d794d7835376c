-- The customer's own page: the one code that lets in to an application, who is in, and everything that
-- was done with both. No personal data: codes, and by what they are found, are keyed digests.
CREATE TABLE access_code (
    application_id text        PRIMARY KEY REFERENCES application,
    who            bytea       NOT NULL,  -- of the ends of number and mobile: whom a try counts against
    digest         bytea       NOT NULL,  -- of the code
    issued_at      timestamptz NOT NULL,
    issued_by      text        NOT NULL,
    valid_until    timestamptz NOT NULL,
    tries          int         NOT NULL DEFAULT 0,  -- those that were wrong
    ended          text        CHECK (ended IN ('used', 'tries', 'revoked'))
);
CREATE INDEX access_code_who ON access_code (who) WHERE ended IS NULL;

-- Customers who are in, by machine time; a session that ended is deleted.
CREATE TABLE customer_session (
    digest         bytea       PRIMARY KEY,  -- of the cookie
    application_id text        NOT NULL REFERENCES application,
    began_at       timestamptz NOT NULL,
    seen_at        timestamptz NOT NULL
);
CREATE INDEX customer_session_application ON customer_session (application_id);
CREATE INDEX customer_session_began ON customer_session (began_at);

-- What was done with codes, and who tried. application_id NULL: nobody knows whose page was meant.
CREATE TABLE customer_access (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application_id text        REFERENCES application,
    at             timestamptz NOT NULL,
    actor          text        NOT NULL,
    what           text        NOT NULL CHECK (what IN ('issued', 'sent', 'revoked', 'entered', 'wrong',
                                                        'died', 'left'))
);
CREATE INDEX customer_access_application ON customer_access (application_id, id);
CREATE INDEX customer_access_at ON customer_access (at, id);

-- What happened is never rewritten.
DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE ON customer_access FROM %I',
        current_setting('banka.app_role')
    );
END $$;
