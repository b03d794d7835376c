"""Intake's tables: applications with what hangs on them, papers, numbers, requests, who looked."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from services.intake.account_facts import Stated
from services.intake.application import (
    CARD_STATES,
    OWN_SOURCE,
    Appeal,
    Application,
    Card,
    Document,
    Entry,
    LimitChange,
    Scope,
    Withdrawal,
    dues,
)
from services.intake.items import Change, Checklist, Item, ItemState, Reason, Waiver
from shared.events.intake import Meeting, WantedItem
from shared.events.lifecycle import TERMINAL, State
from shared.events.payload import CreditConsent, Party
from shared.identifiers import make_application_number
from shared.messaging import Connection
from shared.money import Money
from shared.parameters import Product, load_attention

_OPEN_AND_SUBMITTED = sorted(set(State) - TERMINAL - {State.DRAFT})
_ENDED_BY_REFUSAL = (State.DECLINED.value,)
_HELD = (State.ACTIVATED.value, State.IN_USE.value)


@dataclass(slots=True)
class _ApplicationFile:
    """The part of an application that lists do not need, as written to `application_file`."""

    parties: list[Party] = field(default_factory=list)
    consent: CreditConsent | None = None
    requested_limit: Money | None = None
    reopens: str | None = None
    new_to_bank: bool = True
    age_band: str = "unknown"
    income_band: str = "unknown"
    warnings: list[str] = field(default_factory=list)
    wanted: list[WantedItem] = field(default_factory=list)
    meeting: Meeting | None = None
    round: int = 0
    withdrawal: Withdrawal | None = None
    appeals: list[Appeal] = field(default_factory=list)
    limit_changes: list[LimitChange] = field(default_factory=list)
    limit: Money | None = None
    limit_by_policy: bool = False
    category: str | None = None
    card: Card | None = None
    told: str | None = None
    review_due: datetime | None = None
    # as the list was kept before each item had a state: what has been answered of `wanted`, and
    # what a reviewer asked for
    answered: list[str] = field(default_factory=list)
    asked: list[WantedItem] = field(default_factory=list)


_FILE: TypeAdapter[_ApplicationFile] = TypeAdapter(_ApplicationFile)
_REASONS: TypeAdapter[list[Reason]] = TypeAdapter(list[Reason])
_WAIVER: TypeAdapter[Waiver] = TypeAdapter(Waiver)

_LOCK = """
SELECT * FROM application WHERE application_id = ANY ($1) ORDER BY application_id FOR UPDATE
"""

_FILES = "SELECT application_id, body FROM application_file WHERE application_id = ANY ($1)"

_DOCUMENTS = """
SELECT application_id, document_id, document_number, item, sha256, media_type, size, received_at,
    issued_on
FROM document WHERE application_id = ANY ($1) ORDER BY length(document_number), document_number
"""

_ITEMS = """
SELECT application_id, party, item, state, need, item_group, reasons, document_id, taken_from,
    asked, asked_again, replaced, waiver, since, by
FROM checklist_item WHERE application_id = ANY ($1) ORDER BY application_id, place
"""

_TAKEN_OVER = """
SELECT document_id, document_number, item, sha256, media_type, size, received_at, issued_on
FROM document WHERE document_id = ANY ($1)
"""

_SAVE_ITEMS = """
INSERT INTO checklist_item (application_id, party, item, place, state, need, item_group, reasons,
    document_id, taken_from, asked, asked_again, replaced, waiver, since, by)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[],
    $7::text[], $8::jsonb[], $9::text[], $10::text[], $11::int[], $12::int[], $13::boolean[],
    $14::jsonb[], $15::timestamptz[], $16::text[])
ON CONFLICT (application_id, party, item) DO UPDATE SET
    place = excluded.place, state = excluded.state, need = excluded.need,
    item_group = excluded.item_group, reasons = excluded.reasons,
    document_id = excluded.document_id, taken_from = excluded.taken_from, asked = excluded.asked,
    asked_again = excluded.asked_again, replaced = excluded.replaced, waiver = excluded.waiver,
    since = excluded.since, by = excluded.by
"""

_DROP_ITEMS = """
DELETE FROM checklist_item WHERE application_id = ANY ($1) AND (application_id, party, item) IN (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))
"""

# asyncpg takes no array of arrays of different lengths: codes come as JSON
_SAVE_CHANGES = """
INSERT INTO checklist_change (application_id, party, item, at, actor, action, was, state, codes,
    why, document_id, second, remark, revision)
SELECT application_id, party, item, at, actor, action, was, state,
    ARRAY(SELECT jsonb_array_elements_text(codes)), why, document_id, second, remark, revision
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[],
    $7::text[], $8::text[], $9::jsonb[], $10::text[], $11::text[], $12::text[], $13::text[],
    $14::bigint[])
    WITH ORDINALITY AS row (application_id, party, item, at, actor, action, was, state, codes, why,
        document_id, second, remark, revision, place)
ORDER BY place
"""

_SAVE = """
INSERT INTO application (application_id, state, state_version, state_since, application_number,
    branch, region, channel, product, product_version, applicant_type, person, created_at,
    submitted_at, passed_at, material_deadline, reapply_from, card_id, partner, partner_reference,
    imported, product_digest, revision, client, due_at, waited, timed_version, contacted_at,
    interview_due)
SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::text[], $6::text[],
    $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
    $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::date[],
    $18::text[], $19::text[], $20::text[], $21::boolean[], $22::text[], $23::bigint[], $24::text[],
    $25::timestamptz[], $26::jsonb[], $27::int[], $28::timestamptz[], $29::timestamptz[])
ON CONFLICT (application_id) DO UPDATE SET
    state = excluded.state, state_version = excluded.state_version,
    state_since = excluded.state_since, person = excluded.person,
    product = excluded.product, product_version = excluded.product_version,
    applicant_type = excluded.applicant_type,
    submitted_at = excluded.submitted_at, passed_at = excluded.passed_at,
    material_deadline = excluded.material_deadline, reapply_from = excluded.reapply_from,
    card_id = excluded.card_id, imported = excluded.imported,
    product_digest = excluded.product_digest, revision = excluded.revision,
    due_at = excluded.due_at, waited = excluded.waited, timed_version = excluded.timed_version,
    contacted_at = excluded.contacted_at, interview_due = excluded.interview_due
"""

_SAVE_FILES = """
INSERT INTO application_file (application_id, body) SELECT * FROM unnest($1::text[], $2::jsonb[])
ON CONFLICT (application_id) DO UPDATE SET body = excluded.body
"""

_SAVE_DOCUMENTS = """
INSERT INTO document (document_id, document_number, application_id, item, sha256, media_type, size,
    received_at, issued_on)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""

_SAVE_DEVICE = """
INSERT INTO application_device (application_id, digest, at) VALUES ($1, $2, $3)
ON CONFLICT (application_id) DO NOTHING
"""

# what another sweep has in hand is left to it
_SWEEP_DEVICES = """
DELETE FROM application_device WHERE application_id IN (
    SELECT application_id FROM application_device WHERE at < $1
    ORDER BY at LIMIT 100 FOR UPDATE SKIP LOCKED)
"""

_SAVE_HISTORY = """
INSERT INTO application_history (application_id, at, actor, action, details, revision)
SELECT application_id, at, actor, action, details, revision
FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::jsonb[], $6::bigint[])
    WITH ORDINALITY AS row (application_id, at, actor, action, details, revision, place)
ORDER BY place
"""


class ApplicationStore:
    """Applications for the kernel: loaded under lock, written in bulk. Never commits."""

    async def load(self, conn: Connection, subjects: Sequence[str]) -> dict[str, Application]:
        """{application id: application}; rows locked in order of their ids."""
        rows = await conn.fetch(_LOCK, list(subjects))
        found = await _complete(conn, rows)
        return {subject: found.get(subject) or Application(subject) for subject in subjects}

    async def save(self, conn: Connection, states: Sequence[Application]) -> None:
        """Write applications, and what is new of their papers and history."""
        known = [app for app in states if app.state is not None and app.scope is not None]
        if not known:
            return
        for app in known:
            app.count_revision()
        rows = [_row(app) for app in known]
        await conn.execute(_SAVE, *(list(column) for column in zip(*rows, strict=True)))
        await conn.execute(
            _SAVE_FILES,
            [app.application_id for app in known],
            [_FILE.dump_json(_file(app)).decode() for app in known],
        )
        devices = [
            (app.application_id, app.device, app.created_at)
            for app in known
            if app.device is not None and app.created_at is not None
        ]
        if devices:
            await conn.executemany(_SAVE_DEVICE, devices)
            term = timedelta(days=load_attention().shared_device.days)
            await conn.execute(_SWEEP_DEVICES, max(at for _, _, at in devices) - term)
        documents = [(app.application_id, document) for app in known for document in app.arrived]
        if documents:
            await conn.executemany(
                _SAVE_DOCUMENTS, [_document_row(subject, one) for subject, one in documents]
            )
        entries = [row for app in known for row in _entry_rows(app)]
        if entries:
            await conn.execute(_SAVE_HISTORY, *_columns(entries))
        left = [(app.application_id, *one) for app in known for one in app.items.left]
        if left:
            await conn.execute(_DROP_ITEMS, *_columns(left))
        items = [row for app in known for row in _item_rows(app)]
        if items:
            await conn.execute(_SAVE_ITEMS, *_columns(items))
        changes = [row for app in known for row in _change_rows(app)]
        if changes:
            await conn.execute(_SAVE_CHANGES, *_columns(changes))


async def _complete(conn: Any, rows: Sequence[Any]) -> dict[str, Application]:
    """Applications of rows. The rest is read in statements of its own, after the rows are locked:
    a join would read it as it was before whoever held the lock wrote it."""
    ids = [row["application_id"] for row in rows]
    if not ids:
        return {}
    bodies = {one["application_id"]: one["body"] for one in await conn.fetch(_FILES, ids)}
    papers: dict[str, list[Document]] = {}
    for one in await conn.fetch(_DOCUMENTS, ids):
        values = dict(one)
        papers.setdefault(values.pop("application_id"), []).append(Document(**values))
    items: dict[str, list[Item]] = {}
    for one in await conn.fetch(_ITEMS, ids):
        items.setdefault(one["application_id"], []).append(_item(one))
    types = {row["application_id"]: row["applicant_type"] for row in rows}
    lists = {subject: Checklist(types[subject], found) for subject, found in items.items()}
    foreign = {
        subject: [one.document_id for one in found if one.taken_from and one.document_id]
        for subject, found in items.items()
    }
    taken = [document_id for found in foreign.values() for document_id in found]
    theirs = (
        {one["document_id"]: Document(**one) for one in await conn.fetch(_TAKEN_OVER, taken)}
        if taken
        else {}
    )
    found = {}
    for row in rows:
        subject = row["application_id"]
        app = _application(
            row,
            bodies[subject],
            papers.get(subject, []),
            lists.get(subject),
            [theirs[one] for one in foreign.get(subject, ()) if one in theirs],
        )
        catch_up(app)
        found[subject] = app
    return found


