-- The tables of all four stages; each stage has a database of its own and uses its share.
CREATE TABLE application (
    application_id text   PRIMARY KEY,
    product        text   NOT NULL,
    branch         text   NOT NULL,
    income         bigint NOT NULL,
    wanted         bigint NOT NULL,
    form           text   NOT NULL
);

-- recorded_at, applied_at: when intake recorded the fact, and when it was applied here: one hop.
CREATE TABLE review_case (
    application_id text        PRIMARY KEY,
    decision       text        NOT NULL,
    allowed        bigint      NOT NULL,
    recorded_at    timestamptz NOT NULL,
    applied_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE message (
    event_id       text PRIMARY KEY,
    application_id text NOT NULL,
    about          text NOT NULL
);

CREATE TABLE progress (
    application_id text PRIMARY KEY,
    product        text,
    branch         text,
    decision       text,
    checks         int  NOT NULL,
    messages       int  NOT NULL,
    events         int  NOT NULL
);

CREATE TABLE day_count (
    day   date   NOT NULL,
    kind  text   NOT NULL,
    total bigint NOT NULL,
    PRIMARY KEY (day, kind)
);
