-- What notify knows of applications, and every message to a customer. No name, no address, no number
-- of a person in clear: contact fields are sealed, texts hold {addressee}, recipients are masked.

CREATE TABLE application (
    application_id  text PRIMARY KEY,
    state           text,
    state_version   int  NOT NULL DEFAULT 0,
    number          text NOT NULL,
    branch          text NOT NULL,
    region          text NOT NULL,
    channel         text NOT NULL,           -- by which the application came
    product         text NOT NULL,
    product_version text NOT NULL,
    language        text NOT NULL DEFAULT 'zh-CN' CHECK (language IN ('zh-CN', 'en')),
    party_id        text,
    contact         jsonb NOT NULL DEFAULT '{}'  -- sealed values by field
) WITH (fillfactor = 80);

CREATE TABLE message (
    message_id       text PRIMARY KEY,
    application_id   text NOT NULL REFERENCES application,
    number           text NOT NULL,
    branch           text NOT NULL,
    template         text NOT NULL,
    template_version text NOT NULL,
    channel          text NOT NULL CHECK (channel IN ('sms', 'email', 'app')),
    language         text NOT NULL CHECK (language IN ('zh-CN', 'en')),
    cause_id         text NOT NULL,
    cause_type       text NOT NULL,
    state            text NOT NULL
                     CHECK (state IN ('requested', 'sent', 'delivered', 'failed', 'unresolved')),
    reason           text NOT NULL DEFAULT '',
    title            text NOT NULL,
    body             text NOT NULL,
    details          jsonb NOT NULL,
    recipient        text NOT NULL DEFAULT '',   -- masked
    gateway_id       text NOT NULL DEFAULT '',
    round            int  NOT NULL DEFAULT 1,
    not_before       timestamptz NOT NULL,       -- business time, as all below
    requested_at     timestamptz NOT NULL,
    sent_at          timestamptz,
    delivered_at     timestamptz,
    ended_at         timestamptz,
    -- one event, one message of a kind by a channel
    UNIQUE (application_id, template, cause_id, channel)
) WITH (fillfactor = 70);
CREATE INDEX message_open ON message (application_id)
    WHERE state IN ('requested', 'sent', 'unresolved');
CREATE INDEX message_newest ON message (requested_at DESC, message_id);
CREATE INDEX message_branch ON message (branch, requested_at DESC);
CREATE INDEX message_number ON message (number);
CREATE INDEX message_unresolved ON message (requested_at) WHERE state = 'unresolved';

-- What happened to each message, by itself or by hand; nobody edits it.
CREATE TABLE message_history (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id     text NOT NULL REFERENCES message,
    at             timestamptz NOT NULL,
    state          text NOT NULL,
    detail         text NOT NULL DEFAULT '',     -- why, as a code
    actor          text                          -- of a decision by hand
);
CREATE INDEX message_history_of ON message_history (message_id, id);

DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE, TRUNCATE ON message_history FROM %I',
        current_setting('banka.app_role')
    );
END
$$;
