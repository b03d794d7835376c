"""Reporting from the events of the others to its pages, watch and archived reports."""

from __future__ import annotations

import asyncio
import random
import re
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from services.reporting import editions
from services.reporting.app import build
from services.reporting.verification import load_words
from shared.events import intake, notify, review
from shared.events.payload import Payload
from shared.postgres.pool import open_pool
from shared.web import routes_without_permission
from tests.eventually import eventually
from tests.integration.reporting.bank import Bank
from tests.weighing import MOST_BYTES, common_pages, copy_row, pages_of, weight_of

API = "/reporting/api/v1"


async def signed_in(web: httpx.AsyncClient, bank: Bank, role: str, *branches: str) -> None:
    """From here on the client is a member of staff with that role."""
    web.cookies.clear()
    web.cookies.update(await bank.staff(role, *branches))

    async def known() -> bool:
        return (await web.get(f"{API}/applications")).status_code == 200

    await eventually(known)


async def found(web: httpx.AsyncClient, application_id: str) -> dict[str, Any]:
    answer = await web.get(f"{API}/applications/{application_id}")
    told: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
    return told


async def in_state(web: httpx.AsyncClient, application_id: str, state: str) -> dict[str, Any]:
    async def there() -> dict[str, Any]:
        told = await found(web, application_id)
        return told if told.get("application", {}).get("state") == state else {}

    return await eventually(there)


async def test_a_life_becomes_a_row_a_timeline_and_a_place_in_the_counts(
    web: httpx.AsyncClient, bank: Bank
) -> None:
    await signed_in(web, bank, "assistant", bank.branch)
    approved, declined = bank.application(), bank.application()
    await bank.to_review(approved)
    await bank.tell(approved, review.ApplicationApproved, intake.CardOrdered)
    await bank.decline(declined, "credit_history")
    told = await in_state(web, approved, "card_producing")
    assert [event["type"] for event in told["events"]][-2:] == [
        "banka.application.approved.v1",
        "banka.card.ordered.v1",
    ]
    assert told["application"]["desk"] == "operations"
    assert told["application"]["limit_band"] == "10000-29999"
    assert "minor" not in str(told)
    await in_state(web, declined, "declined")
    counts = (await web.get(f"{API}/reconciliation")).json()
    assert counts["states"] == {"card_producing": 1, "declined": 1}
    assert counts["declines"] == {"credit_history": 1}
    assert counts["applications"] == 2


async def test_a_message_that_comes_first_waits_for_its_application(
    web: httpx.AsyncClient, bank: Bank
) -> None:
    await signed_in(web, bank, "assistant", bank.branch)
    application = bank.application()
    await bank.tell(
        application, notify.MessageRequested, notify.MessageSent, message_id=application
    )

    async def counted() -> bool:
        counts = (await web.get(f"{API}/reconciliation")).json()
        return bool(counts["messages"] == {"sent": 1})

    await eventually(counted)
    assert await found(web, application) == {}
    await bank.to_review(application)
    told = await in_state(web, application, "manual_review")
    assert sum(event["type"].startswith("banka.message.") for event in told["events"]) == 2


async def test_a_silent_case_is_reported_once_and_resumed_when_it_moves(
    web: httpx.AsyncClient, bank: Bank
) -> None:
    await signed_in(web, bank, "assistant", bank.branch)
    application = bank.application()
    await bank.to_review(application)
    told = await in_state(web, application, "manual_review")
    due = told["application"]["silence_due"]
    assert due == "2026-11-12T15:59:59Z"  # the third working day after Monday, to its end

    async def case_events() -> list[str]:
        events = (await found(web, application))["events"]
        return [event["type"] for event in events if event["type"].startswith("banka.case.")]

    await bank.later(days=3, hours=16)

    async def stalled() -> bool:
        return await case_events() == ["banka.case.stalled.v1"]

    await eventually(stalled)
    assert (await found(web, application))["application"]["stalled"]
    board = await web.get("/reporting/board", params={"lang": "en"})
    assert bank.number(application) in board.text
    await bank.tell(application, review.ApplicationApproved)

    async def resumed() -> bool:
        return await case_events() == ["banka.case.stalled.v1", "banka.case.resumed.v1"]

    await eventually(resumed)
    assert not (await found(web, application))["application"]["stalled"]


