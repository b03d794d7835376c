-- Sessions by their digest, from which nobody can make one: who is signed in, how, and from where.
-- Times are the machine's. ended: before its time, by a sign-out or by somebody.
CREATE TABLE staff_session (
    session  text        PRIMARY KEY,
    staff_id text        NOT NULL REFERENCES staff,
    way      text        NOT NULL CHECK (way IN ('password', 'provider')),
    address  text        NOT NULL,
    epoch    bigint      NOT NULL,
    began    timestamptz NOT NULL,
    until    timestamptz NOT NULL,
    ended    timestamptz
);
CREATE INDEX staff_session_staff ON staff_session (staff_id, began DESC);
CREATE INDEX staff_session_until ON staff_session (until);
