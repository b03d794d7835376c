-- A dispute about the credit report is kept as an appeal is: a case of its own beside the application.
-- It may be about any application that the bureau was asked about, and one of each kind may be open.
ALTER TABLE appeal ADD COLUMN person text;  -- whose report it is; of appeals of before not kept
ALTER TABLE appeal DROP CONSTRAINT appeal_wish_check, DROP CONSTRAINT appeal_check2;
ALTER TABLE appeal
    ADD CONSTRAINT appeal_wish_check
        CHECK (wish IN ('explanation', 'human-review', 'report-dispute')),
    ADD CONSTRAINT appeal_answer CHECK (
        CASE WHEN outcome IS NULL THEN answered_by IS NULL AND answered_at IS NULL
        ELSE answered_by IS NOT NULL AND answered_at IS NOT NULL
            AND outcome = ANY (CASE wish WHEN 'explanation' THEN ARRAY['explained']
                WHEN 'human-review' THEN ARRAY['upheld', 'changed']
                ELSE ARRAY['corrected', 'upheld', 'annotated'] END) END),
    ADD CONSTRAINT appeal_disputed CHECK (wish <> 'report-dispute' OR person IS NOT NULL);
DROP INDEX appeal_open;
CREATE UNIQUE INDEX appeal_open ON appeal (application_id, (wish = 'report-dispute'))
    WHERE outcome IS NULL;
CREATE INDEX appeal_disputing ON appeal (person)
    WHERE wish = 'report-dispute' AND outcome IS NULL;