async def test_an_imported_application_is_shown_and_raises_no_alarm(
    web: httpx.AsyncClient, bank: Bank
) -> None:
    await signed_in(web, bank, "assistant", bank.branch)
    imported, ordinary = bank.application(), bank.application()
    long_ago = bank.now - timedelta(days=60)
    await bank.tell(
        imported,
        intake.ApplicationImported,
        at=long_ago,
        origin="imported",
        state="manual_review",
    )
    await bank.to_review(ordinary)
    await in_state(web, imported, "manual_review")
    await in_state(web, ordinary, "manual_review")
    await bank.later(days=10)

    async def ordinary_stalled() -> bool:
        return bool((await found(web, ordinary))["application"]["stalled"])

    await eventually(ordinary_stalled)
    assert not (await found(web, imported))["application"]["stalled"]


async def test_nobody_sees_an_application_of_another_branch(
    web: httpx.AsyncClient, bank: Bank
) -> None:
    await signed_in(web, bank, "assistant", bank.branch)
    own, other = bank.application(), bank.application(branch="7001")
    await bank.to_review(own)
    await bank.to_review(other)
    await in_state(web, own, "manual_review")
    mine = dict(web.cookies)
    await signed_in(web, bank, "auditor", "*")

    async def auditor_sees() -> bool:
        return bool(await found(web, other))

    await eventually(auditor_sees)
    # who sees every branch by one role works on those of their own by the other
    await signed_in(web, bank, "auditor assistant", bank.branch)
    for application_id, offered in ((own, True), (other, False)):
        page = await web.get(f"/reporting/applications/{application_id}")
        assert (f'href="/intake/applications/{application_id}"' in page.text) is offered
    web.cookies.clear()
    web.cookies.update(mine)
    assert (await web.get(f"{API}/applications/{other}")).status_code == 404
    assert (await web.get(f"/reporting/applications/{other}")).status_code == 404
    listed = (await web.get(f"{API}/applications")).json()
    assert [row["application_id"] for row in listed["applications"]] == [own]
    assert (await web.get(f"{API}/applications?branch=7001")).json()["total"] == 0
    web.cookies.clear()
    assert (await web.get(f"{API}/applications")).status_code == 401


async def test_every_route_says_who_may_enter(bank: Bank) -> None:
    assert routes_without_permission(build(bank.settings)) == []


async def test_an_impossible_event_parks_its_application_only(
    web: httpx.AsyncClient, bank: Bank
) -> None:
    await signed_in(web, bank, "assistant", bank.branch)
    broken, sound = bank.application(), bank.application()
    await bank.tell(broken, intake.ApplicationDrafted, intake.CardOrdered)
    await bank.tell(broken, intake.ApplicationSubmitted)
    await bank.to_review(sound)
    await in_state(web, sound, "manual_review")
    await in_state(web, broken, "draft")
    assert len((await found(web, broken))["events"]) == 1


async def test_a_handed_out_report_can_be_made_again_byte_for_byte(
    web: httpx.AsyncClient, bank: Bank
) -> None:
    await signed_in(web, bank, "manager", bank.branch)
    application = bank.application()
    await bank.decline(application, "eligibility")
    await in_state(web, application, "declined")
    day = "2026-11-09"
    first = await web.get(f"/reporting/reports/daily/{day}/excel")
    assert first.status_code == 200
    assert first.content[:2] == b"PK"
    manifest_id = first.headers["x-manifest"]
    again = await web.get(f"/reporting/reports/daily/{day}/excel")
    assert again.headers["x-manifest"] == manifest_id
    assert again.content == first.content
    # what happens afterwards, even on the same day, does not change what was handed out
    late = bank.application()
    await bank.decline(late, "internal")
    await in_state(web, late, "declined")
    load_words(bank.settings)
    pool = await open_pool(bank.settings, "reporting", min_size=1, max_size=2)
    try:
        verified = await editions.verify(pool, manifest_id)
    finally:
        await pool.close()
    assert verified is not None
    assert verified.same
    archived = await web.get(f"/reporting/reports/archive/{manifest_id}")
    assert archived.content == first.content
    newer = await web.get(f"/reporting/reports/daily/{day}/excel")
    assert newer.headers["x-manifest"] != manifest_id
    assert newer.content != first.content


