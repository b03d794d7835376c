"""Intake's pages as an assistant uses them, in both languages, on the real stack."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
import httpx
import pytest

from services.intake.naming import index_names
from services.intake.pages import HISTORY_SIZE
from services.intake.pages_lists import PAGE_SIZE
from shared.events import review
from shared.parameters import load_papers
from shared.web.kept_views import MOST_VIEWS
from tests.eventually import eventually
from tests.integration.intake.office import (
    BRANCH,
    EMPLOYER,
    HOME,
    MOBILE,
    NAME,
    OTHER_BRANCH,
    SALARIED_PAPERS,
    Customer,
    Office,
)
from tests.papers import picture

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
LANGUAGES = {"zh-CN": "资料清单", "en": "Checklist"}


def filled_in(office: Office, **changed: Any) -> dict[str, str]:
    """What an assistant types for a salaried customer, amounts in yuan."""
    person = office.customer().form["parties"][0]
    typed = {name: str(value) for name, value in person.items() if name != "role"}
    typed["monthly_income"] = "12,000"
    typed.pop("other_bank_limits", None)
    return {
        **typed,
        "branch": BRANCH,
        "product": "standard",
        "applicant_type": "salaried",
        "consent_day": "2026-10-12",
        "then": "keep",
        **changed,
    }


def here_of(answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def revision_of(page: httpx.Response) -> str:
    """On what whoever looks at a case decides."""
    (revision,) = set(re.findall(r'name="revision" value="(\d+)"', page.text))
    return str(revision)


def now_of(page: httpx.Response) -> str:
    """The page without what was: options to choose and the checklist's history."""
    text = re.sub(r"<option.*?</option>", "", page.text)
    return re.sub(r'<section[^>]*id="changes".*?</section>', "", text, flags=re.DOTALL)


async def test_an_application_goes_through_the_pages(office: Office) -> None:
    client = await office.colleague("assistant")

    for language, word in (("zh-CN", "新建申请"), ("en", "New application")):
        for path in ("/intake/applications", "/intake/applications/new", "/intake/batches/new"):
            page = await client.get(path, params={"lang": language})
            assert page.status_code == 200
            assert f'lang="{language}"' in page.text
        assert word in (await client.get("/intake/applications?lang=" + language)).text

    here = here_of(await client.post("/intake/applications", data=filled_in(office)))
    for language, word in LANGUAGES.items():
        page = await client.get(here, params={"lang": language})
        assert word in page.text
        assert NAME not in page.text
        assert MOBILE not in page.text
        assert EMPLOYER not in page.text

    for item in SALARIED_PAPERS:
        answer = await client.post(
            here + "/documents",
            data={"item": item, "issued_on": "2026-10-01"},
            files={"file": ("paper.png", picture(f"{item} of the pages"), "image/png")},
        )
        assert here_of(answer) == here
    page = await client.get(here, params={"lang": "zh-CN"})
    assert page.text.count("已收待核") >= len(SALARIED_PAPERS)
    assert "待补充" not in now_of(page)

    link = re.search(rf"{here}/documents/[0-9a-f-]+", page.text)
    assert link is not None
    paper = await client.get(link.group())
    assert paper.headers["content-type"].startswith("text/html")

    assert here_of(await client.post(here + "/submit")) == here
    page = await client.get(here, params={"lang": "en"})
    assert "Passed the pre-check, handed to review" in page.text


