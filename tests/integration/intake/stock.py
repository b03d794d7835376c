"""An office with years of applications: as many as one likes, put into intake's tables and the
vault as they would have been left. Nobody can open them (their keys are random bytes), but lists,
searches and indexes are as large as they would be; what hangs on each is copied from a real one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from shared.formats import normalise_name
from tests.integration.intake.office import BRANCH

STEP: Final = 50_000  # applications of one statement
YEARS: Final = 3
BRANCHES: Final = tuple(f"44{n:02d}" for n in range(10, 70))
SHARE_OF_ONE: Final = 3  # per cent of all are of BRANCH

_FAMILY = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉萍红建国文辉力波斌宇浩凯健俊帆"
NAMES: Final = tuple(
    family + one + other for other in ("", *_GIVEN[:12]) for one in _GIVEN for family in _FAMILY
)
"""The commonest first; one person in some 2,500 has that one."""

# Every row is made of its number `n` alone: what one statement says of it another one knows.
_OF = """
numbered AS (
    SELECT n, $3::timestamptz - make_interval(secs => ($4::int - n) * ({years} * 31557600.0 / $4))
        AS created, ('x' || substr(md5(n::text), 1, 8))::bit(32)::bigint AS hash
    FROM generate_series($1::int, $2::int) n
), old AS (
    SELECT n, created, hash, hash % 100 AS percent, (hash / 100) % 1000 AS mille,
        (hash / 100000) % 25 AS card, (hash / 2500000) % 100 AS home,
        {application} AS application_id, {party} AS party_id, {person} AS person
    FROM numbered
)"""


def _uuid(tag: str) -> str:
    """A UUID that begins with the time, as ours do, and ends with the number."""
    begin = "lpad(to_hex((extract(epoch FROM created) * 1000)::bigint), 12, '0')"
    return (
        f"(substr({begin}, 1, 8) || '-' || substr({begin}, 9, 4) || '-7{tag}-8000-'"
        " || lpad(to_hex(n), 12, '0'))"
    )


_WITH = "WITH " + _OF.format(
    years=YEARS, application=_uuid("a01"), party=_uuid("b01"), person=_uuid("c01")
)

# One in eighteen was begun within the last 60 days, and most of these are under way.
_STATE = """CASE WHEN created < $3::timestamptz - interval '60 days' THEN
    CASE WHEN percent < 62 THEN 'in_use' WHEN percent < 82 THEN 'declined'
        WHEN percent < 90 THEN 'withdrawn' WHEN percent < 98 THEN 'expired' ELSE 'activated' END
    ELSE CASE WHEN percent < 5 THEN 'draft' WHEN percent < 8 THEN 'pre_check'
        WHEN percent < 24 THEN 'awaiting_material' WHEN percent < 28 THEN 'checking'
        WHEN percent < 29 THEN 'scoring' WHEN percent < 36 THEN 'manual_review'
        WHEN percent < 37 THEN 'on_hold' WHEN percent < 38 THEN 'approved'
        WHEN percent < 48 THEN 'card_producing' WHEN percent < 58 THEN 'posted'
        WHEN percent < 73 THEN 'delivered' WHEN percent < 76 THEN 'activated'
        WHEN percent < 90 THEN 'in_use' ELSE 'declined' END END"""

_APPLICATIONS = f"""
{_WITH}, placed AS (
    SELECT *, {_STATE} AS state,
        CASE WHEN home < {SHARE_OF_ONE} THEN '{BRANCH}'
            ELSE '44' || lpad((10 + n % {len(BRANCHES)})::text, 2, '0') END AS branch
    FROM old
)
INSERT INTO application (application_id, state, state_version, state_since, application_number,
    branch, region, channel, product, product_version, applicant_type, person, created_at,
    submitted_at, passed_at, material_deadline, due_at, timed_version, card_id, partner,
    partner_reference, client, interview_due)
SELECT application_id, state, 6, least(created + make_interval(hours => (mille * 1.4)::int),
        $3 - make_interval(secs => mille)),
    branch || to_char(created AT TIME ZONE 'Asia/Shanghai', 'YYYYMMDD')
        || lpad((n % 1000000)::text, 6, '0'),
    branch, left(branch, 2),
    CASE WHEN mille < 400 THEN 'counter' WHEN mille < 700 THEN 'mobile_app'
        WHEN mille < 900 THEN 'web' WHEN mille < 990 THEN 'batch' ELSE 'partner' END,
    CASE WHEN card < 14 THEN 'standard' WHEN card < 20 THEN 'gold'
        WHEN card < 22 THEN 'student' WHEN card < 23 THEN 'business'
        ELSE 'supplementary' END,
    '2026.1', 'salaried', person, created, created, created,
    CASE WHEN state = 'awaiting_material'
        THEN $3 + make_interval(hours => (mille % 400)::int - 100) END,
    CASE WHEN state NOT IN ('in_use', 'declined', 'withdrawn', 'expired')
        THEN $3 + make_interval(hours => (mille % 400)::int - 20) END,
    6,
    CASE WHEN state IN ('in_use', 'activated', 'delivered', 'posted', 'card_producing')
        THEN 'card-' || n END,
    CASE WHEN mille BETWEEN 400 AND 699 THEN 'mobile-app' END,
    CASE WHEN mille BETWEEN 400 AND 699 THEN 'old-' || n END,
    CASE WHEN mille BETWEEN 700 AND 899 THEN 'web-channel' END,
    CASE WHEN state IN ('checking', 'scoring', 'manual_review', 'on_hold') AND mille % 3 > 0
        THEN created + interval '30 days' END
