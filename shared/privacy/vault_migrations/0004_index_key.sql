-- The bank key that the search began with, by its id: under another one nobody would be found again.
-- Intake enters it when it first opens the vault, that of a vault which was there before likewise.
CREATE TABLE vault.index_key (
    only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    bank_key_id text    NOT NULL
);
GRANT SELECT ON vault.index_key TO intake_app, review_app, notify_app;
GRANT INSERT ON vault.index_key TO intake_app;
