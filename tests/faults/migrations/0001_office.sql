-- One application as a service of the small office knows it.
CREATE TABLE application (
    application_id text PRIMARY KEY,
    state          text NOT NULL,
    version        int  NOT NULL
);

-- What was applied, in the order in which it was; nothing here forbids a second time, so that it shows.
CREATE TABLE applied (
    nth      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic    text   NOT NULL,
    subject  text   NOT NULL,
    source   text   NOT NULL,
    sequence bigint NOT NULL,
    event_id text   NOT NULL,
    version  int
);

-- Commands that were carried out: whoever asks again gets the same answer.
CREATE TABLE command (
    command_id     text PRIMARY KEY,
    application_id text NOT NULL
);
CREATE INDEX command_application ON command (application_id);

-- Reporting's aggregate: how many applications stand where, and what became of how many messages.
CREATE TABLE tally (
    state text PRIMARY KEY,
    n     int  NOT NULL
);
