CREATE TABLE ledger (
    subject text PRIMARY KEY,
    entries int[] NOT NULL DEFAULT '{}' CHECK (NOT -1 = ANY (entries)),
    answers text[] NOT NULL DEFAULT '{}'
);
