"""What comes in on review's topics at its worst: whole events are applied, everything else is set
aside with nothing of it applied or repeated, and everybody else's events go on."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
import structlog

from shared.events import intake
from shared.events.payload import Payload
from shared.identifiers import new_id
from tests.eventually import eventually
from tests.fuzz.hostile import CANARY, deep, spoilt, written
from tests.fuzz.over_http import each
from tests.integration.review.bank import Applicant, Bank
from tests.integration.review.conftest import Desks

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning"),
]

TOPIC = "banka.applications"
HANDED = intake.PreCheckPassed.type
_BOOKS = (
    *("review_case", "case_file", "case_history", "decision", "check_waiting", "appeal"),
    *("account_month", "account_standing", "account_holding", "messaging.call"),
)


def spoilt_bodies(whole: dict[str, Any], count: int) -> list[bytes]:
    """The document with something wrong, the same ones each time; and what is no document."""
    found: list[bytes] = []
    each(spoilt(whole).flatmap(written), count, None, found.append)
    return [
        *found,
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"\x00",
        b"\xff\xfe\x80",
        deep(100_000).encode(),
        json.dumps(whole).encode()[:-20],
        json.dumps(whole).replace('"warnings": []', '"warnings": [1e999, NaN]').encode(),
        json.dumps({**whole, "age_band": "\x00"}).encode(),
        json.dumps({**whole, "age_band": "\ud800"}).encode(),
        json.dumps({**whole, "submitted_at": "9999-12-31T23:59:59+99:99"}).encode(),
        json.dumps({**whole, "parties": whole["parties"] * 2000}).encode()[:700_000],
        json.dumps({**whole, "product_version": "9999.1"}).encode(),
        json.dumps({**whole, "application_id": new_id()}).encode(),
    ]


async def begun(bank: Bank) -> Applicant:
    """Somebody of whom review has heard, and who is not handed over yet."""
    applicant = await bank.applicant()
    bands = bank.handed_over(applicant)
    del bands["warnings"], bands["submitted_at"], bands["documents"]
    await bank.tell(applicant, intake.ApplicationDrafted)
    await bank.tell(applicant, intake.ApplicationSubmitted, **bands)
    await bank.tell(applicant, intake.PreCheckStarted)
    return applicant


def body_of(bank: Bank, applicant: Applicant) -> dict[str, Any]:
    """The hand-over in good order, as JSON."""
    payload = intake.PreCheckPassed.model_validate(
        {**applicant.about, **bank.handed_over(applicant)}
    )
    found: dict[str, Any] = json.loads(payload.model_dump_json())
    return found


async def books(bank: Bank, subject: str) -> str:
    """Everything that review has of an application, as one text."""
    found = []
    for table in _BOOKS:
        column = "subject" if table == "messaging.call" else "application_id"
        if table == "account_holding":
            column = "application_id"
        rows = await bank.fetch(
            f"SELECT t::text AS row FROM {table} t WHERE {column} = $1 ORDER BY 1", subject
        )
        found += [f"{table} {row['row']}" for row in rows]
    return "\n".join(found)


async def blocked(bank: Bank, subjects: Sequence[str]) -> dict[str, str]:
    """{subject: why its events wait}."""
    rows = await bank.fetch(
        "SELECT subject, state, reason FROM messaging.blocked_key WHERE subject = ANY ($1)",
        list(subjects),
    )
    return {row["subject"]: f"{row['state']}: {row['reason']}" for row in rows}


async def seen(bank: Bank, topic: str, subject: str, sequence: int) -> bool:
    """Whether review has taken that event, or set it aside."""
    rows = await bank.fetch(
        "SELECT FROM messaging.cursor WHERE topic = $1 AND subject = $2 AND sequence >= $3"
        " UNION ALL SELECT FROM messaging.parked_event WHERE topic = $1 AND subject = $2",
        topic,
        subject,
        sequence,
    )
    return bool(rows)


async def goes_on(bank: Bank) -> None:
    """Somebody else's application is decided meanwhile."""
    other = await bank.applicant()
    await bank.hand_over(other)

    async def decided() -> bool:
        return "application.approved" in await bank.types(other)

    await eventually(decided)


def repeated(told: Iterable[Any]) -> list[str]:
    """What of the logs and reasons repeats a text that came. Which version of a product, or of its
    digest, is not known has to be said, however late it is tried again: it is no person's own."""
    texts = [json.dumps(one, default=str) for one in told]
    return [
        one
        for one in texts
        if CANARY in one and "UnknownVersion" not in one and "ChangedVersion" not in one
    ]