async def test_one_field_is_shown_in_clear_for_a_reason_that_is_kept(office: Office) -> None:
    client = await office.colleague("assistant")
    here = here_of(await client.post("/intake/applications", data=filled_in(office)))
    field = f"{here}/persons/applicant/mobile"
    within = {"HX-Request": "true"}
    assert f'hx-get="{field}"' in (await client.get(here)).text
    asked = await client.get(field, headers=within)
    assert "<html" not in asked.text
    assert MOBILE not in asked.text
    looked = "SELECT * FROM personal_view WHERE application_id = $1 ORDER BY id"
    for reason in ({}, {"why": "curious"}, {"why": "other"}, {"why": "other", "text": " a "}):
        refused = await client.post(field, data=reason, headers=within)
        assert refused.status_code == 200
        assert "is-invalid" in refused.text
        assert MOBILE not in refused.text
        assert (await client.post(field, data=reason)).status_code == 422
    assert await office.fetch(looked, here.rsplit("/", 1)[1]) == []

    why = {"why": "contact", "text": "客户来电核对"}
    clear = await client.post(field, data=why, headers=within)
    assert MOBILE in clear.text
    assert HOME not in clear.text
    assert 'data-hide-after="60"' in clear.text
    assert clear.headers["cache-control"] == "no-store"
    # without a script the page leads back by itself
    whole = await client.post(field, data=why)
    assert MOBILE in whole.text
    assert whole.headers["refresh"] == f"60; url={here}"
    assert NAME not in whole.text
    money = f"{here}/persons/applicant/monthly_income"
    assert "¥12,000.00" in (await client.post(money, data=why)).text
    rows = await office.fetch(looked, here.rsplit("/", 1)[1])
    assert [(row["what"], row["party"], row["field"], row["why"]) for row in rows] == [
        ("field", "applicant", name, "contact") for name in ("mobile", "mobile", "monthly_income")
    ]
    for row in rows:
        assert "客户来电核对" not in row["reason"]
        assert MOBILE not in str(dict(row))


@pytest.mark.parametrize(
    "field",
    ["applicant/salutation", "applicant/shoe_size", "guardian/name", "contact/mobile", "me/name"],
)
async def test_there_is_nothing_to_show_of_a_field_that_is_not_there_or_not_masked(
    office: Office, field: str
) -> None:
    client = await office.colleague("assistant")
    here = here_of(await client.post("/intake/applications", data=filled_in(office)))
    for answer in (
        await client.get(f"{here}/persons/{field}"),
        await client.post(f"{here}/persons/{field}", data={"why": "contact"}),
    ):
        assert answer.status_code == (422 if field.startswith("me/") else 404)


async def test_who_may_not_see_fields_in_clear_is_not_offered_them(office: Office) -> None:
    client = await office.colleague("assistant")
    here = here_of(await client.post("/intake/applications", data=filled_in(office)))
    for role in ("manager", "ops", "auditor"):
        other = await office.colleague(role)
        assert "/persons/applicant" not in (await other.get(here)).text
        answer = await other.post(f"{here}/persons/applicant/mobile", data={"why": "contact"})
        assert answer.status_code == 403


async def test_what_is_missing_is_shown_and_mended(office: Office) -> None:
    client = await office.colleague("assistant")
    typed = filled_in(office, mobile="12345", then="submit")
    here = here_of(await client.post("/intake/applications", data=typed))
    page = await client.get(here, params={"lang": "en"})
    assert "Material is wanted" in page.text
    assert "Mobile: Mobile number has the wrong form" in page.text
    assert "DOC_MISSING" in page.text

    nothing = await client.post(here + "/corrections", data={}, params={"lang": "en"})
    assert nothing.status_code == 422
    assert "Fill in at least one field." in nothing.text
    assert here_of(await client.post(here + "/corrections", data={"mobile": "13900006666"})) == here
    page = await client.get(here, params={"lang": "en"})
    assert "Mobile number has the wrong form" not in now_of(page)
    assert "Form corrected" in page.text

    wrong = await client.post(
        here + "/documents",
        data={"item": "id_front"},
        files={"file": ("paper.png", b"no picture at all", "image/png")},
    )
    assert here_of(wrong) == here
    page = await client.get(here, params={"lang": "en"})
    assert "The file is no PDF, JPEG or PNG" in page.text

    assert here_of(await client.post(here + "/withdraw", data={"reason": "不想办了"})) == here
    page = await client.get(here, params={"lang": "zh-CN"})
    assert "已撤回</span>" in page.text  # the badge of the state
    assert "不想办了" not in page.text


async def test_a_form_that_cannot_be_kept_comes_back_as_it_was_typed(office: Office) -> None:
    client = await office.colleague("assistant")
    typed = filled_in(office, id_issued="yesterday", monthly_income="a lot")
    answer = await client.post("/intake/applications", data=typed, params={"lang": "en"})
    assert answer.status_code == 422
    assert "Write the day as 2026-10-12." in answer.text
    assert 'value="yesterday"' in answer.text
    elsewhere = await client.post("/intake/applications", data=filled_in(office, branch="9999"))
    assert elsewhere.status_code == 422