def catch_up(app: Application) -> None:
    """Papers that a service of the release before took, which knew no states of items."""
    counted = {item.item: item for item in app.items}
    latest = {document.item: document for document in app.documents}
    for code, document in latest.items():
        item = counted.get(code)
        unseen = item is None or (
            item.document_id != document.document_id
            and (item.own_paper or (item.since or document.received_at) <= document.received_at)
        )
        if unseen:
            app.items.receive(code, document.document_id, OWN_SOURCE, document.received_at)


def _as_before(row: Any, file: _ApplicationFile, documents: Sequence[Document]) -> Checklist:
    """The checklist of an application that was begun before each item had a state, from what was
    kept then: papers that were handed over count as accepted, others as received; what was asked
    for and is unanswered is open. The rules add the rest at the next step."""
    kept = Checklist(row["applicant_type"])
    passed = row["passed_at"]
    for document in documents:
        kept.receive(document.item, document.document_id, OWN_SOURCE, document.received_at)
    for item in kept:
        if passed is not None and item.since is not None and item.since <= passed:
            kept.accept(item, OWN_SOURCE, passed)
    if row["state"] == State.AWAITING_MATERIAL:
        asked = {(one.item, one.field, one.code) for one in file.asked}
        for one in file.wanted:
            key = f"field:{one.field}" if one.field else f"item:{one.item}"
            if key in file.answered:
                continue
            by_person = (one.item, one.field, one.code) in asked
            reason = Reason(one.code, one.field, by_person=by_person, told=True)
            kept.remember_open(one.item, reason, row["state_since"])
    return kept


def _item(row: Any) -> Item:
    return Item(
        party=row["party"],
        item=row["item"],
        state=ItemState(row["state"]),
        need=row["need"],
        group=row["item_group"],
        reasons=_REASONS.validate_json(row["reasons"]),
        document_id=row["document_id"],
        taken_from=row["taken_from"],
        asked=row["asked"],
        asked_again=row["asked_again"],
        replaced=row["replaced"],
        waiver=_WAIVER.validate_json(row["waiver"]) if row["waiver"] else None,
        since=row["since"],
        by=row["by"],
    )


def _item_rows(app: Application) -> list[tuple[Any, ...]]:
    return [
        (
            app.application_id,
            one.party,
            one.item,
            place,
            one.state,
            one.need,
            one.group,
            _REASONS.dump_json(one.reasons).decode(),
            one.document_id,
            one.taken_from,
            one.asked,
            one.asked_again,
            one.replaced,
            _WAIVER.dump_json(one.waiver).decode() if one.waiver else None,
            one.since,
            one.by,
        )
        for place, one in enumerate(app.items)
        if one.changed and one.state is not None
    ]


def _change_rows(app: Application) -> list[tuple[Any, ...]]:
    return [
        (
            app.application_id,
            one.party,
            one.item,
            one.at,
            one.actor,
            one.action,
            one.was,
            one.state,
            json.dumps(one.codes),
            one.why,
            one.document_id,
            one.second,
            one.remark,
            app.revision,
        )
        for one in app.items.changes
    ]


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _file(app: Application) -> _ApplicationFile:
    return _ApplicationFile(
        parties=app.parties,
        consent=app.consent,
        requested_limit=app.requested_limit,
        reopens=app.reopens,
        new_to_bank=app.new_to_bank,
        age_band=app.age_band,
        income_band=app.income_band,
        warnings=app.warnings,
        wanted=app.wanted,
        meeting=app.meeting,
        round=app.round,
        withdrawal=app.withdrawal,
        appeals=app.appeals,
        limit_changes=app.limit_changes,
        limit=app.limit,
        limit_by_policy=app.limit_by_policy,
        category=app.category,
        card=app.card,
        told=app.told,
        review_due=app.review_due,
    )


def _row(app: Application) -> tuple[Any, ...]:
    scope = app.need_scope()
    return (
        app.application_id,
        str(app.state),
        app.state_version,
        app.state_since,
        scope.application_number,
        scope.branch,
        scope.region,
        scope.channel,
        scope.product,
        scope.product_version,
        scope.applicant_type,
        app.holder.person,
        app.created_at,
        app.submitted_at,
        app.passed_at,
        app.material_deadline,
        app.reapply_from,
        app.card.card_id if app.card else None,
        app.partner,
        app.partner_reference,
        app.imported,
        scope.product_digest,
        app.revision,
        app.client,
        app.due_at,
        json.dumps(app.waited) if app.waited is not None else None,
        app.state_version,
        app.contacted_at,
        dues(app).get("interview"),
    )


def _document_row(subject: str, one: Document) -> tuple[Any, ...]:
    return (
        one.document_id,
        one.document_number,
        subject,
        one.item,
        one.sha256,
        one.media_type,
        one.size,
        one.received_at,
        one.issued_on,
    )