async def ready(desks: Desks) -> str:
    """What review says of itself; "" where all is well."""
    answer = await desks.first.get("/readyz")
    return "" if answer.status_code == 200 else answer.text


async def test_a_spoilt_hand_over_is_applied_whole_or_not_at_all(bank: Bank, desks: Desks) -> None:
    await goes_on(bank)
    pattern = await bank.applicant()
    bodies = spoilt_bodies(body_of(bank, pattern), 24)
    before: dict[str, str] = {}
    sent: dict[str, bytes] = {}
    with structlog.testing.capture_logs() as lines:
        for body in bodies:
            applicant = await begun(bank)
            subject = applicant.application_id
            own = json.dumps(body_of(bank, pattern)["application_id"]).encode()
            record = bank.record(
                TOPIC, HANDED, subject, body.replace(own, json.dumps(subject).encode()), 4
            )

            async def known(subject: str = subject) -> bool:
                return await seen(bank, TOPIC, subject, 3)

            await eventually(known)
            before[subject], sent[subject] = await books(bank, subject), record["value"]
            await bank.producer.send_and_wait(**record)

            async def taken(subject: str = subject) -> bool:
                return await seen(bank, TOPIC, subject, 4)

            await eventually(taken)
            if len(sent) % 8 == 0:
                await goes_on(bank)
    set_aside = await blocked(bank, list(before))
    assert len(set_aside) > len(bodies) / 2
    for subject, why in set_aside.items():
        assert await books(bank, subject) == before[subject], (sent[subject][:300], why)
        # a version that is not held may come: it is tried a few times more before it is parked
        assert why.startswith(("parked: ", "retry: ")), (sent[subject][:300], why)
    for subject in before.keys() - set_aside.keys():
        rows = await bank.fetch(
            "SELECT body #>> '{hand_over,age_band}' AS band FROM case_file"
            " WHERE application_id = $1",
            subject,
        )
        assert [row["band"] for row in rows] == [json.loads(sent[subject])["age_band"]]
    assert repeated([*lines, *set_aside.values()]) == []
    assert await ready(desks) == ""


def facts_of(kind: type[Payload], subject: str) -> dict[str, Any]:
    """A fact in good order about a subject, as JSON."""
    about = {
        "application_id": subject,
        "application_number": "310120261109000017",
        "branch": "3101",
        "region": "31",
        "channel": "web",
        "product": "standard",
        "product_version": "2026.1",
        "product_digest": "8f" * 32,
        "applicant_type": "salaried",
        "card_id": f"card-{subject}",
        "person": f"person-{subject}",
        "revision": 1,
    }
    facts: dict[type[Payload], dict[str, Any]] = {
        intake.AccountPerformanceReported: {
            **about,
            "month": "2026-09",
            "opened_on": "2026-08-02",
            "closed_on": None,
            "days_past_due": 7,
            "balance": "from_1k",
            "policy_card": False,
            "last_customer_transaction": None,
        },
        intake.AccountHoldingReported: {**about, "as_of": "2026-10-31", "cards": []},
        intake.WatchlistChanged: {
            "list_name": subject,
            "version": "2026-11-09.1",
            "changed_at": "2026-11-09T01:59:00Z",
        },
        intake.BranchChanged: {
            "branch": subject,
            "name_zh": f"网点{subject}",
            "name_en": f"Branch {subject}",
            "region": "31",
        },
        intake.StaffChanged: {
            "staff_id": subject,
            "username": f"name-{subject}",
            "display_name": f"甲{subject}",
            "roles": ["reviewer"],
            "branches": ["3101"],
            "desk": "credit_review",
            "session_epoch": 1,
        },
        intake.SessionEnded: {
            "staff_id": new_id(),
            "session": subject,
            "until": "2199-01-01T00:00:00Z",
        },
    }
    found: dict[str, Any] = json.loads(kind.model_validate(facts[kind]).model_dump_json())
    return found


