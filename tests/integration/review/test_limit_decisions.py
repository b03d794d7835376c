"""A decision about a card's limit is kept with what it rests on, explained, and weighed again to
the same bytes; whatever is changed of it shows."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from deploy.cli import app as cli
from deploy.local import Stack
from shared.postgres.pool import app_role
from tests.integration.review.bank import Applicant, Bank, Colleague
from tests.integration.review.conftest import Desks
from tests.integration.review.test_limit_changes import (
    API,
    CONFIRM,
    act,
    asks,
    by_people,
    change_of,
    deciding,
    grant,
    in_use,
    known_to_the_bank,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Operator:
    """The operators' command on this office."""

    bank: Bank
    stack: Stack

    async def __call__(self, *words: str, code: int = 0) -> str:
        settings = self.bank.settings
        env = {
            **self.stack.environment(),
            "BANKA_ENVIRONMENT": settings.environment.value,
            "BANKA_CLOCK_FILE": str(settings.clock_file),
        }
        ran = await asyncio.to_thread(CliRunner().invoke, cli, ["decision", *words], env=env)
        assert ran.exit_code == code, ran.output
        return ran.output


@pytest.fixture
def operator(bank: Bank, review_stack: Stack) -> Operator:
    return Operator(bank, review_stack)


async def verified(colleague: Colleague, applicant: Applicant, change_id: str) -> dict[str, Any]:
    here = f"{API}/cases/{applicant.application_id}/limit-change/verification"
    answer = await colleague.get(here, change_id=change_id)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def raised(bank: Bank, desks: Desks) -> tuple[Applicant, str]:
    """Somebody whose limit two people raised to 30,000, of 40,000 that were asked for."""
    applicant = await by_people(bank, desks)
    await in_use(bank, applicant)
    change_id = await asks(bank, applicant, "increase", 40_000)
    await deciding(desks.first, applicant)
    assert (await act(desks.first, applicant, "proposal", grant(30_000)))[0] == 200
    assert (await act(desks.second, applicant, "signature", CONFIRM))[0] == 200
    return applicant, change_id


async def test_a_granted_increase_is_explained_and_computed_again_by_one_command(
    bank: Bank, desks: Desks, operator: Operator
) -> None:
    applicant, change_id = await raised(bank, desks)
    number = applicant.about["application_number"]
    found = await verified(desks.first, applicant, change_id)
    assert (found["same"], found["outcome"], found["automatic"]) == (True, "granted", False)
    assert found["decided_by"] == [desks.first.staff_id, desks.second.staff_id]
    assert (found["least"]["minor"], found["obstacles"]) == (10_100_00, [])
    assert found["policy_digest"]
    said = await operator("verify", f"{number}-L1")
    assert said.split()[:2] == [f"{number}-L1", "granted"]
    assert "same bytes" in said
    assert "approve" in await operator("verify", number)  # the application's own is another one

    refused = await operator("explain", change_id, "--why", " ", code=1)
    assert "--why" in refused
    told = json.loads(await operator("explain", change_id, "--why", "审计", "--json"))
    assert (told["limit"], told["same_bytes"]) == (30_000_00, True)
    assert told["grounds"]["account"]["days_past_due"] == 0
    assert told["grounds"]["terms"]["stale_days"] == 45
    assert {one["check"] for one in told["grounds"]["evidence"]} == {
        *("identity", "bureau", "watchlist"),
    }
    assert "suspicious" not in told["grounds"]["worked_out"]
    assert "watchlist" not in told["inputs"]
    assert [step["amount"] for step in told["verdict"]["steps"]][-1] > 0
    words = await operator("explain", f"{number}-L1", "--why", "审计")
    for line in ("increase granted", "by two people", "The card's lasting limit", "10,000.00"):
        assert line in words
    assert "Limits at other banks" in words
    looks = await bank.fetch(
        "SELECT reason FROM personal_view WHERE application_id = $1 AND what = 'decision'",
        applicant.application_id,
    )
    assert len(looks) == 2
    assert all("审计" not in look["reason"] for look in looks)


