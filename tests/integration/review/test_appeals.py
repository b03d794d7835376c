"""Appeals: what a customer asks for who was declined, or whose limit the policy alone set, is a
case of its own; the decision stays as it was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from shared.calendar import business_day
from shared.events import intake
from shared.events.intake import AppealWish
from shared.identifiers import new_id
from tests.eventually import eventually
from tests.integration.review.bank import Applicant, Bank, Colleague
from tests.integration.review.conftest import Desks
from tests.integration.review.test_limit_changes import (
    API,
    CONFIRM,
    by_people,
    in_use,
    known_to_the_bank,
)
from tests.integration.review.test_limit_changes import act as about_its_limit
from tests.integration.review.test_service import APPROVE, do, handed, said

pytestmark = pytest.mark.asyncio(loop_scope="module")

DECLINE = {"outcome": "decline", "reason": "MATERIAL_UNSOUND", "note": "不一致"}
SUBMITTED = {"new_to_bank": False, "age_band": "26-35", "income_band": "10000-19999"}
WORDS = "我的收入证明写错了月份"
POLICY_DECLINES = 911  # an applicant with an adverse record


async def asks(
    bank: Bank, applicant: Applicant, wish: AppealWish, words: str = "", by: str = "customer"
) -> str:
    """The customer asks through intake; the appeal's id, once review has opened it."""
    appeal_id = new_id()
    keys = await bank.vault.party_keys(applicant.party.party_id, applicant.application_id)
    sealed = str(keys.seal("financial", "note", words)) if words else None
    await bank.tell(
        applicant,
        intake.AppealRequested,
        appeal_id=appeal_id,
        wish=wish,
        words=sealed,
        entered_by=by,
    )
    await said(bank, applicant, "appeal.opened")
    return appeal_id


async def act(colleague: Colleague, applicant: Applicant, what: str = "", **form: str) -> str:
    """What the page says after a command on the case's appeal."""
    here = f"/review/cases/{applicant.application_id}"
    await colleague.get(here, lang="en")  # and stays in English
    posted = await colleague.client.post(f"{here}/appeal{what}", data=form)
    assert posted.status_code == 303, posted.text
    return (await colleague.get(here, lang="en")).text


async def last(bank: Bank, applicant: Applicant) -> tuple[str, int | None, Any]:
    return (await bank.said(applicant, "banka.applications"))[-1]


async def declined_by_people(bank: Bank, desks: Desks) -> Applicant:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    assert await do(desks.first, applicant, "claim") == 200
    assert await do(desks.first, applicant, "decision", DECLINE) == 200
    assert await do(desks.second, applicant, "signature", {"outcome": "confirmed"}) == 200
    return applicant


