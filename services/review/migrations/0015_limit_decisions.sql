-- The decision about a change of a limit with what it rests on, once and for ever, as `decision` is of
-- an application. `grounds`, `weighed`: what was known and what followed from it, canonical JSON with
-- no personal field, to be weighed again to the same bytes; `inputs`, `verdict`: of the policy, sealed,
-- null where nobody asked it. A change that was decided before this table has no row.
CREATE TABLE limit_decision (
    change_id      text        PRIMARY KEY REFERENCES limit_change,
    outcome        text        NOT NULL CHECK (outcome IN ('granted', 'refused')),
    granted        bigint,
    decided_by     text[]      NOT NULL,
    decided_at     timestamptz NOT NULL,
    grounds        text        NOT NULL,
    weighed        text        NOT NULL,
    inputs         text,
    verdict        text,
    policy_version text,
    policy_digest  text        REFERENCES policy_archive,
    CHECK ((outcome = 'granted') = (granted IS NOT NULL)),
    CHECK (cardinality(decided_by) <= 2),
    CHECK (num_nulls(inputs, verdict, policy_version, policy_digest) IN (0, 4))
);

DO $$
BEGIN
    EXECUTE format(
        'REVOKE UPDATE, DELETE ON limit_decision FROM %I',
        current_setting('banka.app_role')
    );
END $$;
