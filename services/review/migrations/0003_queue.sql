-- The queue is read from place to place in each of its orders. Whose case it is and whether it is
-- held stand in the index, too: what somebody may not see is passed over without a look at its row.
ALTER TABLE review_case ADD CONSTRAINT review_case_timed CHECK (
    state NOT IN ('manual_review', 'on_hold')
    OR due IS NOT NULL AND coalesce(queued_at, held_at) IS NOT NULL
);

CREATE INDEX review_case_due ON review_case (due, application_id, branch, state)
    WHERE state IN ('manual_review', 'on_hold') AND proposed_by IS NULL;
CREATE INDEX review_case_since
    ON review_case ((coalesce(queued_at, held_at)), application_id, branch, state)
    WHERE state IN ('manual_review', 'on_hold') AND proposed_by IS NULL;
CREATE INDEX review_case_numbers
    ON review_case (application_number COLLATE "C", application_id, branch, state)
    WHERE state IN ('manual_review', 'on_hold') AND proposed_by IS NULL;
-- few enough to be sorted: one's own, and what waits for its second signature
CREATE INDEX review_case_mine ON review_case (claimed_by) WHERE state = 'manual_review';
CREATE INDEX review_case_to_sign ON review_case (branch)
    WHERE state = 'manual_review' AND proposed_by IS NOT NULL;

DROP INDEX review_case_queue, review_case_held;