async def test_a_person_reviews_what_the_policy_declined_and_nothing_of_it_changes(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.declined", POLICY_DECLINES)
    about = ("SELECT * FROM decision WHERE application_id = $1", applicant.application_id)
    before = await bank.fetch(*about)
    _, version, _ = await last(bank, applicant)
    appeal_id = await asks(bank, applicant, AppealWish.HUMAN_REVIEW, WORDS)
    kind, stays, opened = await last(bank, applicant)
    assert (kind, stays, opened["appeal_id"]) == ("appeal.opened", version, appeal_id)
    assert opened["appeal_number"] == applicant.about["application_number"] + "-1"
    listed = (await desks.first.get("/review/appeals", lang="en")).text
    assert opened["appeal_number"] in listed
    assert "Claim the appeal first." in await act(
        desks.first, applicant, "/answer", answer="upheld", note="复核无误"
    )
    page = await act(desks.first, applicant, "/claim")
    assert WORDS in page
    page = await act(desks.first, applicant, "/answer", answer="explained", note="复核无误")
    assert "This is no answer to what the customer asked for." in page
    page = await act(desks.first, applicant, "/answer", answer="upheld")
    assert "Please say in words what you found." in page
    page = await act(desks.first, applicant, "/answer", answer="upheld", note="复核无误")
    assert "The appeal is answered" in page
    kind, stays, answered = await last(bank, applicant)
    assert (kind, stays) == ("appeal.answered", version)
    assert (answered["outcome"], answered["automatic"]) == ("upheld", True)
    assert (answered["category"], answered["reapply_from"]) == ("credit_history", None)
    assert answered["answered_by"] == desks.first.staff_id
    assert await bank.fetch(*about) == before
    (case,) = await bank.fetch(
        "SELECT state, state_version, due, category FROM review_case WHERE application_id = $1",
        applicant.application_id,
    )
    assert (case["state"], case["state_version"]) == ("declined", version)
    done = (await desks.first.get("/review/appeals", section="answered", lang="en")).text
    assert opened["appeal_number"] in done
    assert WORDS not in done


async def test_whoever_made_the_decision_does_not_answer_and_another_may_change_it(
    bank: Bank, desks: Desks
) -> None:
    applicant = await declined_by_people(bank, desks)
    await asks(bank, applicant, AppealWish.HUMAN_REVIEW)
    for decider in (desks.first, desks.second):
        page = await act(decider, applicant, "/claim")
        assert "Whoever took part in it before does not answer the appeal." in page
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute(
                "UPDATE appeal SET claimed_by = $2 WHERE application_id = $1",
                applicant.application_id,
                desks.second.staff_id,
            )
    finally:
        await conn.close()
    other = await bank.colleague(desks.transport, "reviewer")
    await act(other, applicant, "/claim")
    assert "Another officer has this appeal." in await act(
        await bank.colleague(desks.transport, "reviewer"), applicant, "/claim"
    )
    await act(other, applicant, "/answer", answer="changed", note="材料属实")
    kind, _, answered = await last(bank, applicant)
    assert (kind, answered["outcome"], answered["automatic"]) == (
        "appeal.answered",
        "changed",
        False,
    )
    assert answered["reapply_from"] == business_day(bank.now).isoformat()


async def test_nobody_answers_who_took_part_or_answered_before(bank: Bank, desks: Desks) -> None:
    """Be it that what they thought was not what was decided."""
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    other = await bank.colleague(desks.transport, "risk_officer")
    assert await do(desks.first, applicant, "claim") == 200
    assert await do(desks.first, applicant, "decision", APPROVE) == 200
    back = {"outcome": "returned", "note": "收入存疑"}
    assert await do(other, applicant, "signature", back) == 200
    assert await do(desks.first, applicant, "decision", DECLINE) == 200
    assert await do(desks.second, applicant, "signature", {"outcome": "confirmed"}) == 200
    await asks(bank, applicant, AppealWish.EXPLANATION)
    refused = "Whoever took part in it before"
    for took_part in (desks.first, desks.second, other):
        assert refused in await act(took_part, applicant, "/claim")
    third, fourth = [await bank.colleague(desks.transport, "reviewer") for _ in range(2)]
    await act(third, applicant, "/claim")
    await act(third, applicant, "/answer", answer="explained", note="已说明")
    await asks(bank, applicant, AppealWish.HUMAN_REVIEW)
    await eventually(lambda: again(bank, applicant, 2))
    assert refused in await act(third, applicant, "/claim")
    assert refused not in await act(fourth, applicant, "/claim")
    assert (await act(fourth, applicant, "/answer", answer="upheld", note="复核无误")).count(
        "The appeal is answered"
    )


async def test_an_officer_opens_one_for_the_customer_and_two_at_once_are_one(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.declined", POLICY_DECLINES)
    page = await act(desks.first, applicant, wish="explanation", note="客户来电")
    assert "The appeal is opened" in page
    page = await act(desks.second, applicant, wish="explanation")
    assert "An appeal of this customer waits for its answer already." in page
    opened = (await last(bank, applicant))[2]

    # the customer asked for more in the same moment
    await bank.tell(
        applicant,
        intake.AppealRequested,
        appeal_id=new_id(),
        wish=AppealWish.HUMAN_REVIEW,
        entered_by="customer",
    )

    async def joined() -> bool:
        return (await bank.types(applicant)).count("appeal.opened") == 2

    await eventually(joined)
    again = (await last(bank, applicant))[2]
    assert again["appeal_id"] == opened["appeal_id"]
    assert (opened["wish"], again["wish"]) == ("explanation", "human-review")
    await act(desks.first, applicant, "/claim")
    page = await act(desks.second, applicant, "/put-back")  # may sign: for a colleague
    assert "The appeal waits for somebody else." in page
    await act(desks.first, applicant, "/claim")
    await act(desks.first, applicant, "/answer", answer="upheld", note="复核无误")
    # and once it is answered, the next one is the second
    page = await act(desks.second, applicant, wish="explanation")
    assert applicant.about["application_number"] + "-2" in page


async def test_of_limits_only_one_that_the_policy_alone_set_is_appealed_against(
    bank: Bank, desks: Desks
) -> None:
    applicant = await by_people(bank, desks)
    here = f"/review/cases/{applicant.application_id}"
    assert "Open an appeal" not in (await desks.first.get(here, lang="en")).text
    page = await act(desks.first, applicant, wish="explanation")
    assert "The policy alone did not set this limit" in page
    refused = await desks.first.post(
        f"{API}/cases/{applicant.application_id}/appeal", {"wish": "explanation"}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "not-automatic")
    undecided = await handed(bank, "application.referred", new_to_bank=True)
    page = await act(desks.first, undecided, wish="explanation")
    assert "Only a decline, or a limit that the policy alone set, is appealed against." in page
    for one in (applicant, undecided):
        assert "appeal.opened" not in await bank.types(one)


async def test_a_limit_that_the_policy_alone_set_is_explained_and_stays_as_it_is(
    bank: Bank, desks: Desks
) -> None:
    applicant = await known_to_the_bank(bank)
    about = ("SELECT * FROM decision WHERE application_id = $1", applicant.application_id)
    before = await bank.fetch(*about)
    here = f"/review/cases/{applicant.application_id}"
    assert "Open an appeal" in (await desks.first.get(here, lang="en")).text
    await asks(bank, applicant, AppealWish.EXPLANATION, WORDS)
    _, version, opened = await last(bank, applicant)
    assert (opened["about"], opened["wish"]) == ("limit", "explanation")
    page = await act(desks.second, applicant, "/claim")
    assert "what bounded this one, and no amount" in page
    assert WORDS in page
    page = await act(desks.second, applicant, "/answer", answer="explained", note="已说明")
    assert "The appeal is answered" in page
    kind, stays, answered = await last(bank, applicant)
    assert (kind, stays) == ("appeal.answered", version)
    assert (answered["about"], answered["basis"], answered["automatic"]) == ("limit", "wish", True)
    assert (answered["category"], answered["reapply_from"]) == (None, None)
    assert (answered["change_number"], answered["outcome"]) == (None, "explained")
    assert await bank.fetch(*about) == before
    listed = (await desks.first.get("/review/appeals", section="answered", lang="en")).text
    assert opened["appeal_number"] in listed
    told = (await desks.first.get(f"{API}/appeals", answered="true")).json()["appeals"]
    assert ("limit", opened["appeal_number"]) in {(one["about"], one["number"]) for one in told}
    # asked again before the card works, for a person's decision: nothing can be raised yet
    await asks(bank, applicant, AppealWish.HUMAN_REVIEW)
    await eventually(lambda: again(bank, applicant, 2))
    await act(desks.first, applicant, "/claim")
    page = await act(desks.first, applicant, "/answer", answer="changed", note="可考虑更高")
    assert "a higher limit is looked at" in page
    answered = (await last(bank, applicant))[2]
    assert (answered["outcome"], answered["change_number"]) == ("changed", None)
    assert "limit-change.opened" not in await bank.types(applicant)


async def again(bank: Bank, applicant: Applicant, times: int) -> bool:
    return (await bank.types(applicant)).count("appeal.opened") == times


async def test_a_limit_that_deserves_more_is_raised_by_a_change_that_goes_by_its_own_rules(
    bank: Bank, desks: Desks
) -> None:
    applicant = await known_to_the_bank(bank, wish=90_000)
    (case,) = await bank.fetch(
        "SELECT granted_limit FROM review_case WHERE application_id = $1", applicant.application_id
    )
    await in_use(bank, applicant)
    await asks(bank, applicant, AppealWish.HUMAN_REVIEW, WORDS)
    await act(desks.first, applicant, "/claim")
    await act(desks.first, applicant, "/answer", answer="changed", note="收入已核实")
    told = {kind: data for kind, _, data in await bank.said(applicant, "banka.applications")}
    answered, opened = told["appeal.answered"], told["limit-change.opened"]
    assert answered["change_number"] == opened["change_number"]
    assert (opened["kind"], opened["by_bank"]) == ("increase", False)
    (change,) = await bank.fetch(
        "SELECT wanted, before, agreed_at FROM limit_change WHERE application_id = $1",
        applicant.application_id,
    )
    assert (change["wanted"], change["before"]) == (9_000_000, case["granted_limit"])
    assert change["agreed_at"] is not None
    (after,) = await bank.fetch(
        "SELECT granted_limit FROM review_case WHERE application_id = $1", applicant.application_id
    )
    assert after == case
    # another increase waits now: a second answer cannot begin one beside it
    await asks(bank, applicant, AppealWish.HUMAN_REVIEW)
    await eventually(lambda: again(bank, applicant, 2))
    await act(desks.second, applicant, "/claim")
    page = await act(desks.second, applicant, "/answer", answer="changed", note="收入已核实")
    assert "A change of this limit waits for its decision: decide it first." in page


async def test_a_limit_that_the_bank_lowered_is_no_more_appealed_against(
    bank: Bank, desks: Desks
) -> None:
    applicant = await known_to_the_bank(bank, wish=90_000)
    await in_use(bank, applicant)
    await asks(bank, applicant, AppealWish.HUMAN_REVIEW, WORDS)
    lower = {"limit": {"minor": 5_000_00}, "note": "他行逾期"}
    assert (await about_its_limit(desks.first, applicant, "lower", lower))[0] == 200
    assert (await about_its_limit(desks.second, applicant, "signature", CONFIRM))[0] == 200
    # what was asked before is answered, and begins nothing against the decrease
    await act(desks.first, applicant, "/claim")
    await act(desks.first, applicant, "/answer", answer="changed", note="收入已核实")
    kind, _, answered = await last(bank, applicant)
    assert (kind, answered["outcome"]) == ("appeal.answered", "changed")
    assert answered["change_number"] is None
    here = f"/review/cases/{applicant.application_id}"
    assert "Open an appeal" not in (await desks.first.get(here, lang="en")).text
    page = await act(desks.first, applicant, wish="explanation")
    assert "This limit was changed since the policy alone set it" in page
    refused = await desks.first.post(
        f"{API}/cases/{applicant.application_id}/appeal", {"wish": "explanation"}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "limit-changed")
    # intake had not heard of it yet
    await asks(bank, applicant, AppealWish.EXPLANATION)
    await eventually(lambda: again(bank, applicant, 2))


async def test_what_takes_a_decline_up_again_goes_to_a_person_who_sees_the_earlier_decision(
    bank: Bank, desks: Desks
) -> None:
    earlier = await declined_by_people(bank, desks)
    anew = await bank.applicant()  # the policy would approve it
    paper = {"item": "income_proof", "sha256": "b" * 64, "media_type": "image/png"}
    again = await bank.applicant()
    for one, more in (
        (anew, {}),
        (again, {"documents": [{**paper, "document_id": new_id()}]}),
    ):
        await bank.tell(one, intake.ApplicationDrafted)
        await bank.tell(one, intake.ApplicationSubmitted, **SUBMITTED, parties=[one.party])
        await bank.tell(one, intake.PreCheckStarted)
        await bank.pass_pre_check(one, reopens=earlier.application_id, **more)
        await said(bank, one, "application.referred")
        assert "application.approved" not in await bank.types(one)
    here = f"/review/cases/{anew.application_id}"
    page = (await desks.first.get(here, lang="en")).text
    assert "Takes up an earlier application again: a person looks at the new material" in page
    assert earlier.about["application_number"] in page
    assert "No paper of this application is new." in page
    page = (await desks.first.get(f"/review/cases/{again.application_id}", lang="en")).text
    assert "No paper of this application is new." not in page
    (case,) = await bank.fetch(
        "SELECT state FROM review_case WHERE application_id = $1", earlier.application_id
    )
    assert case["state"] == "declined"


async def test_an_appeal_that_is_late_says_so(bank: Bank, desks: Desks) -> None:
    applicant = await handed(bank, "application.declined", POLICY_DECLINES)
    await asks(bank, applicant, AppealWish.EXPLANATION)
    (row,) = await bank.fetch(
        "SELECT due FROM appeal WHERE application_id = $1", applicant.application_id
    )
    listed = (await desks.first.get("/review/appeals", lang="en")).text
    assert "overdue" not in listed
    bank.step(row["due"] + timedelta(minutes=1))
    here = f"/review/cases/{applicant.application_id}"

    async def noted() -> bool:
        return "Appeal overdue" in (await desks.first.get(here, lang="en")).text

    await eventually(noted)
    assert "overdue" in (await desks.first.get("/review/appeals", lang="en")).text


async def test_where_the_bureau_had_to_be_asked_anew_the_customer_is_invited_to_ask(
    bank: Bank, desks: Desks
) -> None:
    """An appeal brings no consent: an increase begun by it could never be granted."""
    applicant = await known_to_the_bank(bank, wish=90_000)
    await in_use(bank, applicant)
    await asks(bank, applicant, AppealWish.HUMAN_REVIEW, WORDS)
    bank.step(bank.now + timedelta(days=31))
    page = await act(desks.first, applicant, "/claim")
    assert "the credit report or the income is too old" in page
    await act(desks.first, applicant, "/answer", answer="changed", note="收入已核实")
    kind, _, answered = await last(bank, applicant)
    assert (kind, answered["outcome"]) == ("appeal.answered", "changed")
    assert answered["change_number"] is None
    assert "limit-change.opened" not in await bank.types(applicant)