_KEPT = {
    intake.AccountPerformanceReported: (
        "SELECT month, days_past_due FROM account_month WHERE application_id = $1"
    ),
    intake.AccountHoldingReported: "SELECT as_of FROM account_holding WHERE application_id = $1",
    intake.WatchlistChanged: "SELECT name, version FROM watchlist WHERE name = $1",
    intake.BranchChanged: "SELECT name_zh, region FROM directory_branch WHERE branch = $1",
    intake.StaffChanged: "SELECT name, session_epoch FROM directory_staff WHERE staff_id = $1",
    intake.SessionEnded: "SELECT session FROM directory_ended_session WHERE session = $1",
}
_SAID = {
    intake.AccountPerformanceReported: ("month", "days_past_due"),
    intake.AccountHoldingReported: ("as_of",),
    intake.WatchlistChanged: ("list_name", "version"),
    intake.BranchChanged: ("name_zh", "region"),
    intake.StaffChanged: ("display_name", "session_epoch"),
    intake.SessionEnded: ("session",),
}
_NAMES = {
    intake.AccountPerformanceReported: "application_id",
    intake.AccountHoldingReported: "application_id",
    intake.WatchlistChanged: "list_name",
    intake.BranchChanged: "branch",
    intake.StaffChanged: "staff_id",
    intake.SessionEnded: "session",
}
_BRANCHES = iter(range(1, 8000))  # none that the bank of these tests has


def subject_of(kind: type[Payload]) -> str:
    """Somebody or something new that an event of this type can be about."""
    return f"{next(_BRANCHES):04d}" if kind is intake.BranchChanged else new_id()


async def kept(bank: Bank, kind: type[Payload], subject: str) -> list[list[str]]:
    """What review has of it, in the columns that `_SAID` names."""
    return [[str(one) for one in row.values()] for row in await bank.fetch(_KEPT[kind], subject)]


def said(kind: type[Payload], body: bytes) -> list[str]:
    fact = kind.model_validate_json(body)
    return [str(getattr(fact, name)) for name in _SAID[kind]]


async def in_good_order(bank: Bank, kind: type[Payload], count: int = 3) -> list[str]:
    """So many sound facts, or the consumer would stop; their subjects."""
    subjects = [subject_of(kind) for _ in range(count)]
    for subject in subjects:
        await bank.publish(subject, kind.model_validate(facts_of(kind, subject)))
    return subjects


async def set_aside_at(bank: Bank, kind: type[Payload], sent: Any) -> str | None:
    """Once review is beyond this place of the topic: why it set that record aside; None: it did
    not."""
    here = (kind.topic, sent.partition, sent.offset)

    async def beyond() -> bool:
        return bool(
            await bank.fetch(
                "SELECT FROM messaging.consumer_offset"
                " WHERE topic = $1 AND part = $2 AND next > $3",
                *here,
            )
        )

    await eventually(beyond)
    rows = await bank.fetch(
        "SELECT b.reason FROM messaging.parked_event p"
        " LEFT JOIN messaging.blocked_key b USING (consumer, topic, subject)"
        " WHERE p.topic = $1 AND p.part = $2 AND p.kafka_offset = $3",
        *here,
    )
    return None if not rows else str(rows[0]["reason"])


