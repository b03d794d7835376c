-- Withdrawals of partners that came before their application: honoured when it comes, answered as
-- unknown when it does not come in time. No personal data: references are the partner's own.
CREATE TABLE early_withdrawal (
    partner          text        NOT NULL,
    reference        text        NOT NULL,
    partner_event_id text        NOT NULL,
    repaired_by      text,                  -- our operator's event that stood in for the partner's
    kept_until       timestamptz NOT NULL,
    PRIMARY KEY (partner, reference, partner_event_id)
);
