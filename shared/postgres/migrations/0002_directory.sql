-- Each service's copy of the organisation, fed by banka.reference: for sessions, roles and branches.
CREATE TABLE directory_branch (
    branch  text PRIMARY KEY,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    region  text NOT NULL,
    open    boolean NOT NULL
);
CREATE INDEX directory_branch_region ON directory_branch (region);

CREATE TABLE directory_staff (
    staff_id      text PRIMARY KEY,
    name          text NOT NULL,
    roles         text[] NOT NULL,
    branches      text[] NOT NULL,  -- '*' for every branch
    desk          text NOT NULL,
    active        boolean NOT NULL,
    session_epoch bigint NOT NULL
);
