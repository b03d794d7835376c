-- Who looked at whose personal data: a message as it is shown masked, or one field of it in clear,
-- and why (a code; `reason` has the words, sealed).
CREATE TABLE personal_view (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application_id text,
    at             timestamptz NOT NULL,
    staff_id       text        NOT NULL,
    what           text        NOT NULL,
    party          text,
    field          text,
    why            text,
    reason         text,
    CHECK ((party IS NULL) = (field IS NULL))
);

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

-- Which language a customer prefers, as the desk was told.
CREATE TABLE language_change (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at             timestamptz NOT NULL,
    actor          text        NOT NULL,
    application_id text        NOT NULL,
    was            text        NOT NULL,
    is_now         text        NOT NULL
);

-- The audit log is read by time.
CREATE INDEX personal_view_at ON personal_view (at, id);
CREATE INDEX message_history_by_hand ON message_history (at, id) WHERE actor IS NOT NULL;
CREATE INDEX office_change_at ON office_change (at, id);
CREATE INDEX language_change_at ON language_change (at, id);

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

-- Lists are read from place to place, by time or by the application's number.
CREATE INDEX message_numbers ON message (number COLLATE "C", message_id);
CREATE INDEX message_application ON message (application_id, requested_at DESC, message_id);

DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE, TRUNCATE ON personal_view, office_change, language_change FROM %I',
        current_setting('banka.app_role')
    );
END $$;
