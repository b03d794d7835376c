"""What customers say in the bank's app after the decision: an appeal, a dispute about the credit
report; by the rules of their own page, about their own applications alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.partner_cli import read_event, sealed
from services.intake import store
from shared.events import review
from shared.identifiers import new_id
from shared.privacy.jwe import encrypt
from tests.eventually import eventually
from tests.integration.intake.office import Customer, Office, decision
from tests.integration.intake.test_partners import APP, applied, found_in, send

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLE = Path(__file__).parents[3] / "docs/partner/appeal.json"
SAID = "收入证明的月份写错了"


async def declined(office: Office) -> Customer:
    customer = await applied(office)
    await office.review_says(
        customer,
        review.ChecksCompleted,
        review.ApplicationDeclined,
        **decision(),
        category="credit_history",
        reapply_from="2027-02-01",
    )
    await office.until(customer, "declined")
    return customer


def says(office: Office, customer: Customer, text: str | bytes = SAID, **more: Any) -> Any:
    return {"reference": customer.reference, "words": encrypt(text, office.jwks), **more}


async def objections(office: Office, customer: Customer) -> list[dict[str, Any]]:
    """What was asked of review."""
    return [
        data
        for kind, _, data in await office.said(customer.application_id)
        if kind in ("appeal.requested", "dispute.requested")
    ]


async def test_a_declined_customer_objects_in_the_app_once_by_each_wish(office: Office) -> None:
    customer = await declined(office)
    body, event_id = says(office, customer, wish="human-review"), new_id()
    answer = await send(office, customer, "appeal.requested", body, event_id=event_id)
    assert (answer["kind"], answer["state"], answer["applied"]) == ("accepted", "declined", True)
    (asked,) = await objections(office, customer)
    assert (asked["wish"], asked["entered_by"]) == ("human-review", f"partner:{APP}")
    assert SAID not in asked["words"]
    assert list((await office.desk.open_notes([asked["words"]])).values()) == [SAID]
    assert await office.state(customer) == "declined"

    # the same event again, byte for byte, has the answer that it had; and what comes behind it its
    # own
    await office.partner_says(APP, "appeal.requested", customer.reference, body, event_id=event_id)
    waits = await send(
        office, customer, "appeal.requested",
        {"reference": customer.reference, "wish": "explanation"},
    )  # fmt: skip
    assert (waits["kind"], found_in(waits)) == ("rejected", {("", "NOT_APPEALABLE")})
    assert "once by each wish" in waits["problems"][0]["detail"]
    assert await office.answers(APP, event_id) == [answer]
    assert len(await objections(office, customer)) == 1

    about = {"appeal_id": asked["appeal_id"], "appeal_number": f"{customer.number}-1"}
    await office.review_says(
        customer, review.AppealOpened, **about, wish="human-review", working_days=15
    )
    await office.review_says(
        customer, review.AppealAnswered, **about, outcome="upheld", category="credit_history",
        automatic=True, answered_by="staff-1",
    )  # fmt: skip

    async def answered() -> bool:
        async with office.service.pool.acquire() as conn:
            app = await store.find_application(conn, customer.application_id)
        return app is not None and app.appeals[0].outcome == "upheld"

    await eventually(answered)
    twice = await send(office, customer, "appeal.requested", body)
    assert found_in(twice) == {("", "NOT_APPEALABLE")}
    why = {"reference": customer.reference, "wish": "explanation"}
    assert (await send(office, customer, "appeal.requested", why))["kind"] == "accepted"
    assert [one["wish"] for one in await objections(office, customer)] == [
        *("human-review", "explanation"),
    ]
    assert (await objections(office, customer))[1]["words"] is None


@pytest.mark.parametrize("deciders", [[], ["a", "b"]])
async def test_a_limit_is_objected_to_in_the_app_where_the_policy_alone_set_it(
    office: Office, deciders: list[str]
) -> None:
    customer = await applied(office)
    await office.review_says(
        customer,
        review.ChecksCompleted,
        review.ApplicationApproved,
        **{**decision(), "automatic": not deciders, "decided_by": deciders},
        limit={"minor": 1_500_000},
    )
    await office.until(customer, "card_producing")
    body = says(office, customer, wish="explanation")
    answer = await send(office, customer, "appeal.requested", body)
    if deciders:
        assert found_in(answer) == {("", "NOT_APPEALABLE")}
        assert await objections(office, customer) == []
    else:
        assert (answer["kind"], answer["applied"]) == ("accepted", True)
        assert [one["wish"] for one in await objections(office, customer)] == ["explanation"]
    assert await office.state(customer) == "card_producing"


async def test_the_guides_example_of_an_appeal_is_taken(office: Office) -> None:
    customer = await declined(office)
    event = read_event(EXAMPLE)
    data = sealed({**event["data"], "reference": customer.reference}, office.jwks, EXAMPLE.parent)
    kind = event["type"].removeprefix("banka.partner-").removesuffix(".v1")
    assert (await send(office, customer, kind, data))["kind"] == "accepted"
    (asked,) = await objections(office, customer)
    opened = await office.desk.open_notes([asked["words"]])
    assert list(opened.values()) == [event["data"]["words"]["text"]]


async def test_a_credit_report_is_disputed_once_it_was_asked_for_and_one_dispute_waits_at_a_time(
    office: Office,
) -> None:
    early = await applied(office, papers=())
    refused = await send(office, early, "dispute.requested", says(office, early))
    assert found_in(refused) == {("", "NOT_DISPUTABLE")}
    refused = await send(office, early, "appeal.requested", says(office, early, wish="explanation"))
    assert found_in(refused) == {("", "NOT_APPEALABLE")}
    assert await objections(office, early) == []

    customer = await applied(office)
    answer = await send(office, customer, "dispute.requested", says(office, customer))
    assert (answer["kind"], answer["state"]) == ("accepted", "checking")
    (asked,) = await objections(office, customer)
    assert asked["entered_by"] == f"partner:{APP}"
    assert list((await office.desk.open_notes([asked["words"]])).values()) == [SAID]
    second = await send(office, customer, "dispute.requested", says(office, customer))
    assert found_in(second) == {("", "NOT_DISPUTABLE")}
    assert len(await objections(office, customer)) == 1


async def test_nobody_objects_for_an_application_that_is_not_theirs(office: Office) -> None:
    theirs = await declined(office)
    at_the_counter = await office.handed_over()
    await office.review_says(
        at_the_counter,
        review.ChecksCompleted,
        review.ApplicationDeclined,
        **decision(),
        category="credit_history",
        reapply_from="2027-02-01",
    )
    await office.until(at_the_counter, "declined")
    # the partner's own references alone are known to it, never our ids or numbers
    for reference in (at_the_counter.application_id, at_the_counter.number, f"app-{new_id()}"):
        stranger = Customer("", reference=reference)
        for kind, more in (
            ("appeal.requested", {"wish": "explanation"}),
            ("dispute.requested", {}),
        ):
            answer = await send(office, stranger, kind, says(office, stranger, **more))
            assert found_in(answer) == {("/reference", "UNKNOWN_REFERENCE")}
    # another partner may not say it at all, nor somebody's reference under another key
    body = says(office, theirs, wish="explanation")
    event_id = await office.partner_says("core-banking", "appeal.requested", theirs.reference, body)
    (answer,) = await office.answers("core-banking", event_id)
    assert found_in(answer) == {("/type", "UNKNOWN_TYPE")}
    event_id = await office.partner_says(
        APP, "appeal.requested", theirs.reference, body, source_of="core-banking"
    )
    (answer,) = await office.answers(APP, event_id)
    assert found_in(answer) == {("/source", "WRONG_SOURCE")}
    stranger = Customer("", reference=f"app-{new_id()}")
    answer = await send(office, stranger, "appeal.requested", body)
    assert ("/reference", "NOT_THE_KEY") in found_in(answer)
    for customer in (theirs, at_the_counter):
        assert await objections(office, customer) == []


async def test_a_bad_objection_is_answered_with_what_and_where_and_changes_nothing(
    office: Office,
) -> None:
    customer = await declined(office)
    good = says(office, customer, wish="explanation")
    clear = "我的手机号是13900007777"
    elsewhere = good["words"].partition(".")
    cases: list[tuple[str, Any, set[tuple[str, str]]]] = [
        ("appeal", {**good, "wish": "money"}, {("/wish", "enum")}),
        ("appeal", {"reference": customer.reference}, {("/wish", "missing")}),
        ("appeal", {**good, "words": clear}, {("/words", "string_pattern_mismatch")}),
        ("appeal", {**good, "words": 7}, {("/words", "string_type")}),
        ("appeal", {**good, "mobile": clear}, {("/mobile", "extra_forbidden")}),
        (
            "appeal",
            says(office, customer, "a\x00b", wish="explanation"),
            {("/words", "JWE_BROKEN")},
        ),
        ("appeal", says(office, customer, b"\xff", wish="explanation"), {("/words", "JWE_BROKEN")}),
        ("dispute", says(office, customer, "长" * 2001), {("/words", "string_too_long")}),
        ("dispute", says(office, customer, " \n "), {("/words", "string_too_short")}),
        ("dispute", {"reference": customer.reference}, {("/words", "missing")}),
        ("dispute", {**good}, {("/wish", "extra_forbidden")}),
        (
            "appeal",
            {**good, "wish": "money", "words": f"AAAA{elsewhere[1]}{elsewhere[2]}"},
            {("/wish", "enum"), ("/words", "JWE_CLEAR")},
        ),
        ("appeal", b'{"reference": "\\u0000"}', {("/body", "UNREADABLE")}),
        ("appeal", b"\xff\xfe", {("/body", "UNREADABLE")}),
    ]
    for kind, body, wrong in cases:
        answer = await send(office, customer, f"{kind}.requested", body)
        assert answer["kind"] == "rejected", body
        assert found_in(answer) == wrong
        assert all(one["detail"] for one in answer["problems"])
        assert "13900007777" not in str(answer)
    assert await objections(office, customer) == []
    assert await office.fetch("SELECT FROM messaging.parked_event") == []
    assert (await send(office, customer, "appeal.requested", good))["kind"] == "accepted"
