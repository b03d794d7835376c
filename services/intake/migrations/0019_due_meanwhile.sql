-- Until when somebody has to have seen the customer of a case that lies with review (面签); none once
-- they have.
ALTER TABLE application ADD COLUMN interview_due timestamptz;

CREATE INDEX application_interview ON application (state, interview_due, application_number)
    INCLUDE (branch, product, channel) WHERE interview_due IS NOT NULL;
CREATE INDEX application_branch_interview
    ON application (branch, state, interview_due, application_number)
    INCLUDE (product, channel) WHERE interview_due IS NOT NULL;

-- Cases that were passed before have none yet, and drafts and delivered cards of the releases before
-- no reminder: all these are counted anew.
UPDATE application SET timed_version = NULL
 WHERE state IN ('draft', 'checking', 'scoring', 'manual_review', 'on_hold', 'delivered');
