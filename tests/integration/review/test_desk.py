"""The officer's desk: the next case, whose it is, and how cases come and go."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.review.store import LIKE_IT
from shared.calendar import BUSINESS_ZONE
from shared.events import intake
from shared.identifiers import new_id
from shared.parameters.held import SHIPPED, published_list, read_held
from shared.parameters.load import take
from tests.eventually import eventually
from tests.integration.review.bank import Bank, Colleague
from tests.integration.review.conftest import Desks
from tests.integration.review.test_service import API, APPROVE, handed, said
from tests.integration.scope import everything_in_a_branch

__all__ = ["everything_in_a_branch"]  # a fixture

NO_RECORD = 951  # somebody of whom the bureau has no record

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def waiting(bank: Bank, number: int, applicant_type: str = "existing_customer") -> list[str]:
    """Ids of so many cases that were referred to a person and are nobody's."""
    found = [
        await handed(bank, "application.referred", new_to_bank=True, applicant_type=applicant_type)
        for _ in range(number)
    ]
    return [one.application_id for one in found]


async def emptied(desks: Desks) -> None:
    """What earlier tests left waiting is taken: nothing waits any more."""
    while (await desks.second.post(f"{API}/queue/next")).status_code == 200:
        pass


async def test_the_next_case_is_the_first_that_is_due_and_nobodys(bank: Bank, desks: Desks) -> None:
    await emptied(desks)
    (salaried,) = await waiting(bank, 1, "salaried")  # ten working days
    first, second = await waiting(bank, 2)  # five
    claimed = [(await desks.first.post(f"{API}/queue/next")).json() for _ in range(3)]
    assert [one["application_id"] for one in claimed] == [first, second, salaried]
    assert {one["claimed_by"] for one in claimed} == {desks.first.staff_id}
    answer = await desks.first.post(f"{API}/queue/next")
    assert (answer.status_code, answer.json()["code"]) == (404, "nothing-waits")
    page = await desks.first.client.post("/review/queue/next")
    assert (page.status_code, page.headers["location"]) == (303, "/review/queue")
    assert (await desks.compliance.post(f"{API}/queue/next")).status_code == 403


async def test_officers_who_ask_at_once_get_a_case_each(bank: Bank, desks: Desks) -> None:
    await emptied(desks)
    there = await waiting(bank, 6)
    officers = [desks.first, desks.second] * 3
    answers = await asyncio.gather(*(one.post(f"{API}/queue/next") for one in officers))
    assert [one.status_code for one in answers] == [200] * 6
    assert sorted(one.json()["application_id"] for one in answers) == sorted(there)
    for answer, officer in zip(answers, officers, strict=True):
        assert answer.json()["claimed_by"] == officer.staff_id


async def test_the_next_case_opens_on_its_page(bank: Bank, desks: Desks) -> None:
    await emptied(desks)
    (case,) = await waiting(bank, 1)
    queue = await desks.first.get("/review/queue", lang="en")
    assert 'data-key="n"' in queue.text
    answer = await desks.first.client.post("/review/queue/next")
    assert answer.headers["location"] == f"/review/cases/{case}"
    page = await desks.first.get(answer.headers["location"], lang="en")
    assert "The case is yours." in page.text
    assert 'data-key="n"' in page.text
    auditor = await bank.colleague(desks.transport, "auditor")
    for path in ("/review/queue", f"/review/cases/{case}"):
        assert 'data-key="n"' not in (await auditor.get(path, lang="en")).text


async def test_the_next_case_is_that_of_the_part_of_the_queue_where_the_key_was_pressed(
    bank: Bank, desks: Desks
) -> None:
    await emptied(desks)
    (other,) = await waiting(bank, 1)  # is due first
    known = [
        (await handed(bank, "application.referred", NO_RECORD)).application_id for _ in range(2)
    ]
    # of this new customer the policy has not spoken yet
    await bank.fetch(
        "UPDATE review_case SET findings = '{}', advice = NULL WHERE application_id = $1", other
    )
    officer = await bank.colleague(desks.transport, "reviewer")
    for new, there in (("true", True), ("false", False)):
        shown = (await officer.get(f"{API}/queue", new_to_bank=new, page_size="100")).json()
        assert (other in [one["application_id"] for one in shown["cases"]]) is there
    answer = await officer.client.post(f"{API}/queue/next", params={"new_to_bank": False})
    assert answer.json()["application_id"] == known[0]
    answer = await officer.client.post(f"{API}/queue/next", params={"amount_from": 10**11})
    assert (answer.status_code, answer.json()["code"]) == (404, "nothing-waits")

    queue = await officer.get("/review/queue", lang="en", acquaintance="known")
    assert 'name="within" value="?acquaintance=known"' in queue.text
    answer = await officer.client.post("/review/queue/next", data={"within": "?acquaintance=known"})
    assert answer.headers["location"] == f"/review/cases/{known[1]}"
    # from the case's page on it is the same part, and there is no more of it
    answer = await officer.client.post("/review/queue/next")
    assert answer.headers["location"] == "/review/queue?acquaintance=known"
    answer = await officer.client.post("/review/queue/next", data={"within": "?"})
    assert answer.headers["location"] == f"/review/cases/{other}"


