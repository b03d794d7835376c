-- A case may be referred to the risk officers by the reviewer who had it; by whom. Why is in its file.
ALTER TABLE review_case ADD COLUMN escalated_by text;
CREATE INDEX review_case_escalated ON review_case (due, application_id, branch)
    WHERE state = 'manual_review' AND proposed_by IS NULL AND escalated_by IS NOT NULL
        AND snoozed_until IS NULL;
