-- The register of papers: what was drawn of each, who used it for what, when and why it was destroyed.
-- Its entry is the row in `document`. What a viewer gives as a reason is sealed.

-- The pages of a paper as they are shown, or why there are none; of several the last counts.
CREATE TABLE paper_preview (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document_id text        NOT NULL REFERENCES document,
    at          timestamptz NOT NULL,
    pages       int         NOT NULL CHECK (pages >= 0),
    failure     text        CHECK ((failure IS NULL) = (pages > 0))
);
CREATE INDEX paper_preview_document ON paper_preview (document_id, id);

CREATE TABLE paper_use (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document_id    text        NOT NULL REFERENCES document,
    at             timestamptz NOT NULL,
    staff_id       text        NOT NULL,
    what           text        NOT NULL CHECK (what IN ('thumbnail', 'page', 'original')),
    page           int,
    reason         text        CHECK (what <> 'original' OR reason IS NOT NULL)
);
CREATE INDEX paper_use_document ON paper_use (document_id, id);

CREATE TABLE paper_end (
    document_id text        PRIMARY KEY REFERENCES document,
    at          timestamptz NOT NULL,
    why         text        NOT NULL
);

-- What was drawn, used or destroyed is never rewritten.
DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE ON paper_preview, paper_use, paper_end FROM %I',
        current_setting('banka.app_role')
    );
END $$;
