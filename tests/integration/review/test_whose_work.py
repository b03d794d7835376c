"""Whose work it is: appeals, disputes and changes of limits are given on, taken over, counted and
offered like cases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from services.review import desk
from shared.calendar import BUSINESS_ZONE
from shared.events.intake import AppealWish, StaffChanged
from shared.parameters import load_clocks
from tests.eventually import eventually
from tests.integration.review import test_appeals as appeals
from tests.integration.review.bank import Bank, Colleague
from tests.integration.review.conftest import Desks
from tests.integration.review.test_desk import emptied, of
from tests.integration.review.test_disputes import POLICY_DECLINES, disputes
from tests.integration.review.test_limit_changes import act as about_limit
from tests.integration.review.test_limit_changes import (
    asks,
    by_people,
    change_of,
    deciding,
    grant,
    in_use,
)
from tests.integration.review.test_service import API, handed, said
from tests.integration.scope import everything_in_a_branch

__all__ = ["everything_in_a_branch"]  # a fixture

pytestmark = pytest.mark.asyncio(loop_scope="module")

WARNED = timedelta(days=load_clocks().warning_days)


@dataclass
class Beside:
    """One of each that waits beside the cases, of three people, and a case in the queue."""

    case: str
    appeal: str
    dispute: str
    limit_change: str

    @property
    def named(self) -> dict[str, list[str]]:
        """As they are given by the API."""
        return {
            "cases": [self.case],
            "appeals": [self.appeal],
            "disputes": [self.dispute],
            "limit_changes": [self.limit_change],
        }


async def all_of_it(bank: Bank, desks: Desks) -> Beside:
    queued = await handed(bank, "application.referred", new_to_bank=True)
    declined = await handed(bank, "application.declined", POLICY_DECLINES)
    await appeals.asks(bank, declined, AppealWish.HUMAN_REVIEW)
    disputing = await handed(bank, "application.declined", POLICY_DECLINES)
    await disputes(bank, disputing)
    using = await by_people(bank, desks)
    await in_use(bank, using)
    await asks(bank, using, "increase", 30_000)
    await deciding(desks.first, using)
    return Beside(*(one.application_id for one in (queued, declined, disputing, using)))


async def given(by: Colleague, body: dict[str, Any], path: str = "reassignments") -> dict[str, Any]:
    answer = await by.post(f"{API}/{path}", body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def every(found: Beside, *, without: str = "") -> dict[str, Any]:
    """What is told when all of it was given."""
    kinds = {"given": "case", "appeals": "appeal", "disputes": "dispute"}
    kinds["limit_changes"] = "limit_change"
    return {name: [] if kind == without else [getattr(found, kind)] for name, kind in kinds.items()}


async def holders(bank: Bank, found: Beside) -> set[str | None]:
    rows = await bank.fetch(
        "SELECT claimed_by FROM review_case WHERE application_id = $1"
        " UNION ALL SELECT claimed_by FROM appeal WHERE application_id IN ($2, $3)"
        " UNION ALL SELECT claimed_by FROM limit_change WHERE application_id = $4",
        found.case,
        found.appeal,
        found.dispute,
        found.limit_change,
    )
    assert len(rows) == 4
    return {row["claimed_by"] for row in rows}


def counts(load: dict[str, Any], what: str) -> list[int]:
    return [load[what], *(load[kind][what] for kind in ("appeals", "disputes", "limit_changes"))]


async def test_all_that_an_officer_has_is_given_to_another_and_each_history_says_by_whom(
    bank: Bank, desks: Desks
) -> None:
    found = await all_of_it(bank, desks)
    leaving, staying = [await bank.colleague(desks.transport, "reviewer") for _ in range(2)]
    told = await given(desks.second, {**found.named, "to": leaving.staff_id})
    assert told == {**every(found), "refused": []}
    assert await holders(bank, found) == {leaving.staff_id}
    load = (await of(desks.second, leaving))["load"]
    assert counts(load, "open") == [1, 1, 1, 1]
    mine = (await leaving.get("/review/queue", section="mine", lang="en")).text
    assert "Beside the cases" in mine
    for number in (f"{found.appeal}#appeal", f"{found.dispute}#dispute"):
        assert f"/review/cases/{number}" in mine
    assert f"/review/cases/{found.limit_change}/limit-change" in mine

    form = {"staff_id": leaving.staff_id, "to": staying.staff_id}
    page = (await desks.second.get("/review/workload", officer=leaving.staff_id, lang="en")).text
    assert "Open: 1 case, 1 appeal, 1 dispute, 1 change of a limit." in page
    await desks.second.client.post("/review/workload/hand-over", data=form)
    page = (await desks.second.get("/review/workload", lang="en")).text
    assert "Given on: 1 case, 1 appeal, 1 dispute, 1 change of a limit." in page
    assert await holders(bank, found) == {staying.staff_id}
    assert counts((await of(desks.second, leaving))["load"], "open") == [0, 0, 0, 0]
    for case, words in (
        (found.appeal, "Appeal given to a colleague"),
        (found.dispute, "Dispute given to a colleague"),
        (found.limit_change, "Change of the limit given to a colleague"),
    ):
        history = (await desks.first.get(f"/review/cases/{case}", lang="en")).text
        assert words in history
        assert f"甲{leaving.staff_id[-4:]} → 甲{staying.staff_id[-4:]}" in history
    again = await given(desks.second, {"limit_changes": ["nothing"], "to": staying.staff_id})
    assert again["refused"] == [
        {"kind": "limit_change", "application_id": "nothing", "code": "not-found"}
    ]
    assert (await desks.first.post(f"{API}/reassignments", {"to": "x"})).status_code == 403
    too_many = {"appeals": ["x"] * 150, "disputes": ["x"] * 150}
    for nothing in ({}, {"appeals": ["x"], "of": "y"}, too_many):
        answer = await desks.second.post(f"{API}/reassignments", {**nothing, "to": "x"})
        assert answer.status_code == 422


async def test_a_deputy_takes_over_all_but_the_appeal_against_their_own_decision(
    bank: Bank, desks: Desks
) -> None:
    found = await all_of_it(bank, desks)
    theirs = await appeals.declined_by_people(bank, desks)  # by desks.first and desks.second
    await appeals.asks(bank, theirs, AppealWish.EXPLANATION)
    leaving = await bank.colleague(desks.transport, "reviewer")
    named = found.named
    named["appeals"].append(theirs.application_id)
    assert (await given(desks.second, {**named, "to": leaving.staff_id}))["refused"] == []
    today = bank.now.astimezone(BUSINESS_ZONE).date().isoformat()
    away = {"staff_id": leaving.staff_id, "first": today, "last": today}
    answer = await leaving.post(f"{API}/absences", {**away, "deputy": desks.first.staff_id})
    assert answer.status_code == 200
    page = (await desks.first.get("/review/workload", officer=leaving.staff_id, lang="en")).text
    assert "Open: 1 case, 2 appeals, 1 dispute, 1 change of a limit." in page
    told = await given(desks.first, {"of": leaving.staff_id}, "takeovers")
    own = {"kind": "appeal", "application_id": theirs.application_id, "code": "same-person"}
    assert told == {**every(found), "refused": [own]}
    assert await holders(bank, found) == {desks.first.staff_id}
    left = counts((await of(desks.second, leaving))["load"], "open")
    assert left == [0, 1, 0, 0]
    form = {"staff_id": leaving.staff_id}
    await desks.first.client.post("/review/workload/take-over", data=form)
    page = (await desks.first.get("/review/workload", lang="en")).text
    assert "1 not given: Whoever took part in it before does not answer the appeal." in page
    page = (await desks.second.get("/review/workload", lang="en")).text
    assert "With colleagues who are away lie: 1 appeal." in page
    listed = (await desks.second.get("/review/appeals", lang="en")).text
    assert "away until" in listed
    other = await bank.colleague(desks.transport, "reviewer")
    form = {
        "cases": f"appeal:{theirs.application_id}", "to": other.staff_id, "back": "case",
    }  # fmt: skip
    answer = await desks.second.client.post("/review/queue/reassign", data=form)
    here = f"/review/cases/{theirs.application_id}"
    assert answer.headers["location"] == f"{here}#appeal"
    assert counts((await of(desks.second, other))["load"], "open") == [0, 1, 0, 0]


async def test_what_is_nobodys_stands_on_the_queue_from_when_it_is_near(
    bank: Bank, desks: Desks
) -> None:
    found = await all_of_it(bank, desks)
    declined = await handed(bank, "application.declined", POLICY_DECLINES)
    await appeals.asks(bank, declined, AppealWish.EXPLANATION)
    await appeals.act(desks.first, declined, "/claim")
    (row,) = await bank.fetch("SELECT due FROM appeal WHERE application_id = $1", found.appeal)

    async def shown() -> bool:
        page = (await desks.first.get("/review/queue", lang="en")).text
        assert f"{declined.application_id}#appeal" not in page, "somebody has it"
        return f"/review/cases/{found.appeal}#appeal" in page

    bank.step(row["due"] - WARNED - timedelta(minutes=1))
    assert not await shown()
    bank.step(row["due"] - WARNED + timedelta(minutes=1))
    assert await shown()
    page = (await desks.first.get("/review/queue", lang="en")).text
    assert "Due soon, and nobody&#39;s yet" in page
    assert "near: " in page
    assert "nobody yet: the branch's reviewers" in page
    nobodys = (await desks.second.get(f"{API}/workload")).json()["nobodys"]
    assert nobodys["appeals"]["open"] == 1
    bank.step(row["due"] - timedelta(hours=1))
    nobodys = (await desks.second.get(f"{API}/workload")).json()["nobodys"]
    assert (nobodys["appeals"]["today"], nobodys["appeals"]["overdue"]) == (1, 0)
    bank.step(row["due"] + timedelta(minutes=1))
    assert await shown()
    nobodys = (await desks.second.get(f"{API}/workload")).json()["nobodys"]
    assert (nobodys["appeals"]["today"], nobodys["appeals"]["overdue"]) == (0, 1)
    assert "overdue" in (await desks.first.get("/review/queue", lang="en")).text
    narrowed = (await desks.first.get("/review/queue", product="standard", lang="en")).text
    assert "Due soon" not in narrowed


async def test_the_next_one_is_what_is_due_before_every_case_of_whoever_took_no_part(
    bank: Bank, desks: Desks
) -> None:
    """Of several who ask, whoever decided is given something else."""
    await emptied(desks)
    for officer in (desks.first, desks.second):  # what other tests left
        while (await officer.client.post("/review/queue/next")).headers["location"] != (
            "/review/queue"
        ):
            pass
    theirs = await appeals.declined_by_people(bank, desks)
    await appeals.asks(bank, theirs, AppealWish.EXPLANATION)
    (row,) = await bank.fetch(
        "SELECT due FROM appeal WHERE application_id = $1", theirs.application_id
    )
    bank.step(row["due"] - timedelta(hours=1))
    case = await handed(bank, "application.referred", new_to_bank=True)
    answer = await desks.first.client.post("/review/queue/next")
    assert answer.headers["location"] == f"/review/cases/{case.application_id}"
    again = await handed(bank, "application.referred", new_to_bank=True)
    other = await bank.colleague(desks.transport, "reviewer")
    await other.get("/review/queue", lang="en")  # and stays in English
    answer = await other.client.post("/review/queue/next")
    here = f"/review/cases/{theirs.application_id}"
    assert answer.headers["location"] == f"{here}#appeal"
    assert "It is due before every case of the queue." in (await other.get(here, lang="en")).text
    answer = await other.client.post("/review/queue/next")
    assert answer.headers["location"] == f"/review/cases/{again.application_id}"


async def test_what_others_take_keeps_nobody_from_what_they_take(
    bank: Bank, desks: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much of other products is due first."""
    branch = bank.branch
    await bank.open_branch(branch, "31")
    monkeypatch.setattr(desk, "REASSIGNED_AT_ONCE", 1)
    for product in ("standard", "gold"):
        declined = await bank.applicant(POLICY_DECLINES)
        declined.about["product"] = product
        await bank.hand_over(declined)
        await said(bank, declined, "application.declined")
        await appeals.asks(bank, declined, AppealWish.EXPLANATION)
    manager = await bank.colleague(desks.transport, "manager", branch=branch)
    officer = await bank.colleague(desks.transport, "reviewer", branch=branch)
    body = {"staff_id": officer.staff_id, "products": ["gold"]}
    assert (await manager.post(f"{API}/skills", body)).status_code == 200
    answer = await officer.client.post("/review/queue/next")
    assert answer.headers["location"] == f"/review/cases/{declined.application_id}#appeal"