async def given(signer: Colleague, found: list[str], to: str) -> dict[str, Any]:
    answer = await signer.post(f"{API}/reassignments", {"cases": found, "to": to})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def refused_case(case: str, code: str) -> dict[str, str]:
    return {"kind": "case", "application_id": case, "code": code}


async def mine(colleague: Colleague) -> list[str]:
    """Ids of the cases that are somebody's own."""
    answer = await colleague.get(f"{API}/queue", section="mine", page_size=200)
    return [case["application_id"] for case in answer.json()["cases"]]


async def test_who_may_sign_gives_many_cases_to_a_colleague_who_finds_them_among_theirs(
    bank: Bank, desks: Desks
) -> None:
    await emptied(desks)
    theirs, nobodys, proposed = await waiting(bank, 3)
    for case in (theirs, proposed):
        assert (await desks.first.post(f"{API}/cases/{case}/claim")).status_code == 200
    answer = await desks.first.post(f"{API}/cases/{proposed}/decision", APPROVE)
    assert answer.status_code == 200
    receiver = await bank.colleague(desks.transport, "reviewer")
    unknown = new_id()
    told = await given(
        desks.second, [theirs, nobodys, proposed, unknown, theirs], receiver.staff_id
    )
    assert told == {
        "given": [theirs, nobodys],
        "appeals": [],
        "disputes": [],
        "limit_changes": [],
        "refused": [
            {"kind": "case", "application_id": proposed, "code": "proposed"},
            {"kind": "case", "application_id": unknown, "code": "not-found"},
        ],
    }
    assert set(await mine(receiver)) == {theirs, nobodys}
    assert theirs not in await mine(desks.first)
    page = await receiver.get(f"/review/cases/{theirs}", lang="en")
    assert "Given to a colleague" in page.text
    assert f"甲{desks.first.staff_id[-4:]} → 甲{receiver.staff_id[-4:]}" in page.text
    answer = await desks.first.post(f"{API}/reassignments", {"cases": [theirs], "to": "x"})
    assert answer.status_code == 403
    found = await given(desks.second, [theirs], desks.compliance.staff_id)
    assert found["refused"] == [refused_case(theirs, "unknown-officer")]
    log = (await desks.compliance.get("/review/audit", lang="en")).text
    assert "Given to a colleague" in log
    assert f"甲{receiver.staff_id[-4:]}" in log


async def test_a_signer_of_another_branch_gives_nothing_away(
    bank: Bank, desks: Desks, everything_in_a_branch: None
) -> None:
    stranger = await bank.colleague(desks.transport, "risk_officer", branch="0001")
    receiver = await bank.colleague(desks.transport, "reviewer", branch=bank.branch)
    (case,) = await waiting(bank, 1)
    told = await given(stranger, [case], receiver.staff_id)
    assert told["refused"] == [refused_case(case, "not-found")]
    assert (await stranger.post(f"{API}/queue/next")).status_code == 404
    own = await bank.colleague(desks.transport, "risk_officer", branch=bank.branch)
    told = await given(own, [case], stranger.staff_id)
    assert told["refused"] == [refused_case(case, "unknown-officer")]
    assert (await given(own, [case], receiver.staff_id))["given"] == [case]


async def test_cases_are_chosen_on_the_queues_page_and_given_from_a_cases_own(
    bank: Bank, desks: Desks
) -> None:
    await emptied(desks)
    cases = await waiting(bank, 2)
    receiver = await bank.colleague(desks.transport, "reviewer")
    assert 'name="cases"' not in (await desks.first.get("/review/queue", lang="en")).text
    queue = (await desks.second.get("/review/queue", lang="en")).text
    for case in cases:
        assert f'name="cases" value="{case}"' in queue
    form = {"cases": cases, "to": receiver.staff_id, "back": "product=standard"}
    answer = await desks.second.client.post("/review/queue/reassign", data=form)
    assert answer.headers["location"] == "/review/queue?product=standard"
    assert sorted(await mine(receiver)) == sorted(cases)
    page = await desks.second.get("/review/queue", lang="en")
    assert "Given on: 2 cases." in page.text
    form = {"cases": cases[:1], "to": desks.first.staff_id, "back": "case"}
    answer = await desks.second.client.post("/review/queue/reassign", data=form)
    assert answer.headers["location"] == f"/review/cases/{cases[0]}"
    assert cases[0] in await mine(desks.first)
    answer = await desks.second.client.post("/review/queue/reassign", data={"to": "x"})
    page = await desks.second.get("/review/queue", lang="en")
    assert "Choose cases first." in page.text


