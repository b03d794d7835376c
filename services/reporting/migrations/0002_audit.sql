-- What left the office and what changes in it: reports made and taken, the audit log itself. Nothing
-- here is a customer's. Like `owned` it is never rebuilt; its place is where the shared pages look.
CREATE TABLE office_change (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL, -- business time
    actor   text        NOT NULL,
    action  text        NOT NULL,
    subject text        NOT NULL, -- of what: a report, a file
    old     jsonb,
    new     jsonb,
    why     text
);
CREATE INDEX office_change_at ON office_change (at, id);

DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE, TRUNCATE ON office_change FROM %I',
        current_setting('banka.app_role')
    );
END $$;
