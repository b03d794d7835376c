"""A suspicion on a change of a limit is compliance's alone, as one on an application is: held,
cleared and confirmed, every route, the audit log and every topic say the same of it as of its twin
that was never held.

The twins are two people with cards in use, of whom one is on a watchlist. Both ask for the same;
what compliance clears two people grant, and what it confirms an officer refuses of the twin. The
tests stand in the order in which this happens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import pytest_asyncio

from shared.web.access import declared_access
from shared.web.permissions import Role
from tests.integration.review.bank import Applicant, Bank, Colleague
from tests.integration.review.conftest import Desks
from tests.integration.review.test_audit import log
from tests.integration.review.test_limit_changes import (
    CONFIRM,
    act,
    asks,
    change_of,
    deciding,
    grant,
    in_use,
    told,
)
from tests.integration.review.test_service import API, APPROVE, do
from tests.integration.review.test_suspicion import (
    KNOWING,
    UNKNOWING,
    Twins,
    differences,
    handed_twins,
    plain,
    seen,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFUSE = {"outcome": "refuse", "note": "额度已足够"}
CLEAR = {"finding": "clear", "note": "同名不同人已核实"}
CONFIRMED = {"finding": "confirmed", "note": "与名单一致"}
WISH = 30_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held(bank: Bank, desks: Desks) -> Twins:
    """Twins who ask for a higher limit, the suspected one's change held."""
    suspected, free = await handed_twins(bank, ("13711110001", "13722220001"))
    assert await do(desks.compliance, suspected, "release", CLEAR) == 200
    for one in (suspected, free):
        assert await do(desks.first, one, "claim") == 200
        assert await do(desks.first, one, "decision", APPROVE) == 200
        assert await do(desks.second, one, "signature", CONFIRM) == 200
        await in_use(bank, one)
    people = {role: await bank.colleague(desks.transport, role) for role in Role}
    twins = Twins(suspected, free, people)
    await ask(bank, desks, twins)
    return twins


async def ask(bank: Bank, desks: Desks, twins: Twins) -> None:
    """Both want more; the suspected one's change is held again."""
    for one in twins.both():
        await asks(bank, one, "increase", WISH)
    await deciding(desks.first, twins.plain)
    manager = twins.people[Role.MANAGER]
    await deciding(manager, twins.suspected)
    assert (await change_of(desks.compliance, twins.suspected))["state"] == "held"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cleared(held: Twins, desks: Desks) -> Twins:
    """The same after compliance has found nothing."""
    assert (await act(desks.compliance, held.suspected, "release", CLEAR))[0] == 200
    return held


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def granted(cleared: Twins, desks: Desks) -> Twins:
    """The same after two people have granted both."""
    for one in cleared.both():
        assert (await act(desks.first, one, "proposal", grant(20_000)))[0] == 200
        assert (await act(desks.second, one, "signature", CONFIRM))[0] == 200
    return cleared


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refused(granted: Twins, bank: Bank, desks: Desks) -> Twins:
    """The same after a second wish: compliance confirms the suspicion, of the twin an officer
    refuses, who had claimed it."""
    await ask(bank, desks, granted)
    assert (await act(desks.compliance, granted.suspected, "release", CONFIRMED))[0] == 200
    assert (await act(desks.first, granted.plain, "claim", {}))[0] == 200
    assert (await act(desks.first, granted.plain, "proposal", REFUSE))[0] == 200
    return granted


async def about_limits(colleague: Colleague, applicant: Applicant) -> dict[str, str]:
    """Everything about the card's limit that this colleague gets: {what was asked: the answer}."""
    case, number = applicant.application_id, applicant.about["application_number"]
    here = f"/review/cases/{case}/limit-change"
    got: dict[str, str] = {}
    for path in (
        f"{API}/cases/{case}/limit-changes",
        f"{API}/cases/{case}/limit-change/verification",
    ):
        answer = await colleague.get(path)
        got[path.replace(case, "")] = f"{answer.status_code} {answer.text}"
    for decided in ("false", "true"):
        answer = await colleague.get(f"{API}/limit-changes", decided=decided)
        own = [one for one in _changes(answer.text) if one["application_id"] == case]
        got[f"listed {decided}"] = f"{answer.status_code} {own}"
    for language in ("zh-CN", "en"):
        page = await colleague.get(here, lang=language)
        got[f"page {language}"] = f"{page.status_code} {page.text}"
        for section in ("", "decided"):
            listed = await colleague.get("/review/limit-changes", section=section, lang=language)
            got[f"row {section} {language}"] = _rows(listed.text, number)
        shown = (await colleague.get(f"/review/cases/{case}", lang=language)).text
        got[f"history {language}"] = _lines(shown, "limit" if language == "en" else "额度")
    working = await colleague.client.post(f"{here}/working", data={"why": "decide"})
    got["working"] = f"{working.status_code} {working.text}"
    return {asked: plain(text, applicant) for asked, text in got.items()}