async def test_a_correction_that_cannot_be_kept_comes_back_as_it_was_typed(office: Office) -> None:
    client = await office.colleague("assistant")
    here = here_of(await client.post("/intake/applications", data=filled_in(office)))
    typed = {"employer": "恒远集团有限公司", "monthly_income": "a lot", "consent_day": "yesterday"}
    answer = await client.post(here + "/corrections", data=typed, params={"lang": "en"})
    assert answer.status_code == 422
    for text in ("恒远集团有限公司", "a lot", "yesterday"):
        assert f'value="{text}"' in answer.text
    assert "Write the amount in yuan" in answer.text
    assert "Write the day as 2026-10-12." in answer.text
    # the language link of that page leads to the form
    form = await client.get(here + "/corrections", params={"lang": "en"})
    assert 'name="other_bank_limits"' in form.text
    somebody = {"role": "somebody", "employer": "恒远集团有限公司"}
    assert (await client.post(here + "/corrections", data=somebody)).status_code == 422
    page = await client.get(here, params={"lang": "en"})
    assert "Form corrected" not in page.text


@pytest.mark.parametrize(
    ("step", "typed"),
    [
        ("submit", {}),
        ("corrections", {"employer": "恒远集团有限公司", "consent_day": "2026-10-09"}),
        ("withdraw", {"reason": "不想办了，改天再来"}),
    ],
)
async def test_who_was_too_late_is_shown_what_was_done_and_what_they_typed(
    office: Office, step: str, typed: dict[str, str]
) -> None:
    client, other = await office.colleague("assistant"), await office.colleague("assistant")
    here = here_of(await client.post("/intake/applications", data=filled_in(office)))
    draft = Customer("", application_id=here.rpartition("/")[2])
    seen = revision_of(await client.get(here))
    await other.post(here + "/corrections", data={"occupation": "会计"})

    params = {"lang": "en"}
    late = await client.post(f"{here}/{step}", data={**typed, "revision": seen}, params=params)
    if not typed:
        assert late.headers["location"] == f"{here}?since={seen}#since"
        late = await client.get(here, params={"since": seen, **params})
    else:
        assert late.status_code == 412
    assert "Somebody was quicker" in late.text
    (card,) = re.findall(r'id="since".*?</section>', late.text, re.DOTALL)
    assert "Form corrected" in card
    assert "Occupation" in card
    assert card.count("<li") == 1
    for text in typed.values():
        assert text in late.text
    assert await office.state(draft) == "draft", "nothing was done"
    # what the language link of that page asks for
    if step == "corrections":
        assert 'name="employer"' in (await client.get(f"{here}/{step}")).text
    elif step == "withdraw":
        assert here_of(await client.get(f"{here}/{step}")) == here

    again = {**typed, "revision": revision_of(late)}
    assert here_of(await client.post(f"{here}/{step}", data=again)) == here
    page = await client.get(here, params=params)
    done = {"submit": "Handed in", "corrections": "Employer", "withdraw": "Withdrawn"}
    assert done[step] in page.text


WRONG_PAPER = {"codes": ["PHOTO_UNCLEAR"], "remark": "四角缺一，请重拍"}


