-- `owned` is never rebuilt: what was handed out, with the recipe to make it again. `projection` can
-- be thrown away and made anew from the topics.
CREATE SCHEMA owned;
CREATE SCHEMA projection;

-- Archived reports. manifest: canonical JSON, as text because its bytes name it.
CREATE TABLE owned.report (
    manifest_id text        PRIMARY KEY,
    kind        text        NOT NULL,
    day         date        NOT NULL,
    language    text        NOT NULL,
    branches    text[],     -- null: the whole bank
    knows_holds boolean     NOT NULL, -- whether it tells of held cases
    manifest    text        NOT NULL,
    sha256      text        NOT NULL,
    content     bytea       NOT NULL,
    made_at     timestamptz NOT NULL, -- business time
    made_by     text        NOT NULL
);
CREATE INDEX report_day ON owned.report (day DESC, made_at DESC);

-- Every event that was applied, once, where it lay on the broker: what reports are made of.
CREATE TABLE projection.event (
    topic           text        NOT NULL,
    part            int         NOT NULL,
    kafka_offset    bigint      NOT NULL,
    id              text        NOT NULL,
    type            text        NOT NULL,
    source          text        NOT NULL,
    application_id  text        NOT NULL,
    time            timestamptz NOT NULL, -- when it happened in the business
    recorded_time   timestamptz NOT NULL,
    origin          text        NOT NULL,
    state_before    text,
    state_after     text,
    state_version   int         NOT NULL,
    moves           boolean     NOT NULL,
    number          text,
    branch          text,
    region          text,
    channel         text,
    product         text,
    product_version text,
    applicant_type  text,
    facts           jsonb       NOT NULL,
    PRIMARY KEY (topic, part, kafka_offset)
);
CREATE INDEX event_application ON projection.event (application_id, time);
CREATE INDEX event_time ON projection.event (time);

-- One row per application, as it is now. A row without a number was told of by a message first.
CREATE TABLE projection.application (
    application_id   text PRIMARY KEY,
    number           text,
    branch           text,
    region           text,
    channel          text,
    product          text,
    applicant_type   text,
    product_version  text,
    state            text,
    state_version    int     NOT NULL,
    since            timestamptz,
    last_sign        timestamptz,
    silence_due      timestamptz,
    stalled_version  int,
    stalled_at       timestamptz,
    origin           text    NOT NULL,
    person           text,
    new_to_bank      boolean,
    age_band         text,
    income_band      text,
    limit_band       text,
    submitted_at     timestamptz,
    decided_at       timestamptz,
    closed_at        timestamptz,
    decline_category text,
    reopens          text,
    wanted           jsonb   NOT NULL,
    wanted_deadline  timestamptz,
    rounds           int     NOT NULL,
    refused_facts    int     NOT NULL,
    refused_at       timestamptz,
    waited           jsonb   NOT NULL,
    -- the same as those see it who may not know of holds
    outside_version     int     NOT NULL DEFAULT 0,
    outside_since       timestamptz,
    outside_sign        timestamptz,
    outside_silence_due timestamptz,
    outside_stalled     boolean NOT NULL DEFAULT false,
    outside_waited      jsonb   NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX application_number ON projection.application (number);
CREATE INDEX application_state ON projection.application (state, branch);
CREATE INDEX application_submitted ON projection.application (submitted_at DESC);

-- The applications for those who may not know that one is held: it lies with a reviewer.
CREATE VIEW projection.application_outside AS
SELECT application_id, number, branch, region, channel, product, applicant_type, product_version,
       CASE state WHEN 'on_hold' THEN 'manual_review' ELSE state END AS state,
       outside_version AS state_version, outside_since AS since, outside_sign AS last_sign,
       outside_silence_due AS silence_due,
       CASE WHEN outside_stalled THEN outside_version END AS stalled_version,
       stalled_at, origin, person, new_to_bank, age_band, income_band, limit_band, submitted_at,
       decided_at, closed_at, decline_category, reopens, wanted, wanted_deadline, rounds,
       refused_facts, refused_at, outside_waited AS waited,
       outside_version, outside_since, outside_sign, outside_silence_due, outside_stalled,
       outside_waited
  FROM projection.application;

CREATE TABLE projection.message (
    message_id     text PRIMARY KEY,
    application_id text        NOT NULL,
    branch         text        NOT NULL,
    template       text        NOT NULL,
    channel        text        NOT NULL,
    language       text        NOT NULL,
    state          text        NOT NULL,
    reason         text,
    changed_at     timestamptz NOT NULL,
    not_before     timestamptz
) WITH (fillfactor = 70);
CREATE INDEX message_application ON projection.message (application_id);

-- What was handed out, and what was applied, is never rewritten.
DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE ON owned.report, projection.event FROM %I',
        current_setting('banka.app_role')
    );
END $$;