FROM placed
"""

# $5: the application of which the rest is a copy. The checklist's history, the longest of all and
# read of one case at a time, is copied for one in five.
_REST = """
INSERT INTO application_file SELECT application_id, body
FROM (SELECT body FROM application_file WHERE application_id = $5) f, old;

INSERT INTO document
SELECT old.application_id || d.item, old.application_id || d.item, old.application_id, item, sha256,
    media_type, size, old.created, issued_on
FROM document d, old WHERE d.application_id = $5;

INSERT INTO checklist_item
SELECT old.application_id, party, item, place, state, need, item_group, reasons,
    old.application_id || i.item, taken_from, asked, asked_again, waiver, old.created, by
FROM checklist_item i, old WHERE i.application_id = $5;

INSERT INTO application_history (application_id, at, actor, action, details)
SELECT old.application_id, old.created, actor, action, details
FROM application_history h, old WHERE h.application_id = $5;

INSERT INTO checklist_change (application_id, party, item, at, actor, action, was, state, codes,
    why, document_id, second, remark)
SELECT old.application_id, party, item, old.created, actor, action, was, state, codes, why,
    document_id, second, remark
FROM checklist_change c, old WHERE c.application_id = $5 AND n % 5 = 0
"""

_VAULT = """
INSERT INTO vault.person SELECT person::uuid FROM old;

INSERT INTO vault.person_key
SELECT person::uuid, 'old', sha256((n || 'p')::bytea) || sha256((n || 'q')::bytea) FROM old;

INSERT INTO vault.data_key
SELECT overlay(party_id placing lpad(nth::text, 4, '9') from 20 for 4)::uuid, person::uuid,
    party_id::uuid, application_id::uuid, class,
    sha256((n || class)::bytea) || sha256((class || n)::bytea)
FROM old, unnest(ARRAY['contact', 'identity', 'financial', 'document'])
    WITH ORDINALITY AS k (class, nth);

INSERT INTO vault.blind_index
SELECT kind, sha256((n || kind)::bytea), party_id::uuid, application_id::uuid, person::uuid
FROM old, unnest(ARRAY['mobile', 'id_number']) kind
"""

_NAMED = """
INSERT INTO vault.blind_index
SELECT 'name', ($5::bytea[])[1 + floor(power(hash / 4294967296.0, 1.25) * cardinality($5))::int],
    party_id::uuid, application_id::uuid, person::uuid
FROM old
"""


async def fill(
    intake: Any,
    vault: Any,
    rows: int,
    *,
    now: datetime,
    pattern: str,
    blind: Callable[[str, str], bytes],
    after_step: Callable[[int], None] = lambda _done: None,
) -> None:
    """Put applications of the three years until `now` into the databases, to which the superuser is
    connected. `pattern`: a real application, of which each is a copy but for what lists show.
    `blind`: the bank key's."""
    digests = [blind("name", normalise_name(name)) for name in NAMES]
    for conn in (intake, vault):
        # every row refers to what is there: nobody has to look it up again
        await conn.execute("SET session_replication_role = replica")
        await conn.execute("SET synchronous_commit = off")
    for begin in range(1, rows + 1, STEP):
        span: Sequence[Any] = (begin, min(begin + STEP - 1, rows), now, rows)
        await intake.execute(_APPLICATIONS, *span)
        for statement in _REST.split(";"):
            await intake.execute(_WITH + statement, *span, pattern)
        for statement in _VAULT.split(";"):
            await vault.execute(_WITH + statement, *span)
        await vault.execute(_WITH + _NAMED, *span, digests)
        after_step(span[1])
    await intake.executemany(
        "INSERT INTO directory_branch (branch, name_zh, name_en, region, open)"
        " VALUES ($1, $2, $3, '44', true) ON CONFLICT DO NOTHING",
        [(one, f"支行{one}", f"Branch {one}") for one in BRANCHES],
    )
    for conn in (intake, vault):
        await conn.execute("SET session_replication_role = origin")
        await conn.execute("VACUUM (ANALYZE)")
        await conn.execute("CHECKPOINT")
