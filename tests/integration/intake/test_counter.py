"""The assistant's form on the real stack: checked while it is filled in, saved, gone on with."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import httpx
import pytest

from tests.integration.intake.office import (
    API,
    EMPLOYER,
    HOME,
    MOBILE,
    NAME,
    OTHER_BRANCH,
    Customer,
    Office,
    audited,
)
from tests.integration.intake.test_pages import filled_in, here_of
from tests.papers import picture

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHECK = "/intake/applications/check"


async def told(client: httpx.AsyncClient, sent: dict[str, str], **more: str) -> dict[str, Any]:
    answer = await client.post(CHECK, data={**sent, **more}, params={"lang": "en"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def inputs(page: httpx.Response) -> dict[str, str]:
    """{field: what stands in it} of the form on a page."""
    found = {}
    for tag in re.findall(r"<input[^>]+>", page.text):
        read = dict(re.findall(r'([a-z-]+)="([^"]*)"', tag))
        if read.get("value") and (read.get("type") != "checkbox" or " checked" in tag):
            found[read["name"]] = read["value"]
    for name, options in re.findall(r'<select[^>]+name="(\w+)".*?>(.*?)</select>', page.text):
        chosen = re.search(r'value="([^"]*)" selected', options)
        if chosen:
            found[name] = chosen.group(1)
    return found


async def test_a_field_is_checked_as_the_rules_would_and_nothing_is_kept(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    client = await office.colleague("assistant")
    caplog.set_level(logging.DEBUG)
    rows = "SELECT (SELECT count(*) FROM application), (SELECT count(*) FROM personal_view)"
    before = await office.fetch(rows)
    typed = filled_in(office, mobile="1390000", employer="")

    said = await told(client, typed, field="mobile")
    assert said["notes"]["mobile"] == {
        "tone": "bad",
        "words": "Mobile number has the wrong form · Please give the 11 digits",
    }
    assert "employer" not in said["notes"], "nobody has been there yet"
    assert "employer" in said["needed"]
    assert "Papers that will be asked for" in said["checklist"]
    passed = await told(client, typed, field="employer")
    assert passed["notes"]["employer"]["tone"] == "missing"

    student = {**typed, "applicant_type": "student", "product": "student", "work_address": ""}
    student = {name: text for name, text in student.items() if name != "employer"}
    student.pop("work_address")
    assert {"employer", "work_address"} <= set((await told(client, student))["elsewhere"])

    assert await office.fetch(rows) == before
    for secret in (NAME, HOME, typed["id_number"], "1390000"):
        assert secret not in caplog.text


async def test_the_number_answers_what_the_form_would_ask(office: Office) -> None:
    client = await office.colleague("assistant")
    typed = filled_in(office)
    typed.pop("salutation")
    typed.pop("nationality")
    said = await told(client, typed, field="id_number")
    assert said["suggested"]["nationality"] == "CHN"
    assert said["suggested"]["salutation"] in ("ms", "mr")
    assert said["says"][""].endswith(" · Shanghai")
    # without a script the page does the same
    page = await client.post("/intake/applications", data={**typed, "then": "check"})
    assert page.status_code == 200
    assert inputs(page)["nationality"] == "CHN"
    assert inputs(page)["name"] == NAME


async def test_who_may_not_begin_an_application_is_told_nothing(office: Office) -> None:
    auditor = await office.colleague("auditor")
    assert (await auditor.post(CHECK, data=filled_in(office))).status_code == 403


async def begun(office: Office, client: httpx.AsyncClient, **changed: str) -> Customer:
    typed = filled_in(office, **changed)
    here = here_of(await client.post("/intake/applications", data=typed))
    return Customer(typed["id_number"], form={}, application_id=here.rpartition("/")[2])


async def test_a_draft_is_gone_on_with_as_it_was_left(office: Office) -> None:
    client = await office.colleague("assistant")
    typed = filled_in(office, mobile="12345", requested_limit="20000")
    typed.pop("occupation")
    here = here_of(await client.post("/intake/applications", data=typed))
    case = await client.get(here, params={"lang": "en"})
    assert f'href="{here}/form"' in case.text
    assert MOBILE not in case.text

    page = await client.get(f"{here}/form", params={"lang": "en"})
    kept = inputs(page)
    typed.pop("then")
    assert {name: kept.get(name) for name in typed} == {**typed, "monthly_income": "12000"}
    assert "Mobile number has the wrong form" in page.text, "marked, not refused"
    assert 'note note-missing" id="occupation-note"' in page.text
    views = await office.fetch(
        "SELECT what FROM personal_view WHERE application_id = $1", here.rpartition("/")[2]
    )
    assert [row["what"] for row in views] == ["draft"]

    saved = {**kept, "mobile": MOBILE, "occupation": "医生", "then": "keep"}
    saved.pop("email")
    assert here_of(await client.post(f"{here}/form", data=saved)) == here
    again = inputs(await client.get(f"{here}/form"))
    assert (again["mobile"], again["occupation"]) == (MOBILE, "医生")
    assert "email" not in again, "what was emptied is gone"
    case = await client.get(here, params={"lang": "en"})
    assert "Draft saved anew" in case.text
    ((changed, number),) = await office.fetch(
        "SELECT h.details ->> 'fields', a.application_number FROM application_history h"
        " JOIN application a USING (application_id)"
        " WHERE h.application_id = $1 AND h.action = 'draft_saved'",
        here.rpartition("/")[2],
    )
    assert set(json.loads(changed)) == {"mobile", "occupation", "email"}, "and nothing that stayed"
    auditor = await office.colleague("auditor")
    log = await audited(auditor, number=number)
    assert "to go on with it" in log
    assert "Draft saved anew" in log

    older = await client.post(f"{here}/form", data={**saved, "employer": EMPLOYER})
    assert older.status_code == 412, "it was saved meanwhile"
    assert here_of(await client.post(f"{here}/form", data={**again, "then": "submit"})) == here
    gone = await client.get(f"{here}/form")
    assert here_of(gone) == here


async def test_who_may_not_see_a_draft_in_clear_cannot_go_on_with_it(office: Office) -> None:
    client = await office.colleague("assistant")
    draft = await begun(office, client)
    here = f"/intake/applications/{draft.application_id}/form"
    elsewhere = await office.colleague("assistant", branch=OTHER_BRANCH)
    assert (await elsewhere.get(here)).status_code == 404
    reviewer = await office.colleague("reviewer")
    assert (await reviewer.get(here)).status_code == 403


async def test_a_draft_of_a_colleague_is_taken_over_for_a_reason_that_the_audit_log_keeps(
    office: Office,
) -> None:
    client, other = await office.colleague("assistant"), await office.colleague("assistant")
    draft = await begun(office, client)
    here = f"/intake/applications/{draft.application_id}"
    assert "Go on with the form" in (await client.get(here, params={"lang": "en"})).text

    case = await other.get(here, params={"lang": "en"})
    assert "Go on with the form" not in case.text
    assert "Take the draft over" in case.text
    asked = await other.get(f"{here}/form", params={"lang": "en"})
    assert "has this draft since" in asked.text
    for clear in (draft.id_number, MOBILE, EMPLOYER):
        assert clear not in case.text + asked.text
    seen = "SELECT FROM personal_view WHERE application_id = $1 AND what = 'draft'"
    assert await office.fetch(seen, draft.application_id) == []
    for why, text in (("", ""), ("contact", ""), ("other", " ")):
        refused = await other.post(f"{here}/take-over", data={"why": why, "text": text})
        assert refused.status_code == 422, "no reason"
        assert draft.id_number not in refused.text
    assert inputs(await other.get(f"{here}/form")).get("id_number") is None

    words = "柜台交接，客户在场"
    given = {"why": "other", "text": words}
    taken = await other.post(f"{here}/take-over", data=given)
    assert here_of(taken) == f"{here}/form"
    assert inputs(await other.get(f"{here}/form"))["id_number"] == draft.id_number
    assert len(await office.fetch(seen, draft.application_id)) == 1
    # asked twice it is taken over once, and who had it has it no longer
    await other.post(f"{here}/take-over", data=given)
    back = await client.get(f"{here}/form")
    assert draft.id_number not in back.text

    rows = await office.fetch(
        "SELECT h.actor, h.details, a.application_number AS number FROM application_history h"
        " JOIN application a USING (application_id)"
        " WHERE h.application_id = $1 AND h.action = 'draft_taken_over'",
        draft.application_id,
    )
    (row,) = rows
    details = json.loads(row["details"])
    assert details["why"] == "other"
    assert details["before"] != row["actor"]
    assert words not in row["details"]
    auditor = await office.colleague("auditor")
    log = await audited(auditor, number=row["number"])
    assert "Draft taken over" in log
    assert "Another reason" in log
    assert words not in log, "opened for a reason"


async def test_what_was_typed_before_somebody_took_a_draft_over_is_not_saved_over_theirs(
    office: Office,
) -> None:
    client, other = await office.colleague("assistant"), await office.colleague("assistant")
    draft = await begun(office, client)
    here = f"/intake/applications/{draft.application_id}"
    form = inputs(await client.get(f"{here}/form"))
    await other.post(f"{here}/take-over", data={"why": "customer"})
    sent = {**form, "employer": "云岭茶业有限公司", "then": "keep"}
    for revision in (form["revision"], str(int(form["revision"]) + 1), ""):
        late = await client.post(
            f"{here}/form", data={**sent, "revision": revision}, params={"lang": "en"}
        )
        assert late.status_code == 403, "on whatever revision: it is not theirs any more"
        assert "has this draft since" in late.text
        assert "nothing was saved" in late.text
        assert inputs(late)["employer"] == "云岭茶业有限公司", "nothing typed is lost"
    assert inputs(await other.get(f"{here}/form"))["employer"] == EMPLOYER

    await client.post(f"{here}/take-over", data={"why": "absent"})
    again = await client.post(
        f"{here}/form", data={**inputs(late), "then": "keep"}, params={"lang": "en"}
    )
    assert again.status_code == 412, "what the other did meanwhile is told first"
    assert "Draft taken over" in again.text
    assert (
        here_of(await client.post(f"{here}/form", data={**inputs(again), "then": "keep"})) == here
    )
    assert inputs(await client.get(f"{here}/form"))["employer"] == "云岭茶业有限公司"


async def test_what_was_typed_while_somebody_changed_the_draft_comes_back(office: Office) -> None:
    client, other = await office.colleague("assistant"), await office.colleague("assistant")
    draft = await begun(office, client)
    here = f"/intake/applications/{draft.application_id}"
    form = inputs(await client.get(f"{here}/form"))
    await other.post(f"{here}/corrections", data={"occupation": "会计"})
    sent = {**form, "employer": "云岭茶业有限公司", "then": "submit"}
    late = await client.post(f"{here}/form", data=sent, params={"lang": "en"})
    assert late.status_code == 412
    (card,) = re.findall(r'id="since".*?</section>', late.text, re.DOTALL)
    assert "Form corrected" in card
    assert "Occupation" in card
    assert "会计" not in late.text
    assert await office.state(draft) == "draft"
    typed = inputs(late)
    assert {name: typed[name] for name in form if name != "revision"} == {
        **{name: text for name, text in form.items() if name != "revision"},
        "employer": "云岭茶业有限公司",
    }
    assert here_of(await client.post(f"{here}/form", data={**typed, "then": "submit"})) == here
    assert await office.state(draft) == "awaiting_material"


async def test_what_was_typed_while_somebody_handed_the_draft_in_comes_back(
    office: Office,
) -> None:
    client, other = await office.colleague("assistant"), await office.colleague("assistant")
    draft = await begun(office, client)
    here = f"/intake/applications/{draft.application_id}"
    form = inputs(await client.get(f"{here}/form"))
    await other.post(f"{here}/submit")
    assert await office.state(draft) == "awaiting_material"
    for then in ("keep", "submit"):
        sent = {**form, "employer": "云岭茶业有限公司", "then": then}
        late = await client.post(f"{here}/form", data=sent, params={"lang": "en"})
        assert late.status_code == 409
        assert "no draft any more: nothing was saved" in late.text
        (card,) = re.findall(r'id="since".*?</section>', late.text, re.DOTALL)
        assert "Handed in" in card
        assert f'href="{here}/corrections"' in late.text
        assert inputs(late)["employer"] == "云岭茶业有限公司"


async def test_nobody_takes_over_what_was_handed_in(office: Office) -> None:
    client, other = await office.colleague("assistant"), await office.colleague("assistant")
    draft = await begun(office, client, then="submit")
    here = f"/intake/applications/{draft.application_id}"
    assert here_of(await other.post(f"{here}/take-over", data={"why": "absent"})) == here
    assert here_of(await other.get(f"{here}/form")) == here
    taken = "SELECT FROM application_history WHERE application_id = $1 AND action LIKE '%taken%'"
    assert await office.fetch(taken, draft.application_id) == []


async def test_a_draft_becomes_one_of_another_kind(office: Office) -> None:
    client = await office.colleague("assistant")
    draft = await begun(office, client)
    here = f"/intake/applications/{draft.application_id}"
    form = inputs(await client.get(f"{here}/form"))
    holder = filled_in(office)
    form |= {
        "product": "supplementary",
        "applicant_type": "supplementary",
        **{f"holder_{name}": holder[name] for name in ("name", "id_number", "mobile")},
        "then": "keep",
    }
    assert here_of(await client.post(f"{here}/form", data=form)) == here
    found = await office.fetch(
        "SELECT product, applicant_type FROM application WHERE application_id = $1",
        draft.application_id,
    )
    assert tuple(found[0]) == ("supplementary", "supplementary")
    rows = await office.fetch(
        "SELECT party FROM checklist_item WHERE application_id = $1 AND item = 'id_front'",
        draft.application_id,
    )
    assert [row["party"] for row in rows] == ["supplementary_holder"], "whose paper it is now"

    # and back: whoever is not named any more is not found by the number either
    form = {name: text for name, text in form.items() if not name.startswith("holder_")}
    form |= inputs(await client.get(f"{here}/form"))
    form = {name: text for name, text in form.items() if not name.startswith("holder_")}
    form |= {"product": "standard", "applicant_type": "salaried", "then": "keep"}
    assert here_of(await client.post(f"{here}/form", data=form)) == here
    search = {"id_number": holder["id_number"]}
    assert (await office.client().post(f"{API}/searches", json=search)).json() == []
    search = {"id_number": form["id_number"]}
    assert len((await office.client().post(f"{API}/searches", json=search)).json()) == 1


async def test_several_papers_at_once_each_by_its_name(office: Office) -> None:
    client = await office.colleague("assistant")
    draft = await begun(office, client)
    here = f"/intake/applications/{draft.application_id}"
    files = [
        ("file", ("身份证正面.png", picture("front"), "image/png")),
        ("file", ("国徽面.png", b"no picture", "image/png")),
        ("file", ("IMG_1.png", picture("which"), "image/png")),
    ]
    answer = await client.post(f"{here}/documents", files=files, params={"lang": "en"})
    assert here_of(answer) == here
    page = await client.get(here, params={"lang": "en"})
    assert "ID card, portrait side is filed. 2: The file is no PDF, JPEG or PNG" in page.text
    assert "3: Choose which paper this is." in page.text
    assert "国徽面.png" not in page.text


@pytest.mark.parametrize(
    ("name", "content", "status", "words"),
    [
        ("front.png", picture("one of a queue"), 201, "ID card, portrait side is filed."),
        ("front.png", b"no picture", 422, "The file is no PDF, JPEG or PNG"),
        ("x.png", picture("another"), 422, "Choose which paper this is."),
    ],
)
async def test_a_script_is_told_of_one_paper_in_words(
    office: Office, name: str, content: bytes, status: int, words: str
) -> None:
    client = await office.colleague("assistant")
    draft = await begun(office, client)
    answer = await client.post(
        f"/intake/applications/{draft.application_id}/documents",
        files={"file": (name, content, "image/png")},
        headers={"Accept": "application/json"},
        params={"lang": "en"},
    )
    assert answer.status_code == status
    assert words in answer.json()["words"]
