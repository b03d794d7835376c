-- Until when the step that runs has to be done, and how long everybody has waited for whom. Both are
-- recorded when the application entered its state: a service of the release before moves it without,
-- and leaves timed_version behind. Empty until then for what was begun before.
ALTER TABLE application
    ADD COLUMN due_at        timestamptz,
    ADD COLUMN waited        jsonb,       -- {customer, bank, partner: seconds in states that were left}
    ADD COLUMN timed_version int,         -- state_version for which they hold
    ADD COLUMN contacted_at  timestamptz; -- first contact with the customer after the pre-check

-- lists by deadlines: of every step, where there were those of the customer's material
DROP INDEX application_due, application_branch_due;
CREATE INDEX application_due
    ON application (state, due_at, application_number)
    INCLUDE (branch, product, channel, created_at) WHERE due_at IS NOT NULL;
CREATE INDEX application_branch_due
    ON application (branch, state, due_at, application_number)
    INCLUDE (product, channel, created_at) WHERE due_at IS NOT NULL;
-- steps with a deadline that nobody has counted yet
CREATE INDEX application_untimed ON application (application_id)
    WHERE state NOT IN ('in_use', 'declined', 'withdrawn', 'expired')
        AND (due_at IS NULL OR timed_version IS DISTINCT FROM state_version);
-- customers with whom nobody has spoken yet
CREATE INDEX application_to_contact ON application (state, passed_at, application_number)
    INCLUDE (branch, product, channel) WHERE contacted_at IS NULL AND passed_at IS NOT NULL;
CREATE INDEX application_branch_to_contact
    ON application (branch, state, passed_at, application_number)
    INCLUDE (product, channel) WHERE contacted_at IS NULL AND passed_at IS NOT NULL;