async def test_what_the_bank_lowered_a_person_refused_or_nobody_looked_at_is_weighed_again_too(
    bank: Bank, desks: Desks, operator: Operator
) -> None:
    lowered = await by_people(bank, desks)
    await in_use(bank, lowered)
    lower = {"limit": {"minor": 5_000_00}, "note": "他行逾期"}
    assert (await act(desks.first, lowered, "lower", lower))[0] == 200
    assert (await act(desks.second, lowered, "signature", CONFIRM))[0] == 200
    change_id = (await change_of(desks.first, lowered))["change_id"]
    found = await verified(desks.first, lowered, change_id)
    assert (found["same"], found["policy_version"]) == (True, None)
    assert (found["least"]["minor"], found["most"]["minor"]) == (1_000_00, 9_900_00)
    assert "no policy asked" in await operator("verify", change_id)

    refused = await by_people(bank, desks)
    await in_use(bank, refused, days_past_due=3)
    change_id = await asks(bank, refused, "increase", 20_000)
    await deciding(desks.first, refused)
    beside = await asks(bank, refused, "increase", 30_000, "decided")
    body = {"outcome": "refuse", "note": "账户逾期"}
    assert (await act(desks.first, refused, "proposal", body))[0] == 200
    found = await verified(desks.first, refused, change_id)
    assert (found["same"], found["obstacles"]) == (True, ["ACCOUNT_PAST_DUE"])
    found = await verified(desks.first, refused, beside)
    assert (found["same"], found["automatic"]) == (True, True)
    assert found["obstacles"][0] == "ANOTHER_CHANGE"
    said = await operator("explain", beside, "--why", "投诉")
    assert "Another change of this limit waits for its decision" in said


async def test_a_decision_is_as_it_was_when_facts_and_terms_have_changed_since(
    bank: Bank, desks: Desks
) -> None:
    applicant = await known_to_the_bank(bank)
    await in_use(bank, applicant)
    change_id = await asks(bank, applicant, "increase", 20_000, "decided")
    before = await verified(desks.first, applicant, change_id)
    assert (before["same"], before["automatic"]) == (True, True)
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        await conn.execute(
            "UPDATE account_month SET days_past_due = 90 WHERE application_id = $1",
            applicant.application_id,
        )
        await conn.execute(
            "UPDATE limit_change SET body = jsonb_set(body, '{recommendation,ceiling,minor}', '1')"
            " WHERE change_id = $1",
            change_id,
        )
    finally:
        await conn.close()
    assert await verified(desks.first, applicant, change_id) == before


@pytest.mark.parametrize(
    "changed",
    [
        "granted = 35000000",
        "grounds = replace(grounds, '\"days_past_due\":0', '\"days_past_due\":9')",
        "weighed = replace(weighed, '\"least\":1010000', '\"least\":1000000')",
        "verdict = inputs",
    ],
    ids=["the limit", "a fact", "the arithmetic", "the verdict"],
)
async def test_whatever_is_changed_of_a_decision_shows_and_the_service_cannot_change_it(
    bank: Bank, desks: Desks, operator: Operator, changed: str
) -> None:
    applicant, change_id = await raised(bank, desks)
    change = f"UPDATE limit_decision SET {changed} WHERE change_id = $1"
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        await conn.execute(f"SET ROLE {app_role('review')}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(change, change_id)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("DELETE FROM limit_decision WHERE change_id = $1", change_id)
        await conn.execute("RESET ROLE")
        assert await conn.execute(change, change_id) == "UPDATE 1"
    finally:
        await conn.close()
    if changed.startswith("verdict"):
        # a seal opens under its own name alone
        assert "somebody has changed it" in await operator("verify", change_id, code=1)
    else:
        assert "OTHER BYTES" in await operator("verify", change_id, code=1)
        assert (await verified(desks.first, applicant, change_id))["same"] is False
