-- What core banking stated about cards' accounts. No personal data: accounts are known by application
-- and card id, holders by their pseudonym.

-- Every statement on a month; a correction stands beside what it corrects.
CREATE TABLE account_month (
    application_id   text        NOT NULL,
    month            text        NOT NULL,
    revision         int         NOT NULL,
    opened_on        date        NOT NULL,
    closed_on        date,
    days_past_due    int         NOT NULL,
    balance          text        NOT NULL,
    last_transaction date,                  -- that the customer began
    policy_card      boolean     NOT NULL,
    known_at         timestamptz NOT NULL,  -- when review heard of it
    PRIMARY KEY (application_id, month, revision)
);

-- The latest month of each card.
CREATE TABLE account_standing (
    card           text    PRIMARY KEY,
    application_id text    NOT NULL UNIQUE,
    person         text    NOT NULL,
    as_of          date    NOT NULL,  -- last day of the month
    revision       int     NOT NULL,
    opened_on      date    NOT NULL,
    closed_on      date,
    idle_since     date,              -- last transaction, else the opening; null with any balance
    policy_card    boolean NOT NULL
);
CREATE INDEX account_standing_person ON account_standing (person);

-- The latest holding of each person, with its cards as they were stated: card, application_id, limit
-- (fen, null: shares another one's), dormant, policy_card.
CREATE TABLE account_holding (
    person         text  PRIMARY KEY,
    as_of          date  NOT NULL,
    revision       int   NOT NULL,
    application_id text  NOT NULL,  -- under whose card it was stated
    cards          jsonb NOT NULL
);

-- The share of dormant cards, as it stood last on each business day.
CREATE TABLE dormancy_figure (
    day     date        PRIMARY KEY,
    at      timestamptz NOT NULL,
    issued  bigint      NOT NULL,  -- open cards that core banking told of, policy cards left out
    dormant bigint      NOT NULL,
    newest  date,                  -- of the facts that it rests on
    CHECK (dormant BETWEEN 0 AND issued)
);

DO $$
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE ON account_month FROM %I', current_setting('banka.app_role'));
END $$;
