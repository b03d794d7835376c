-- What core banking stated about cards' accounts, as far as the gate has to know it again: whether a
-- statement is new, a repetition, a correction or a contradiction. Review keeps what was stated.
CREATE TABLE account_statement (
    card_id  text  NOT NULL,
    period   text  NOT NULL,  -- the month of a performance, or 'holding'
    as_of    date  NOT NULL,  -- its last day; of a holding the latest day stated
    revision int   NOT NULL,
    digest   bytea NOT NULL,  -- SHA-256 of what was stated
    PRIMARY KEY (card_id, period)
);