_NEEDED = frozenset(
    {"ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "ce_sequence"}
)
"""Headers without which nothing is an event of ours."""


@pytest.mark.parametrize("kind", [intake.AccountPerformanceReported, intake.StaffChanged])
async def test_what_is_no_event_is_set_aside_and_holds_up_nobody(
    kind: type[Payload], bank: Bank, desks: Desks
) -> None:
    def good() -> tuple[str, dict[str, Any]]:
        subject = subject_of(kind)
        body = json.dumps(facts_of(kind, subject)).encode()
        return subject, bank.record(kind.topic, kind.type, subject, body)

    records: list[tuple[str, dict[str, Any], bool]] = []  # whether it may be applied all the same
    whole: list[dict[str, Any]] = [
        {"headers": []},
        {"headers": [], "key": None},
        {"key": b"\xff\xfe"},
    ]
    for broken in whole:
        subject, record = good()
        records.append((subject, {**record, **broken}, False))
    for name in dict(good()[1]["headers"]):
        for wrong in (b"", b"\xff", b"\x00", CANARY.encode() * 200, None):
            subject, record = good()
            headers = [(one, wrong if one == name else old) for one, old in record["headers"]]
            if wrong is None:
                headers = [(one, old) for one, old in headers if one != name]
            optional = name not in _NEEDED and not wrong
            records.append((subject, {**record, "headers": headers}, optional))
        subject, record = good()
        twice = [*record["headers"], (name, dict(record["headers"])[name])]
        records.append((subject, {**record, "headers": twice}, False))
    random.Random(6).shuffle(records)
    with structlog.testing.capture_logs() as lines:
        for subject, record, optional in records:
            sent = await bank.producer.send_and_wait(**copy.deepcopy(record))
            sound = await in_good_order(bank, kind)
            why = await set_aside_at(bank, kind, sent)
            if why is None:
                assert optional, record["headers"]
                assert await kept(bank, kind, subject) == [said(kind, record["value"])]
            else:
                assert await kept(bank, kind, subject) == [], (why, record["headers"])
                assert CANARY not in why
            for other in sound:

                async def known(other: str = other) -> bool:
                    return bool(await kept(bank, kind, other))

                await eventually(known)
    assert repeated(lines) == []
    assert await ready(desks) == ""


async def test_events_out_of_order_wait_for_what_is_missing_and_count_once(bank: Bank) -> None:
    applicant = await bank.applicant()
    subject = applicant.application_id
    records: list[dict[str, Any]] = []
    send = bank.send

    async def kept(record: dict[str, Any]) -> None:
        records.append(record)

    bank.send = kept  # type: ignore[method-assign]
    try:
        await bank.hand_over(applicant)
    finally:
        bank.send = send  # type: ignore[method-assign]
    first, *rest = records
    for record in (*reversed(rest), *rest):
        await bank.send(record)

    async def waits() -> bool:
        return "gap" in (await blocked(bank, [subject])).get(subject, "")

    await eventually(waits)
    assert await bank.types(applicant) == []
    await bank.send(first)

    async def decided() -> bool:
        return "application.approved" in await bank.types(applicant)

    await eventually(decided)
    assert await blocked(bank, [subject]) == {}
    told, receipts = await bank.types(applicant), await bank.receipts(applicant)
    for record in records:
        await bank.send(record)
        # the same place in the order, with something else in it
        await bank.send({**record, "value": b'{"age_band": "0"}'})
    await goes_on(bank)
    assert await bank.types(applicant) == told
    assert await bank.receipts(applicant) == receipts
    assert {calls for keys in receipts.values() for calls in keys.values()} == {1}


@pytest.mark.parametrize("kind", list(_KEPT))
async def test_spoilt_facts_about_accounts_and_the_organisation_are_applied_whole_or_not_at_all(
    kind: type[Payload], bank: Bank, desks: Desks
) -> None:
    pattern = subject_of(kind)
    bodies = spoilt_bodies({"parties": [], "warnings": [], **facts_of(kind, pattern)}, 16)
    sent: dict[str, bytes] = {}
    for body in bodies:
        subject = subject_of(kind)
        sent[subject] = body.replace(pattern.encode(), subject.encode())
        record = bank.record(kind.topic, kind.type, subject, sent[subject])
        await bank.producer.send_and_wait(**record)
        await in_good_order(bank, kind)
    for subject in sent:

        async def taken(subject: str = subject) -> bool:
            return await seen(bank, kind.topic, subject, 1)

        await eventually(taken)
    set_aside = await blocked(bank, list(sent))
    assert len(set_aside) > len(bodies) / 3
    for subject, why in set_aside.items():
        assert await kept(bank, kind, subject) == [], (sent[subject][:300], why)
        assert CANARY not in why
    for subject in sent.keys() - set_aside.keys():
        # what names another subject than its record was believed about that one
        found = await kept(bank, kind, json.loads(sent[subject]).get(_NAMES[kind], subject))
        assert said(kind, sent[subject]) in found, sent[subject][:300]
    assert await ready(desks) == ""


async def test_a_later_version_stops_its_partition_and_says_so(bank: Bank, desks: Desks) -> None:
    """The last test of this file: what it stops goes on with a build that reads the version."""
    applicant = await begun(bank)
    subject = applicant.application_id

    async def known() -> bool:
        return await seen(bank, TOPIC, subject, 3)

    await eventually(known)
    before = await books(bank, subject)
    body = json.dumps(body_of(bank, applicant)).encode()
    later = bank.record(TOPIC, HANDED.replace(".v1", ".v2"), subject, body, 4)
    await bank.producer.send_and_wait(**later)

    async def says_so() -> bool:
        return "newer than this build" in await ready(desks)

    await eventually(says_so)
    assert await books(bank, subject) == before
    assert await blocked(bank, [subject]) == {}, "it is nobody's fault, and nothing is set aside"
