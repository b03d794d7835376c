-- The organisation, of which intake is the owner; the others hear of it on banka.reference.
CREATE TABLE branch (
    branch  text    PRIMARY KEY CHECK (branch ~ '^[0-9]{4}$'),
    name_zh text    NOT NULL,
    name_en text    NOT NULL,
    region  text    NOT NULL CHECK (region ~ '^[0-9]{2}$'),
    open    boolean NOT NULL DEFAULT true
);

CREATE TABLE staff (
    staff_id      text    PRIMARY KEY,
    username      text    NOT NULL UNIQUE,
    display_name  text    NOT NULL,
    roles         text[]  NOT NULL,
    branches      text[]  NOT NULL,
    desk          text    NOT NULL,
    session_epoch int     NOT NULL DEFAULT 0,
    active        boolean NOT NULL DEFAULT true
);

-- Who may sign in. Without a password nobody can; wrong ones are counted by the machine's clock.
CREATE TABLE account (
    staff_id      text        PRIMARY KEY REFERENCES staff,
    password_hash text        NOT NULL,  -- argon2id
    failures      int         NOT NULL DEFAULT 0,
    locked_until  timestamptz
);

-- Every attempt at a known account; unknown names are not kept, they may be mistyped passwords.
CREATE TABLE sign_in (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    staff_id text        NOT NULL,
    outcome  text        NOT NULL CHECK (outcome IN ('signed-in', 'wrong', 'locked', 'signed-out'))
);
CREATE INDEX sign_in_staff ON sign_in (staff_id, at DESC);

-- The record of sign-ins is written once.
DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE ON sign_in FROM %I',
        current_setting('banka.app_role')
    );
END $$;
