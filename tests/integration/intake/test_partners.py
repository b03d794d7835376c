"""What the bank's app may do by events, and what becomes of events that are wrong."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest

from services.intake import answers, inbound, patience, store
from shared.clock import parse_instant
from shared.events import review
from shared.formats import make_synthetic_resident_id
from shared.identifiers import new_id
from shared.parameters import load_clocks, load_papers
from shared.privacy.jwe import encrypt
from tests.eventually import eventually
from tests.integration.intake.office import (
    BRANCH,
    MOBILE,
    NAME,
    SALARIED_PAPERS,
    Customer,
    Office,
    decision,
)
from tests.papers import pdf_that_grows, pdf_with_file, picture

pytestmark = pytest.mark.asyncio(loop_scope="module")

APP = "mobile-app"
OUTBOUND = f"banka.outbound.{APP}"


async def app_customer(office: Office, **changes: Any) -> Customer:
    customer = office.customer(**changes)
    customer.reference = f"app-{new_id()}"
    return customer


async def send(office: Office, customer: Customer, kind: str, data: Any, **more: Any) -> Any:
    """The answer to an event of the app."""
    event_id = await office.partner_says(APP, kind, customer.reference, data, **more)
    return (await office.answers(APP, event_id))[-1]


async def applied(
    office: Office, papers: tuple[str, ...] = SALARIED_PAPERS, **changes: Any
) -> Customer:
    """An application that came from the app and was taken."""
    customer = await app_customer(office, **changes)
    answer = await send(
        office, customer, "application.submitted", office.app_form(customer, papers)
    )
    assert answer["kind"] == "accepted", answer
    customer.application_id = answer["application_id"]
    customer.number = answer["application_number"]
    return customer


async def statuses(office: Office, customer: Customer) -> list[str]:
    """How the app was told that the application stands, in order."""
    return [
        data["status"]
        for kind, _, data in await office.said(customer.reference, OUTBOUND)
        if kind == "application-status.changed"
    ]


async def test_an_application_of_the_app_is_taken_and_its_progress_told(office: Office) -> None:
    customer = await applied(office)
    assert await office.state(customer) == "checking"
    assert await statuses(office, customer) == ["in-review"]
    told = await office.said(customer.application_id)
    assert told[0][2]["channel"] == "mobile_app"

    async def drawn() -> list[Any]:
        return await office.fetch(
            "SELECT DISTINCT document_id FROM paper_preview JOIN document USING (document_id)"
            " WHERE application_id = $1 AND pages = 1",
            customer.application_id,
        )

    assert len(await eventually(drawn)) == len(SALARIED_PAPERS)  # one call draws them all
    assert [kind for kind, _, _ in told][-1] == "application.pre-check-passed"
    await office.review_says(customer, review.ChecksCompleted, review.ApplicationHeld)
    await office.until(customer, "on_hold")
    path = f"/intake/api/v1/applications/{customer.application_id}"
    # a channel speaks to customers: it learns nothing of a case that rests
    channel = office.client("branch-terminal")
    seen = (await channel.get(path)).json()
    assert (seen["state"], seen["state_version"], seen["state_since"]) == ("checking", None, None)
    listing = path.removesuffix(f"/{customer.application_id}")
    for state, count in (("checking", 1), ("on_hold", 0)):
        wanted = {"state": state, "number": customer.number}
        assert (await channel.get(listing, params=wanted)).json()["total"] == count
    await office.review_says(
        customer,
        review.ApplicationReleased,
        review.ApplicationApproved,
        **decision(),
        limit={"minor": 1_500_000},
    )
    await office.until(customer, "card_producing")
    card_id = (await office.last(customer, "card.ordered"))["card_id"]
    for partner, kind in (
        ("card-factory", "produced"),
        ("card-factory", "posted"),
        ("card-factory", "delivered"),
        ("core-banking", "activated"),
        ("core-banking", "first-used"),
    ):
        data = {"reference": card_id}
        event_id = await office.partner_says(partner, f"card.{kind}", card_id, data)
        await office.answers(partner, event_id)
    assert await statuses(office, customer) == [
        "in-review",
        "approved",
        "card-on-its-way",
        "in-use",
    ]


async def test_missing_papers_follow_by_event(office: Office) -> None:
    customer = await applied(office, SALARIED_PAPERS[:3])
    assert await office.state(customer) == "awaiting_material"
    told = await office.said(customer.reference, OUTBOUND)
    status = told[-1][2]
    assert status["status"] == "material-wanted"
    assert {item["item"] for item in status["wanted"]} >= {"work_proof"}
    data = {"reference": customer.reference, "documents": office.app_papers(SALARIED_PAPERS[3:])}
    answer = await send(office, customer, "document.supplied", data)
    assert (answer["kind"], answer["applied"], answer["state"]) == ("accepted", True, "checking")
    assert await statuses(office, customer) == ["material-wanted", "in-review"]


async def test_the_apps_papers_are_as_old_as_anybodys(office: Office) -> None:
    customer = await app_customer(office)
    data = office.app_form(customer, SALARIED_PAPERS[:3])
    data["documents"] += office.app_papers(("work_proof",), dated=False)
    stale = office.now.date() - timedelta(days=200)
    data["documents"] += office.app_papers(("income_proof",), stale)
    answer = await send(office, customer, "application.submitted", data)
    assert answer["state"] == "awaiting_material"
    status = (await office.said(customer.reference, OUTBOUND))[-1][2]
    assert {(one["item"], one["code"]) for one in status["wanted"]} == {
        ("work_proof", "DOC_UNDATED"),
        ("income_proof", "DOC_STALE"),
    }
    tomorrow = office.now.date() + timedelta(days=1)
    ahead = {
        "reference": customer.reference,
        "documents": office.app_papers(("work_proof",), tomorrow),
    }
    answer = await send(office, customer, "document.supplied", ahead)
    assert [(one["pointer"], one["code"]) for one in answer["problems"]] == [
        ("/documents/0/issued_on", "ISSUED_IN_FUTURE")
    ]
    scan = data["documents"][3]  # the very same file, with its date
    supplied = [{**scan, "issued_on": office.now.date().isoformat()}]
    supplied += office.app_papers(("income_proof",))
    data = {"reference": customer.reference, "documents": supplied}
    answer = await send(office, customer, "document.supplied", data)
    assert (answer["kind"], answer["state"]) == ("accepted", "checking")


async def test_the_customer_withdraws_in_the_app(office: Office) -> None:
    customer = await applied(office, SALARIED_PAPERS[:3])
    wish = {"reference": customer.reference}
    answer = await send(office, customer, "withdrawal.requested", wish)
    assert (answer["kind"], answer["state"]) == ("accepted", "withdrawn")
    again = await send(office, customer, "withdrawal.requested", wish)
    assert (again["kind"], again["applied"]) == ("accepted", False)
    assert (await statuses(office, customer))[-1] == "closed"


async def test_the_customer_mends_fields_in_the_app(office: Office) -> None:
    wrong = {"office_phone": MOBILE, "employer": "无业"}
    customer = await applied(office, SALARIED_PAPERS, party=wrong, consent=None)
    status = (await office.said(customer.reference, OUTBOUND))[-1][2]
    assert {one["field"] or one["item"] for one in status["wanted"]} == {
        "office_phone",
        "employer",
        "credit_authorization",
    }
    right = office.customer().form
    person = {name: right["parties"][0][name] for name in ("office_phone", "employer")}

    def correction(**personal: str) -> dict[str, Any]:
        parties = [{"role": "applicant", "personal": sealed(office, personal)}]
        return {"reference": customer.reference, "parties": parties}

    part = correction(office_phone=person["office_phone"])
    answer = await send(office, customer, "fields.corrected", part)
    assert (answer["kind"], answer["applied"]) == ("accepted", True)
    assert answer["state"] == "awaiting_material"
    rest = correction(employer=person["employer"]) | {"consent": right["consent"]}
    answer = await send(office, customer, "fields.corrected", rest)
    assert (answer["kind"], answer["state"]) == ("accepted", "checking")
    assert await statuses(office, customer) == ["material-wanted", "in-review"]
    told = [data for kind, _, data in await office.said(customer.application_id)
            if kind == "application.corrected"]  # fmt: skip
    assert [data["fields"] for data in told] == [["office_phone"], ["employer", "consent"]]
    assert {data["entered_by"] for data in told} == {f"partner:{APP}"}
    assert person["employer"] not in str(told)
    # as over HTTP: not once the reviewers have it
    answer = await send(office, customer, "fields.corrected", part)
    assert found_in(answer) == {("", "NOT_OPEN")}


async def test_a_correction_makes_another_person_of_the_customer_where_the_number_says_so(
    office: Office,
) -> None:
    known = await applied(office)
    customer = await applied(office, SALARIED_PAPERS[:4])
    parties = [{"role": "applicant", "personal": sealed(office, {"id_number": known.id_number})}]
    data = {"reference": customer.reference, "parties": parties}
    answer = await send(office, customer, "fields.corrected", data)
    assert (answer["kind"], answer["state"]) == ("accepted", "awaiting_material")
    papers = {"reference": customer.reference, "documents": office.app_papers(SALARIED_PAPERS[4:])}
    answer = await send(office, customer, "document.supplied", papers)
    assert answer["state"] == "awaiting_material"
    status = (await office.said(customer.reference, OUTBOUND))[-1][2]
    assert [one["code"] for one in status["wanted"]] == ["DUPLICATE_APPLICATION"]


async def test_a_wrong_correction_is_answered_with_all_its_problems(office: Office) -> None:
    customer = await applied(office)  # with the reviewers
    data = {
        "reference": customer.reference,
        "parties": [
            {"role": "applicant", "personal": sealed(office, {"mobile": 5, NAME: "x"})},
            {"role": "uncle", "personal": "clear"},
        ],
        "note": "",
    }
    answer = await send(office, customer, "fields.corrected", data)
    assert found_in(answer) == {
        ("/note", "extra_forbidden"),
        ("/parties/0/personal/mobile", "string_type"),
        ("/parties/0/personal", "extra_forbidden"),
        ("/parties/1/role", "enum"),
        ("/parties/1/personal", "string_pattern_mismatch"),
        ("", "NOT_OPEN"),
    }
    assert NAME not in str(answer)
    nobody = await app_customer(office)
    answer = await send(office, nobody, "fields.corrected", {"reference": nobody.reference})
    assert found_in(answer) == {("", "value_error"), ("/reference", "UNKNOWN_REFERENCE")}


async def kept(office: Office, customer: Customer, number: int = 1) -> list[dict[str, Any]]:
    """What the app was told of withdrawals that wait for their application."""

    async def told() -> list[dict[str, Any]]:
        said = await office.said(customer.reference, OUTBOUND)
        found = [data for kind, _, data in said if kind == "inbound.kept"]
        return found if len(found) >= number else []

    return await eventually(told)


async def test_a_withdrawal_that_overtakes_its_application_is_honoured_when_it_comes(
    office: Office,
) -> None:
    customer = await app_customer(office)
    wish = {"reference": customer.reference}
    first = await office.partner_says(APP, "withdrawal.requested", customer.reference, wish)
    second = await office.partner_says(APP, "withdrawal.requested", customer.reference, wish)
    told = await kept(office, customer, 2)
    assert [one["partner_event_id"] for one in told] == [first, second]
    until = office.now + timedelta(days=load_clocks().early_withdrawal_days)
    assert parse_instant(told[0]["until"]) == until

    # a refused application is none: the wish waits for the one that is mended
    wrong = office.app_form(customer, SALARIED_PAPERS) | {"branch": "7777"}
    assert (await send(office, customer, "application.submitted", wrong))["kind"] == "rejected"
    form = office.app_form(customer, SALARIED_PAPERS)
    answer = await send(office, customer, "application.submitted", form)
    assert (answer["kind"], answer["state"], answer["applied"]) == ("accepted", "withdrawn", True)
    customer.application_id = answer["application_id"]
    for event_id, applied in ((first, True), (second, False)):
        (final,) = await office.answers(APP, event_id)
        assert (final["kind"], final["state"]) == ("accepted", "withdrawn")
        assert (final["application_id"], final["applied"]) == (customer.application_id, applied)
    assert await statuses(office, customer) == ["closed"]
    # nobody else was told of it as of an application that was handed in, and nothing was kept
    assert await office.types(customer) == ["application.drafted", "application.withdrawn"]
    left = await office.fetch(
        "SELECT FROM early_withdrawal WHERE reference = $1", customer.reference
    )
    assert left == []
    waiting = await office.fetch(
        "SELECT FROM messaging.deadline WHERE subject LIKE $1", f"%{customer.reference}"
    )
    assert waiting == []
    # the same person may apply anew
    again = Customer(customer.id_number, form=customer.form, reference=f"app-{new_id()}")
    form = office.app_form(again, SALARIED_PAPERS)
    assert (await send(office, again, "application.submitted", form))["state"] == "checking"


async def test_a_withdrawal_whose_application_never_comes_is_answered_in_the_end(
    office: Office,
) -> None:
    customer = await app_customer(office)
    wish = {"reference": customer.reference}
    event_id = await office.partner_says(APP, "withdrawal.requested", customer.reference, wish)
    await kept(office, customer)
    office.step(office.now + timedelta(days=load_clocks().early_withdrawal_days, minutes=1))
    answer = (await office.answers(APP, event_id))[-1]
    assert (answer["kind"], answer["code"]) == ("rejected", "UNKNOWN_REFERENCE")
    assert answer["partner_reference"] == customer.reference
    # from then on the application is taken as any other
    form = office.app_form(customer, SALARIED_PAPERS)
    answer = await send(office, customer, "application.submitted", form)
    assert answer["state"] == "checking"


async def test_papers_before_their_application_are_to_be_sent_again(office: Office) -> None:
    customer = await app_customer(office)
    data = {"reference": customer.reference, "documents": office.app_papers(SALARIED_PAPERS)}
    answer = await send(office, customer, "document.supplied", data)
    assert [(one["pointer"], one["code"]) for one in answer["problems"]] == [
        ("/reference", "UNKNOWN_REFERENCE")
    ]
    form = office.app_form(customer)
    answer = await send(office, customer, "application.submitted", form)
    assert answer["state"] == "awaiting_material"
    answer = await send(office, customer, "document.supplied", data)
    assert (answer["kind"], answer["state"]) == ("accepted", "checking")
    assert (await office.service.quiet()).parked == 0


async def test_the_same_event_again_gets_the_same_answer(office: Office) -> None:
    customer = await app_customer(office)
    data, event_id = office.app_form(customer, SALARIED_PAPERS), new_id()
    first = await send(office, customer, "application.submitted", data, event_id=event_id)
    await office.partner_says(
        APP, "application.submitted", customer.reference, data, event_id=event_id
    )
    other = office.app_form(customer, ())
    await office.partner_says(
        APP, "application.submitted", customer.reference, other, event_id=event_id
    )
    answers = await office.answers(APP, event_id, least=2)
    assert answers[-1]["code"] == "SAME_ID_OTHER_BODY"
    assert [answer["kind"] for answer in answers] == ["accepted", "rejected"]
    known = await send(office, customer, "application.submitted", other)
    assert known["code"] == "KNOWN_REFERENCE"
    rows = await office.fetch(
        "SELECT 1 FROM application WHERE partner_reference = $1", customer.reference
    )
    assert len(rows) == 1
    assert first["application_id"]


def found_in(answer: dict[str, Any]) -> set[tuple[str, str]]:
    """What a refusal says: where, and the code."""
    assert answer["kind"] == "rejected", answer
    assert all(one["detail"] for one in answer["problems"])
    return {(one["pointer"], one["code"]) for one in answer["problems"]}


async def test_a_wrong_event_is_answered_with_all_its_problems(office: Office) -> None:
    known = await applied(office)
    customer = await app_customer(office)
    data = office.app_form(customer, ("work_proof", "id_front"))
    # the schema, the branch, three persons and three papers, and what stands against the first
    data["name"] = NAME
    data["branch"] = "7777"
    data["requested_limit"] = {"minor": "much", "currency": "CNY"}
    person = {k: v for k, v in known.form["parties"][0].items() if k != "role"}
    odd = {**person, "mobile": "1" * 201, NAME: "x"}
    data["parties"] = [
        {"role": "applicant", "personal": sealed(office, odd)},
        {"role": "contact", "personal": ".".join(["eyJhbGciOiJub25lIn0"] * 5)},
        {"role": "uncle", "personal": sealed(office, [person])},
    ]
    data["documents"][0]["content"] = encrypt(b"GIF89a", office.jwks)
    data["documents"][0]["item"] = "crystal_ball"
    data["documents"][1]["issued_on"] = (office.now.date() + timedelta(days=2)).isoformat()
    data["documents"].append({"item": "id_back"})
    data["documents"].append({"item": "id_back", "content": encrypt(picture("ok"), office.jwks)})
    hidden = {"item": "income_proof", "content": encrypt(pdf_with_file(), office.jwks)}
    data["documents"].append(hidden)
    answer = await send(office, customer, "application.submitted", data)
    assert found_in(answer) == {
        ("/name", "extra_forbidden"),
        ("/branch", "UNKNOWN_BRANCH"),
        ("/requested_limit/minor", "int_type"),
        ("/parties/0/personal/mobile", "string_too_long"),
        # what was encrypted is not repeated, not even as the name of a field
        ("/parties/0/personal", "extra_forbidden"),
        ("/parties/1/personal", "JWE_ALGORITHM"),
        ("/parties/2/role", "enum"),
        ("/parties/2/personal", "JWE_BROKEN"),
        ("/documents/0/item", "UNKNOWN_ITEM"),
        ("/documents/0/content", "DOCUMENT_UNKNOWN_TYPE"),
        ("/documents/1/issued_on", "ISSUED_IN_FUTURE"),
        ("/documents/2/content", "missing"),
        ("/documents/4/content", "DOCUMENT_ACTIVE"),
        ("/product", "DUPLICATE_APPLICATION"),
    }
    assert NAME not in str(answer)
    active = next(one for one in answer["problems"] if one["code"] == "DOCUMENT_ACTIVE")
    assert "attached file" in active["detail"]
    rows = await office.fetch(
        "SELECT 1 FROM application WHERE partner_reference = $1", customer.reference
    )
    assert rows == []


def sealed(office: Office, personal: object) -> str:
    return encrypt(json.dumps(personal, ensure_ascii=False), office.jwks)


async def test_an_app_that_sends_papers_for_ever_is_told_which_are_too_many(
    office: Office,
) -> None:
    customer = await applied(office, SALARIED_PAPERS[:3])
    most = load_papers().most_of_item

    async def supply(count: int) -> Any:
        papers = [one for _ in range(count) for one in office.app_papers(("id_front",))]
        data = {"reference": customer.reference, "documents": papers}
        return await send(office, customer, "document.supplied", data)

    for _ in range(most - 2):  # whoever brings them
        assert (await office.upload(customer, "id_front")).status_code == 201
    answer = await supply(3)
    assert found_in(answer) == {
        ("/documents/1", "TOO_MANY_PAPERS"),
        ("/documents/2", "TOO_MANY_PAPERS"),
    }
    assert "as the office takes" in str(answer["problems"])
    assert (await supply(1))["kind"] == "accepted", "of the one that was refused nothing was kept"
    kept = await office.fetch(
        "SELECT FROM document d JOIN application a USING (application_id)"
        " WHERE a.partner_reference = $1 AND d.item = 'id_front'",
        customer.reference,
    )
    assert len(kept) == most


async def test_papers_are_judged_with_the_application_that_they_are_for(office: Office) -> None:
    customer = await applied(office, SALARIED_PAPERS[:3])
    wish = {"reference": customer.reference}
    assert (await send(office, customer, "withdrawal.requested", wish))["state"] == "withdrawn"
    data = {
        "reference": customer.reference,
        "documents": office.app_papers(("work_proof",)) + office.app_papers(("crystal_ball",)),
        "note": "",
    }
    assert found_in(await send(office, customer, "document.supplied", data)) == {
        ("/note", "extra_forbidden"),
        ("/documents/1/item", "UNKNOWN_ITEM"),
        ("", "ALREADY_ENDED"),
    }
    stranger = await app_customer(office)
    data["reference"] = stranger.reference
    assert ("/reference", "UNKNOWN_REFERENCE") in found_in(
        await send(office, stranger, "document.supplied", data)
    )


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"product": "student"}, {("/product", "PRODUCT_NOT_FOR_APPLICANT")}),
        (
            {"party": {"id_number": make_synthetic_resident_id("31", date(2015, 3, 1), 123)}},
            {("/parties/0/personal/id_number", "AGE_OUT_OF_RANGE")},
        ),
    ],
    ids=["product", "age"],
)
@pytest.mark.parametrize("more", [{}, {"surplus": 1}], ids=["alone", "beside the schema"])
async def test_a_refusal_says_where_it_lies_and_hides_behind_nothing(
    office: Office, changes: dict[str, Any], found: set[tuple[str, str]], more: dict[str, Any]
) -> None:
    customer = await app_customer(office, **changes)
    data = office.app_form(customer, SALARIED_PAPERS) | more
    answer = await send(office, customer, "application.submitted", data)
    beside = {("/surplus", "extra_forbidden")} if more else set()
    assert found_in(answer) == found | beside


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"[1, 2]",
        b'{"reference": 5}',
        b"\xff\xfe\x00",
        rb'{"reference": "\ud800"}',
        rb'{"\udfff": 1}',
        rb'{"branch": "\u0000"}',
    ],
)
async def test_a_broken_event_is_answered_and_stops_nobody(office: Office, body: bytes) -> None:
    customer = await app_customer(office)
    answer = await send(office, customer, "application.submitted", body)
    assert answer["kind"] == "rejected"
    after = await applied(office)
    assert await office.state(after) == "checking"
    assert (await office.service.quiet()).parked == 0


async def test_an_unknown_product_is_answered(office: Office) -> None:
    customer = await app_customer(office, product="platinum")
    answer = await send(office, customer, "application.submitted", office.app_form(customer))
    assert answer["code"] == "UNKNOWN_PRODUCT"
    (problem,) = answer["problems"]
    assert problem["pointer"] == "/product"
    assert "platinum" not in str(answer)


async def test_a_supplementary_card_without_holder_or_consent_waits_for_both(
    office: Office,
) -> None:
    customer = await app_customer(
        office, product="supplementary", applicant_type="supplementary", consent=None
    )
    answer = await send(
        office,
        customer,
        "application.submitted",
        office.app_form(
            customer, ("application_form_signed", "id_front", "id_back", "main_card_confirmation")
        ),
    )
    assert (answer["kind"], answer["state"]) == ("accepted", "awaiting_material")
    customer.application_id = answer["application_id"]
    status = (await office.said(customer.reference, OUTBOUND))[-1][2]
    assert {(one["item"], one["code"]) for one in status["wanted"]} == {
        ("application_form_signed", "HOLDER_MISSING"),
        ("credit_authorization", "NO_CREDIT_AUTH"),
    }
    # the branch fills in what is missing
    holder = office.customer().form["parties"][0] | {"role": "supplementary_holder"}
    mended = {"parties": [holder], "consent": office.customer().form["consent"]}
    path = f"/intake/api/v1/applications/{customer.application_id}"
    answer = await office.client().patch(path, json=mended)
    assert (answer.status_code, answer.json()["state"]) == (200, "checking"), answer.text
    corrected = await office.last(customer, "application.corrected")
    assert {party["role"] for party in corrected["parties"]} == {
        "applicant",
        "supplementary_holder",
    }
    assert "name" in corrected["fields"]
    assert NAME not in str(corrected)


@pytest.mark.parametrize("odd", [{"name": "\ud800"}, {"\ud800": "x"}])
async def test_personal_data_that_are_no_text_are_answered_too(
    office: Office, odd: dict[str, str]
) -> None:
    customer = await app_customer(office)
    data = office.app_form(customer, SALARIED_PAPERS)
    person = {k: v for k, v in customer.form["parties"][0].items() if k != "role"}
    personal = json.dumps({**person, **odd}).encode()
    data["parties"][0]["personal"] = encrypt(personal, office.jwks)
    assert (await send(office, customer, "application.submitted", data))["problems"]
    assert (await office.service.quiet()).parked == 0


async def test_a_partner_speaks_for_itself_only(office: Office) -> None:
    customer = await app_customer(office)
    data = office.app_form(customer)
    answer = await send(office, customer, "application.submitted", data, source_of="card-factory")
    assert answer["code"] == "WRONG_SOURCE"
    answer = await send(office, customer, "card.activated", {"reference": customer.reference})
    assert answer["code"] == "UNKNOWN_TYPE"
    data["reference"] = "another"
    answer = await send(office, customer, "application.submitted", data)
    assert answer["code"] == "NOT_THE_KEY"


async def test_what_no_paper_mends_is_not_kept(office: Office) -> None:
    first = await applied(office)
    again = Customer(first.id_number, form=first.form, reference=f"app-{new_id()}")
    answer = await send(
        office, again, "application.submitted", office.app_form(again, SALARIED_PAPERS)
    )
    assert answer["code"] == "DUPLICATE_APPLICATION"
    rows = await office.fetch(
        "SELECT 1 FROM application WHERE partner_reference = $1", again.reference
    )
    assert rows == []
    assert await statuses(office, again) == []


async def test_who_waits_for_a_person_holds_nobody_up(office: Office) -> None:
    """A poll that waited for one person while it holds others could wait for itself."""
    known = await applied(office)
    again = Customer(known.id_number, form=known.form, reference=f"app-{new_id()}")
    rows = await office.fetch(
        "SELECT person FROM application WHERE application_id = $1", known.application_id
    )
    async with office.service.pool.acquire() as conn, conn.transaction():
        await store.lock_person(conn, rows[0]["person"])
        event_id = await office.partner_says(
            APP, "application.submitted", again.reference, office.app_form(again, SALARIED_PAPERS)
        )

        async def put_off() -> bool:
            return bool(
                await office.fetch(
                    "SELECT FROM messaging.blocked_key WHERE subject = $1 AND state = 'retry'",
                    again.reference,
                )
            )

        await eventually(put_off)
        await applied(office)  # everybody else is served meanwhile
    answers = await office.answers(APP, event_id)
    assert [answer["code"] for answer in answers] == ["DUPLICATE_APPLICATION"]


async def test_all_applications_that_a_poll_may_touch_are_locked_at_its_beginning(
    office: Office,
) -> None:
    by_reference, by_card, other = [await applied(office) for _ in range(3)]
    card_id = new_id()
    async with office.service.pool.acquire() as conn, conn.transaction():
        await conn.execute(
            "UPDATE application SET card_id = $2 WHERE application_id = $1",
            by_card.application_id,
            card_id,
        )
    async with office.service.pool.acquire() as conn, conn.transaction():
        await store.lock_known(conn, APP, [by_reference.reference, card_id, "nobody's"])
        free = await office.fetch(
            "SELECT application_id FROM application WHERE application_id = ANY ($1)"
            " FOR UPDATE SKIP LOCKED",
            [one.application_id for one in (by_reference, by_card, other)],
        )
    assert [row["application_id"] for row in free] == [other.application_id]


async def test_a_declined_application_says_when_to_come_back(office: Office) -> None:
    customer = await applied(office)
    day = office.now.date() + timedelta(days=90)
    await office.review_says(
        customer,
        review.ChecksCompleted,
        review.ApplicationDeclined,
        **decision(),
        category="internal",
        reapply_from=day,
    )

    async def told() -> bool:
        return (await statuses(office, customer))[-1] == "declined"

    await eventually(told)
    last = (await office.said(customer.reference, OUTBOUND))[-1][2]
    assert last["reapply_from"] == day.isoformat()
    assert "internal" not in str(last)
    assert BRANCH not in str(last["status"])


async def test_papers_of_who_sends_what_takes_long_are_answered_without_a_look(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await applied(office, SALARIED_PAPERS[:4])
    papers = {"reference": customer.reference, "documents": office.app_papers(SALARIED_PAPERS[4:])}
    monkeypatch.setattr(patience.Patience, "left", lambda *_: False)  # it is used up
    answer = await send(office, customer, "document.supplied", papers)
    assert answer["code"] == "PAPERS_NOT_LOOKED_AT"
    assert [one["pointer"] for one in answer["problems"]] == ["/documents"]
    # whatever needs no look goes on
    other = await applied(office, ())
    answer = await send(office, other, "withdrawal.requested", {"reference": other.reference})
    assert answer["kind"] == "accepted"
    monkeypatch.undo()
    answer = await send(office, customer, "document.supplied", papers)
    assert (answer["kind"], answer["state"]) == ("accepted", "checking")


async def test_an_event_of_papers_that_end_their_decoder_is_answered_in_its_time(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await applied(office, SALARIED_PAPERS[:4])
    hostile = encrypt(pdf_that_grows(), office.jwks)
    documents = [*office.app_papers(("work_proof",)), {"item": "income_proof", "content": hostile}]
    data = {"reference": customer.reference, "documents": documents}
    answer = await send(office, customer, "document.supplied", data)
    assert [(one["pointer"], one["code"]) for one in answer["problems"]] == [
        ("/documents/1/content", "DOCUMENT_TOO_COMPLEX")
    ]
    monkeypatch.setattr(inbound, "MOST_SECONDS", 0.0)
    answer = await send(office, customer, "document.supplied", data)
    assert [(one["pointer"], one["code"]) for one in answer["problems"]] == [
        (f"/documents/{place}/content", "PAPERS_NOT_LOOKED_AT") for place in (0, 1)
    ]


@pytest.mark.parametrize(
    ("headers", "code", "pointer"),
    [
        ([("ce_id", b"\xff")], "not-utf-8", "/envelope/ce_id"),
        ([("ce_id", b"1")], "wrong-specversion", "/envelope/specversion"),
        ([("ce_*", b"\xff")], "not-utf-8", "/envelope"),
        ([], "not-a-cloudevent", "/envelope/headers"),
    ],
)
async def test_what_is_wrong_with_an_envelope_is_said_in_its_own_words(
    office: Office, headers: list[tuple[str, bytes]], code: str, pointer: str
) -> None:
    key = f"app-{new_id()}"
    await office.producers[APP].send_and_wait(
        f"banka.inbound.{APP}", b"{}", key=key.encode(), headers=headers
    )
    (told,) = await eventually(lambda: office.said(key, OUTBOUND))
    (problem,) = told[2]["problems"]
    assert (problem["code"], problem["pointer"]) == (code, pointer)
    assert problem["detail"] == answers.words_of(code).in_english()
    assert problem["detail"] != answers.OTHER.in_english()
