"""Review end to end: from the hand-over to the decision, with its checks, people and races."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from services.review.checks import OWN
from shared.calendar import moved_about
from shared.events import intake
from shared.events.payload import FIELD_CLASSES
from shared.identifiers import new_id
from shared.web import routes_without_permission
from shared.web.session import COOKIE, Signer
from tests.eventually import eventually
from tests.integration.review import figures
from tests.integration.review.bank import EMPLOYER, NAME, Applicant, Bank, Colleague
from tests.integration.review.conftest import Desks
from tests.weighing import MOST_BYTES, common_pages, copy_row, pages_of, weight_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

API = "/review/api/v1"
ENDS = {
    "application.approved",
    "application.declined",
    "application.withdrawal-granted",
}


async def handed(bank: Bank, last: str, sequence: int = 101, **kind: Any) -> Applicant:
    """An applicant handed to review, once review has said `last` about them."""
    applicant = await bank.applicant(sequence, **kind)
    await bank.hand_over(applicant)
    await said(bank, applicant, last)
    return applicant


async def said(bank: Bank, applicant: Applicant, last: str) -> None:
    async def arrived() -> bool:
        return last in await bank.types(applicant)

    await eventually(arrived)


async def case_of(colleague: Colleague, applicant: Applicant) -> dict[str, Any]:
    answer = await colleague.get(f"{API}/cases/{applicant.application_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def do(colleague: Colleague, applicant: Applicant, act: str, body: Any = None) -> int:
    answer = await colleague.post(f"{API}/cases/{applicant.application_id}/{act}", body)
    return answer.status_code


async def _shown(colleague: Colleague, applicant: Applicant) -> str:
    page = await colleague.get(f"/review/cases/{applicant.application_id}", lang="en")
    return str(page.text.partition("<main")[2])


APPROVE = {"outcome": "approve", "limit": {"minor": 1_000_000}, "note": "资料齐全"}
CONFIRM = {"outcome": "confirmed"}


async def test_a_known_good_customer_is_approved_by_the_policy_and_can_be_computed_again(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.approved")
    told = await bank.said(applicant, "banka.applications")
    assert [(kind, version) for kind, version, _ in told] == [
        ("application.checks-completed", 5),
        ("application.approved", 6),
    ]
    approved = told[-1][2]
    assert approved["automatic"] is True
    assert approved["limit"]["minor"] > 0
    assert await bank.types(applicant, "banka.review") == [
        *["check.requested"] * 3,
        *["check.completed"] * (3 + len(OWN)),
    ]
    answer = await desks.first.get(f"{API}/cases/{applicant.application_id}/verification")
    assert answer.json() | {"same": True, "decision_id": approved["decision_id"]} == answer.json()


async def test_nothing_personal_lies_in_any_table_in_clear(bank: Bank, desks: Desks) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    assert await do(desks.first, applicant, "claim") == 200
    assert await do(desks.first, applicant, "decision", APPROVE) == 200
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        tables = await conn.fetch(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname IN ('public', 'messaging')"
        )
        assert len(tables) > 15
        for table in tables:
            name = f'{table["schemaname"]}."{table["tablename"]}"'
            rows = await conn.fetch(f"SELECT row_to_json(t)::text AS row FROM {name} t")
            for row in rows:
                for secret in (NAME, applicant.id_number, EMPLOYER, applicant.mobile, "资料齐全"):
                    assert secret not in row["row"], name
        bodies = await conn.fetch("SELECT convert_from(body, 'UTF8') AS b FROM messaging.event_log")
        assert not any(NAME in row["b"] or applicant.id_number in row["b"] for row in bodies)
    finally:
        await conn.close()


async def test_a_new_customer_is_decided_by_two_different_people(bank: Bank, desks: Desks) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    first, second = desks.first, desks.second
    assert await do(first, applicant, "decision", APPROVE) == 409
    assert await do(second, applicant, "claim") == 200
    assert await do(first, applicant, "claim") == 409
    assert await do(second, applicant, "decision", APPROVE) == 200
    answer = await second.post(f"{API}/cases/{applicant.application_id}/signature", CONFIRM)
    assert (answer.status_code, answer.json()["code"]) == (403, "same-person")
    third = await bank.colleague(desks.transport, "risk_officer")
    assert await do(third, applicant, "signature", CONFIRM) == 200
    kind, version, approved = (await bank.said(applicant, "banka.applications"))[-1]
    assert (kind, version) == ("application.approved", 7)
    assert approved["decided_by"] == [second.staff_id, third.staff_id]
    assert approved["limit"]["minor"] == 1_000_000
    assert (await bank.types(applicant, "banka.review"))[-3:] == [
        "review.claimed",
        "review.proposed",
        "review.signed",
    ]


async def test_a_returned_proposal_can_be_made_again(bank: Bank, desks: Desks) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    first, second = desks.first, desks.second
    await do(first, applicant, "claim")
    await do(first, applicant, "decision", APPROVE)
    back = {"outcome": "returned", "note": "请补充说明"}
    assert await do(second, applicant, "signature", {**back, "note": ""}) == 422
    assert await do(second, applicant, "signature", back) == 200
    decline = {"outcome": "decline", "reason": "MATERIAL_UNSOUND", "note": "不一致"}
    assert await do(first, applicant, "decision", decline) == 200
    assert await do(second, applicant, "signature", CONFIRM) == 200
    _, _, declined = (await bank.said(applicant, "banka.applications"))[-1]
    assert declined["category"] == "material_unsound"
    waits = date.fromisoformat(declined["reapply_from"]) - bank.now.date()
    assert waits == timedelta(days=90)


@pytest.mark.parametrize(
    ("sequence", "category"),
    [
        (901, "inconsistent_information"),
        (911, "credit_history"),
        (921, "too_many_queries"),
        (931, "income_debt_mismatch"),
    ],
)
async def test_the_policy_declines_known_customers_with_the_category(
    bank: Bank, desks: Desks, sequence: int, category: str
) -> None:
    applicant = await handed(bank, "application.declined", sequence)
    _, _, declined = (await bank.said(applicant, "banka.applications"))[-1]
    assert (declined["category"], declined["automatic"]) == (category, True)
    counts = (await desks.first.get(f"{API}/reconciliation")).json()
    assert sum(counts["declines"].values()) == counts["states"]["declined"]


async def test_suspicion_is_seen_by_compliance_alone(bank: Bank, desks: Desks) -> None:
    applicant = await handed(bank, "application.held", 941)
    seen = await case_of(desks.first, applicant)
    assert seen["waits_for"] == "compliance"
    assert "WATCHLIST_HIT" not in str(seen)
    assert "WATCHLIST_HIT" in (await case_of(desks.compliance, applicant))["findings"]
    assert (await desks.first.get(f"{API}/queue", section="held")).status_code == 403
    held = await desks.compliance.get(
        f"{API}/queue", section="held", number=applicant.about["application_number"]
    )
    assert held.json()["total"] == 1
    assert await do(desks.first, applicant, "release", {"finding": "clear", "note": "x"}) == 403
    page = await desks.first.get(f"/review/cases/{applicant.application_id}")
    assert "制裁名单" not in page.text
    page = await desks.compliance.get(f"/review/cases/{applicant.application_id}")
    assert "制裁名单" in page.text
    done = {"finding": "confirmed", "note": "与名单一致"}
    assert await do(desks.compliance, applicant, "release", done) == 200
    assert await do(desks.second, applicant, "signature", CONFIRM) == 200
    told = await bank.said(applicant, "banka.applications")
    assert [kind for kind, _, _ in told] == [
        "application.checks-completed",
        "application.held",
        "application.released",
        "application.declined",
    ]
    assert told[-1][2]["category"] == "internal"
    assert "watchlist" not in str([data for _, _, data in told]).lower()
    assert (
        "与名单一致"
        not in (await desks.first.get(f"/review/cases/{applicant.application_id}")).text
    )


async def test_who_may_not_know_of_holds_sees_a_case_that_waits_for_a_reviewer(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.held", 941)
    manager = await bank.colleague(desks.transport, "manager")
    auditor = await bank.colleague(desks.transport, "auditor")
    number = applicant.about["application_number"]
    seen = await case_of(manager, applicant)
    assert (seen["state"], seen["waits_for"]) == ("manual_review", "reviewer")
    assert (await case_of(auditor, applicant))["state"] == "on_hold"
    queued = (await manager.get(f"{API}/queue", number=number)).json()["cases"]
    assert [(case["state"], case["claimed_by"]) for case in queued] == [("manual_review", None)]
    assert queued[0]["queued_at"] is None
    assert (await desks.first.get(f"{API}/queue", number=number)).json()["total"] == 0
    assert (await manager.get(f"{API}/queue", section="held")).status_code == 403
    inside = (await auditor.get(f"{API}/reconciliation")).json()
    counts = (await manager.get(f"{API}/reconciliation")).json()
    assert "on_hold" not in counts["states"]
    assert counts["states"]["manual_review"] == (
        inside["states"].get("manual_review", 0) + inside["states"]["on_hold"]
    )
    for language, traces in (
        ("zh-CN", ("挂起", "内部事项")),
        ("en", ("On hold", "Held", "internal matter", "Released")),
    ):
        for path in (f"/review/cases/{applicant.application_id}", "/review/queue"):
            page = await manager.get(path, lang=language)
            main = page.text.partition("<main")[2]
            assert number in main
            for trace in (*traces, "on_hold", "WATCHLIST_HIT"):
                assert trace not in main, (path, trace)


@pytest.mark.parametrize("sequence", [941, 961])
async def test_a_confirmed_suspicion_reads_like_any_other_decline(
    bank: Bank, desks: Desks, sequence: int
) -> None:
    """941: a suspicion that compliance confirmed; 961: a middling score that a reviewer declined.
    What a manager is shown of the one, of its proposal and of its end, is what of the other."""
    held = sequence == 941
    applicant = await handed(bank, "application.held" if held else "application.referred", sequence)
    manager = await bank.colleague(desks.transport, "manager")
    if held:
        found = {"finding": "confirmed", "note": "与名单一致"}
        assert await do(desks.compliance, applicant, "release", found) == 200
    else:
        assert await do(desks.first, applicant, "claim") == 200
        decline = {"outcome": "decline", "reason": "INTERNAL_RISK", "note": "与名单一致"}
        assert await do(desks.first, applicant, "decision", decline) == 200
    seen = await case_of(manager, applicant)
    assert seen["waits_for"] == "signature"
    assert (seen["claimed_by"], seen["state_version"]) == (None, None)
    at = seen["proposal"].pop("at")
    assert at is not None
    assert seen["proposal"] == {
        "outcome": "decline", "staff_id": None, "limit": None, "reasons": []
    }  # fmt: skip
    number = applicant.about["application_number"]
    [row] = (await manager.get(f"{API}/queue", section="to_sign", number=number)).json()["cases"]
    assert (row["to_sign"], row["proposed_by"], row["claimed_by"]) == (True, None, None)
    waiting = await _shown(manager, applicant)
    assert "Referred to a person" in waiting
    for untold in ("Claimed", "Decision proposed", "Held", "Released"):
        assert untold not in waiting
    assert await do(desks.second, applicant, "signature", CONFIRM) == 200
    decided = await _shown(manager, applicant)
    assert "two people" in decided
    verified = await manager.get(f"{API}/cases/{applicant.application_id}/verification")
    assert (verified.json()["decided_by"], verified.json()["same"]) == ([], True)
    for colleague in (desks.first, desks.second, desks.compliance):
        assert colleague.staff_id[-4:] not in waiting + decided


async def test_a_decline_of_compliance_that_is_sent_back_can_be_decided_after_all(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.held", 941)
    done = {"finding": "confirmed", "note": "与名单一致"}
    assert await do(desks.compliance, applicant, "release", done) == 200
    back = {"outcome": "returned", "note": "请再核对出生日期"}
    assert await do(desks.second, applicant, "signature", back) == 200
    assert (await case_of(desks.compliance, applicant))["waits_for"] == "compliance"
    page = await desks.compliance.get(f"/review/cases/{applicant.application_id}")
    assert "请再核对出生日期" in page.text
    clear = {"finding": "clear", "note": "同名不同人"}
    assert await do(desks.compliance, applicant, "release", clear) == 200
    assert await do(desks.first, applicant, "claim") == 200
    assert await do(desks.first, applicant, "decision", APPROVE) == 200
    assert await do(desks.second, applicant, "signature", CONFIRM) == 200
    assert [kind for kind, _, _ in await bank.said(applicant, "banka.applications")] == [
        "application.checks-completed",
        *["application.held", "application.released"] * 2,
        "application.approved",
    ]


async def test_whoever_may_sign_puts_back_the_case_of_a_colleague_who_is_away(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    third = await bank.colleague(desks.transport, "reviewer")
    assert await do(desks.first, applicant, "claim") == 200
    assert await do(third, applicant, "put-back") == 409
    path = f"/review/cases/{applicant.application_id}"
    for colleague, offered in ((third, False), (desks.second, True)):
        page = await colleague.get(path, lang="en")
        assert ("Put back for" in page.text) is offered
    answer = await desks.second.client.post(f"{path}/put-back")
    assert answer.status_code == 303
    page = await third.get(path, lang="en")
    assert "A colleague&#39;s case put back into the queue" in page.text
    assert await do(third, applicant, "claim") == 200


async def test_a_page_asks_for_each_paper_with_what_is_wrong_with_it(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    await do(desks.first, applicant, "claim")
    path = f"/review/cases/{applicant.application_id}"
    for language, words in (("zh-CN", "影像不清晰"), ("en", "Photo not clear")):
        assert words in (await desks.first.get(path, lang=language)).text
    chosen = ["income_proof:PHOTO_UNCLEAR", "", "work_proof:NO_STAMP"]
    answer = await desks.first.client.post(f"{path}/material", data={"items": chosen})
    assert answer.status_code == 303
    _, _, wanted = (await bank.said(applicant, "banka.applications"))[-1]
    assert [(item["item"], item["code"]) for item in wanted["items"]] == [
        ("income_proof", "PHOTO_UNCLEAR"),
        ("work_proof", "NO_STAMP"),
    ]


@pytest.mark.parametrize(("new_to_bank", "said_so"), [(True, "Yes"), (False, "No")])
async def test_a_page_says_whether_the_customer_is_new(
    bank: Bank, desks: Desks, new_to_bank: bool, said_so: str
) -> None:
    last = "application.referred" if new_to_bank else "application.approved"
    applicant = await handed(bank, last, new_to_bank=new_to_bank)
    page = await desks.first.get(f"/review/cases/{applicant.application_id}", lang="en")
    assert f"<dt>New to the bank</dt><dd>{said_so}</dd>" in page.text


async def test_what_the_pre_check_noticed_goes_to_a_person_who_reads_it_in_words(
    bank: Bank, desks: Desks
) -> None:
    applicant = await bank.applicant(101)
    applicant.warnings = ["MOBILE_SHARED", "A_CODE_OF_LATER"]
    await bank.hand_over(applicant)
    await said(bank, applicant, "application.referred")
    path = f"/review/cases/{applicant.application_id}"
    assert "同一手机号码由多人使用" in (await desks.first.get(path, lang="zh-CN")).text
    english = (await desks.first.get(path, lang="en")).text
    assert "Mobile number of several persons" in english
    assert "A_CODE_OF_LATER" in english


async def outage(bank: Bank, system: str, calls: int) -> None:
    await bank.systems.post("/control/outage", json={"system": system, "calls": calls})


async def wait_for(colleague: Colleague, applicant: Applicant, system: str) -> dict[str, Any]:
    """The check of a case that waits for a system, once it does."""
    found: dict[str, Any] = {}

    async def waits() -> bool:
        answer = await colleague.get(f"{API}/cases/{applicant.application_id}")
        if answer.status_code != 200:
            return False  # not handed over yet
        checks = answer.json()["checks"]
        found.update(next(one for one in checks if one["check"] == system))
        others = {one["outcome"] for one in checks if one["check"] != system}
        return found["waits_since"] is not None and others == {"answered"}

    await eventually(waits)
    return found


async def test_cases_wait_for_a_bureau_that_is_away_and_go_on_when_it_is_back(
    bank: Bank, desks: Desks
) -> None:
    await outage(bank, "bureau", 100_000)
    first = await bank.applicant(101)
    await bank.hand_over(first)
    told = await wait_for(desks.first, first, "bureau")
    second = await bank.applicant(101)
    await bank.hand_over(second)
    await wait_for(desks.first, second, "bureau")
    for applicant in (first, second):
        seen = await case_of(desks.first, applicant)
        assert (seen["state"], seen["waits_for"], seen["findings"]) == ("checking", "checks", [])
        assert await bank.types(applicant) == []
    # the second one's question was not even sent: the system was known to be away
    assert (await bank.receipts(second))["bureau"] == {}
    listed = (await desks.first.get(f"{API}/queue", section="waiting")).json()["cases"]
    waiting = {one["application_id"] for one in listed}
    assert {first.application_id, second.application_id} <= waiting
    queue = (await desks.first.get("/review/queue", section="waiting", lang="en")).text
    assert "They go on by themselves as soon as the system answers" in queue
    assert first.about["application_number"] in queue
    page = await _shown(desks.first, first)
    assert "The case waits and goes on by itself" in page
    ready = (await desks.first.get("/readyz")).json()
    assert "no answer since" in ready["notes"]["check bureau"]
    assert 'banka_system_away{check="bureau"} 1.0' in (await desks.first.get("/metrics")).text

    await outage(bank, "bureau", 0)
    bank.step(datetime.fromisoformat(told["asked_again"]) + timedelta(minutes=5))
    for applicant in (first, second):
        await said(bank, applicant, "application.approved")
        assert len((await bank.receipts(applicant))["bureau"]) == 1
    assert 'banka_system_away{check="bureau"} 0.0' in (await desks.first.get("/metrics")).text
    assert (await desks.first.get(f"{API}/queue", section="waiting")).json()["cases"] == []


async def test_who_waited_too_long_goes_to_a_person_and_is_made_good(
    bank: Bank, desks: Desks
) -> None:
    await outage(bank, "bureau", 100_000)
    applicant = await bank.applicant(101, new_to_bank=True)
    await bank.hand_over(applicant)
    told = await wait_for(desks.first, applicant, "bureau")
    bank.step(datetime.fromisoformat(told["waits_until"]))
    await said(bank, applicant, "application.referred")
    seen = await case_of(desks.first, applicant)
    assert "BUREAU_UNAVAILABLE" in seen["findings"]
    assert seen["ceiling"]["minor"] == 0
    await do(desks.first, applicant, "claim")
    refused = await desks.first.post(f"{API}/cases/{applicant.application_id}/decision", APPROVE)
    assert (refused.status_code, refused.json()["code"]) == (409, "not-approvable")
    assert "No answer until the longest wait was over" in await _shown(desks.first, applicant)
    await outage(bank, "bureau", 0)
    bank.step(bank.now + timedelta(minutes=5))
    assert await do(desks.first, applicant, "checks") == 200

    async def renewed() -> bool:
        found: list[str] = (await case_of(desks.first, applicant))["findings"]
        return found == ["NEW_TO_BANK"]

    await eventually(renewed)
    assert await do(desks.first, applicant, "decision", APPROVE) == 200
    # the bureau may have recorded the query of before: it was the same one
    assert len((await bank.receipts(applicant))["bureau"]) == 1


async def test_a_short_outage_is_ridden_out(bank: Bank, desks: Desks) -> None:
    await outage(bank, "identity", 3)
    applicant = await handed(bank, "application.approved")
    assert list((await bank.receipts(applicant))["identity"].values()) == [4]


@pytest.mark.parametrize(("sequence", "calls"), [(970, 1), (971, 2)])
async def test_after_a_time_out_the_bureau_is_asked_what_became_of_it(
    bank: Bank, desks: Desks, sequence: int, calls: int
) -> None:
    """Even digits: the bureau did the work, so asking by key is enough. Odd: it never heard of it,
    so the question is sent again under the same key."""
    applicant = await handed(bank, "application.approved", sequence)
    assert list((await bank.receipts(applicant))["bureau"].values()) == [calls]


async def test_a_second_hand_over_asks_nothing_twice_and_gives_back_the_days_of_waiting(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    asked_at, due = bank.now, datetime.fromisoformat((await case_of(desks.first, applicant))["due"])
    await do(desks.first, applicant, "claim")
    items = {"items": [{"item": "income_proof", "code": "DOC_MISSING"}]}
    assert await do(desks.first, applicant, "material", items) == 200
    applicant.version = 7
    await bank.tell(
        applicant,
        intake.MaterialRequested,
        **items,
        deadline=bank.now + timedelta(days=14),
        round=1,
    )
    bank.step(bank.now + timedelta(days=3))  # a watchlist's answer is valid for seven days
    await bank.tell(applicant, intake.MaterialCompleted)
    await bank.pass_pre_check(applicant)

    async def referred_again() -> bool:
        return (await bank.types(applicant)).count("application.referred") == 2

    await eventually(referred_again)
    moved = datetime.fromisoformat((await case_of(desks.first, applicant))["due"])
    assert moved == moved_about(due, asked_at, bank.now) > due
    assert "the clock stood still while the customer was awaited" in await _shown(
        desks.first, applicant
    )
    assert all(list(keys.values()) == [1] for keys in (await bank.receipts(applicant)).values())


@pytest.mark.parametrize("place", ["810000", "931000"])  # a residence permit, a foreigner's card
async def test_whom_the_registry_does_not_hold_is_approved_by_people_where_somebody_saw_them(
    bank: Bank, desks: Desks, place: str
) -> None:
    applicant = await handed(bank, "application.referred", place=place)
    receipts = await bank.receipts(applicant)
    assert (receipts.get("identity", {}), len(receipts["bureau"])) == ({}, 1)
    seen = await case_of(desks.first, applicant)
    assert seen["findings"] == ["IDENTITY_UNAVAILABLE"]
    assert "The registry holds citizens' ID cards alone" in await _shown(desks.first, applicant)
    assert await do(desks.first, applicant, "claim") == 200
    # what is unknown does not pass, and to ask the registry again would not help
    answer = await desks.first.post(f"{API}/cases/{applicant.application_id}/decision", APPROVE)
    assert (answer.status_code, answer.json()["code"]) == (409, "not-approvable")
    assert await do(desks.first, applicant, "checks") == 409

    items = {"items": [{"item": "id_front", "code": "DOC_UNREADABLE"}]}
    assert await do(desks.first, applicant, "material", items) == 200
    applicant.version = 7
    deadline = bank.now + timedelta(days=14)
    await bank.tell(applicant, intake.MaterialRequested, **items, deadline=deadline, round=1)
    await bank.tell(applicant, intake.MaterialCompleted)
    meeting = {"saw_person": True, "saw_original": True, "saw_signing": True, "staff_id": "s"}
    evidence = {"at": bank.now, "evidence": [new_id()]}
    await bank.pass_pre_check(applicant, meeting={**meeting, **evidence})

    async def referred_again() -> bool:
        return (await bank.types(applicant)).count("application.referred") == 2

    await eventually(referred_again)
    await do(desks.first, applicant, "claim")
    assert await do(desks.first, applicant, "decision", APPROVE) == 200
    assert await do(desks.second, applicant, "signature", CONFIRM) == 200
    assert (await bank.types(applicant))[-1] == "application.approved"


async def test_two_reviewers_at_the_same_moment_get_one_case(bank: Bank, desks: Desks) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    answers = await asyncio.gather(
        *(do(one, applicant, "claim") for one in (desks.first, desks.second))
    )
    assert sorted(answers) == [200, 409]


async def test_withdrawal_against_decision_ends_in_one_state(bank: Bank, desks: Desks) -> None:
    """The customer withdraws at the very moment at which the second person signs."""
    applicants = [await bank.applicant(new_to_bank=True) for _ in range(24)]
    await asyncio.gather(*(bank.hand_over(one) for one in applicants))
    for one in applicants:
        await said(bank, one, "application.referred")
        assert await do(desks.first, one, "claim") == 200
        assert await do(desks.first, one, "decision", APPROVE) == 200
    chance = random.Random(7)

    async def race(one: Applicant) -> None:
        one.version = 6
        ask = bank.tell(one, intake.WithdrawalRequested, request_id=one.application_id)
        sign = do(desks.second, one, "signature", CONFIRM)

        async def later(act: Any) -> None:
            await asyncio.sleep(chance.random() * 0.03)
            await act

        await asyncio.gather(later(ask), later(sign))

    await asyncio.gather(*(race(one) for one in applicants))
    ends = []
    for one in applicants:

        async def answered(one: Applicant = one) -> bool:
            kinds = await bank.types(one)
            return any(kind.startswith("application.withdrawal-") for kind in kinds)

        await eventually(answered)
        told = await bank.said(one, "banka.applications")
        kinds = [kind for kind, _, _ in told]
        (end,) = [kind for kind in kinds if kind in ENDS]
        ends.append(end)
        assert ("application.withdrawal-refused" in kinds) is (end == "application.approved")
        versions = [
            version for kind, version, _ in told if kind != "application.withdrawal-refused"
        ]
        assert versions == [5, 6, 7]
        state = (await case_of(desks.first, one))["state"]
        assert state == {"application.approved": "approved"}.get(end, "withdrawn")
    assert len(ends) == 24


async def test_everything_delivered_twice_changes_nothing(bank: Bank, desks: Desks) -> None:
    applicant = await handed(bank, "application.approved")
    before = await bank.said(applicant, "banka.applications")
    await bank.publish_all_again()
    later = await handed(bank, "application.approved")
    assert await bank.said(applicant, "banka.applications") == before
    assert all(list(keys.values()) == [1] for keys in (await bank.receipts(applicant)).values())
    assert later.application_id != applicant.application_id


async def test_own_limits_are_deducted_from_a_persons_next_card(bank: Bank, desks: Desks) -> None:
    first = await handed(bank, "application.approved", income=3_000_00)
    granted = (await bank.said(first, "banka.applications"))[-1][2]["limit"]["minor"]
    again = await bank.applicant(income=3_000_00)
    keys = await bank.vault.new_party(
        again.application_id, person=first.party.person, id_number=first.id_number
    )
    sealed = keys.seal_fields(
        {
            "name": NAME,
            "id_number": first.id_number,
            "mobile": again.mobile,
            "monthly_income": "300000",
        },
        FIELD_CLASSES,
    )
    again.party = again.party.model_copy(
        update={"party_id": keys.party_id, "person": keys.person, "fields": sealed}
    )
    await bank.hand_over(again)

    async def decided() -> bool:
        return len(await bank.types(again)) >= 2

    await eventually(decided)
    kind, _, data = (await bank.said(again, "banka.applications"))[-1]
    second = data["limit"]["minor"] if kind == "application.approved" else 0
    assert granted + second <= 1_800_000  # six months' income in all
    assert second < granted


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_pages_show_masked_people_and_the_limits_working(
    bank: Bank, desks: Desks, language: str
) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    number = applicant.about["application_number"]
    listed = await desks.first.get(
        "/review/queue", branch=bank.branch, sort="-number", lang=language
    )
    assert listed.status_code == 200
    assert number in listed.text
    await do(desks.first, applicant, "claim")
    page = await desks.first.get(f"/review/cases/{applicant.application_id}", lang=language)
    assert page.status_code == 200
    assert ("额度测算过程" if language == "zh-CN" else "How the limit was worked out") in page.text
    assert "端***" in page.text
    for secret in (NAME, applicant.id_number, applicant.mobile):
        assert secret not in page.text
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        looked = await conn.fetchval(
            "SELECT staff_id FROM personal_view WHERE application_id = $1",
            applicant.application_id,
        )
    finally:
        await conn.close()
    assert looked == desks.first.staff_id


async def test_a_case_of_another_branch_is_not_to_be_found(bank: Bank, desks: Desks) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    stranger = await bank.colleague(desks.transport, "manager")
    # a manager sees the region of their branches; this one belongs to none
    await bank.publish(
        stranger.staff_id,
        intake.StaffChanged(
            staff_id=stranger.staff_id,
            username="elsewhere",
            display_name="别处",
            roles=["manager"],
            branches=["0001"],
            desk="credit_review",
            session_epoch=1,
        ),
    )

    async def narrowed() -> bool:
        path = f"{API}/cases/{applicant.application_id}"
        return (await stranger.get(path)).status_code == 404

    await eventually(narrowed)
    listed = await stranger.get(f"{API}/queue", number=applicant.about["application_number"])
    assert listed.json()["total"] == 0


async def test_a_session_that_was_ended_elsewhere_gets_in_no_more(bank: Bank, desks: Desks) -> None:
    colleague = await bank.colleague(desks.transport, "reviewer")
    signer = Signer(bank.settings.secret("session-key").encode())
    session = signer.open(colleague.client.cookies[COOKIE], time.time())
    assert session is not None
    ended = intake.SessionEnded(
        staff_id=colleague.staff_id, session=session.digest, until=session.until
    )
    await bank.publish(colleague.staff_id, ended)

    async def out() -> bool:
        return (await colleague.get(f"{API}/queue")).status_code == 401

    await eventually(out)


async def test_decisions_and_history_cannot_be_rewritten_by_the_service(
    bank: Bank, desks: Desks
) -> None:
    await handed(bank, "application.approved")
    conn = await asyncpg.connect(bank.settings.postgres_url("banka_review", "review_app"))
    try:
        for statement in (
            "UPDATE decision SET outcome = 'decline'",
            "DELETE FROM decision",
            "UPDATE case_history SET actor = 'nobody'",
            "DELETE FROM personal_view",
            "UPDATE policy_archive SET source = ''",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)
    finally:
        await conn.close()


async def test_every_route_declares_who_may_use_it(desks: Desks) -> None:
    assert routes_without_permission(desks.app) == []


async def test_every_page_is_light_with_as_many_rows_as_it_may_have(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    (policy,) = await bank.fetch("SELECT digest FROM policy_release WHERE baseline")
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        await copy_row(conn, "review_case", applicant.application_id, 40, "application_id")
        pages = {
            "/review/queue": 26,  # the head, and a page of rows
            "/review/cases/{application_id}": 0,
            "/review/workload": 2,
            "/review/appeals": 0,  # none waits
            "/review/limit-changes": 0,
            "/review/cases/{application_id}/limit-change": 0,
            "/review/policies": 2,
            "/review/policies/{digest}": 60,  # every row of its tables
        }
        # a way on, and a question of three lines
        small = {
            "/review",
            "/review/cases/{application_id}/fields/{field}",
            "/review/cases/{application_id}/limit-change/working",
        }
        elsewhere = figures.PAGES.keys() | figures.DRIFT_PAGES.keys() | figures.NO_PAGES
        assert pages.keys() | small | elsewhere == pages_of(desks.app) - common_pages("review")
        for page, rows in pages.items():
            for language in ("zh-CN", "en"):
                address = page.format(
                    application_id=applicant.application_id, digest=policy["digest"]
                )
                answer = await desks.first.get(address, lang=language)
                assert answer.text.count("<tr") >= rows
                assert await weight_of(desks.first.client, answer) <= MOST_BYTES, address
    finally:
        await conn.execute(
            "DELETE FROM review_case WHERE starts_with(application_id, $1 || '-')",
            applicant.application_id,
        )
        await conn.close()
