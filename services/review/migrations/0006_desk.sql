-- A case may be snoozed by whoever has it: until when at the latest, and which fact brings it back
-- before.
ALTER TABLE review_case
    ADD COLUMN snoozed_until timestamptz,
    ADD COLUMN snoozed_for   text CHECK (snoozed_for IN ('material', 'check')),
    ADD CONSTRAINT review_case_snoozed CHECK (
        CASE WHEN snoozed_until IS NULL THEN snoozed_for IS NULL
        ELSE state = 'manual_review' AND claimed_by IS NOT NULL AND proposed_by IS NULL END
    );

-- The queue as before, without what is snoozed.
DROP INDEX review_case_due, review_case_since, review_case_numbers, review_case_mine;
CREATE INDEX review_case_due ON review_case (due, application_id, branch, state)
    WHERE state IN ('manual_review', 'on_hold') AND proposed_by IS NULL AND snoozed_until IS NULL;
CREATE INDEX review_case_since
    ON review_case ((coalesce(queued_at, held_at)), application_id, branch, state)
    WHERE state IN ('manual_review', 'on_hold') AND proposed_by IS NULL AND snoozed_until IS NULL;
CREATE INDEX review_case_numbers
    ON review_case (application_number COLLATE "C", application_id, branch, state)
    WHERE state IN ('manual_review', 'on_hold') AND proposed_by IS NULL AND snoozed_until IS NULL;
-- Who has how many; one's own cases are few enough to be sorted.
CREATE INDEX review_case_mine ON review_case (claimed_by, due, branch, snoozed_until)
    WHERE state = 'manual_review' AND proposed_by IS NULL;
CREATE INDEX review_case_snoozes ON review_case (due, application_id, branch)
    WHERE snoozed_until IS NOT NULL;
-- The next case: what lies in the queue and is nobody's.
CREATE INDEX review_case_next ON review_case (due, application_id, branch, product)
    WHERE state = 'manual_review' AND proposed_by IS NULL AND claimed_by IS NULL;

-- What review keeps of an officer: when they are away (both days included), and which products they
-- take (null: every one).
CREATE TABLE officer (
    staff_id  text   PRIMARY KEY,
    away_from date,
    away_to   date,
    products  text[],
    CHECK (CASE WHEN away_from IS NULL THEN away_to IS NULL ELSE away_to >= away_from END)
);

-- What the queue is filtered by besides: what is at stake (the policy's limit, else the wish; fen)
-- and the customer's language, where it is known.
ALTER TABLE review_case ADD COLUMN amount bigint, ADD COLUMN language text;
UPDATE review_case SET
    amount = coalesce(
        nullif((f.body #>> '{recommendation,limit,minor}')::bigint, 0),
        (f.body #>> '{hand_over,requested_limit,minor}')::bigint
    ),
    language = f.body #>> '{hand_over,consent,text,language}'
FROM case_file f
WHERE f.application_id = review_case.application_id AND state IN ('checking', 'manual_review', 'on_hold');
