-- How somebody came in: with a password of ours, or vouched for by the bank's identity provider.
ALTER TABLE sign_in
    ADD COLUMN way text NOT NULL DEFAULT 'password' CHECK (way IN ('password', 'provider'));

-- Personal data are shown field by field: whose and which, and why (a code; `reason` has the words,
-- sealed). Views of before name neither.
ALTER TABLE personal_view
    ADD COLUMN party text,
    ADD COLUMN field text,
    ADD COLUMN why   text,
    ADD CHECK ((party IS NULL) = (field IS NULL));

-- What changes in the office itself: organisation, passwords, sessions. The rest of the audit log is
-- read where it is kept. Nothing here is a customer's.
CREATE TABLE office_change (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,
    actor   text        NOT NULL,
    action  text        NOT NULL,
    subject text        NOT NULL,  -- staff id or branch
    old     jsonb,
    new     jsonb,
    why     text
);

-- Of the same moment the last that happened comes first, here too.
ALTER TABLE paper_end ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY;

-- The audit log is read by time.
CREATE INDEX personal_view_at ON personal_view (at, id);
CREATE INDEX paper_use_at ON paper_use (at, id);
CREATE INDEX paper_end_at ON paper_end (at, id);
CREATE INDEX application_history_at ON application_history (at, id);
CREATE INDEX checklist_change_at ON checklist_change (at, id);
CREATE INDEX sign_in_at ON sign_in (at, id);
CREATE INDEX office_change_at ON office_change (at, id);

DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE ON office_change FROM %I',
        current_setting('banka.app_role')
    );
END $$;
