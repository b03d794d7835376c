-- Why a case is held, and until when compliance has to have looked into it: for compliance's list.
-- What is held already keeps its place there; its clock is the case's own.
ALTER TABLE review_case ADD COLUMN hold_reason text, ADD COLUMN hold_due timestamptz,
    ADD CONSTRAINT review_case_held CHECK (
        state = 'on_hold' OR (hold_reason IS NULL AND hold_due IS NULL)
    );