def _entry_rows(app: Application) -> list[tuple[Any, ...]]:
    return [
        (
            app.application_id,
            entry.at,
            entry.actor,
            entry.action,
            json.dumps(dict(entry.details), ensure_ascii=False),
            app.revision,
        )
        for entry in app.entries
    ]


def _application(
    row: Any,
    body: str,
    documents: list[Document],
    items: Checklist | None,
    taken_over: list[Document],
) -> Application:
    file = _FILE.validate_json(body)
    # a service of the release before moves it and counts nothing
    timed = row["timed_version"] == row["state_version"]
    return Application(
        application_id=row["application_id"],
        state=State(row["state"]),
        state_version=row["state_version"],
        state_since=row["state_since"],
        scope=Scope(
            application_number=row["application_number"],
            branch=row["branch"],
            region=row["region"],
            channel=row["channel"],
            product=row["product"],
            product_version=row["product_version"],
            applicant_type=row["applicant_type"],
            product_digest=row["product_digest"],
        ),
        parties=file.parties,
        consent=file.consent,
        requested_limit=file.requested_limit,
        reopens=file.reopens,
        created_at=row["created_at"],
        submitted_at=row["submitted_at"],
        passed_at=row["passed_at"],
        documents=documents,
        new_to_bank=file.new_to_bank,
        age_band=file.age_band,
        income_band=file.income_band,
        warnings=file.warnings,
        items=items if items is not None else _as_before(row, file, documents),
        taken_over=taken_over,
        meeting=file.meeting,
        wanted=file.wanted,
        material_deadline=row["material_deadline"],
        round=file.round,
        withdrawal=file.withdrawal,
        appeals=file.appeals,
        limit_changes=file.limit_changes,
        limit=file.limit,
        limit_by_policy=file.limit_by_policy,
        category=file.category,
        reapply_from=row["reapply_from"],
        card=file.card,
        partner=row["partner"],
        partner_reference=row["partner_reference"],
        told=file.told,
        imported=row["imported"],
        revision=row["revision"],
        client=row["client"],
        due_at=row["due_at"] if timed else None,
        review_due=file.review_due,
        contacted_at=row["contacted_at"],
        waited=json.loads(row["waited"]) if timed and row["waited"] else None,
    )


# --- numbers, branches, other applications of the person ---------------------------------------


async def products_in_use(conn: Any) -> list[tuple[str, str, str | None, int]]:
    """(product, version, its digest or None, how many) of the applications that have not ended."""
    rows = await conn.fetch(
        "SELECT product, product_version, product_digest, count(*) FROM application"
        " WHERE state <> ALL ($1) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        [state.value for state in TERMINAL],
    )
    return [tuple(row) for row in rows]


async def draw_number(conn: Any, branch: str, day: date) -> str:
    """The next application number of a branch and business day; its counter stays locked until the
    transaction ends, so draw it late."""
    running = await conn.fetchval(
        "INSERT INTO number_counter AS c (branch, day, last) VALUES ($1, $2, 1)"
        " ON CONFLICT (branch, day) DO UPDATE SET last = c.last + 1 RETURNING last",
        branch,
        day,
    )
    return make_application_number(branch, day, running)


async def draw_numbers(conn: Any, branch: str, day: date, count: int) -> list[str]:
    """`draw_number` so many times, at once."""
    last = await conn.fetchval(
        "INSERT INTO number_counter AS c (branch, day, last) VALUES ($1, $2, $3)"
        " ON CONFLICT (branch, day) DO UPDATE SET last = c.last + excluded.last RETURNING last",
        branch,
        day,
        count,
    )
    return [make_application_number(branch, day, last - count + n) for n in range(1, count + 1)]


async def region_of(conn: Any, branch: str) -> str | None:
    """The region of a branch that is open; None for any other."""
    region: str | None = await conn.fetchval(
        "SELECT region FROM directory_branch WHERE branch = $1 AND open", branch
    )
    return region


@dataclass(frozen=True, slots=True)
class Standing:
    """What the office knows of a person from other applications.

    known: there are any. open_products: products of applications under way. reapply_from: end of
    the last cool-down. cards: of the bank, ordered or held. has_card: one of them was activated, by
    somebody whose identity was checked.
    """

    known: bool = False
    open_products: frozenset[str] = frozenset()
    reapply_from: date | None = None
    cards: int = 0
    has_card: bool = False

    def refusals(self, product: Product, today: date) -> list[str]:
        """Return codes that stand against an application for the product today."""
        codes = []
        if product.product in self.open_products:
            codes.append("DUPLICATE_APPLICATION")
        if self.cards >= product.cards_per_customer:
            codes.append("TOO_MANY_CARDS")
        if self.reapply_from is not None and today < self.reapply_from:
            codes.append("COOL_DOWN")
        return codes


async def submitted_since(conn: Any, ids: Sequence[str], since: datetime) -> set[str]:
    """Which of these applications were handed in since then."""
    if not ids:
        return set()
    rows = await conn.fetch(
        "SELECT application_id FROM application"
        " WHERE application_id = ANY ($1) AND submitted_at >= $2",
        list(ids),
        since,
    )
    return {row["application_id"] for row in rows}