async def act(colleague: Colleague, case: str, what: str, body: Any = None) -> dict[str, Any]:
    answer = await colleague.post(f"{API}/cases/{case}/{what}", body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def in_section(colleague: Colleague, section: str) -> set[str]:
    answer = await colleague.get(f"{API}/queue", section=section, page_size=200)
    return {case["application_id"] for case in answer.json()["cases"]}


async def back_among_ones_own(colleague: Colleague, case: str) -> None:
    async def awake() -> bool:
        return case in await mine(colleague)

    await eventually(awake)


async def test_a_case_that_is_laid_aside_comes_back_by_the_business_clock(
    bank: Bank, desks: Desks
) -> None:
    (case,) = await waiting(bank, 1)
    await act(desks.first, case, "claim")
    at = bank.now + timedelta(hours=4)
    told = await act(
        desks.first, case, "snooze", {"until": at.isoformat(), "note": "等客户上班后回电"}
    )
    assert told["snooze"] == {"until": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "awaited": None}
    assert told["due"] is not None
    for section in ("open", "mine"):
        assert case not in await in_section(desks.first, section)
    assert case in await in_section(desks.first, "snoozed")
    page = (await desks.first.get(f"/review/cases/{case}", lang="en")).text
    assert "Laid aside" in page
    assert "等客户上班后回电" in page
    rows = await bank.fetch("SELECT details::text FROM case_history WHERE action = 'snoozed'")
    assert all("回电" not in row["details"] for row in rows)
    bank.step(at)
    await back_among_ones_own(desks.first, case)
    assert case in await in_section(desks.first, "open")
    page = (await desks.first.get(f"/review/cases/{case}", lang="en")).text
    assert "Taken up again" in page


async def test_a_paper_brings_back_a_case_that_waits_for_one(bank: Bank, desks: Desks) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    case = applicant.application_id
    await act(desks.first, case, "claim")
    await act(desks.first, case, "snooze", {"awaited": "material", "note": "客户说下午送来"})
    assert case in await in_section(desks.first, "snoozed")
    paper = intake.DocumentReceived(
        **applicant.about,
        document_id=new_id(),
        document_number="D20261109000001",
        item="tax_proof",
        sha256="b" * 64,
        media_type="image/png",
        size=10,
    )
    await bank.publish(case, paper, applicant.version)
    await back_among_ones_own(desks.first, case)
    page = (await desks.first.get(f"/review/cases/{case}", lang="en")).text
    assert f"/documents/{paper.document_id}" in page
    assert len(re.findall(r">\s*new\s*<", page)) == 1
    assert "A paper came in" in page
    # told again, it is the same paper
    await bank.publish(case, paper, applicant.version)
    await act(desks.first, case, "notes", {"note": "已看"})
    page = (await desks.first.get(f"/review/cases/{case}", lang="en")).text
    assert page.count(f'href="/intake/applications/{case}/documents/{paper.document_id}"') == 1


async def test_a_case_is_laid_aside_on_its_page_but_not_beyond_its_due_date(
    bank: Bank, desks: Desks
) -> None:
    (case,) = await waiting(bank, 1)
    told = await act(desks.first, case, "claim")
    path = f"/review/cases/{case}"
    for colleague in (desks.first, desks.second):
        await colleague.get(path, lang="en")  # and stays in English
    for form, told_then in (
        ({"until": "tomorrow", "note": "x"}, "Give day and time"),
        ({"until": "2020-01-01T08:00", "note": "x"}, "Choose a time to come."),
        ({"awaited": "check", "note": "x"}, "Say until when"),
        ({"until": "2099-01-01T08:00", "note": " "}, "Please give your opinion in words."),
        ({"until": "2099-01-01T08:00", "note": "x"}, "The case is laid aside."),
    ):
        answer = await desks.first.client.post(f"{path}/snooze", data=form)
        assert answer.status_code == 303, answer.text
        assert told_then in (await desks.first.get(path, lang="en")).text
    told = await act(desks.first, case, "wake")
    assert told["snooze"] is None
    await act(desks.first, case, "snooze", {"awaited": "material", "note": "等材料"})
    answer = await desks.second.client.post(f"{path}/wake")
    assert "Claim the case first." in (await desks.second.get(path, lang="en")).text
    bank.step(datetime.fromisoformat(told["due"]) + timedelta(minutes=1))
    await back_among_ones_own(desks.first, case)
    answer = await desks.first.post(
        f"{API}/cases/{case}/snooze", {"awaited": "material", "note": "x"}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "overdue")
    queue = (await desks.first.get("/review/queue", section="mine", lang="en")).text
    assert "late by" in queue


async def of(colleague: Colleague, officer: Colleague) -> dict[str, Any]:
    """An officer's line of the workload, as a colleague sees it."""
    answer = await colleague.get(f"{API}/workload")
    assert answer.status_code == 200, answer.text
    (found,) = [one for one in answer.json()["officers"] if one["staff_id"] == officer.staff_id]
    return dict(found)


async def test_the_workload_counts_what_each_has_and_what_of_it_is_due(
    bank: Bank, desks: Desks
) -> None:
    officer = await bank.colleague(desks.transport, "reviewer")
    cases = await waiting(bank, 4)
    for case in cases:
        await act(officer, case, "claim")
    await act(officer, cases[0], "snooze", {"awaited": "material", "note": "等材料"})
    await act(officer, cases[1], "decision", APPROVE)
    answer = await officer.get(f"{API}/cases/{cases[2]}")
    due = datetime.fromisoformat(answer.json()["due"])
    nothing = {"open": 0, "today": 0, "overdue": 0}
    beside = dict.fromkeys(("appeals", "disputes", "limit_changes"), nothing)
    assert (await of(desks.second, officer))["load"] == {
        "open": 3, "today": 0, "overdue": 0, "snoozed": 1, **beside
    }  # fmt: skip
    bank.step(due - timedelta(hours=2))
    assert (await of(desks.second, officer))["load"]["today"] == 3
    bank.step(due + timedelta(hours=2))
    await back_among_ones_own(officer, cases[0])
    assert (await of(desks.second, officer))["load"] == {
        "open": 3, "today": 0, "overdue": 3, "snoozed": 0, **beside
    }  # fmt: skip
    page = (await desks.second.get("/review/workload", lang="en")).text
    assert f"/review/queue?holder={officer.staff_id}" in page
    told = (await desks.second.get(f"{API}/workload")).json()["officers"]
    late = [one["load"]["overdue"] for one in told]
    assert late == sorted(late, reverse=True)
    shown = (await desks.second.get("/review/queue", holder=officer.staff_id)).text
    assert all((case in shown) is (case != cases[1]) for case in cases)
    assert set(await mine(desks.first)).isdisjoint(cases)


async def test_an_officer_sees_oneself_and_others_see_nothing(bank: Bank, desks: Desks) -> None:
    told = (await desks.first.get(f"{API}/workload")).json()
    assert [one["staff_id"] for one in told["officers"]] == [desks.first.staff_id]
    page = (await desks.first.get("/review/workload", lang="en")).text
    assert f"甲{desks.second.staff_id[-4:]}" not in page.partition('id="officer"')[0]
    assert (await desks.compliance.get("/review/workload")).status_code == 403
    auditor = await bank.colleague(desks.transport, "auditor")
    assert (await auditor.get(f"{API}/workload")).status_code == 403


async def test_cases_of_somebody_away_are_shown_and_given_on_and_nobody_gives_them_any(
    bank: Bank, desks: Desks
) -> None:
    leaving = await bank.colleague(desks.transport, "reviewer")
    staying = await bank.colleague(desks.transport, "reviewer")
    cases = await waiting(bank, 2)
    for case in cases:
        await act(leaving, case, "claim")
    today = bank.now.astimezone(BUSINESS_ZONE).date()
    away = {
        "staff_id": leaving.staff_id,
        "first": today.isoformat(),
        "last": (today + timedelta(days=3)).isoformat(),
    }
    assert (await desks.first.post(f"{API}/absences", away)).status_code == 404
    gone = {**away, "first": "2020-01-01", "last": "2020-01-02"}
    answer = await leaving.post(f"{API}/absences", gone)
    assert (answer.status_code, answer.json()["code"]) == (422, "time-passed")
    assert (await leaving.post(f"{API}/absences", away)).status_code == 200
    assert (await of(desks.second, leaving))["away_today"] is True
    page = (await desks.second.get("/review/workload", lang="en")).text
    assert "With colleagues who are away lie: 2 cases." in page
    shown = await desks.second.get("/review/queue", holder=leaving.staff_id, lang="en")
    assert "away until" in shown.text
    shown = await desks.second.get(f"/review/cases/{cases[0]}", lang="en")
    assert "and is away until" in shown.text
    (nobodys,) = await waiting(bank, 1)
    told = await given(desks.second, [nobodys], leaving.staff_id)
    assert told["refused"] == [refused_case(nobodys, "away")]
    answer = await desks.second.post(
        f"{API}/reassignments", {"of": leaving.staff_id, "to": staying.staff_id}
    )
    assert (answer.json()["given"], answer.json()["refused"]) == (cases, [])
    assert sorted(await mine(staying)) == sorted(cases)

    bank.step(bank.now + timedelta(days=4))
    assert (await of(desks.second, leaving))["away_today"] is False
    assert (await given(desks.second, cases[:1], leaving.staff_id))["given"] == cases[:1]
    form = {"staff_id": leaving.staff_id, "to": staying.staff_id}
    answer = await desks.second.client.post("/review/workload/hand-over", data=form)
    assert answer.headers["location"] == f"/review/workload?officer={leaving.staff_id}"
    assert sorted(await mine(staying)) == sorted(cases)
    log = (await desks.compliance.get("/review/audit", lang="en")).text
    assert "Absence of a reviewer changed" in log


async def test_whoever_stands_in_takes_over_the_cases_on_the_days_of_the_absence_alone(
    bank: Bank, desks: Desks
) -> None:
    leaving, deputy, other = [await bank.colleague(desks.transport, "reviewer") for _ in range(3)]
    elsewhere = await bank.colleague(desks.transport, "reviewer", branch="9999")
    cases = await waiting(bank, 2)
    for case in cases:
        await act(leaving, case, "claim")
    today = bank.now.astimezone(BUSINESS_ZONE).date()
    away = {
        "staff_id": leaving.staff_id,
        "first": (today + timedelta(days=1)).isoformat(),
        "last": (today + timedelta(days=2)).isoformat(),
    }

    async def refused(by: Colleague, path: str, body: dict[str, str]) -> tuple[int, str]:
        answer = await by.post(f"{API}/{path}", body)
        return answer.status_code, answer.json().get("code", "")

    absent = {**away, "staff_id": other.staff_id}
    assert (await other.post(f"{API}/absences", absent)).status_code == 200
    for nobody in (leaving, other, desks.compliance):  # oneself, somebody away, no officer
        named = {**away, "deputy": nobody.staff_id}
        assert await refused(leaving, "absences", named) == (422, "no-deputy")
    own = {**away, "staff_id": elsewhere.staff_id, "deputy": deputy.staff_id}
    assert (await elsewhere.post(f"{API}/absences", own)).status_code == 200, "of every branch"
    answer = await leaving.post(f"{API}/absences", {**away, "deputy": deputy.staff_id})
    assert answer.status_code == 200
    assert (await of(desks.second, leaving))["deputy"] == deputy.staff_id

    take = {"of": leaving.staff_id}
    assert await refused(deputy, "takeovers", take) == (403, "not-deputy"), "not away yet"
    bank.step(bank.now + timedelta(days=1))
    assert await refused(desks.second, "takeovers", take) == (403, "not-deputy")
    page = (await deputy.get("/review/workload", officer=leaving.staff_id, lang="en")).text
    assert "Take over what is open" in page
    assert f"甲{deputy.staff_id[-4:]} stands in" in page
    others = (await desks.first.get("/review/workload", officer=leaving.staff_id, lang="en")).text
    assert "Take over what is open" not in others
    told = (await deputy.post(f"{API}/takeovers", take)).json()
    assert (sorted(told["given"]), told["refused"]) == (sorted(cases), [])
    assert sorted(await mine(deputy)) == sorted(cases)
    rows = await bank.fetch(
        "SELECT actor FROM case_history WHERE application_id = $1 AND action = 'reassigned'",
        cases[0],
    )
    assert [row["actor"] for row in rows] == [deputy.staff_id]
    form = {"staff_id": leaving.staff_id}
    again = await deputy.client.post("/review/workload/take-over", data=form)
    assert again.status_code == 303, "nothing is left"

    bank.step(bank.now + timedelta(days=2))
    assert await refused(deputy, "takeovers", take) == (403, "not-deputy"), "back again"
    log = (await desks.compliance.get("/review/audit", lang="en")).text
    assert f"甲{deputy.staff_id[-4:]}" in log


async def test_an_absence_is_marked_and_ended_on_the_page(bank: Bank, desks: Desks) -> None:
    officer = await bank.colleague(desks.transport, "reviewer")
    today = bank.now.astimezone(BUSINESS_ZONE).date()
    form = {"staff_id": officer.staff_id, "first": today.isoformat(), "last": ""}
    await officer.get("/review/workload", lang="en")  # and stays in English
    for last, told_then in (
        ("", "Give both days."),
        ("31.12.", "Give both days."),
        ("2020-01-01", "The last day is before the first"),
        (today.isoformat(), "The absence is saved."),
    ):
        answer = await officer.client.post("/review/workload/away", data={**form, "last": last})
        assert answer.status_code == 303, answer.text
        assert told_then in (await officer.get("/review/workload", lang="en")).text
    assert (await of(officer, officer))["away_today"] is True
    here = {"staff_id": officer.staff_id, "first": "", "last": ""}
    assert (await officer.client.post("/review/workload/away", data=here)).status_code == 303
    assert (await of(officer, officer))["away_from"] is None


async def test_an_officer_is_given_only_what_they_take(bank: Bank, desks: Desks) -> None:
    await emptied(desks)
    branch = bank.branch
    await bank.open_branch(branch, "31")
    manager = await bank.colleague(desks.transport, "manager", branch=branch)
    officer = await bank.colleague(desks.transport, "reviewer", branch=branch)
    everywhere = await bank.colleague(desks.transport, "reviewer")
    gold = {"staff_id": officer.staff_id, "products": ["gold"]}
    assert (await desks.second.post(f"{API}/skills", gold)).status_code == 403
    whole = {"staff_id": everywhere.staff_id, "products": ["gold"]}
    assert (await manager.post(f"{API}/skills", whole)).status_code == 404
    nothing = {"staff_id": officer.staff_id, "products": ["tin"]}
    answer = await manager.post(f"{API}/skills", nothing)
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown-product")
    assert (await manager.post(f"{API}/skills", gold)).status_code == 200
    assert (await of(manager, officer))["products"] == ["gold"]
    (case,) = await waiting(bank, 1)  # of the product standard
    assert (await officer.post(f"{API}/queue/next")).status_code == 404
    told = await given(desks.second, [case], officer.staff_id)
    assert told["refused"] == [refused_case(case, "other-products")]
    page = (await manager.get("/review/workload", officer=officer.staff_id, lang="en")).text
    assert 'name="every"' in page
    form = {"staff_id": officer.staff_id, "every": "yes"}
    answer = await manager.client.post("/review/workload/products", data=form)
    assert answer.status_code == 303
    assert (await of(manager, officer))["products"] is None
    assert (await officer.post(f"{API}/queue/next")).json()["application_id"] == case
    log = (await desks.compliance.get("/review/audit", lang="en")).text
    assert "Products of a reviewer changed" in log


async def test_the_queue_is_narrowed_by_amount_language_officer_and_skill(
    bank: Bank, desks: Desks
) -> None:
    await emptied(desks)
    less = await handed(bank, "application.referred", new_to_bank=True, income=2_000_00)
    more = await bank.applicant(new_to_bank=True, income=9_000_00)
    more.agreed_to = {"version": "2026.1", "language": "en", "digest": "c" * 64}
    await bank.hand_over(more)
    await said(bank, more, "application.referred")
    listed = {
        case["application_id"]: case
        for case in (await desks.first.get(f"{API}/queue", page_size=200)).json()["cases"]
    }
    low, high = (listed[one.application_id]["amount"]["minor"] for one in (less, more))
    assert low < high
    assert listed[more.application_id]["language"] == "en"
    assert listed[less.application_id]["language"] is None
    ids = {less.application_id: "less", more.application_id: "more"}

    async def found(path: str, **asked: Any) -> set[str]:
        text = (await desks.second.get(path, page_size=200, **asked)).text
        return {name for one, name in ids.items() if one in text}

    by_api: list[tuple[dict[str, Any], set[str]]] = [
        ({"amount_from": low, "amount_to": low}, {"less"}),
        ({"amount_from": low + 1}, {"more"}),
        ({"amount_to": high - 1}, {"less"}),
        ({"language": "en"}, {"more"}),
    ]
    for asked, expected in by_api:
        assert await found(f"{API}/queue", **asked) == expected, asked
    by_page: list[tuple[dict[str, Any], set[str]]] = [
        ({"amount_from": low // 100 + 1}, {"more"}),
        ({"amount_to": low // 100}, {"less"}),
        ({"amount_to": "1e9"}, {"less", "more"}),
        ({"language": "en"}, {"more"}),
        ({"holder": desks.first.staff_id}, set()),
    ]
    for asked, expected in by_page:
        found_there = await found("/review/queue", sort="-due", **asked)
        assert found_there == expected, asked
    await act(desks.first, more.application_id, "claim")
    assert await found("/review/queue", holder=desks.first.staff_id) == {"more"}
    await bank.open_branch(bank.branch, "31")
    manager = await bank.colleague(desks.transport, "manager", branch=bank.branch)
    officer = await bank.colleague(desks.transport, "reviewer", "risk_officer", branch=bank.branch)
    gold = {"staff_id": officer.staff_id, "products": ["gold"]}
    assert (await manager.post(f"{API}/skills", gold)).status_code == 200
    case = less.application_id
    assert case in (await officer.get("/review/queue", sort="-due")).text
    assert case not in (await officer.get("/review/queue", sort="-due", skill="own")).text
    # whose a case is might be compliance's: managers cannot ask for it
    assert case in (await manager.get("/review/queue", sort="-due", holder=new_id())).text


async def test_the_queue_is_narrowed_to_customers_new_to_the_bank_beside_any_flag(
    bank: Bank, desks: Desks
) -> None:
    new = await handed(bank, "application.referred", NO_RECORD, new_to_bank=True)
    known = await handed(bank, "application.referred", NO_RECORD)
    ids = {new.application_id: "new", known.application_id: "known"}

    async def found(path: str, **asked: Any) -> set[str]:
        text = (await desks.second.get(path, page_size=200, **asked)).text
        return {name for one, name in ids.items() if one in text}

    for asked, expected in (("true", {"new"}), ("false", {"known"})):
        flagged = {"new_to_bank": asked, "flag": "NO_CREDIT_RECORD"}
        assert await found(f"{API}/queue", **flagged) == expected
        assert await found(f"{API}/queue", new_to_bank=asked, flag="QUERIES_MANY") == set()
    for asked, expected in (("new", {"new"}), ("known", {"known"}), ("?", {"new", "known"})):
        assert await found("/review/queue", sort="-due", acquaintance=asked) == expected
    page = (await desks.second.get("/review/queue", acquaintance="new", lang="en")).text
    assert re.search(r'<option value="new"[^>]*selected', page)


@pytest.fixture
def blind_product(tmp_path: Path) -> Iterator[str]:
    """A version of the standard product whose second opinion is blind."""
    yield from _version(tmp_path, "2026.9", "review: {blind: true}")


@pytest.fixture
def small_product(tmp_path: Path) -> Iterator[str]:
    """One of which another reviewer signs approvals up to 10,000 yuan."""
    above = "review: {risk_officer_above: {minor: 1000000, currency: CNY}}"
    yield from _version(tmp_path, "2026.8", above)


def _version(tmp_path: Path, version: str, review: str) -> Iterator[str]:
    folder = tmp_path / "parameters"
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    standard = folder / "products" / "standard"
    text = (standard / "2026.2.yaml").read_text(encoding="utf-8")
    text = text.replace('version: "2026.2"', f'version: "{version}"')
    text = text.replace("valid_from: 2026-10-10", "valid_from: 2026-11-01")
    (standard / f"{version}.yaml").write_text(f"{text}{review}\n", encoding="utf-8")
    listed = published_list(read_held(folder, drafts=True))
    (folder / "products" / "published.sha256").write_text(listed, encoding="utf-8")
    take(folder)
    yield version
    take(SHIPPED)


async def proposed_by(
    officer: Colleague, bank: Bank, version: str, body: dict[str, Any] = APPROVE
) -> str:
    """Id of a case of that version that waits for its second person."""
    applicant = await bank.applicant(new_to_bank=True)
    applicant.about["product_version"] = version
    await bank.hand_over(applicant)
    await said(bank, applicant, "application.referred")
    await act(officer, applicant.application_id, "claim")
    await act(officer, applicant.application_id, "decision", body)
    return applicant.application_id


DECLINE = {"outcome": "decline", "reason": "MATERIAL_UNSOUND", "note": "印章不清"}


async def test_the_second_person_sees_a_blind_proposal_only_after_their_own_opinion(
    bank: Bank, desks: Desks, blind_product: str
) -> None:
    case = await proposed_by(desks.first, bank, blind_product)
    auditor = await bank.colleague(desks.transport, "auditor")
    manager = await bank.colleague(desks.transport, "manager")
    for colleague in (desks.second, desks.compliance, auditor, manager):
        answer = await colleague.get(f"{API}/cases/{case}")
        told = answer.json()["proposal"]
        assert (told["outcome"], told["limit"], told["reasons"]) == (None, None, [])
        page = (await colleague.get(f"/review/cases/{case}", lang="en")).text
        assert "stays hidden until the second person" in page
        for hidden in ("10,000.00", "资料齐全", "Approve with"):
            assert hidden not in page.partition("<main")[2], (colleague.staff_id, hidden)
    own = (await desks.first.get(f"/review/cases/{case}", lang="en")).text
    assert "Approve with ¥10,000.00" in own
    answer = await desks.second.post(f"{API}/cases/{case}/signature", {"outcome": "confirmed"})
    assert (answer.status_code, answer.json()["code"]) == (409, "opinion-first")
    page = (await desks.second.get(f"/review/cases/{case}", lang="en")).text
    assert f"/review/cases/{case}/opinion" in page
    assert f"/review/cases/{case}/signature" not in page

    form = {"outcome": "decline", "reason": "MATERIAL_UNSOUND", "note": "收入存疑"}
    answer = await desks.second.client.post(f"/review/cases/{case}/opinion", data=form)
    assert answer.status_code == 303
    told = (await desks.first.get(f"{API}/cases/{case}")).json()
    assert (told["proposal"], told["claimed_by"]) == (None, desks.first.staff_id)
    for colleague in (desks.first, desks.second):
        page = (await colleague.get(f"/review/cases/{case}", lang="en")).text
        for seen in ("Second opinion given", "收入存疑", "资料齐全", "¥10,000.00"):
            assert seen in page
    for colleague in (desks.compliance, auditor, manager):  # who have not said what they think
        page = (await colleague.get(f"/review/cases/{case}", lang="en")).text
        assert not any(words in page for words in ("收入存疑", "资料齐全"))
    lower = {**APPROVE, "limit": {"minor": 800_000}}
    await act(desks.first, case, "decision", APPROVE)
    told = await act(desks.second, case, "opinion", lower)
    assert (told["state"], told["limit"]["minor"]) == ("approved", 800_000)


async def test_nothing_that_the_first_person_wrote_is_read_before_a_blind_opinion(
    bank: Bank, desks: Desks, blind_product: str
) -> None:
    """And whoever read it, having had the case while it was escalated, gives no opinion."""
    applicant = await bank.applicant(new_to_bank=True)
    applicant.about["product_version"] = blind_product
    await bank.hand_over(applicant)
    await said(bank, applicant, "application.referred")
    case, here = applicant.application_id, f"/review/cases/{applicant.application_id}"
    other = await bank.colleague(desks.transport, "reviewer", "risk_officer")
    written = ("倾向同意，收入可信", "建议给两万")
    await act(desks.first, case, "claim")
    await act(desks.first, case, "notes", {"note": written[0]})
    await act(desks.first, case, "escalate", {"note": written[1]})
    await act(desks.second, case, "claim")
    assert written[1] in (await desks.second.get(here, lang="en")).text
    await given(desks.second, [case], desks.first.staff_id)
    await act(desks.first, case, "decision", APPROVE)
    for colleague in (desks.second, other):
        page = (await colleague.get(here, lang="en")).text
        assert not any(words in page for words in written)
        assert "Escalated to the risk officers" in page
        assert (f"{here}/opinion" in page) == (colleague is other)
    assert "You read why it was escalated" in (await desks.second.get(here, lang="en")).text
    own = (await desks.first.get(here, lang="en")).text
    assert all(words in own for words in written)
    answer = await desks.second.post(f"{API}/cases/{case}/opinion", APPROVE)
    assert (answer.status_code, answer.json()["code"]) == (403, "has-read")
    assert (await act(other, case, "opinion", APPROVE))["state"] == "approved"
    page = (await other.get(here, lang="en")).text
    assert all(words in page for words in written)


async def test_a_proposal_of_compliance_does_not_stand_out_where_opinions_are_blind(
    bank: Bank, desks: Desks, blind_product: str
) -> None:
    applicant = await bank.applicant(941)
    applicant.about["product_version"] = blind_product
    await bank.hand_over(applicant)
    await said(bank, applicant, "application.held")
    held = applicant.application_id
    await act(desks.compliance, held, "release", {"finding": "confirmed", "note": "与名单一致"})
    ordinary = await proposed_by(desks.first, bank, blind_product, DECLINE)
    manager = await bank.colleague(desks.transport, "manager")
    told = [
        (await manager.get(f"{API}/cases/{case}")).json()["proposal"] | {"at": None}
        for case in (held, ordinary)
    ]
    assert told[0] == told[1]
    # who knows of holds sees it: nobody else could have an opinion of it
    seen = (await desks.second.get(f"{API}/cases/{held}")).json()["proposal"]
    assert seen["outcome"] == "decline"
    await act(desks.second, held, "signature", {"outcome": "confirmed"})


async def test_another_reviewer_signs_up_to_the_products_limit_and_no_more(
    bank: Bank, desks: Desks, small_product: str
) -> None:
    peer = await bank.colleague(desks.transport, "reviewer")
    confirm = {"outcome": "confirmed"}
    small = await proposed_by(desks.first, bank, small_product)  # 10,000
    more = {**APPROVE, "limit": {"minor": 1_010_000}}
    for body in (more, DECLINE):
        case = await proposed_by(desks.first, bank, small_product, body)
        answer = await peer.post(f"{API}/cases/{case}/signature", confirm)
        assert (answer.status_code, answer.json()["code"]) == (403, "risk-officer-needed")
        page = (await peer.get(f"/review/cases/{case}", lang="en")).text
        assert f"/review/cases/{case}/signature" not in page
        await act(desks.second, case, "signature", confirm)
    page = (await peer.get(f"/review/cases/{small}", lang="en")).text
    assert f"/review/cases/{small}/signature" in page
    told = await act(peer, small, "signature", confirm)
    assert told["state"] == "approved"


async def test_a_note_is_read_by_whoever_works_on_the_case_and_is_kept_sealed(
    bank: Bank, desks: Desks
) -> None:
    (case,) = await waiting(bank, 1)
    said_so = "工资流水与单位证明一致"
    answer = await desks.first.client.post(f"/review/cases/{case}/notes", data={"note": said_so})
    assert answer.headers["location"] == f"/review/cases/{case}"
    for colleague in (desks.first, desks.second, desks.compliance):
        assert said_so in (await colleague.get(f"/review/cases/{case}")).text
    manager = await bank.colleague(desks.transport, "manager")
    page = (await manager.get(f"/review/cases/{case}")).text
    assert said_so not in page
    assert "/notes" not in page
    rows = await bank.fetch("SELECT details::text FROM case_history WHERE action = 'noted'")
    assert rows
    assert not any(said_so in row["details"] for row in rows)
    answer = await desks.first.post(f"{API}/cases/{case}/notes", {"note": " "})
    assert (answer.status_code, answer.json()["code"]) == (422, "no-opinion")


async def test_a_case_shows_what_was_decided_about_cases_like_it(bank: Bank, desks: Desks) -> None:
    found = [await handed(bank, "application.approved") for _ in range(4)]
    other = await handed(bank, "application.approved", applicant_type="salaried")
    mine = found[-1].application_id
    page = (await desks.first.get(f"/review/cases/{mine}", lang="en")).text
    shown = page.partition("Cases like it")[2].partition("History")[0]
    rows = await bank.fetch(
        "SELECT application_id, points, outcome FROM decision JOIN review_case c"
        " USING (application_id) WHERE applicant_type = 'existing_customer' AND points IS NOT NULL"
    )
    points = {row["application_id"]: row["points"] for row in rows}
    like = {one for one in points if one != mine and abs(points[one] - points[mine]) <= LIKE_IT}
    outcomes = Counter(row["outcome"] for row in rows if row["application_id"] in like)
    told = f"{outcomes['approve']} approved, {outcomes['decline']} declined"
    assert (told if like else "None was decided") in shown
    linked = set(re.findall(r'href="/review/cases/([^"/]+)"', shown))
    assert linked <= like
    assert len(linked) == min(len(like), 5)
    assert other.application_id not in linked