@pytest.mark.parametrize(
    ("step", "typed", "asked"),
    [
        ("items/applicant/id_front/return", WRONG_PAPER, "Return: ID card, portrait side"),
        (
            "items/id_back/ask",
            {**WRONG_PAPER, "reason": "ACCEPTED_IN_ERROR"},
            "Ask again: ID card, emblem side",
        ),
        ("items/asset_proof/ask", WRONG_PAPER, "Ask for: Proof of assets"),
        (
            "items/applicant/income_proof/waive",
            {"reason": "COVERED_BY_OTHER", "remark": "另有证明"},
            "Do without: Proof of income",
        ),
    ],
)
async def test_a_verdict_that_somebody_was_quicker_than_comes_back_as_it_was_typed(
    office: Office, step: str, typed: dict[str, Any], asked: str
) -> None:
    client, other = await office.colleague("assistant"), await office.colleague("assistant")
    form = filled_in(office, then="submit")
    here = here_of(await client.post("/intake/applications", data=form))
    for item in ("id_front", "id_back"):
        await client.post(
            here + "/documents",
            data={"item": item},
            files={"file": ("paper.png", picture(f"{item} of {here}"), "image/png")},
        )
    paper = await client.post(f"{here}/items/applicant/id_back/accept")
    assert here_of(paper).startswith(here)
    seen = revision_of(await client.get(here))
    await other.post(here + "/corrections", data={"occupation": "会计"})

    params = {"lang": "en"}
    late = await client.post(f"{here}/{step}", data={**typed, "revision": seen}, params=params)
    assert late.status_code == 412
    assert "Somebody was quicker" in late.text
    (card,) = re.findall(r'<section[^>]*id="kept".*?</section>', late.text, re.DOTALL)
    assert asked in card
    assert f'action="{here}/{step}"' in card
    assert typed["remark"] in card
    chosen = re.findall(r'value="(\w+)" (?:checked|selected)', card)
    assert set(chosen) == {*typed.get("codes", ()), *filter(None, [typed.get("reason")])}
    assert here_of(await client.get(f"{here}/{step}")) == here, "what the language link asks for"

    again = {**typed, "revision": revision_of(late)}
    assert here_of(await client.post(f"{here}/{step}", data=again, params=params)).startswith(here)
    assert typed["remark"] in (await client.get(here, params=params)).text


async def test_what_cannot_be_done_any_more_is_told_on_the_case(office: Office) -> None:
    client = await office.colleague("assistant")
    here = here_of(await client.post("/intake/applications", data=filled_in(office)))
    await client.post(here + "/withdraw")
    told = {
        "submit": "It is handed in already.",
        "corrections": "The application is not with the office any more.",
        "withdraw": "The application is withdrawn.",  # asked twice it is once
    }
    for step, words in told.items():
        sent = await client.post(f"{here}/{step}", data={"employer": "x"}, params={"lang": "en"})
        assert here_of(sent) == here
        assert words in (await client.get(here, params={"lang": "en"})).text


async def test_the_case_asks_for_the_fields_that_are_wanted_and_leads_to_the_others(
    office: Office,
) -> None:
    client = await office.colleague("assistant")
    params = {"lang": "en"}
    here = here_of(await client.post("/intake/applications", data=filled_in(office)))
    page = await client.get(here, params=params)
    assert f'href="{here}/corrections"' in page.text
    assert 'name="employer"' not in page.text, "nothing is to be done about the form"

    typed = filled_in(office, mobile="12345")
    here = here_of(await client.post("/intake/applications", data=typed))
    page = await client.get(here, params=params)
    (form,) = re.findall(r'<form[^>]*/corrections".*?</form>', page.text, re.DOTALL)
    assert 'name="mobile"' in form
    assert 'name="employer"' not in form
    whole = await client.get(here + "/corrections", params=params)
    for name in ("mobile", "employer", "consent_day", "id_long_term"):
        assert f'name="{name}"' in whole.text
    assert "to be corrected" in whole.text
    await client.post(here + "/withdraw")
    assert here_of(await client.get(here + "/corrections")) == here, "there is nothing to correct"


async def test_what_a_paper_says_is_typed_and_comes_back_where_it_cannot_be_kept(
    office: Office,
) -> None:
    client = await office.colleague("assistant")
    typed = filled_in(office)
    here = here_of(await client.post("/intake/applications", data=typed))
    assert here_of(await client.get(here + "/readings")) == here, "there is no paper"
    await client.post(
        here + "/documents",
        data={"item": "work_proof", "issued_on": "2026-10-01"},
        files={"file": ("paper.png", picture(typed["id_number"]), "image/png")},
    )
    form = await client.get(here + "/readings", params={"lang": "en"})
    (paper,) = re.findall(r'<option value="([0-9a-f-]{36})"', form.text)
    said = {"document_id": paper, "employer": "恒远集团有限公司", "registered_on": "yesterday"}
    wrong = await client.post(here + "/readings", data=said, params={"lang": "en"})
    assert wrong.status_code == 422
    assert "Nothing was saved" in wrong.text
    assert 'value="恒远集团有限公司"' in wrong.text
    assert f'value="{paper}" selected' in wrong.text
    kept = await client.post(here + "/readings", data={**said, "registered_on": ""})
    assert here_of(kept) == here + "#checklist"
    page = await client.get(here, params={"lang": "en"})
    assert "What a paper says was read" in page.text


