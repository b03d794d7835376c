-- Branches' tables: looked at row by row, then taken. No personal data in clear: what stands in the
-- rows lies sealed under a key of its own, which is gone when the table's time has run out.
CREATE TABLE batch (
    batch_id    text        PRIMARY KEY,
    branch      text        NOT NULL,
    digest      bytea       NOT NULL,  -- keyed, of the file: the same file again is the same table
    state       text        NOT NULL CHECK (state IN ('checking', 'checked', 'taking', 'done',
                                                      'closed')),
    stopped     text,                  -- why it does not go on by itself
    rows        int         NOT NULL,
    uploaded_by text        NOT NULL,
    uploaded_at timestamptz NOT NULL,
    taken_by    text,                  -- who had the good rows taken
    ended_at    timestamptz,
    keep_until  timestamptz NOT NULL,
    bank_key_id text,                  -- NULL: closed, nobody reads the rows any more
    wrapped     bytea
);
-- one at a time of each file; one that was closed may be loaded anew
CREATE UNIQUE INDEX batch_digest ON batch (branch, digest) WHERE state <> 'closed';
CREATE INDEX batch_branch ON batch (branch, uploaded_at DESC);
CREATE INDEX batch_waiting ON batch (uploaded_at) WHERE state IN ('checking', 'taking');
CREATE INDEX batch_kept ON batch (keep_until) WHERE state <> 'closed';

-- What became of each row. It is written in the transaction that begins the row's application.
CREATE TABLE batch_row (
    batch_id       text  NOT NULL REFERENCES batch,
    row            int   NOT NULL,     -- as the sheet numbers it
    state          text  NOT NULL CHECK (state IN ('new', 'good', 'bad', 'known', 'taken')),
    who            bytea,              -- keyed, of the ID number and the product
    content        bytea,              -- keyed, of what the row says: the same row of another file
    problems       jsonb NOT NULL,     -- column and code of each, never a value
    cells          bytea,              -- sealed; gone once the row is taken
    application_id text,
    PRIMARY KEY (batch_id, row)
) WITH (fillfactor = 80);
CREATE INDEX batch_row_state ON batch_row (batch_id, state, row);
CREATE INDEX batch_row_who ON batch_row (batch_id, who);
CREATE INDEX batch_row_content ON batch_row (content) WHERE application_id IS NOT NULL;