async def leaves(bank: Bank, colleague: Colleague) -> None:
    """Their account is closed."""
    gone = StaffChanged(
        staff_id=colleague.staff_id,
        username=f"reviewer-{colleague.staff_id[-6:]}",
        display_name=f"甲{colleague.staff_id[-4:]}",
        roles=["reviewer"],
        branches=["*"],
        desk="credit_review",
        session_epoch=2,
        active=False,
    )
    await bank.publish(colleague.staff_id, gone)

    async def known() -> bool:
        return (await colleague.get(f"{API}/queue")).status_code == 401

    await eventually(known)


async def test_what_somebody_has_who_left_is_listed_shown_and_given_on(
    bank: Bank, desks: Desks
) -> None:
    found = await all_of_it(bank, desks)
    leaving, staying = [await bank.colleague(desks.transport, "reviewer") for _ in range(2)]
    empty = await bank.colleague(desks.transport, "reviewer")
    await given(desks.second, {**found.named, "to": leaving.staff_id})
    before = (await desks.second.get(f"{API}/workload")).json()["nobodys"]
    for one in (leaving, empty):
        await leaves(bank, one)
    line = await of(desks.second, leaving)
    assert (line["left"], counts(line["load"], "open")) == (True, [1, 1, 1, 1])
    told = (await desks.second.get(f"{API}/workload")).json()
    assert told["nobodys"] == before
    assert empty.staff_id not in {one["staff_id"] for one in told["officers"]}
    page = (await desks.second.get("/review/workload", officer=leaving.staff_id, lang="en")).text
    assert "With colleagues who have left lie: 1 case, 1 appeal, 1 dispute, 1 change" in page
    assert "has left" in page
    assert 'action="/review/workload/hand-over"' in page
    assert 'action="/review/workload/away"' not in page

    # what is near stands on the queue, for who may give it to somebody
    (row,) = await bank.fetch("SELECT due FROM appeal WHERE application_id = $1", found.appeal)
    bank.step(row["due"] - WARNED + timedelta(minutes=1))
    for colleague, there in ((desks.second, True), (desks.first, False)):
        page = (await colleague.get("/review/queue", lang="en")).text
        assert (f"/review/cases/{found.appeal}#appeal" in page) == there
        assert ("has left" in page) == there

    form = {"staff_id": leaving.staff_id, "to": staying.staff_id}
    await desks.second.client.post("/review/workload/hand-over", data=form)
    assert await holders(bank, found) == {staying.staff_id}
    told = (await desks.second.get(f"{API}/workload")).json()
    assert leaving.staff_id not in {one["staff_id"] for one in told["officers"]}


