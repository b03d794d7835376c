-- How somebody came in: with a password of ours, or vouched for by the bank's identity provider.
ALTER TABLE sign_in
    ADD COLUMN way text NOT NULL DEFAULT 'password' CHECK (way IN ('password', 'provider'));

-- Personal data are shown field by field: whose and which, and why (a code; `reason` has the words,
-- sealed). Views of before name neither.
ALTER TABLE personal_view
    ADD COLUMN party text,
    ADD COLUMN field text,
    ADD COLUMN why   text,
    ADD CHECK ((party IS NULL) = (field IS NULL));
