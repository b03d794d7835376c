-- Who has a change of a limit, as of a case, an appeal and a dispute; null: the branch's reviewers.
ALTER TABLE limit_change ADD COLUMN claimed_by text;
-- What of these each officer has.
CREATE INDEX limit_change_claimed ON limit_change (claimed_by, due)
    WHERE claimed_by IS NOT NULL AND state IN ('checking', 'held', 'deciding');
CREATE INDEX appeal_claimed ON appeal (claimed_by, due)
    WHERE claimed_by IS NOT NULL AND outcome IS NULL;