def _changes(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text).get("limit_changes", [])
    return found


def _rows(page: str, containing: str) -> str:
    rows = re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    return "".join(sorted(row for row in rows if containing in row))


def _lines(page: str, word: str) -> str:
    lines = re.findall(r"<li.*?</li>", page, re.DOTALL)
    return "".join(sorted(line for line in lines if word in line))


def commands(desks: Desks) -> list[str]:
    """Every address by which something is done about a limit."""
    found = []
    for declared in declared_access(desks.app):
        methods, path = declared.split(" ", 1)
        if "POST" in methods.split(",") and "/limit-change/" in path:
            found.append(path)
    assert len(found) >= 12
    return found


async def tried(desks: Desks, colleague: Colleague, applicant: Applicant) -> dict[str, str]:
    """What this colleague hears who tries everything: {address: status, text}."""
    bodies = {"proposal": grant(20_000), "signature": CONFIRM, "release": CLEAR}
    got = {}
    for path in commands(desks):
        where, last = path.format(application_id=applicant.application_id), path.rsplit("/", 1)[1]
        if "/api/" in path:
            body = bodies.get(last, {"limit": {"minor": 5_000_00}, "note": "他行逾期"})
            answer = await colleague.post(where, body if last != "examination" else None)
        else:
            form = {"limit": "20000", "note": "收入稳定", "finding": "clear", "why": "decide"}
            answer = await colleague.client.post(where, data=form)
        got[path] = f"{answer.status_code} {answer.text}"
    await colleague.get(
        f"/review/cases/{applicant.application_id}"
    )  # where the last answer is told
    return {path: plain(text, applicant) for path, text in got.items()}


async def compared(
    desks: Desks, twins: Twins, role: Role, *, everything: bool
) -> Mapping[str, Any]:
    """Where what this role gets of the twins differs; everything: of the application as well."""
    pair = []
    for one in twins.both():
        got = await about_limits(twins.people[role], one)
        if everything:
            got |= await seen(desks, twins.people[role], one)
        pair.append(twins.unnumbered(got))
    return differences(*pair)


@pytest.mark.parametrize("role", UNKNOWING)
async def test_who_may_not_know_of_holds_gets_the_same_while_a_change_is_held(
    desks: Desks, held: Twins, role: Role
) -> None:
    assert await compared(desks, held, role, everything=True) == {}
    pair = [await tried(desks, held.people[role], one) for one in held.both()]
    assert differences(*pair) == {}
    assert {answer.split()[0] for answer in pair[0].values()} == {"403"}


async def test_what_is_held_counts_with_what_is_nobodys_for_who_may_not_know(
    desks: Desks, held: Twins
) -> None:
    async def nobodys(colleague: Colleague) -> Any:
        return (await colleague.get(f"{API}/workload")).json()["nobodys"]["limit_changes"]["open"]

    assert await nobodys(held.people[Role.MANAGER]) == 2
    assert await nobodys(desks.second) == 1, "who knows of holds sees whose it is"


async def test_compliance_sees_the_hold_so_that_the_test_can_see_something(
    desks: Desks, held: Twins
) -> None:
    found = await compared(desks, held, Role.COMPLIANCE, everything=False)
    assert {"page en", "row  en", "listed false", f"{API}/cases//limit-changes"} <= found.keys()
    page = await held.people[Role.COMPLIANCE].get(
        f"/review/cases/{held.suspected.application_id}/limit-change", lang="en"
    )
    assert "held for compliance" in page.text
    assert "WATCHLIST_HIT" in page.text