async def test_the_case_shows_the_end_of_a_long_history_and_leads_to_all_of_it(
    office: Office,
) -> None:
    client = await office.colleague("assistant")
    here = here_of(await client.post("/intake/applications", data=filled_in(office)))
    for nth in range(HISTORY_SIZE + 1):
        answer = await client.post(here + "/corrections", data={"occupation": f"职业{nth}"})
        assert here_of(answer) == here

    def lines(page: httpx.Response, name: str) -> list[str]:
        (card,) = re.findall(rf'id="{name}".*?</section>', page.text, re.DOTALL)
        return re.findall(r"<strong>(.*?)</strong>", card)

    params = {"lang": "en"}
    short = lines(await client.get(here, params=params), "history")
    assert set(short) == {"Form corrected"}
    first = await client.get(here + "/history", params=params)
    assert lines(first, "history") == ["Form corrected"] * HISTORY_SIZE
    last = await client.get(here + "/history", params={**params, "page": "99"})
    assert lines(last, "history") == ["Form corrected", "Application begun"]
    reviewer = await office.colleague("reviewer")
    assert 'id="changes"' in first.text
    assert 'id="changes"' not in (await reviewer.get(here + "/history")).text


async def test_what_is_no_number_does_not_fail_a_page(office: Office) -> None:
    client = await office.colleague("assistant")
    typed = filled_in(office, requested_limit="²", monthly_income="²")
    assert (await client.post("/intake/applications", data=typed)).status_code == 422
    assert (await client.get("/intake/applications", params={"page": "²"})).status_code == 200
    unknown = await client.post(
        "/intake/applications", data=filled_in(office, product="platinum"), params={"lang": "en"}
    )
    assert unknown.status_code == 422
    assert "No such product" in unknown.text


async def test_the_missing_holder_of_a_supplementary_card_is_filled_in(office: Office) -> None:
    client = await office.colleague("assistant")
    typed = filled_in(
        office, product="supplementary", applicant_type="supplementary", then="submit"
    )
    here = here_of(await client.post("/intake/applications", data=typed))
    page = await client.get(here, params={"lang": "en"})
    assert "Supplementary holder not named" in page.text
    form = await client.get(here + "/corrections", params={"lang": "en"})
    assert '<option value="supplementary_holder">' in form.text
    person = office.customer().form["parties"][0]
    mended = {name: str(person[name]) for name in ("name", "id_number", "mobile", "home_address")}
    mended |= {"role": "supplementary_holder", "id_issued": "2019-03-01"}
    mended |= {"id_expires": "2039-03-01"}
    assert here_of(await client.post(here + "/corrections", data=mended)) == here
    page = await client.get(here, params={"lang": "en"})
    assert "Supplementary holder not named" not in now_of(page)


async def test_an_ended_application_says_why_it_takes_no_paper(office: Office) -> None:
    client = await office.colleague("assistant")
    here = here_of(await client.post("/intake/applications", data=filled_in(office)))
    await client.post(here + "/withdraw", data={"reason": ""})
    answer = await client.post(
        here + "/documents",
        data={"item": "id_front"},
        files={"file": ("paper.png", picture("too late"), "image/png")},
        params={"lang": "en"},
    )
    assert here_of(answer) == here
    page = await client.get(here, params={"lang": "en"})
    assert "The application has ended; nothing is added." in page.text