async def test_a_deputy_takes_over_from_somebody_who_left_while_away(
    bank: Bank, desks: Desks
) -> None:
    queued = await handed(bank, "application.referred", new_to_bank=True)
    leaving, deputy = [await bank.colleague(desks.transport, "reviewer") for _ in range(2)]
    body = {"cases": [queued.application_id], "to": leaving.staff_id}
    assert (await given(desks.second, body))["refused"] == []
    today = bank.now.astimezone(BUSINESS_ZONE).date().isoformat()
    away = {"staff_id": leaving.staff_id, "first": today, "last": today}
    await leaving.post(f"{API}/absences", {**away, "deputy": deputy.staff_id})
    await leaves(bank, leaving)
    told = await given(deputy, {"of": leaving.staff_id}, "takeovers")
    assert told["given"] == [queued.application_id]


async def test_whoever_claims_a_change_of_a_limit_decides_about_it(
    bank: Bank, desks: Desks
) -> None:
    using = await by_people(bank, desks)
    await in_use(bank, using)
    await asks(bank, using, "increase", 30_000)
    await deciding(desks.first, using)
    here = f"/review/cases/{using.application_id}/limit-change"
    assert "nobody yet" in (await desks.first.get(here, lang="en")).text
    assert (await about_limit(desks.first, using, "claim", {}))[0] == 200
    assert (await change_of(desks.second, using))["claimed_by"] == desks.first.staff_id
    assert await about_limit(desks.second, using, "proposal", grant(20_000)) == (409, "claimed")
    page = (await desks.second.get(here, lang="en")).text
    assert "Propose this limit" not in page
    assert "Put the change back" in page
    await desks.second.client.post(f"{here}/put-back")
    assert "waits for somebody else" in (await desks.second.get(here, lang="en")).text
    assert await about_limit(desks.first, using, "put-back", {}) == (409, "not-yours")
    form = {"cases": f"limit_change:{using.application_id}", "to": desks.first.staff_id}
    answer = await desks.second.client.post(
        "/review/queue/reassign", data={**form, "back": "limit-changes"}
    )
    assert answer.headers["location"] == "/review/limit-changes"
    listed = (await desks.second.get("/review/limit-changes", lang="en")).text
    assert "Given on: 1 change of a limit." in listed
    assert f"甲{desks.first.staff_id[-4:]}" in listed
    assert (await about_limit(desks.first, using, "proposal", grant(20_000)))[0] == 200
    assert await about_limit(desks.second, using, "claim", {}) == (409, "proposed")
    told = await given(desks.second, {"limit_changes": [using.application_id], "to": "x"})
    assert told["refused"][0]["code"] == "proposed"


async def test_who_may_not_know_of_holds_gives_no_appeal_to_others(
    bank: Bank, desks: Desks, everything_in_a_branch: None
) -> None:
    theirs = await appeals.declined_by_people(bank, desks)
    await appeals.asks(bank, theirs, AppealWish.EXPLANATION)
    disputing = await handed(bank, "application.declined", POLICY_DECLINES)
    await disputes(bank, disputing)
    signer = await bank.colleague(desks.transport, "risk_officer", branch=bank.branch)
    receiver = await bank.colleague(desks.transport, "reviewer", branch=bank.branch)
    body = {"appeals": [theirs.application_id], "disputes": [disputing.application_id]}
    told = await given(signer, {**body, "to": receiver.staff_id})
    assert told["disputes"] == [disputing.application_id]
    assert [one["code"] for one in told["refused"]] == ["not-permitted"]
    told = await given(signer, {"appeals": [theirs.application_id], "to": signer.staff_id})
    assert told["appeals"] == [theirs.application_id]
