-- Lists at any size. A list is a merge of runs: one for each state that it shows, and for each of
-- the viewer's branches where they do not see all; every run is an index in the order that was asked
-- for. So a page reads what it shows and no more, whatever is stored. The number, which is unique,
-- says what comes first among equals; what else filters lies in the index, so that rows which do not
-- fit are passed over there.
DROP INDEX application_branch, application_created, application_pre_check, application_awaiting;

CREATE INDEX application_begun
    ON application (state, created_at, application_number) INCLUDE (branch, product, channel);
CREATE INDEX application_branch_begun
    ON application (branch, state, created_at, application_number) INCLUDE (product, channel);
CREATE INDEX application_since
    ON application (state, state_since, application_number)
    INCLUDE (branch, product, channel, created_at);
CREATE INDEX application_branch_since
    ON application (branch, state, state_since, application_number)
    INCLUDE (product, channel, created_at);
-- numbers are digits alone: their order is that of bytes, and a part from the front is a range
CREATE INDEX application_numbers
    ON application (state, application_number COLLATE "C")
    INCLUDE (branch, product, channel, created_at);
CREATE INDEX application_due
    ON application (material_deadline, application_number)
    INCLUDE (branch, product, channel, created_at) WHERE state = 'awaiting_material';
CREATE INDEX application_branch_due
    ON application (branch, material_deadline, application_number)
    INCLUDE (product, channel, created_at) WHERE state = 'awaiting_material';

-- Filters and orders that somebody kept under a name; those of a branch are for all of it. The query
-- is that of an address: codes, and nothing of a person.
CREATE TABLE saved_view (
    view_id  text        PRIMARY KEY,
    list     text        NOT NULL CHECK (list IN ('applications', 'work')),
    staff_id text        NOT NULL,
    branch   text,                 -- for whom it is besides who made it
    name     text        NOT NULL,
    query    text        NOT NULL,
    at       timestamptz NOT NULL
);
CREATE UNIQUE INDEX saved_view_name ON saved_view (staff_id, list, name);
CREATE INDEX saved_view_branch ON saved_view (branch, list) WHERE branch IS NOT NULL;