async def test_whoever_sends_too_many_papers_is_told_by_page_and_api(office: Office) -> None:
    client = await office.colleague("assistant")
    customer = await office.begun()
    for n in range(load_papers().most_of_item):
        answer = await office.upload(customer, "id_front", content=picture(f"photograph {n}"))
        assert answer.status_code == 201
    refused = await office.upload(customer, "id_front", content=picture("one more"))
    assert (refused.status_code, refused.json()["code"]) == (409, "too-many-papers")
    again = await office.upload(customer, "id_front", content=picture(f"photograph {n}"))
    assert again.status_code == 201, "it is the one that is there"
    here = f"/intake/applications/{customer.application_id}"
    await client.post(
        here + "/documents",
        data={"item": "id_front"},
        files={"file": ("paper.png", picture("one more"), "image/png")},
        params={"lang": "en"},
    )
    page = await client.get(here, params={"lang": "en"})
    assert "So many papers of this kind are there that no more are taken." in page.text


SEARCH = "/intake/applications/search"


async def test_a_person_is_found_without_a_number_in_the_address(office: Office) -> None:
    client = await office.colleague("assistant")
    name, mobile = "完颜初七", "13800004321"
    customer = await office.begun(office.customer(party={"name": name, "mobile": mobile}))
    for value in (customer.form["parties"][0]["id_number"], mobile, f"+86 {mobile}", name):
        found = await client.post(SEARCH, data={"value": value}, params={"lang": "en"})
        assert customer.application_id in found.text
        assert "That you searched is recorded" in found.text
        for told in (value, name, mobile):
            assert told not in found.text
            assert told not in str(found.url)
    nothing = await client.post(SEARCH, data={"value": "望月7"}, params={"lang": "en"})
    assert "Nothing can be found by that." in nothing.text
    assert (await client.get(SEARCH)).status_code == 200  # whoever changes the language there


async def test_an_application_is_found_by_its_number_and_by_its_beginning(office: Office) -> None:
    client = await office.colleague("assistant")
    customer = await office.begun()
    before = await office.fetch("SELECT count(*) FROM personal_view")
    whole = await client.post(SEARCH, data={"value": f" {customer.number} "})
    assert here_of(whole) == f"/intake/applications/{customer.application_id}"
    part = await client.post(SEARCH, data={"value": customer.number[:16]})
    assert customer.application_id in part.text
    assert await office.fetch("SELECT count(*) FROM personal_view") == before
    stranger = await office.colleague("assistant", branch=OTHER_BRANCH)
    for value in (customer.number, customer.number[:16]):
        found = await stranger.post(SEARCH, data={"value": value}, params={"lang": "en"})
        assert "None that you may see has this number." in found.text
        assert customer.application_id not in found.text


async def test_a_corrected_name_is_found_and_the_wrong_one_is_not(office: Office) -> None:
    client = await office.colleague("assistant")
    customer = await office.begun(office.customer(party={"name": "宇文错字"}))
    here = f"/intake/applications/{customer.application_id}"
    await client.post(here + "/corrections", data={"name": "宇文正字"})
    for value, there in (("宇文错字", False), ("宇文正字", True)):
        found = await client.post(SEARCH, data={"value": value})
        assert (customer.application_id in found.text) is there


async def test_who_applied_before_names_were_searched_is_found_after_the_command(
    office: Office,
) -> None:
    client = await office.colleague("assistant")
    name = "赫连旧档"
    kept, erased = [
        await office.begun(office.customer(party={"name": name})) for _ in ("kept", "erased")
    ]
    vault = await asyncpg.connect(office.vault_url)
    await vault.execute("DELETE FROM vault.blind_index WHERE kind = 'name'")
    await vault.execute(
        "DELETE FROM vault.person_key WHERE person_id IN"
        " (SELECT person_id FROM vault.data_key WHERE application_id = $1::uuid)",
        erased.application_id,
    )
    await vault.close()
    assert kept.application_id not in (await client.post(SEARCH, data={"value": name})).text
    assert await index_names(office.settings) > 0
    found = await client.post(SEARCH, data={"value": name})
    assert kept.application_id in found.text
    assert erased.application_id not in found.text
    assert await index_names(office.settings) == 0


async def test_a_list_says_what_to_do_where_it_is_empty(office: Office) -> None:
    client = await office.colleague("assistant", branch="9998")
    path = "/intake/applications"
    for query, words in (
        ({}, "No application yet"),
        ({"state": "draft"}, "Take a filter away, or find a customer"),
        ({"product": "司徒"}, "Show all applications"),
    ):
        page = await client.get(path, params={"lang": "en", **query})
        assert page.status_code == 200
        assert words in page.text
        assert "司徒" not in re.sub(r'href="[^"]*"', "", page.text)
    work = await client.get("/intake/work", params={"lang": "en", "section": "overdue"})
    assert "Every step is within its time." in work.text
    narrowed = await client.get("/intake/work", params={"lang": "en", "product": "gold"})
    assert "Take a filter away to see what else waits." in narrowed.text