_TRACES = """
SELECT
    (SELECT count(DISTINCT other.person) FROM application_device device
        JOIN application other USING (application_id)
        WHERE device.digest = coalesce($2,
            (SELECT digest FROM application_device WHERE application_id = $1))
        AND other.submitted_at >= $3 AND other.person <> ALL ($4)) AS on_device,
    ARRAY(SELECT DISTINCT branch FROM application
        WHERE person = $5 AND submitted_at >= $6) AS branches
"""


async def traces_of(
    conn: Any,
    app: Application,
    own: Collection[str],
    *,
    devices_since: datetime,
    branches_since: datetime,
) -> tuple[int, int]:
    """How many other persons handed in from the same device, and at how many branches this one
    did, that of this application included."""
    row = await conn.fetchrow(
        _TRACES,
        app.application_id,
        app.device,  # one that is begun and handed in at once is not written yet
        devices_since,
        list(own),
        app.holder.person,
        branches_since,
    )
    return row["on_device"], len({*row["branches"], app.need_scope().branch})


async def naming(conn: Any, person: str) -> list[str]:
    """Every application in which somebody has a part, as its holder or not. Reads all of them: for
    what is rare."""
    rows = await conn.fetch(
        "SELECT application_id FROM application_file WHERE body -> 'parties'"
        " @> jsonb_build_array(jsonb_build_object('person', $1::text)) ORDER BY application_id",
        person,
    )
    return [row["application_id"] for row in rows]


async def forget_person(conn: Any, application_ids: Sequence[str]) -> None:
    """Nothing is left of somebody's applications that was made of what the vault no longer says of
    them, and by no law has to be kept: codes and sessions of their own page, the device of a form,
    what a branch's row said, what a channel asked (its key counts no longer for anything). What is
    sealed ends with its key."""
    ids = sorted(application_ids)
    await conn.execute(  # in the order in which `lock_code` does
        "SELECT 1 FROM application WHERE application_id = ANY ($1) ORDER BY application_id"
        " FOR KEY SHARE",
        ids,
    )
    for table in ("access_code", "customer_session", "application_device"):
        await conn.execute(
            f"DELETE FROM {table} WHERE application_id = ANY ($1)",  # noqa: S608 - one of three
            ids,
        )
    # bad rows about the same wish have no application; what is to be taken still becomes one
    await conn.execute(
        "UPDATE batch_row SET who = NULL, content = NULL, cells = NULL"
        " WHERE application_id = ANY ($1) OR state = 'bad' AND who IN"
        " (SELECT who FROM batch_row WHERE application_id = ANY ($1))",
        ids,
    )
    await conn.execute(
        "UPDATE request SET digest = '' WHERE EXISTS"
        " (SELECT FROM unnest($1::text[]) AS w (id) WHERE position(w.id IN body::text) > 0)",
        ids,
    )


