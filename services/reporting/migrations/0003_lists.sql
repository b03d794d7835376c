-- The list of applications is read from place to place in each of its orders: by the branch that
-- somebody sees, or over all of them, where others' rows are passed over within the index.
CREATE INDEX application_by_submission ON projection.application
    ((coalesce(submitted_at, '2000-01-01 00:00:00+00')), application_id, branch)
    WHERE number IS NOT NULL;
CREATE INDEX application_branch_by_submission ON projection.application
    (branch, (coalesce(submitted_at, '2000-01-01 00:00:00+00')), application_id)
    WHERE number IS NOT NULL;
CREATE INDEX application_by_since ON projection.application
    ((coalesce(since, '2000-01-01 00:00:00+00')), application_id, branch)
    WHERE number IS NOT NULL;
CREATE INDEX application_branch_by_since ON projection.application
    (branch, (coalesce(since, '2000-01-01 00:00:00+00')), application_id)
    WHERE number IS NOT NULL;
CREATE INDEX application_by_outside_since ON projection.application
    ((coalesce(outside_since, '2000-01-01 00:00:00+00')), application_id, branch)
    WHERE number IS NOT NULL;
CREATE INDEX application_branch_by_outside_since ON projection.application
    (branch, (coalesce(outside_since, '2000-01-01 00:00:00+00')), application_id)
    WHERE number IS NOT NULL;
CREATE INDEX application_by_number ON projection.application
    (number COLLATE "C", application_id, branch) WHERE number IS NOT NULL;
CREATE INDEX application_branch_by_number ON projection.application
    (branch, number COLLATE "C", application_id) WHERE number IS NOT NULL;
-- the board's links lead to few of many
CREATE INDEX application_refused ON projection.application (branch) WHERE refused_facts > 0;
CREATE INDEX application_owing ON projection.application (branch) WHERE wanted <> '[]'::jsonb;
CREATE INDEX application_stalled ON projection.application (branch)
    WHERE stalled_version IS NOT NULL;

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
