-- How somebody came in: with a password of ours, or vouched for by the bank's identity provider.
ALTER TABLE sign_in
    ADD COLUMN way text NOT NULL DEFAULT 'password' CHECK (way IN ('password', 'provider'));
