-- What waits for a system that is away: a row for each check of a case, gone when it has ended.
CREATE TABLE check_waiting (
    application_id text        NOT NULL REFERENCES review_case,
    check_name     text        NOT NULL,
    since          timestamptz NOT NULL,
    PRIMARY KEY (application_id, check_name)
);

-- cases whose checks are on their way; few at a time
CREATE INDEX review_case_checking ON review_case (due, application_id, branch)
    WHERE state = 'checking';

-- With which list of the bank's own an application was screened; no row: with none.
CREATE TABLE screened (
    application_id text PRIMARY KEY REFERENCES review_case,
    list           text NOT NULL
);
