CREATE TABLE application (
    application_id text PRIMARY KEY,
    state text NOT NULL,
    changes int NOT NULL
);
CREATE TABLE message (
    event_id text PRIMARY KEY,
    application_id text NOT NULL
);