async def test_filters_and_order_stay_while_one_goes_on(office: Office) -> None:
    client = await office.colleague("assistant", branch=BRANCH)
    for _ in range(PAGE_SIZE + 1):
        await office.begun()
    query = {"state": "draft", "sort": "begun", "lang": "en"}
    seen: list[str] = []
    page = await client.get("/intake/applications", params=query)
    while True:  # as many pages as other tests have left drafts
        numbers = re.findall(r'class="mono nowrap"[^>]*>(\d{18})<', page.text)
        assert numbers, "no page is empty"
        assert not set(numbers) & set(seen)
        seen += numbers
        following = re.search(r'rel="next" href="([^"]+)"', page.text)
        if following is None:
            break
        address = html.unescape(following.group(1))
        assert "state=draft&sort=begun" in address
        page = await client.get(address)
    assert len(seen) > PAGE_SIZE
    drafts = await office.fetch(
        "SELECT application_number, created_at FROM application"
        " WHERE state = 'draft' AND branch = $1",
        BRANCH,
    )
    # not by number: another module's clock may have gone further on the same day
    begun = {row["application_number"]: row["created_at"] for row in drafts}
    assert seen == sorted(begun, key=lambda one: (begun[one], one))
    back = re.search(r'rel="prev" href="([^"]+)"', page.text)
    assert back is not None
    before = await client.get(html.unescape(back.group(1)))
    assert re.findall(r'class="mono nowrap"[^>]*>(\d{18})<', before.text)[-1] in seen
    assert "Awaiting material" in page.text


async def test_a_view_is_kept_shared_and_removed(office: Office) -> None:
    path = "/intake/applications"
    manager = await office.colleague("manager", branch=BRANCH)
    assistant = await office.colleague("assistant", branch=BRANCH)
    elsewhere = await office.colleague("assistant", branch=OTHER_BRANCH)

    async def shown(client: httpx.AsyncClient, name: str) -> str | None:
        text = (await client.get(path, params={"lang": "en"})).text
        found = re.search(rf'href="([^"]*)"[^>]*><svg[^>]*>.*?</svg>{name}<', text)
        return html.unescape(found.group(1)) if found else None

    async def keep(client: httpx.AsyncClient, name: str, query: str, branch: str = "") -> int:
        sent = {"listed": "applications", "name": name, "query": query, "branch": branch}
        answer = await client.post("/intake/views", data=sent)
        return answer.status_code

    async def kept() -> int:
        return len(await office.fetch("SELECT FROM saved_view"))

    mine, ours, before = "我的加急件", "本网点超时件", await kept()
    assert await keep(assistant, mine, "state=open&sort=-due&q=13900007788&name=x") == 303
    assert await shown(assistant, mine) == f"{path}?state=open&sort=-due"
    assert await shown(manager, mine) is None, "it is one's own"
    assert await keep(assistant, mine, "due=overdue") == 303, "the same name: in its place"
    assert await shown(assistant, mine) == f"{path}?due=overdue"

    assert await keep(assistant, ours, "due=overdue", BRANCH) == 403
    assert await keep(manager, ours, "due=overdue", OTHER_BRANCH) == 403
    assert await keep(manager, ours, "due=overdue", BRANCH) == 303
    assert await shown(assistant, ours) == f"{path}?due=overdue"
    assert await shown(elsewhere, ours) is None
    for name in ("", " ", "长" * 41, "a\x07b"):
        assert await keep(assistant, name, "due=overdue") == 303
    assert await kept() == before + 2

    (row,) = await office.fetch("SELECT view_id FROM saved_view WHERE name = $1", ours)
    drop = f"/intake/views/{row['view_id']}/drop"
    assert (await assistant.post(drop)).status_code == 404
    assert (await elsewhere.post(drop)).status_code == 404
    assert (await manager.post(drop)).status_code == 303
    assert await shown(assistant, ours) is None
    for n in range(MOST_VIEWS + 1):
        await keep(elsewhere, f"view {n}", "state=open")
    rows = await office.fetch("SELECT FROM saved_view WHERE branch IS NULL AND name LIKE 'view %'")
    assert len(rows) == MOST_VIEWS


