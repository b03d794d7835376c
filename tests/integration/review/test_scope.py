"""A case of another branch is not there, on any route of review."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from shared.identifiers import new_id
from shared.web.permissions import Permission, Role
from tests.eventually import eventually
from tests.integration.review.bank import Bank
from tests.integration.review.conftest import Desks
from tests.integration.review.test_service import APPROVE, handed
from tests.integration.scope import (
    ask,
    everything_in_a_branch,
    hidden_from,
    listed_for,
    reached_by,
    routes_of,
)

__all__ = ["everything_in_a_branch"]  # a fixture

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIELDS = {
    "items": ["work_proof:NO_STAMP"],
    "reason": "SCORE_LOW",
    "finding": "clear",
    "why": "decide",
    "limit": "10000",
    "outcome": "approve",
    "until": "",
    "awaited": "material",
    "wish": "explanation",
    "answer": "upheld",
    "became": "upheld",
    "heard": "confirmed",
}
BODIES: dict[str, Any] = {
    "decision": APPROVE,
    "signature": {"outcome": "confirmed"},
    "material": {"items": [{"item": "work_proof", "code": "NO_STAMP"}]},
    "hold": {"reason": "other", "note": "请核实"},
    "release": {"finding": "clear", "note": "已核实"},
    "opinion": APPROVE,
    "appeal": {"wish": "explanation"},
    "lower": {"limit": {"minor": 100_000}, "note": "他行逾期"},
    "proposal": {"outcome": "grant", "limit": {"minor": 2_000_000}, "note": "收入稳定"},
    "answer": {"outcome": "upheld", "note": "已复核"},
    "dispute": {"note": "客户称征信逾期记录有误"},
    "notes": {"note": "已电话核实"},
    "call-order": {"note": "请核实单位"},
    "calls": {"heard": "confirmed", "note": "本人确认"},
    "escalate": {"note": "请定夺"},
    "snooze": {"awaited": "material", "note": "等材料"},
}


# What is asked for within, beyond what lets in.
WITHIN = {"/review/views/{view_id}/drop": {Permission.VIEW_SHARE}}


@pytest_asyncio.fixture(loop_scope="module")
async def ids(bank: Bank, desks: Desks) -> dict[str, str]:
    """A case that waits for a reviewer, somebody's look at it, and a view that its branch keeps."""
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    case = applicant.application_id
    assert (await desks.first.get(f"/review/cases/{case}")).status_code == 200
    view = new_id()
    keep = {"listed": "queue", "name": view, "query": "sort=-due", "branch": bank.branch}
    manager = await bank.colleague(desks.transport, "manager", branch=bank.branch)
    assert (await manager.client.post("/review/views", data=keep)).status_code == 303
    (kept,) = await bank.fetch("SELECT view_id FROM saved_view WHERE name = $1", view)
    (seen,) = await bank.fetch(
        "SELECT id FROM personal_view WHERE application_id = $1 LIMIT 1", case
    )
    (policy,) = await bank.fetch("SELECT digest FROM policy_release WHERE baseline")
    return {
        "application_id": case,
        "digest": policy["digest"],
        "run_id": new_id(),  # of the whole bank, as the policy is
        "view_id": kept["view_id"],
        "field": "mobile",
        "source": "view",
        "number": str(seen["id"]),
        "secret": applicant.about["application_number"],
    }


async def test_every_route_with_an_id_hides_what_belongs_to_another_branch(
    bank: Bank, desks: Desks, ids: dict[str, str], everything_in_a_branch: None
) -> None:
    routes = routes_of(desks.app, set())
    stranger = await bank.colleague(desks.transport, "reviewer", branch="0001")
    hidden = await hidden_from(stranger.client, routes, ids, FIELDS, BODIES, ids["secret"])
    assert hidden == []
    assert len({one.path for one in routes if one.of_a_branch}) > 20, "the test sees the routes"
    # or the above would find nothing because nothing is there
    own = await bank.colleague(desks.transport, "reviewer", branch=bank.branch)
    missing = []
    for route in routes:
        answer = await ask(own.client, route, ids, FIELDS, BODIES)
        undecided = "not-decided" in answer.text
        if route.of_a_branch and (answer.status_code in (403, 404, 422) and not undecided):
            missing.append((route.method, route.path, answer.status_code, answer.text[:200]))
    # the same person may not sign what they proposed
    assert [one for one in missing if "same-person" not in one[3]] == []


async def test_no_list_and_no_search_shows_what_belongs_to_another_branch(
    bank: Bank, desks: Desks, ids: dict[str, str], everything_in_a_branch: None
) -> None:
    asked = [{"branch": bank.branch}, {"number": ids["secret"]}, {"value": ids["secret"]}]
    own = await bank.colleague(desks.transport, "reviewer", branch=bank.branch)
    stranger = await bank.colleague(desks.transport, "reviewer", branch="0001")
    case = ids["application_id"]
    known = await listed_for(own.client, desks.app, asked, case)
    assert {"GET /review/queue", "POST /review/queue/search", "GET /review/api/v1/queue"} <= known
    assert await listed_for(stranger.client, desks.app, asked, case) == set()


@pytest.mark.parametrize(
    ("wide", "opens", "hides"), [(Role.AUDITOR, 2, 2), (Role.REVIEWER, 16, 1), (Role.OPS, 0, 4)]
)
async def test_several_roles_do_no_more_elsewhere_than_the_one_that_sees_the_whole_bank(
    bank: Bank, desks: Desks, ids: dict[str, str], wide: Role, opens: int, hides: int
) -> None:
    """What the others alone allow stops at their branches, on every route; and of the permissions
    of a route each has to reach there."""
    roles = (Role.ASSISTANT, Role.MANAGER, wide)
    person = await bank.colleague(desks.transport, *roles, branch="0001")
    # of a decision, which this case has not; and what the same person proposed they do not sign
    left_out = ("/verification", "/api/v1/cases/{application_id}/signature", "/opinion")
    routes = [one for one in routes_of(desks.app, set()) if not one.path.endswith(left_out)]
    wrong, opened, hidden = await reached_by(
        person.client,
        roles,
        routes,
        ids,
        FIELDS,
        BODIES,
        ids["secret"],
        WITHIN,
    )
    assert wrong == []
    assert len(opened) >= opens
    assert len(hidden) >= hides
    listed = (await person.get("/review/queue", sort="-due")).text
    assert (ids["secret"] in listed) is bool(opens)


async def test_a_manager_sees_the_region_and_no_other(
    bank: Bank, desks: Desks, ids: dict[str, str]
) -> None:
    sister, far = (f"{int(bank.branch) - 7900}".zfill(4), "0002")
    for branch, region in ((bank.branch, "31"), (sister, "31"), (far, "65")):
        await bank.open_branch(branch, region)
    near = await bank.colleague(desks.transport, "manager", branch=sister)
    elsewhere = await bank.colleague(desks.transport, "manager", branch=far)
    here = f"/review/cases/{ids['application_id']}"

    async def told_of_the_branches() -> bool:
        return (await near.get(here)).status_code == 200

    await eventually(told_of_the_branches)
    assert (await elsewhere.get(here)).status_code == 404
    for colleague, listed in ((near, True), (elsewhere, False)):
        page = (await colleague.get("/review/queue", sort="-due")).text
        assert (ids["secret"] in page) is listed
