"""A hold is known to reviewers, risk control and compliance; nobody who speaks to customers finds a
trace of it, on whichever route (反洗钱法 35)."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import httpx

from shared.events import intake, review
from shared.web.access import declared_access
from tests.eventually import eventually
from tests.integration.reporting.bank import Bank
from tests.integration.reporting.test_service import API, found, in_state, signed_in

DAY = "2026-11-09"
TRACES = (
    "on_hold",
    "On hold",
    "挂起",
    "ompliance",
    "合规",
    "application.held",
    "application.released",
    "Put on hold",
    "Released from hold",
    "decided_by",
    "policy_version",
    "reason_codes",
    "C0001",
)


async def checked(bank: Bank) -> str:
    """An application whose checks are complete."""
    application = bank.application()
    await bank.tell(
        application,
        intake.ApplicationDrafted,
        intake.ApplicationSubmitted,
        intake.PreCheckStarted,
        intake.PreCheckPassed,
        review.ChecksCompleted,
    )
    return application


async def test_no_route_tells_an_assistant_or_a_manager_of_a_hold(
    web: httpx.AsyncClient, bank: Bank
) -> None:
    held, held_later, released = await checked(bank), bank.application(), await checked(bank)
    await bank.to_review(held_later)
    await bank.tell(held, review.ApplicationHeld)
    await bank.tell(released, review.ApplicationHeld)
    started = bank.now
    await bank.later(hours=3)
    await bank.tell(held_later, review.ApplicationHeld)
    await bank.tell(released, review.ApplicationReleased)
    await bank.tell(
        released,
        review.ApplicationDeclined,
        decided_by=["C0001", "R0001"],
        reason_codes=["INTERNAL"],
        category="internal",
    )
    await signed_in(web, bank, "compliance", bank.branch)
    await in_state(web, held, "on_hold")
    await in_state(web, held_later, "on_hold")
    await in_state(web, released, "declined")
    whole = (await web.get(f"{API}/applications", params={"desk": "compliance"})).json()
    assert whole["total"] >= 2
    await bank.later(days=9)  # beyond the hold's own clock: the silence is told as a reviewer's
    await eventually(lambda: _stalled(web, held))
    for role in ("assistant", "manager"):
        await signed_in(web, bank, role, bank.branch)
        assert (await web.get("/reporting/operations/parked")).status_code == 403
        await _leaves_no_trace(web, held, held_later, released)
        for application, since in ((held, started), (held_later, started)):
            seen = (await found(web, application))["application"]
            assert (seen["state"], seen["desk"]) == ("manual_review", "credit_review")
            assert seen["since"] == since.isoformat().replace("+00:00", "Z")
        for name, code, total in (
            ("desk", "compliance", 0),
            ("state", "on_hold", 0),
            ("state", "manual_review", 2),
            ("desk", "credit_review", 2),
        ):
            listed = (await web.get(f"{API}/applications", params={name: code})).json()
            assert listed["total"] == total, (role, name, code)
        counts = (await web.get(f"{API}/reconciliation")).json()
        assert counts["states"] == {"manual_review": 2, "declined": 1}
        seen_events = [
            len((await found(web, one))["events"]) for one in (held, held_later, released)
        ]
        assert counts["events"] == sum(seen_events)


async def _stalled(web: httpx.AsyncClient, application: str) -> bool:
    return bool((await found(web, application))["application"]["stalled"])


async def _leaves_no_trace(web: httpx.AsyncClient, *applications: str) -> None:
    """Every route that reads, for everything that can be named in it, once each."""
    report = (await web.get(f"{API}/reports/daily/{DAY}")).json()
    excel = await web.get(f"/reporting/reports/daily/{DAY}/excel")
    manifest = excel.headers["x-manifest"]
    for language in ("zh-CN", "en"):
        web.cookies.set("banka_language", language)
        paths = {
            route.format(application_id=application, day=DAY, key=key, manifest_id=manifest)
            for route in _reading(web)
            for application in applications
            for key in [figure["key"] for figure in report["figures"]]
        }
        for path in sorted(paths):
            answer = await web.get(path, follow_redirects=True)
            assert answer.status_code == 200, path
            for trace in TRACES:
                assert trace not in _text(answer), (path, trace)


def _reading(web: httpx.AsyncClient) -> list[str]:
    transport: Any = web._transport
    routes = [
        route.split(" ", 1)[1]
        for route in declared_access(transport.app)
        if route.startswith("GET") and " /reporting/" in route
    ]
    assert len(routes) > 12
    # what waits for an operator is for operators alone, the audit log for auditors and compliance
    others = ("/operations/", "/reporting/audit")
    return [
        route
        for route in routes
        if not route.endswith("openapi.json") and not any(one in route for one in others)
    ]


def _text(answer: httpx.Response) -> str:
    if answer.content[:2] != b"PK":
        return answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
        return "".join(book.read(name).decode() for name in book.namelist())


async def test_a_report_that_tells_of_holds_is_not_handed_to_who_may_not_know_of_them(
    web: httpx.AsyncClient, bank: Bank
) -> None:
    application = await checked(bank)
    await bank.tell(application, review.ApplicationHeld)
    await signed_in(web, bank, "risk_officer", "*")
    await in_state(web, application, "on_hold")
    excel = await web.get(f"/reporting/reports/daily/{DAY}/excel")
    manifest = excel.headers["x-manifest"]
    archive = f"/reporting/reports/archive/{manifest}"
    assert (await web.get(archive)).status_code == 200
    await signed_in(web, bank, "assistant", "*")
    assert (await web.get(archive)).status_code == 404
    listed = (await web.get(f"{API}/reports")).json()
    assert manifest not in {report["manifest_id"] for report in listed}


async def test_the_clock_of_a_hold_runs_inside(web: httpx.AsyncClient, bank: Bank) -> None:
    application = await checked(bank)
    await bank.tell(application, review.ApplicationHeld)
    await signed_in(web, bank, "risk_officer", "*")
    inside = (await in_state(web, application, "on_hold"))["application"]
    await signed_in(web, bank, "assistant", bank.branch)
    outside = (await in_state(web, application, "manual_review"))["application"]
    assert inside["silence_due"] == "2026-11-16T15:59:59Z"
    assert outside["silence_due"] == "2026-11-12T15:59:59Z"
