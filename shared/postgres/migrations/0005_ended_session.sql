-- Sessions that were ended before their time; they are forgotten when they would have ended anyway.
CREATE TABLE directory_ended_session (
    session text        PRIMARY KEY,  -- a digest
    until   timestamptz NOT NULL
);