async def test_a_tampered_event_row_is_noticed_when_a_report_is_verified(
    web: httpx.AsyncClient, bank: Bank, reporting_stack: Any
) -> None:
    await signed_in(web, bank, "manager", bank.branch)
    application = bank.application()
    await bank.decline(application, "eligibility")
    await in_state(web, application, "declined")
    answer = await web.get("/reporting/reports/daily/2026-11-09/excel")
    conn = await asyncpg.connect(reporting_stack.superuser_url("banka_reporting"))
    try:
        await conn.execute(
            "UPDATE projection.event SET facts = jsonb_set(facts, '{category}', '\"internal\"')"
            " WHERE application_id = $1 AND type LIKE '%declined%'",
            application,
        )
    finally:
        await conn.close()
    pool = await open_pool(bank.settings, "reporting", min_size=1, max_size=2)
    try:
        verified = await editions.verify(pool, answer.headers["x-manifest"])
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("UPDATE projection.event SET type = 'x'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("DELETE FROM owned.report")
    finally:
        await pool.close()
    assert verified is not None
    assert not verified.same


async def test_every_page_opens_in_both_languages_and_every_number_can_be_opened(
    web: httpx.AsyncClient, bank: Bank
) -> None:
    await signed_in(web, bank, "manager", bank.branch)
    applications = [bank.application() for _ in range(4)]
    for application, category in zip(
        applications, ("eligibility", "internal", "credit_history", "eligibility"), strict=True
    ):
        await bank.decline(application, category)
    for application in applications:
        await in_state(web, application, "declined")
    day = "/reporting/reports/daily/2026-11-09"
    for language, word in (("zh-CN", "日报"), ("en", "Daily report")):
        web.cookies.set("banka_language", language)
        for path in (
            "/reporting/board",
            "/reporting/applications?sort=-since&state=declined",
            f"/reporting/applications/{applications[0]}",
            day,
            "/reporting/reports",
        ):
            answer = await web.get(path)
            assert answer.status_code == 200, path
            assert f'lang="{language}"' in answer.text
        assert word in (await web.get(day)).text
    figures = (await web.get(f"{API}/reports/daily/2026-11-09")).json()["figures"]
    declined = next(figure for figure in figures if figure["key"] == "declined.eligibility")
    assert declined["value"] == 2
    for figure in random.Random(7).sample(figures, 12):
        page = await web.get(f"{day}/figures/{figure['key']}")
        assert page.status_code == 200, figure["key"]
    evidence = (await web.get(f"{day}/figures/declined.eligibility")).text
    assert evidence.count("/reporting/applications/") >= 2
    assert bank.number(applications[0]) in evidence
    assert (await web.get(f"{day}/figures/nonsense")).status_code == 404
    assert (await web.get("/reporting/reports/daily/0001-01-01")).status_code == 404
    assert (await web.get("/reporting/reports/daily/2027-01-01")).status_code == 404


async def test_the_list_is_searched_sorted_and_paged_by_the_server(
    web: httpx.AsyncClient, bank: Bank
) -> None:
    await signed_in(web, bank, "assistant", bank.branch)
    applications = [bank.application() for _ in range(5)]
    await asyncio.gather(*(bank.to_review(application) for application in applications))
    for application in applications:
        await in_state(web, application, "manual_review")
    wanted = bank.number(applications[2])
    hits = (await web.get(f"{API}/applications", params={"number": wanted})).json()
    assert [row["number"] for row in hits["applications"]] == [wanted]
    numbers = sorted(bank.number(application) for application in applications)
    pages = [
        (
            await web.get(
                f"{API}/applications", params={"sort": "number", "page": page, "page_size": 2}
            )
        ).json()
        for page in (1, 2, 3)
    ]
    assert [row["number"] for page in pages for row in page["applications"]] == numbers
    assert {page["total"] for page in pages} == {5}
    none = (await web.get(f"{API}/applications", params={"desk": "compliance"})).json()
    assert none["total"] == 0
    page = await web.get("/reporting/applications")
    token = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
    assert token is not None
    home = "/reporting/applications"
    for value, leads in (
        (wanted, f"{home}/{applications[2]}"),
        (wanted[-6:], f"{home}/{applications[2]}"),
        (wanted[:12], home),  # several
        ("13900005678", home),
        ("诸葛小明", home),
    ):
        form = {"csrf_token": token[1], "value": value}
        answer = await web.post(f"{home}/search", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, leads), value


def cells(page: str, label: str) -> list[list[str]]:
    """The rows of a page's table, each cell as a reader reads it."""
    table = page.partition(f">{label}</caption>")[2].partition("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table.partition("<tbody>")[2], re.DOTALL)
    return [
        [
            " ".join(re.sub(r"<[^>]+>", " ", cell).split())
            for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)
        ]
        for row in rows
    ]


async def test_every_cell_of_the_desks_and_of_the_rates_is_what_happened(
    web: httpx.AsyncClient, bank: Bank
) -> None:
    """Handed in on a Monday and looked at on Thursday morning: three working days are a reviewer's,
    one the risk desk's and card operations'. A held case is one of the reviewers' here."""
    begun = (intake.ApplicationDrafted, intake.ApplicationSubmitted, intake.PreCheckStarted)
    checked = (*begun, intake.PreCheckPassed, review.ChecksCompleted)
    referred = (*checked, review.ApplicationReferred)
    scored = (*checked, review.ApplicationApproved)
    lives: list[tuple[str, tuple[type[Payload], ...]]] = [
        *[("awaiting_material", (*begun, intake.MaterialRequested))] * 5,
        ("pre_check", begun),
        ("scoring", checked),
        *[("manual_review", referred)] * 3,
        *[("manual_review", (*checked, review.ApplicationHeld))] * 2,
        ("approved", scored),
        *[("card_producing", (*scored, intake.CardOrdered))] * 2,
        ("declined", (*referred, review.ApplicationDeclined)),
    ]
    await signed_in(web, bank, "assistant", bank.branch)
    applications = [bank.application() for _ in lives]
    for application, (_state, life) in zip(applications, lives, strict=True):
        await bank.tell(application, *life)
    for application, (state, _life) in zip(applications, lives, strict=True):
        await in_state(web, application, state)
    await bank.later(days=3)
    late = [
        application
        for application, (state, _life) in zip(applications, lives, strict=True)
        if state in ("scoring", "approved")
    ]

    async def silent() -> bool:
        told = [await found(web, application) for application in late]
        return all(one["application"]["stalled"] for one in told)

    await eventually(silent)
    board = (await web.get("/reporting/board", params={"lang": "en"})).text
    assert cells(board, "To do today, by desk") == [
        # desk, open, waiting on the bank, due today, silent for too long
        ["Assistants&#39; desk", "6", "1", "0", "0"],
        ["Credit review", "5", "5", "5", "0"],
        ["Risk control", "1", "1", "0", "1"],
        ["Card operations", "3", "1", "0", "1"],
    ]
    daily = (await web.get("/reporting/reports/daily/2026-11-09", params={"lang": "en"})).text
    assert cells(daily, "Rates of 30 days") == [
        ["Asked for more material", "33.3%", "15"],
        ["Complete at the first try", "66.7%", "15"],
        ["Pre-check pass rate", "66.7%", "15"],
        ["Approval rate", "75.0%", "4"],
        ["Activation rate", "0.0%", "2"],
    ]
    page = (await web.get(f"/reporting/applications/{late[0]}", params={"lang": "en"})).text
    way = cells(page, "Time per stage")
    assert [(stage[0], stage[2], stage[3]) for stage in way][-2:] == [
        ("Checking", "0 s", "a partner"),
        ("Scoring", "3 d so far", "the bank"),
    ]
    stages = (await found(web, late[0]))["stages"]
    assert stages[-1]["until"] is None
    assert (stages[-1]["state"], stages[-1]["seconds"]) == ("scoring", 3 * 24 * 3600)


async def test_every_page_is_light_with_as_many_rows_as_it_may_have(
    web: httpx.AsyncClient, bank: Bank, reporting_stack: Any
) -> None:
    await signed_in(web, bank, "manager", bank.branch)
    application = bank.application()
    await bank.decline(application, "eligibility")
    await in_state(web, application, "declined")
    waits = bank.application()
    await bank.to_review(waits)
    await in_state(web, waits, "manual_review")
    day = "2026-11-09"
    handed_out = await web.get(f"/reporting/reports/daily/{day}/excel")
    conn = await asyncpg.connect(reporting_stack.superuser_url("banka_reporting"))
    try:
        await copy_row(conn, "projection.application", waits, 40, "application_id")
        await copy_row(conn, "owned.report", handed_out.headers["x-manifest"], 250, "manifest_id")
    finally:
        await conn.close()
    files = {
        "/reporting/reports/daily",  # leads to the newest day
        "/reporting/reports/daily/{day}/excel",
        "/reporting/reports/archive/{manifest_id}",
    }
    pages = {
        "/reporting/board": 0,
        "/reporting/applications": 26,  # the head, and a page of rows
        "/reporting/applications/{application_id}": 0,
        "/reporting/reports/daily/{day}": 0,
        "/reporting/reports/daily/{day}/figures/{key}": 0,
        "/reporting/reports": 26,
    }
    app = web._transport.app  # type: ignore[attr-defined]
    assert pages.keys() | files == pages_of(app) - common_pages("reporting")
    assert handed_out.status_code == 200
    heavy = {}
    for page, rows in pages.items():
        for language in ("zh-CN", "en"):
            address = page.format(application_id=application, day=day, key="submitted")
            answer = await web.get(address, params={"lang": language})
            assert answer.text.count("<tr") >= rows, address
            weight = await weight_of(web, answer)
            if weight > MOST_BYTES:
                heavy[address] = weight
    assert heavy == {}