async def lock_person(conn: Any, person: str) -> None:
    """Of two applications of one person that are handed in at once, one waits for the other."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", person)


async def lock_persons(conn: Any, persons: Sequence[str]) -> None:
    """`lock_person` of many, in the order in which everybody locks several."""
    await conn.execute(
        "SELECT pg_advisory_xact_lock(w.lock) FROM (SELECT DISTINCT hashtextextended(person, 0)"
        " AS lock FROM unnest($1::text[]) AS p (person) ORDER BY 1) AS w",
        list(persons),
    )


async def try_lock_person(conn: Any, person: str) -> bool:
    """As `lock_person` where that would not wait; False where it would."""
    locked: bool = await conn.fetchval(
        "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", person
    )
    return locked


async def lock_known(conn: Any, partner: str, references: Sequence[str]) -> None:
    """Lock the applications that a partner means by these references, or by their cards, in the
    order in which everybody else locks several."""
    await conn.execute(
        "SELECT FROM application WHERE application_id IN ("
        " SELECT application_id FROM application"
        " WHERE partner = $1 AND partner_reference = ANY ($2::text[])"
        " UNION SELECT application_id FROM application WHERE card_id = ANY ($2::text[])"
        ") ORDER BY application_id FOR UPDATE",
        partner,
        references,
    )
    await conn.execute(
        "SELECT FROM early_withdrawal WHERE partner = $1 AND reference = ANY ($2::text[])"
        " ORDER BY partner, reference, partner_event_id FOR UPDATE",
        partner,
        references,
    )


@dataclass(frozen=True, slots=True)
class EarlyWithdrawal:
    """A withdrawal that overtook its application; the ids are those that its answer names."""

    partner: str
    reference: str
    partner_event_id: str
    repaired_by: str | None


async def keep_early(conn: Any, early: EarlyWithdrawal, until: datetime) -> None:
    """Keep a withdrawal for the application that is still to come; those that were kept before for
    the same application wait as long."""
    await conn.execute(
        "INSERT INTO early_withdrawal (partner, reference, partner_event_id, repaired_by,"
        " kept_until) VALUES ($1, $2, $3, $4, $5)",
        early.partner,
        early.reference,
        early.partner_event_id,
        early.repaired_by,
        until,
    )
    await conn.execute(
        "UPDATE early_withdrawal SET kept_until = $3 WHERE partner = $1 AND reference = $2",
        early.partner,
        early.reference,
        until,
    )


async def take_early(conn: Any, partner: str, reference: str) -> list[EarlyWithdrawal]:
    """The withdrawals that wait for this application, which are kept no longer."""
    rows = await conn.fetch(
        "DELETE FROM early_withdrawal WHERE partner = $1 AND reference = $2"
        " RETURNING partner_event_id, repaired_by",
        partner,
        reference,
    )
    found = [EarlyWithdrawal(partner, reference, *row) for row in rows]
    return sorted(found, key=lambda one: one.partner_event_id)


@dataclass(slots=True)
class Early:
    """All withdrawals that wait for one application; `subject` is that of their deadline."""

    subject: str
    withdrawals: list[EarlyWithdrawal] = field(default_factory=list)

    @staticmethod
    def subject_of(partner: str, reference: str) -> str:
        return f"{partner}/{reference}"  # no partner's name has a slash


class EarlyStore:
    """Withdrawals that wait, for the kernel: when their time has run out they are given up."""

    async def load(self, conn: Connection, subjects: Sequence[str]) -> dict[str, Early]:
        """{subject: what waits}; rows locked in the order in which the gate does."""
        keys = [subject.partition("/") for subject in subjects]
        rows = await conn.fetch(
            "SELECT e.partner, e.reference, e.partner_event_id, e.repaired_by"
            " FROM early_withdrawal e JOIN unnest($1::text[], $2::text[]) AS w (partner, reference)"
            " USING (partner, reference) WHERE e.reference = ANY ($2)"
            " ORDER BY e.partner, e.reference, e.partner_event_id FOR UPDATE OF e",
            [partner for partner, _, _ in keys],
            [reference for _, _, reference in keys],
        )
        found = {subject: Early(subject) for subject in subjects}
        for row in rows:
            subject = Early.subject_of(row["partner"], row["reference"])
            found[subject].withdrawals.append(EarlyWithdrawal(*row))
        return found

    async def save(self, conn: Connection, states: Sequence[Early]) -> None:
        """What was given up is kept no longer."""
        keys = [early.subject.partition("/") for early in states]
        await conn.execute(
            "DELETE FROM early_withdrawal WHERE reference = ANY ($2) AND (partner, reference) IN"
            " (SELECT * FROM unnest($1::text[], $2::text[]))",
            [partner for partner, _, _ in keys],
            [reference for _, _, reference in keys],
        )


async def standing_of(
    conn: Any,
    person: str,
    application_id: str,
    *,
    reopens: str | None = None,
    submitted_at: datetime | None = None,
) -> Standing:
    """What a person's applications say, other than this one. Lock the person first where it
    decides. A decline that it takes up again (异议, 复议) does not make it wait, nor one that came
    when it was handed in already: a cool-down is for who applies anew."""
    rows = await conn.fetch(
        f"SELECT {_STANDING} FROM application WHERE person = $1 AND application_id <> $2",  # noqa: S608 - our own text
        person,
        application_id,
    )
    return _standing(rows, reopens, submitted_at)


async def standings_of(conn: Any, persons: Iterable[str]) -> dict[str, Standing]:
    """{person: what their applications say} of those who have any."""
    rows = await conn.fetch(
        f"SELECT {_STANDING} FROM application WHERE person = ANY ($1)",  # noqa: S608 - our own text
        list(persons),
    )
    by_person: dict[str, list[Any]] = {}
    for row in rows:
        by_person.setdefault(row["person"], []).append(row)
    return {person: _standing(found) for person, found in by_person.items()}


_STANDING = "person, application_id, state, state_since, product, reapply_from"


def _standing(
    rows: Sequence[Any], reopens: str | None = None, submitted_at: datetime | None = None
) -> Standing:
    if not rows:  # a newcomer
        return Standing()
    return Standing(
        known=True,
        open_products=frozenset(r["product"] for r in rows if r["state"] in _OPEN_AND_SUBMITTED),
        reapply_from=max(
            (
                r["reapply_from"]
                for r in rows
                if r["state"] in _ENDED_BY_REFUSAL
                and r["reapply_from"] is not None
                and r["application_id"] != reopens
                and (submitted_at is None or r["state_since"] <= submitted_at)
            ),
            default=None,
        ),
        cards=sum(r["state"] in CARD_STATES for r in rows),
        has_card=any(r["state"] in _HELD for r in rows),
    )


@dataclass(frozen=True, slots=True)
class PaperOnFile:
    """An accepted paper of an earlier application of the person; `parties`: whose fields that
    application's form had, `says`: what was read on it, both sealed."""

    document: Document
    application_id: str
    parties: list[Party]
    says: Mapping[str, str]


_FILED = """
SELECT d.document_id, d.document_number, d.item, d.sha256, d.media_type, d.size, d.received_at,
    d.issued_on, d.application_id, f.body, r.says
FROM application a
JOIN application_file f USING (application_id)
JOIN document d USING (application_id)
LEFT JOIN checklist_item i ON i.application_id = d.application_id AND i.item = d.item
LEFT JOIN LATERAL (SELECT says FROM paper_reading r
    WHERE r.application_id = d.application_id AND r.document_id = d.document_id
    ORDER BY r.id DESC LIMIT 1) r ON true
WHERE a.person = $1 AND a.application_id <> $2 AND d.item = ANY ($4)
    AND (a.state <> $3 OR d.document_id = ANY ($5))
    AND NOT EXISTS (SELECT FROM paper_end e WHERE e.document_id = d.document_id)
    AND CASE WHEN i.item IS NULL THEN a.passed_at >= d.received_at
        ELSE i.state = 'accepted' AND i.document_id = d.document_id END
ORDER BY d.received_at
"""