@pytest.mark.parametrize("role", KNOWING)
async def test_who_knows_of_holds_sees_one_without_why_and_is_offered_nothing(
    desks: Desks, held: Twins, role: Role
) -> None:
    colleague, case = held.people[role], held.suspected.application_id
    here = f"/review/cases/{case}/limit-change"
    page = (await colleague.get(here, lang="en")).text
    assert "held for compliance" in page
    for trace in (
        "WATCHLIST",
        "watchlist hit",
        "Compliance has to look",
        "/release",
        CLEAR["note"],
    ):
        assert trace not in page, trace
    for button in ("/grant", "/refuse", "/examine", "/sign", "/lower"):
        assert f"{here}{button}" not in page, button
    suspected, free = [await about_limits(colleague, one) for one in held.both()]
    for asked in ("working", "history en", "history zh-CN", "listed true"):
        assert suspected[asked] == free[asked], asked
    one, other = [
        json.loads(got[f"{API}/cases//limit-changes"][4:])["limit_changes"][0]
        for got in (suspected, free)
    ]
    assert (one.pop("state"), other.pop("state")) == ("held", "deciding")
    assert one == other
    answers = await tried(desks, colleague, held.suspected)
    assert {answer.split()[0] for answer in answers.values()} <= {"200", "303", "403", "409"}
    assert (await change_of(desks.compliance, held.suspected))["state"] == "held"


@pytest.mark.parametrize("role", [*UNKNOWING, *KNOWING])
async def test_nothing_is_left_of_a_hold_that_was_cleared(
    desks: Desks, cleared: Twins, role: Role
) -> None:
    found = await compared(desks, cleared, role, everything=role in UNKNOWING)
    assert found == {}


@pytest.mark.parametrize("role", [*UNKNOWING, *KNOWING])
async def test_what_was_cleared_is_granted_like_any_other(
    desks: Desks, granted: Twins, role: Role
) -> None:
    found = await compared(desks, granted, role, everything=role in UNKNOWING)
    assert found == {}


@pytest.mark.parametrize("role", [*UNKNOWING, *KNOWING])
async def test_what_was_confirmed_is_refused_like_any_other(
    desks: Desks, refused: Twins, role: Role
) -> None:
    found = await compared(desks, refused, role, everything=role in UNKNOWING)
    assert found == {}


async def test_the_audit_log_does_not_tell_who_refused_but_to_compliance(
    refused: Twins, desks: Desks
) -> None:
    def lines(page: str, applicant: Applicant) -> list[str]:
        page = re.sub(r"/\d+/values", "/LINE/values", plain(page, applicant))
        rows = re.findall(r"<tr.*?</tr>", page, re.DOTALL)
        return sorted(row for row in rows if "Change of the limit" in row)

    pair: list[list[str]] = []
    known: list[list[str]] = []
    for one in refused.both():
        number = one.about["application_number"]
        for role, into in ((Role.AUDITOR, pair), (Role.COMPLIANCE, known)):
            page = await log(refused.people[role].client, number=number, kind="change")
            into.append(lines(page, one))
    assert pair[0] == pair[1]
    assert any("refused" in line for line in pair[0])
    assert known[0] != known[1]
    here = f"{API}/cases/{refused.plain.application_id}/limit-change/verification"
    for colleague in (desks.first, desks.compliance):  # who did it, and who may know
        assert (await colleague.get(here)).json()["decided_by"] == [desks.first.staff_id]


async def test_no_topic_tells_a_change_that_was_held_from_its_twin(
    bank: Bank, refused: Twins
) -> None:
    of_twins = []
    for one in refused.both():
        (change, *_rest) = (await change_ids(bank, one))[::-1]
        decided = await told(bank, one, "limit-change.decided", change)
        assert (decided["outcome"], decided["automatic"], decided["decided_by"]) == (
            "refused",
            False,
            [],
        )
        limits = [
            (kind, plain(json.dumps(body, sort_keys=True), one))
            for kind, _version, body in await bank.said(one, "banka.applications")
            if kind.startswith("limit")
        ]
        checks = sorted(
            (kind, plain(json.dumps(body, sort_keys=True), one))
            for kind, _version, body in await bank.said(one, "banka.review")
            if kind.startswith("check")
        )
        of_twins.append((limits, checks))
    assert of_twins[0] == of_twins[1]
    assert [kind for kind, _body in of_twins[0][0]] == [
        *("limit-change.opened", "limit-change.decided"),
        *("limit-change.opened", "limit-change.decided"),
    ]


async def change_ids(bank: Bank, applicant: Applicant) -> list[str]:
    rows = await bank.fetch(
        "SELECT change_id FROM limit_change WHERE application_id = $1 ORDER BY number",
        applicant.application_id,
    )
    return [row["change_id"] for row in rows]
