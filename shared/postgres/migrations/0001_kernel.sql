-- The messaging kernel's tables. One schema of their own, so that a service's names stay free.
CREATE SCHEMA messaging;

-- Last number given per topic and subject. The source is this database's service.
CREATE TABLE messaging.subject_sequence (
    topic   text   NOT NULL,
    subject text   NOT NULL,
    last    bigint NOT NULL,
    PRIMARY KEY (topic, subject)
) WITH (fillfactor = 80);

-- Order of writing. CACHE 1: with more, two sessions could number one subject's events backwards.
CREATE SEQUENCE messaging.position CACHE 1;

-- Every fact that this service ever published, for ever: the source to repair a topic from.
-- attributes: the envelope without sequence and recordedtime, which stand in columns.
CREATE TABLE messaging.event_log (
    position    bigint      PRIMARY KEY DEFAULT nextval('messaging.position'),
    topic       text        NOT NULL,
    part        int         NOT NULL,
    subject     text        NOT NULL,
    sequence    bigint      NOT NULL,
    id          uuid        NOT NULL,
    type        text        NOT NULL,
    attributes  text        NOT NULL,
    body        bytea       NOT NULL,
    actor       text,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (topic, subject, sequence)
);

-- What is not yet on Kafka. A row leaves only when the broker has acknowledged it.
CREATE TABLE messaging.outbox (
    position bigint PRIMARY KEY,
    topic    text NOT NULL,
    part     int  NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000
);

-- Where each consumer stands in each partition, moved in the transaction of the effects.
-- clean: false while a process works on it, so that the next one notices an unclean stop.
-- attempt_*: the event that was begun after an unclean stop, and how often.
CREATE TABLE messaging.consumer_offset (
    consumer       text    NOT NULL,
    topic          text    NOT NULL,
    part           int     NOT NULL,
    next           bigint  NOT NULL,
    cluster_id     text    NOT NULL,
    topic_id       text    NOT NULL,
    clean          boolean NOT NULL DEFAULT true,
    attempt_offset bigint,
    attempt_count  int     NOT NULL DEFAULT 0,
    PRIMARY KEY (consumer, topic, part)
) WITH (fillfactor = 50);

-- Last applied sequence: the deduplication of internal topics.
CREATE TABLE messaging.cursor (
    consumer text   NOT NULL,
    topic    text   NOT NULL,
    subject  text   NOT NULL,
    source   text   NOT NULL,
    sequence bigint NOT NULL,
    event_id text   NOT NULL,
    PRIMARY KEY (consumer, topic, subject, source)
) WITH (fillfactor = 80);

-- An application (key) that does not go on: its head waits, everything later waits behind it.
-- state: gap (an earlier event is missing) | retry (will be tried again by itself at retry_at)
--   | parked (waits for an operator). retry_at: machine time; set for an operator's retry as well.
CREATE TABLE messaging.blocked_key (
    consumer   text        NOT NULL,
    topic      text        NOT NULL,
    subject    text        NOT NULL,
    state      text        NOT NULL CHECK (state IN ('gap', 'retry', 'parked')),
    reason     text        NOT NULL,
    attempts   int         NOT NULL DEFAULT 0,
    since      timestamptz NOT NULL DEFAULT now(),
    last_tried timestamptz NOT NULL DEFAULT now(),
    retry_at   timestamptz,
    PRIMARY KEY (consumer, topic, subject)
);
CREATE INDEX blocked_key_retry ON messaging.blocked_key (retry_at) WHERE retry_at IS NOT NULL;

-- The waiting events themselves, raw, in order of arrival. sequence is null where the record could
-- not be read as one of our events (and for inbound ones). copied: is on the dead-letter topic.
CREATE TABLE messaging.parked_event (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer    text        NOT NULL,
    topic       text        NOT NULL,
    subject     text        NOT NULL,
    source      text        NOT NULL,
    sequence    bigint,
    event_id    text        NOT NULL,
    type        text        NOT NULL,
    part        int         NOT NULL,
    kafka_offset bigint     NOT NULL,
    key         bytea,
    headers     text        NOT NULL, -- JSON [[name, base64 | null], ...]
    body        bytea,
    stamp       bigint      NOT NULL, -- Kafka's timestamp, ms
    failed      boolean     NOT NULL DEFAULT false, -- false: only waits behind another
    copied      boolean     NOT NULL DEFAULT false,
    parked_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (consumer, topic, part, kafka_offset)
);
CREATE INDEX parked_event_key ON messaging.parked_event (consumer, topic, subject, id);
CREATE INDEX parked_event_uncopied ON messaging.parked_event (id) WHERE failed AND NOT copied;
CREATE UNIQUE INDEX parked_event_once
    ON messaging.parked_event (consumer, topic, subject, source, sequence) WHERE sequence IS NOT NULL;

-- Events that an operator decided never to apply; honoured by every rebuild of the same consumer.
CREATE TABLE messaging.skipped_event (
    consumer   text        NOT NULL, -- without the generation (`@2`)
    topic      text        NOT NULL,
    event_id   text        NOT NULL,
    subject    text        NOT NULL,
    who        text        NOT NULL,
    why        text        NOT NULL,
    skipped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, topic, event_id)
);

-- Work for outside calls. not_before is business time; retry_at and lease_until the database's.
CREATE TABLE messaging.call (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text        NOT NULL,
    key         text        NOT NULL,
    subject     text        NOT NULL,
    payload     text        NOT NULL,
    cause       text        NOT NULL, -- JSON: causation, correlation, traceparent, origin
    state       text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'leased', 'done', 'failed')),
    attempt     int         NOT NULL DEFAULT 0,
    not_before  timestamptz,
    retry_at    timestamptz NOT NULL DEFAULT now(),
    lease_owner uuid,
    lease_until timestamptz,
    result      text, -- JSON, kept until its effects are written
    applying    int         NOT NULL DEFAULT 0, -- failed tries to apply the result
    error       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    done_at     timestamptz,
    UNIQUE (kind, key)
) WITH (fillfactor = 70);
CREATE INDEX call_due ON messaging.call (kind, retry_at) WHERE state IN ('open', 'leased');
CREATE INDEX call_failed ON messaging.call (kind) WHERE state = 'failed';

-- Moments of business time at which a subject wants to be looked at.
CREATE TABLE messaging.deadline (
    name     text        NOT NULL,
    subject  text        NOT NULL,
    at       timestamptz NOT NULL,
    cause    text        NOT NULL,
    attempts int         NOT NULL DEFAULT 0,
    retry_at timestamptz NOT NULL DEFAULT now(),
    error    text,
    PRIMARY KEY (name, subject)
);
CREATE INDEX deadline_due ON messaging.deadline (at);

-- Who decided what about parked events.
CREATE TABLE messaging.audit (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT now(),
    who    text        NOT NULL,
    action text        NOT NULL,
    what   text        NOT NULL,
    why    text        NOT NULL
);

-- Every partner event ever seen. answers: positions of the answering facts in event_log.
CREATE TABLE messaging.inbound_event (
    partner     text        NOT NULL,
    event_id    text        NOT NULL,
    digest      text        NOT NULL,
    answers     bigint[]    NOT NULL DEFAULT '{}',
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partner, event_id)
);

-- The application's role writes rows but never rewrites what was said or decided.
DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE ON messaging.event_log, messaging.audit FROM %I',
        current_setting('banka.app_role')
    );
END $$;