async def papers_on_file(conn: Any, app: Application, items: Sequence[str]) -> list[PaperOnFile]:
    """Accepted papers of these items in the person's other applications, the newest last; not those
    of an application that was declined, but for what counts here already, nor what was destroyed.
    """
    counting = [document.document_id for document in app.taken_over]
    rows = await conn.fetch(
        _FILED, app.holder.person, app.application_id, State.DECLINED.value, items, counting
    )
    found = []
    for row in rows:
        values = dict(row)
        body, application_id = values.pop("body"), values.pop("application_id")
        says = json.loads(values.pop("says") or "{}")
        parties = _FILE.validate_json(body).parties
        found.append(PaperOnFile(Document(**values), application_id, parties, says))
    return found


async def readings_of(conn: Any, application_id: str) -> dict[str, dict[str, str]]:
    """{document id: {field: what was read on it, sealed}}, by the last reading of each."""
    rows = await conn.fetch(
        "SELECT DISTINCT ON (document_id) document_id, says FROM paper_reading"
        " WHERE application_id = $1 ORDER BY document_id, id DESC",
        application_id,
    )
    return {row["document_id"]: json.loads(row["says"]) for row in rows}


async def add_reading(
    conn: Any,
    application_id: str,
    document_id: str,
    says: Mapping[str, str],
    actor: str,
    now: datetime,
) -> None:
    """Keep what somebody read on a paper, sealed."""
    await conn.execute(
        "INSERT INTO paper_reading (document_id, application_id, at, actor, says)"
        " VALUES ($1, $2, $3, $4, $5)",
        document_id,
        application_id,
        now,
        actor,
        json.dumps(dict(says)),
    )


async def changes_of(conn: Any, application_id: str, *, after: int | None = None) -> list[Change]:
    """What became of each item of the checklist, oldest first; `after`: since this revision."""
    rows = await conn.fetch(
        "SELECT party, item, at, actor, action, was, state, codes, why, document_id, second, remark"
        " FROM checklist_change WHERE application_id = $1"
        " AND ($2::bigint IS NULL OR revision > $2) ORDER BY id",
        application_id,
        after,
    )
    return [
        Change(
            party=row["party"],
            item=row["item"],
            at=row["at"],
            actor=row["actor"],
            action=row["action"],
            was=ItemState(row["was"]) if row["was"] else None,
            state=ItemState(row["state"]),
            codes=tuple(row["codes"]),
            why=row["why"],
            document_id=row["document_id"],
            second=row["second"],
            remark=row["remark"],
        )
        for row in rows
    ]


async def who_entered(conn: Any, application_id: str) -> set[str]:
    """Who entered or changed the form or could have, as the history names them."""
    rows = await conn.fetch(
        "SELECT DISTINCT actor FROM application_history WHERE application_id = $1"
        " AND action IN ('begun', 'draft_saved', 'corrected', 'submitted', 'imported')",
        application_id,
    )
    # who printed a slip had the code in hand, and could act as the customer by it
    printed = await conn.fetch(
        "SELECT DISTINCT actor FROM customer_access WHERE application_id = $1"
        " AND what = 'issued' AND actor LIKE 'staff:%'",
        application_id,
    )
    return {row["actor"] for row in (*rows, *printed)}


# --- idempotency -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered; `digest` is of what was asked."""

    digest: bytes
    status: int
    body: Any


async def answer_to(conn: Any, client: str, key: str, since: datetime) -> Answer | None:
    """The answer that a client's request under this key got; None where it was before `since`."""
    row = await conn.fetchrow(
        "SELECT digest, status, body FROM request WHERE client = $1 AND key = $2 AND at >= $3",
        client,
        key,
        since,
    )
    return Answer(row["digest"], row["status"], json.loads(row["body"])) if row else None


# Each answer that comes takes a few with it that are too old: no more are kept than are needed.
_REMEMBER = """
WITH swept AS (
    DELETE FROM request WHERE (client, key) IN (
        SELECT client, key FROM request WHERE at < $7 AND (client, key) <> ($1, $2)
        ORDER BY at LIMIT 5 FOR UPDATE SKIP LOCKED
    )
)
INSERT INTO request AS kept (client, key, digest, status, body, at)
VALUES ($1, $2, $3, $4, $5::jsonb, $6)
ON CONFLICT (client, key) DO UPDATE SET
    digest = excluded.digest, status = excluded.status, body = excluded.body, at = excluded.at
    WHERE kept.at < $7
RETURNING true
"""


async def remember_answer(
    conn: Any, client: str, key: str, answer: Answer, now: datetime, since: datetime
) -> bool:
    """Keep the answer in the transaction that did what was asked; False where another request
    under the same key was first, and this one must be undone. Answers from before `since` count no
    longer, and are swept away."""
    done = await conn.fetchval(
        _REMEMBER,
        client,
        key,
        answer.digest,
        answer.status,
        json.dumps(answer.body, ensure_ascii=False),
        now,
        since,
    )
    return bool(done)


# --- reading -----------------------------------------------------------------------------------


async def count_by_state(conn: Any, branches: list[str] | None) -> dict[str, int]:
    """{state: applications} of these branches."""
    rows = await conn.fetch(
        "SELECT state, count(*) AS n FROM application"
        " WHERE $1::text[] IS NULL OR branch = ANY ($1) GROUP BY state",
        branches,
    )
    return {row["state"]: row["n"] for row in rows}


