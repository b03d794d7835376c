-- Personal data are shown field by field: whose and which, and why (a code; `reason` has the words,
-- sealed). Views of before name neither.
ALTER TABLE personal_view
    ADD COLUMN party  text,
    ADD COLUMN field  text,
    ADD COLUMN why    text,
    ADD COLUMN reason text,
    ADD CHECK ((party IS NULL) = (field IS NULL));

-- What changes in the office itself: views kept, files taken. Nothing here is a customer's.
CREATE TABLE office_change (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,
    actor   text        NOT NULL,
    action  text        NOT NULL,
    subject text        NOT NULL,  -- of what: a list, a file
    old     jsonb,
    new     jsonb,
    why     text
);

-- The audit log is read by time.
CREATE INDEX personal_view_at ON personal_view (at, id);
CREATE INDEX case_history_at ON case_history (at, id);
CREATE INDEX office_change_at ON office_change (at, id);

-- Filters and orders that somebody kept under a name; those of a branch are for all of it. The query
-- is that of an address: codes, and nothing of a person.
CREATE TABLE saved_view (
    view_id  text        PRIMARY KEY,
    list     text        NOT NULL,
    staff_id text        NOT NULL,
    branch   text,                 -- for whom it is besides who made it
    name     text        NOT NULL,
    query    text        NOT NULL,
    at       timestamptz NOT NULL
);
CREATE UNIQUE INDEX saved_view_name ON saved_view (staff_id, list, name);
CREATE INDEX saved_view_branch ON saved_view (branch, list) WHERE branch IS NOT NULL;

DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE ON office_change FROM %I',
        current_setting('banka.app_role')
    );
END $$;