async def test_who_speaks_to_customers_finds_no_trace_of_a_hold(office: Office) -> None:
    held = await office.handed_over()
    plain = await office.handed_over()
    refer = {"reason_codes": ["NEW_TO_BANK"], "policy_version": "1"}
    for one in (held, plain):
        await office.review_says(one, review.ChecksCompleted, review.ApplicationReferred, **refer)
        await office.until(one, "manual_review")
    await office.review_says(held, review.ApplicationHeld)
    await office.until(held, "on_hold")
    assistant, compliance = [await office.colleague(name) for name in ("assistant", "compliance")]

    api = "/intake/api/v1/applications"

    async def seen(client: httpx.AsyncClient, one: Customer) -> list[str]:
        paths = [
            f"/intake/applications/{one.application_id}?lang=en",
            f"{api}/{one.application_id}",
            f"{api}?number={one.number}",
        ]
        answers = [await client.get(path) for path in paths]
        assert {answer.status_code for answer in answers} == {200}
        listed = await client.post(SEARCH, data={"value": one.number[:17]}, params={"lang": "en"})
        (line,) = re.findall(rf"<tr>(?:(?!<tr>).)*{one.number}.*?</tr>", listed.text, re.DOTALL)
        # what is left without the numbers (an ID may end in X), keys and moments of its own
        text = "\n".join([line, *(answer.text for answer in answers)])
        own = rf"{_ID}|[0-9a-f]{{8,}}|[\dX]+|csrf[^>]+"
        return re.sub(own, "", text).splitlines()

    async def drawn(one: Customer) -> bool:
        page = await assistant.get(f"/intake/applications/{one.application_id}?lang=en")
        return page.text.count("/thumbnail") == len(SALARIED_PAPERS) + 1

    async def in_order(client: httpx.AsyncClient, **query: str) -> list[str]:
        page = await client.get("/intake/applications", params=query)
        return re.findall(r'class="mono nowrap"[^>]*>(\d{18})<', page.text)

    async def listed(client: httpx.AsyncClient, state: str) -> int:
        found = await client.get(api, params={"number": held.number, "state": state})
        return int(found.json()["total"])

    async def told_of_a_paper(client: httpx.AsyncClient, one: Customer) -> dict[str, str]:
        answer = await client.post(
            f"/intake/applications/{one.application_id}/documents",
            data={"item": "asset_proof"},
            files={"file": ("paper.png", picture(f"deed of {one.number}"), "image/png")},
            headers={"accept": "application/json"},
        )
        assert answer.status_code == 201
        return dict(answer.json())

    assert (await told_of_a_paper(assistant, plain))["state"] == "manual_review"
    assert await told_of_a_paper(assistant, held) == await told_of_a_paper(assistant, plain)
    for one in (held, plain):  # a paper is drawn a while after it came
        await eventually(partial(drawn, one))
    assert await seen(assistant, held) == await seen(assistant, plain)
    assert await listed(assistant, "on_hold") == 0
    assert await listed(assistant, "manual_review") == 1
    assert await seen(compliance, held) != await seen(compliance, plain)
    assert await listed(compliance, "on_hold") == 1

    # nor by where it stands: both stand by when they were begun, and not by their last steps
    await office.fetch(
        "UPDATE application SET state_since = $2 WHERE application_id = $1",
        held.application_id,
        office.now + timedelta(days=3650),  # later than what other tests dated ahead
    )
    assert (await in_order(compliance, sort="-since"))[0] == held.number
    begun = await in_order(assistant, state="manual_review", sort="-begun")
    assert await in_order(assistant, state="manual_review", sort="-since") == begun
    assert held.number in await in_order(assistant, desk="credit_review")
    assert await in_order(assistant, desk="compliance") == []
    assert held.number in await in_order(compliance, desk="compliance")