async def untimed(conn: Any, *, after: str, limit: int) -> list[str]:
    """Applications, in order of their ids, whose step runs to a deadline that nobody has counted.
    One that somebody has in hand is left to them."""
    rows = await conn.fetch(
        "SELECT application_id FROM application"
        " WHERE state NOT IN ('in_use', 'declined', 'withdrawn', 'expired')"
        " AND (due_at IS NULL OR timed_version IS DISTINCT FROM state_version)"
        " AND application_id > $1 ORDER BY application_id LIMIT $2 FOR UPDATE SKIP LOCKED",
        after,
        limit,
    )
    return [row["application_id"] for row in rows]


async def unreminded(conn: Any, application_ids: Sequence[str], names: Sequence[str]) -> set[str]:
    """Those of these applications for which no reminder of these names is set, and whose customer
    was not reminded since their state began."""
    rows = await conn.fetch(
        "SELECT application_id FROM application a WHERE application_id = ANY ($1)"
        " AND NOT EXISTS (SELECT FROM messaging.deadline d"
        " WHERE d.subject = a.application_id AND d.name = ANY ($2))"
        " AND NOT EXISTS (SELECT FROM application_history h WHERE h.action = 'reminded'"
        " AND h.application_id = a.application_id AND h.at >= a.state_since)",
        list(application_ids),
        list(names),
    )
    return {row["application_id"] for row in rows}


async def find_application(conn: Any, application_id: str) -> Application | None:
    """An application to look at, without a lock."""
    rows = await conn.fetch("SELECT * FROM application WHERE application_id = $1", application_id)
    return (await _complete(conn, rows)).get(application_id)


async def id_of_card(conn: Any, card_id: str) -> str | None:
    """The application whose card it is."""
    found: str | None = await conn.fetchval(
        "SELECT application_id FROM application WHERE card_id = $1", card_id
    )
    return found


async def statement_of(conn: Any, card_id: str, period: str) -> Stated | None:
    """What was stated before on the card and period; the application's lock is held."""
    row = await conn.fetchrow(
        "SELECT period, as_of, revision, digest FROM account_statement"
        " WHERE card_id = $1 AND period = $2",
        card_id,
        period,
    )
    return Stated(*row) if row is not None else None


async def keep_statement(conn: Any, card_id: str, new: Stated) -> None:
    """From now on this counts for the card and period."""
    await conn.execute(
        "INSERT INTO account_statement (card_id, period, as_of, revision, digest)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (card_id, period) DO UPDATE"
        " SET as_of = excluded.as_of, revision = excluded.revision, digest = excluded.digest",
        card_id,
        new.period,
        new.as_of,
        new.revision,
        new.digest,
    )


async def ids_of_cards(conn: Any, cards: list[str]) -> dict[str, str]:
    """{card id: application id} of those cards that the office ordered."""
    rows = await conn.fetch(
        "SELECT card_id, application_id FROM application WHERE card_id = ANY ($1)", cards
    )
    return {row["card_id"]: row["application_id"] for row in rows}


async def id_of_reference(conn: Any, partner: str, reference: str) -> str | None:
    """The application that a partner knows under its own reference."""
    found: str | None = await conn.fetchval(
        "SELECT application_id FROM application WHERE partner = $1 AND partner_reference = $2",
        partner,
        reference,
    )
    return found


async def id_of_number(conn: Any, number: str) -> str | None:
    """The application of that number."""
    found: str | None = await conn.fetchval(
        "SELECT application_id FROM application WHERE application_number = $1", number
    )
    return found


async def history_of(conn: Any, application_id: str, *, after: int | None = None) -> list[Entry]:
    """What was done with an application, oldest first; `after`: since this revision."""
    rows = await conn.fetch(
        "SELECT at, actor, action, details FROM application_history"
        " WHERE application_id = $1 AND ($2::bigint IS NULL OR revision > $2) ORDER BY id",
        application_id,
        after,
    )
    return [Entry(r["at"], r["actor"], r["action"], json.loads(r["details"])) for r in rows]


@dataclass(frozen=True, slots=True)
class Counts:
    """What intake's tables add up to. inbound: partners' events by what they were answered."""

    applications: int
    by_state: dict[str, int]
    submitted: int
    cards: int
    documents: int
    inbound: dict[str, int]


async def count_everything(conn: Any) -> Counts:
    """Counts to hold against the other services and the topics; read in one snapshot."""
    by_state = await count_by_state(conn, None)
    row = await conn.fetchrow(
        "SELECT count(submitted_at) AS submitted, count(card_id) AS cards FROM application"
    )
    answers = await conn.fetch(
        "SELECT type, count(*) AS n FROM messaging.event_log"
        " WHERE type IN ('banka.inbound.accepted.v1', 'banka.inbound.rejected.v1') GROUP BY type"
    )
    inbound = {one["type"].split(".")[2]: one["n"] for one in answers}
    return Counts(
        applications=sum(by_state.values()),
        by_state=by_state,
        submitted=row["submitted"],
        cards=row["cards"],
        documents=await conn.fetchval("SELECT count(*) FROM document"),
        inbound={"accepted": inbound.get("accepted", 0), "rejected": inbound.get("rejected", 0)},
    )
