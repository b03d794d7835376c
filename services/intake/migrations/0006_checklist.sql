-- The checklist as it stands: each item of an application and whose paper it is. No personal data.
CREATE TABLE checklist_item (
    application_id text        NOT NULL REFERENCES application,
    party          text        NOT NULL,  -- role of the person whose paper it is
    item           text        NOT NULL,
    place          int         NOT NULL,  -- order on the list
    state          text        NOT NULL CHECK (state IN ('wanted', 'received', 'accepted', 'returned',
                                                         'waived', 'expired', 'not_needed')),
    need           text        NOT NULL,
    item_group     text,
    reasons        jsonb       NOT NULL,  -- return codes, with the form's field where it is wrong
    document_id    text,                  -- the paper that counts
    taken_from     text,                  -- earlier application with which it came
    asked          int         NOT NULL,
    asked_again    int         NOT NULL,
    waiver         jsonb,                 -- why, and by whom; it counts with a second person
    since          timestamptz,
    by             text        NOT NULL,
    PRIMARY KEY (application_id, party, item)
) WITH (fillfactor = 80);
-- what a second person has to answer
CREATE INDEX checklist_item_waiver ON checklist_item (application_id)
    WHERE waiver IS NOT NULL AND state <> 'waived';

-- Every change of it: who, when, why, and which paper was meant. remark: for the office alone, sealed.
CREATE TABLE checklist_change (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application_id text        NOT NULL REFERENCES application,
    party          text        NOT NULL,
    item           text        NOT NULL,
    at             timestamptz NOT NULL,
    actor          text        NOT NULL,
    action         text        NOT NULL,
    was            text,
    state          text        NOT NULL,
    codes          text[]      NOT NULL,
    why            text,
    document_id    text,
    second         text,
    remark         text
);
CREATE INDEX checklist_change_application ON checklist_change (application_id, id);

-- What waits for an officer or for the customer, the oldest first.
CREATE INDEX application_pre_check ON application (state_since) WHERE state = 'pre_check';
CREATE INDEX application_awaiting ON application (material_deadline)
    WHERE state = 'awaiting_material';

-- History is never rewritten.
DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE ON checklist_change FROM %I',
        current_setting('banka.app_role')
    );
END $$;
