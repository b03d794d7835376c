-- Tries that failed. Who came with a name that nobody has stands there as nobody: the answer, and the
-- work behind it, are those of a name that somebody has. The name itself is not kept.
ALTER TABLE sign_in ALTER COLUMN staff_id DROP NOT NULL;

-- Anybody can make such lines, so they are the only ones of the audit log that end: the oldest first,
-- those from before a time and those beyond so many. The service may do that and no more.
CREATE FUNCTION forget_tries(before timestamptz, most bigint, at_once int) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH tries AS (
        SELECT id, at, row_number() OVER (ORDER BY at DESC, id DESC) AS place
        FROM sign_in WHERE outcome IN ('wrong', 'locked')
    ), signed AS (
        DELETE FROM sign_in WHERE id IN (
            SELECT id FROM tries WHERE at < before OR place > most ORDER BY at LIMIT at_once)
        RETURNING 1
    ), entries AS (
        SELECT id, at, row_number() OVER (ORDER BY at DESC, id DESC) AS place
        FROM customer_access WHERE application_id IS NULL
    ), entered AS (
        DELETE FROM customer_access WHERE id IN (
            SELECT id FROM entries WHERE at < before OR place > most ORDER BY at LIMIT at_once)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM signed) + (SELECT count(*) FROM entered)
$$;
CREATE INDEX sign_in_tries ON sign_in (at, id) WHERE outcome IN ('wrong', 'locked');
CREATE INDEX customer_access_tries ON customer_access (at, id) WHERE application_id IS NULL;

-- Who had a code in their hands before the customer did: whoever printed its slip. It goes with the
-- code to the session, and to the code that is taken there for the next time.
ALTER TABLE access_code ADD COLUMN printed_by text;
UPDATE access_code SET printed_by = issued_by FROM (
    SELECT DISTINCT ON (application_id) application_id, what FROM customer_access
    WHERE what IN ('issued', 'sent') ORDER BY application_id, id DESC
) AS last
WHERE last.application_id = access_code.application_id AND last.what = 'issued'
    AND access_code.issued_by LIKE 'staff:%';
ALTER TABLE customer_session ADD COLUMN printed_by text;

DO $$
BEGIN
    REVOKE EXECUTE ON FUNCTION forget_tries FROM PUBLIC;
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION forget_tries TO %I',
        current_setting('banka.app_role')
    );
END $$;
