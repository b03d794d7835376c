"""The customer's own page, from the code at the counter to a withdrawal, on the real stack."""

from __future__ import annotations

import asyncio
import hashlib
import html
import itertools
import json
import re
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pypdfium2
import pytest
import pytest_asyncio

from services.intake import customer_pdf, pages_customer, store, store_customer
from services.intake.customer_pdf import Sheet
from services.intake.erasure import erase
from shared.events import review
from shared.events.payload import ACCESS_CODE
from shared.parameters import load_customer_page
from shared.web.access import CSRF_FIELD
from shared.web.limits import Pacer
from tests.eventually import eventually
from tests.integration.intake.office import (
    API,
    BRANCH,
    EMAIL,
    EMPLOYER,
    HOME,
    MOBILE,
    NAME,
    OTHER_BRANCH,
    SALARIED_PAPERS,
    Customer,
    Office,
    audited,
    decision,
)
from tests.papers import picture

pytestmark = pytest.mark.asyncio(loop_scope="module")

OWN = "/progress/application"
_WORDS = hashlib.sha256(load_customer_page().consent.zh.encode()).hexdigest()
_ADDRESSES = itertools.count(1)
_CLEAR = (NAME, MOBILE, EMPLOYER, HOME, EMAIL)
_OFFICES_WORDS = re.compile(r"\b[A-Z]+_[A-Z_]+\b")  # return codes, reasons of waivers


@dataclass
class Phone:
    """A customer's browser, at an address of its own unless one is given."""

    client: httpx.AsyncClient
    form_token: str = ""
    revision: str = ""  # of the last page that says one, as its form sends it

    @classmethod
    def at(cls, office: Office, address: str = "") -> Phone:
        n = next(_ADDRESSES)
        address = address or f"10.9.{n // 250}.{n % 250}"
        transport = httpx.ASGITransport(office.app, client=(address, 4000))
        return cls(httpx.AsyncClient(transport=transport, base_url="http://intake.test"))

    async def get(self, path: str, **query: str) -> httpx.Response:
        answer = await self.client.get(path, params=query, headers={"Accept": "text/html"})
        if found := re.search(rf'name="{CSRF_FIELD}" value="([^"]+)"', answer.text):
            self.form_token = found[1]
        if found := re.search(r'name="revision" value="([^"]+)"', answer.text):
            self.revision = found[1]
        return answer

    async def post(self, path: str, files: Any = None, **sent: str) -> httpx.Response:
        data = {CSRF_FIELD: self.form_token, "revision": self.revision, **sent}
        headers = {"Accept": "text/html"}
        return await self.client.post(path, data=data, files=files, headers=headers)

    async def enter(self, number: str, code: str, mobile_end: str = MOBILE[-4:]) -> httpx.Response:
        await self.get("/progress", lang="en")
        return await self.post("/progress", number_end=number, mobile_end=mobile_end, code=code)

    async def bring(self, item: str, content: bytes, issued_on: str = "2026-10-01") -> Any:
        files = {"file": ("IMG_1.PNG", content, "image/png")}
        return await self.post(f"{OWN}/items/{item}", files, issued_on=issued_on)


async def code_for(office: Office, customer: Customer, clerk: httpx.AsyncClient) -> str:
    """A code, as the slip shows it."""
    slip = await clerk.post(f"/intake/applications/{customer.application_id}/access/give")
    assert slip.status_code == 200, slip.text
    assert slip.headers["cache-control"] == "no-store"
    found = re.search(r"<strong>([A-Z]{4}-[A-Z]{4})</strong>", slip.text)
    assert found is not None
    assert customer.number[-6:] in slip.text
    assert "http://intake.test/progress<" in slip.text, "the fixed address, and nothing else in it"
    return found[1]


async def sent_code(office: Office, customer: Customer) -> str:
    """The code that went by message, as notify's sending worker opens it."""
    data = await office.last(customer, "access-code.issued")
    vault = await office.service.archive.vault()
    opened = await vault.open(data["party_id"], {ACCESS_CODE: data["code"]})
    return str(opened[ACCESS_CODE])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clerk(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    """The assistant at the counter."""
    yield await office.colleague("assistant", branch=BRANCH)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def own(office: Office, clerk: httpx.AsyncClient) -> tuple[Customer, Phone]:
    """A customer who is in, of whom a field and the consent are wanted."""
    return await inside(office, clerk, party={"office_phone": "1"}, consent=None)


async def submitted(office: Office, **changes: Any) -> Customer:
    """An application for which material is awaited."""
    customer = await office.begun(office.customer(**changes))
    await office.submit(customer)
    assert await office.state(customer) == "awaiting_material"
    return customer


async def inside(
    office: Office, clerk: httpx.AsyncClient, **changes: Any
) -> tuple[Customer, Phone]:
    """A customer who is in, of an application for which material is awaited."""
    customer = await submitted(office, **changes)
    phone = Phone.at(office)
    entered = await phone.enter(customer.number, await code_for(office, customer, clerk))
    assert (entered.status_code, entered.headers["location"]) == (303, OWN), entered.text
    await phone.get(OWN)
    return customer, phone


async def accesses(office: Office, customer: Customer) -> list[tuple[str, str]]:
    rows = await office.fetch(
        "SELECT what, actor FROM customer_access WHERE application_id = $1 ORDER BY id",
        customer.application_id,
    )
    return [(row["what"], row["actor"]) for row in rows]


async def by_slip(office: Office, customer: Customer) -> str:
    """How this customer is written, who came by the code of a slip."""
    rows = await office.fetch(
        "SELECT actor FROM customer_access WHERE application_id = $1 AND actor LIKE 'staff:%'"
        " ORDER BY id DESC LIMIT 1",
        customer.application_id,
    )
    return f"customer:{rows[0]['actor']}"


def told(page: httpx.Response) -> str:
    """A page without what is another one each time: what was typed, and the form's token."""
    return re.sub(r'(value|content)="[^"]*"', "", page.text)


def shown_text(page: httpx.Response) -> str:
    main = page.text[page.text.index("<main") :]
    return html.unescape(re.sub(r"<[^>]+>", " ", main))


# -- the way in ------------------------------------------------------------------------------------


async def test_a_customer_sees_what_the_office_sees_without_its_codes(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer, phone = await inside(office, clerk, party={"mobile": MOBILE, "employer": "无"})
    printed = f"/intake/applications/{customer.application_id}/checklist"
    for language in ("zh-CN", "en"):
        page = await phone.get(OWN, lang=language)
        assert page.headers["cache-control"] == "no-store"
        text = shown_text(page)
        office_has = await clerk.get(printed, params={"lang": language})
        names = re.findall(r'<td data-label="[^"]*"><strong>([^<]+)<', office_has.text)
        assert sorted(re.findall("<h3>([^<]+)</h3>", page.text)) == sorted(names)
        assert len(names) > len(SALARIED_PAPERS)
        assert not _OFFICES_WORDS.search(text)
        assert not [clear for clear in _CLEAR if clear in page.text]
        assert customer.id_number not in page.text
        assert f"{NAME[0]}" in text, "a masked name says that it is theirs"
        assert f"****{MOBILE[-4:]}" in text
    assert "2026" in text, "by when"


@pytest.mark.parametrize(
    "what", ["code", "number", "mobile", "nobody", "used", "revoked", "renewed", "late", "empty"]
)
async def test_whatever_does_not_fit_is_answered_alike(
    office: Office, clerk: httpx.AsyncClient, what: str
) -> None:
    customer = await submitted(office)
    code, number, mobile = await code_for(office, customer, clerk), customer.number, MOBILE[-4:]
    before = await office.fetch("SELECT count(*) AS n FROM customer_access")
    lines = 1
    match what:
        case "code":
            code = "BBBB-BBBB"
        case "number":
            number = f"{(int(number[-6:]) + 500_000) % 1_000_000:06}"
        case "mobile":
            mobile = "0001"
        case "nobody":
            number, mobile, code = "999999", "9999", "XXXXXXXX"
        case "used":
            assert (await Phone.at(office).enter(number, code)).status_code == 303
            lines = 2
        case "revoked":
            await clerk.post(f"/intake/applications/{customer.application_id}/access/revoke")
            lines = 2
        case "renewed":
            await code_for(office, customer, clerk)
            lines = 2
        case "late":
            await office.fetch(
                "UPDATE access_code SET valid_until = $2 WHERE application_id = $1",
                customer.application_id,
                office.now,
            )
        case "empty":
            number = mobile = code = ""
    answer = await Phone.at(office).enter(number, code, mobile)
    said = told(answer)
    nobody = await Phone.at(office).enter("999998", "ZZZZZZZZ", "9998")
    assert answer.status_code == nobody.status_code == 401
    assert said == told(nobody)
    assert "do not fit together" in said
    after = await office.fetch("SELECT count(*) AS n FROM customer_access")
    assert after[0]["n"] == before[0]["n"] + lines + 1, "each try leaves one line"


async def test_a_code_lets_in_once_also_when_two_come_at_once(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer = await submitted(office)
    code = await code_for(office, customer, clerk)
    phones = [Phone.at(office) for _ in range(4)]
    # as people type it: in small letters, with a space, the digits in full width
    typed, number = code.lower().replace("-", " "), customer.number[-6:]
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in number)
    answers = await asyncio.gather(*(phone.enter(wide, typed) for phone in phones))
    assert sorted(one.status_code for one in answers) == [303, 401, 401, 401]
    who = phones[[one.status_code for one in answers].index(303)]
    assert (await who.get(OWN)).status_code == 200
    assert (await who.get("/progress")).headers["location"] == OWN
    # whoever is in takes the next one
    page = await who.post(f"{OWN}/code")
    found = re.search(r"<strong>([A-Z]{4}-[A-Z]{4})</strong>", page.text)
    assert found is not None
    assert (await Phone.at(office).enter(customer.number, found[1])).status_code == 303
    staff = [line for line in await accesses(office, customer) if line[1].startswith("staff:")]
    assert [what for what, _ in staff] == ["issued"]
    by = await by_slip(office, customer)
    assert ("issued", by) in await accesses(office, customer)
    entered = [who for what, who in await accesses(office, customer) if what == "entered"]
    assert entered == [by, by], "whoever printed the slip might have taken the next code, too"


async def test_a_code_dies_after_a_few_wrong_tries(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer = await submitted(office)
    code = await code_for(office, customer, clerk)
    for _ in range(load_customer_page().code_tries):
        assert (await Phone.at(office).enter(customer.number, "CCCCCCCC")).status_code == 401
    assert (await Phone.at(office).enter(customer.number, code)).status_code == 401
    assert [what for what, _ in await accesses(office, customer)] == [
        "issued", *["wrong"] * 4, "died",
    ]  # fmt: skip
    page = await clerk.get(
        f"/intake/applications/{customer.application_id}/access", params={"lang": "en"}
    )
    assert "ended after too many wrong tries" in page.text
    again = await code_for(office, customer, clerk)
    assert (await Phone.at(office).enter(customer.number, again)).status_code == 303


@pytest.fixture
def at_one_moment(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes between two tries, however slow the machine is."""
    for name in ("_entries", "_changes"):
        monkeypatch.setattr(office.service.customers, name, Pacer(now=lambda: 0.0))


@pytest.mark.usefixtures("at_one_moment")
async def test_one_address_may_not_try_for_ever(office: Office) -> None:
    burst = load_customer_page().entries.burst
    answers = [
        await Phone.at(office, "10.8.0.1").enter("111111", "DDDDDDDD") for _ in range(burst + 1)
    ]
    assert [one.status_code for one in answers] == [401] * burst + [429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert "wait a minute" in answers[-1].text
    assert (await Phone.at(office, "10.8.0.2").enter("111111", "DDDDDDDD")).status_code == 401


@pytest.mark.usefixtures("at_one_moment")
async def test_a_try_is_counted_whatever_it_says(office: Office) -> None:
    phone = Phone.at(office)  # which never had the form, and so no token of it
    read: list[int] = []

    async def sent(n: int) -> AsyncIterator[bytes]:
        read.append(n)
        yield b"csrf_token=x"

    headers = {"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"}
    burst = load_customer_page().entries.burst
    answers = [
        await phone.client.post("/progress", content=sent(n), headers=headers)
        for n in range(burst + 1)
    ]
    assert [one.status_code for one in answers] == [200] * burst + [429]
    assert read == list(range(burst + 1))  # what is refused is read, and dropped


@pytest.mark.usefixtures("at_one_moment")
async def test_one_application_may_not_be_changed_for_ever(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    _customer, phone = await inside(office, clerk)
    burst = load_customer_page().changes.burst
    answers = [await phone.post(f"{OWN}/consent") for _ in range(burst + 1)]
    assert [one.status_code for one in answers] == [303] * burst + [429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert "Wait a minute" in answers[-1].text
    assert 'href="/progress"' in answers[-1].text, "no way into the office's pages"
    assert (await phone.get(OWN)).status_code == 200, "who only looks goes on"
    assert (await phone.get(f"{OWN}/list.pdf")).status_code == 429, "it has to be drawn"
    _another, other = await inside(office, clerk)
    assert (await other.post(f"{OWN}/consent")).status_code == 303


@pytest.mark.parametrize("how", ["idle", "long", "revoked", "left", "forged"])
async def test_a_session_ends(office: Office, clerk: httpx.AsyncClient, how: str) -> None:
    customer, phone = await inside(office, clerk)
    session = customer.application_id
    page = load_customer_page()
    match how:
        case "idle":
            await office.fetch(
                "UPDATE customer_session SET seen_at = seen_at - make_interval(mins => $2)"
                " WHERE application_id = $1",
                session,
                page.idle_minutes,
            )
        case "long":
            await office.fetch(
                "UPDATE customer_session SET began_at = began_at - make_interval(mins => $2)"
                " WHERE application_id = $1",
                session,
                page.longest_minutes,
            )
        case "revoked":
            await clerk.post(f"/intake/applications/{session}/access/revoke")
        case "left":
            kept = dict(phone.client.cookies)
            left = await phone.post(f"{OWN}/leave")
            assert left.headers["location"] == "/progress"
            phone.client.cookies.update(kept)  # the cookie alone brings nobody back
        case "forged":
            phone.client.cookies.clear()
            phone.client.cookies.set("banka_customer", "x" * 43, path="/progress")
    for answer in (await phone.get(OWN), await phone.bring("id_front", picture("late"))):
        assert answer.status_code == 303
        assert answer.headers["location"] == "/progress?ended=1"
    shown = await office.shown(customer)
    assert shown["documents"] == []


async def test_who_was_put_out_while_sending_a_form_does_nothing_by_it(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer, phone = await inside(office, clerk)
    here = f"/intake/applications/{customer.application_id}/access"

    async def slowly() -> AsyncIterator[bytes]:
        yield f"{CSRF_FIELD}={phone.form_token}".encode()
        await clerk.post(here + "/revoke")
        yield b"&more="

    answer = await phone.client.post(
        f"{OWN}/code",
        content=slowly(),
        headers={"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.headers["location"] == "/progress?ended=1"
    assert [what for what, _ in await accesses(office, customer)] == [
        "issued", "entered", "revoked",
    ]  # fmt: skip


async def test_a_code_is_taken_by_nobody_whom_the_office_puts_out_meanwhile(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer, phone = await inside(office, clerk)

    async def waits() -> bool:
        found = await office.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE '%access_code%FOR UPDATE%'"
        )
        return bool(found)

    async with office.service.pool.acquire() as conn, conn.transaction():
        await store_customer.lock_code(conn, customer.application_id)
        taking = asyncio.create_task(phone.post(f"{OWN}/code"))
        await eventually(waits)
        await store_customer.revoke_code(conn, customer.application_id)
    assert (await taking).headers["location"] == "/progress?ended=1"
    assert ("issued", await by_slip(office, customer)) not in await accesses(office, customer)


async def test_nothing_is_changed_without_the_pages_own_token(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer, phone = await inside(office, clerk)
    phone.form_token = "somebody-elses"
    for path in ("/items/id_front", "/fields", "/consent", "/withdraw", "/code", "/leave"):
        answer = await phone.post(OWN + path, sure="yes", agree="yes")
        assert answer.status_code == 403, path
    fresh = Phone.at(office)
    code = await code_for(office, customer, clerk)
    answer = await fresh.post("/progress", number_end=customer.number, code=code, mobile_end="7788")
    assert answer.status_code == 200, "nobody is put into a page by another site's form"
    assert not fresh.client.cookies.get("banka_customer")


async def test_the_audit_log_has_who_came_and_who_let_them_in(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer, phone = await inside(office, clerk)
    await phone.post(f"{OWN}/leave")
    auditor = await office.colleague("auditor")
    page = await audited(auditor, number=customer.number, kind="sign-in")
    for words in ("Code given", "Entered with the code", "Left", "Customer"):
        assert words in page, words


# -- what is done there ----------------------------------------------------------------------------


async def test_what_is_missing_is_handed_in_by_phone(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer, phone = await inside(office, clerk)
    wanted = list(SALARIED_PAPERS)
    page = await phone.get(f"{OWN}/items/id_front", lang="en")
    assert "All four corners" in page.text
    assert 'accept="image/jpeg,image/png,application/pdf"' in page.text

    refused = await phone.bring("id_front", b"no picture at all")
    assert refused.status_code == 422
    assert "The file is no PDF, JPEG or PNG" in refused.text
    nothing = await phone.post(f"{OWN}/items/id_front", {"file": ("", b"", "image/png")})
    assert "Choose a photo" in nothing.text
    undated = await phone.bring("income_proof", picture("undated"), issued_on="")
    assert "Enter the date" in undated.text
    ahead = await phone.bring("income_proof", picture("ahead"), issued_on="2027-01-01")
    assert "cannot be issued in the future" in ahead.text
    unknown = await phone.bring("no_such_item", picture("unknown"))
    assert unknown.headers["location"] == OWN
    assert (await office.shown(customer))["documents"] == []

    await phone.bring("id_front", picture(f"first {customer.id_number}"))
    page = await phone.get(OWN, lang="en")
    assert "We have received" in page.text
    assert "Hand in a better one" in page.text
    await phone.bring("id_front", picture(f"better {customer.id_number}"))
    for item in wanted:
        if item != "id_front":
            answer = await phone.bring(item, picture(f"{item} {customer.id_number}"))
            assert answer.headers["location"] == OWN, answer.text
    assert await office.state(customer) == "checking"
    page = await phone.get(OWN, lang="en")
    assert "Your application is being examined" in page.text
    assert "/items/" not in page.text
    late = await phone.bring("id_front", picture("not wanted any more"))
    assert late.headers["location"] == OWN
    assert len((await office.shown(customer))["documents"]) == len(wanted) + 1

    rows = await office.fetch(
        "SELECT actor FROM application_history WHERE application_id = $1"
        " AND action = 'paper_received'",
        customer.application_id,
    )
    assert {row["actor"] for row in rows} == {await by_slip(office, customer)}
    told = await office.fetch(
        "SELECT convert_from(body, 'UTF8') AS body FROM messaging.event_log"
        " WHERE subject = $1 AND type = 'banka.document.received.v1'",
        customer.application_id,
    )
    entered_by = {json.loads(row["body"])["entered_by"] for row in told}
    assert entered_by == {await by_slip(office, customer)}


@pytest.mark.parametrize(("files", "fields"), [(2, 0), (1, 200)])
async def test_a_form_with_more_than_one_paper_or_many_fields_is_not_read(
    own: tuple[Customer, Phone], office: Office, files: int, fields: int
) -> None:
    customer, phone = own
    await phone.get(f"{OWN}/items/id_front")
    papers = [("file", (f"{n}.png", picture(f"one of {files}"), "image/png")) for n in range(files)]
    many = {f"field-{n}": "x" for n in range(fields)}
    answer = await phone.post(f"{OWN}/items/id_front", papers, **many)
    assert answer.status_code == 400
    assert (await office.shown(customer))["documents"] == []


async def test_only_what_is_wanted_is_corrected(office: Office, clerk: httpx.AsyncClient) -> None:
    customer, phone = await inside(office, clerk, party={"office_phone": "1"})
    page = await phone.get(f"{OWN}/fields", lang="en")
    assert 'name="office_phone"' in page.text
    assert 'name="name"' not in page.text
    nothing = await phone.post(f"{OWN}/fields", name="别人", mobile="13811112222")
    assert nothing.status_code == 422, "what is not wanted is nothing"
    wrong = await phone.post(f"{OWN}/fields", office_phone="2", role="applicant")
    assert wrong.headers["location"] == f"{OWN}/fields"
    old = re.search(r'name="revision" value="(\d+)"', page.text)
    assert old is not None
    stale = await phone.post(
        f"{OWN}/fields", office_phone="021-64567890", role="applicant", revision=old[1]
    )
    assert stale.headers["location"] == OWN
    assert "changed meanwhile" in (await phone.get(OWN)).text
    await phone.get(f"{OWN}/fields")
    right = await phone.post(
        f"{OWN}/fields",
        office_phone="021-64567890",
        name="别人",
        mobile="13811112222",
        role="applicant",
    )
    assert right.headers["location"] == OWN
    assert (await phone.get(f"{OWN}/fields")).headers["location"] == OWN
    again = await phone.post(f"{OWN}/fields", office_phone="021-64567890", role="applicant")
    assert again.headers["location"] == OWN, "a page that was left open: nothing is wanted any more"
    rows = await office.fetch(
        "SELECT actor, details FROM application_history WHERE application_id = $1"
        " AND action = 'corrected' ORDER BY id",
        customer.application_id,
    )
    assert [(row["actor"], json.loads(row["details"])["fields"]) for row in rows] == [
        (await by_slip(office, customer), ["office_phone"])
    ] * 2
    shown = await clerk.get(f"/intake/applications/{customer.application_id}?lang=en")
    assert f"****{MOBILE[-4:]}" in shown.text


async def test_a_correction_that_cannot_be_kept_comes_back_as_it_was_typed(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    _customer, phone = await inside(
        office, clerk, party={"office_phone": "1", "monthly_income": None}
    )
    await phone.get(f"{OWN}/fields", lang="en")
    typed = {"office_phone": "021-64567890", "monthly_income": "a lot", "role": "applicant"}
    refused = await phone.post(f"{OWN}/fields", **typed)
    assert refused.status_code == 422
    assert 'value="021-64567890"' in refused.text
    assert 'value="a lot"' in refused.text
    assert "Write the amount in yuan" in refused.text


async def test_of_each_person_only_what_is_wanted_of_them_is_corrected(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer = office.customer()
    contact = {"role": "contact", "name": "乙", "mobile": "1"}
    customer.form["parties"].append(contact)
    await office.begun(customer)
    await office.submit(customer)
    asked = (await office.last(customer, "application.material-requested"))["items"]
    assert [one["role"] for one in asked if one["field"] == "mobile"] == ["contact"]
    phone = Phone.at(office)
    await phone.enter(customer.number, await code_for(office, customer, clerk))
    page = await phone.get(f"{OWN}/fields", lang="en")
    assert 'name="mobile"' in page.text
    assert 'name="role" value="contact"' in page.text, "nobody else is asked"
    for role in ("applicant", "guardian", ""):
        refused = await phone.post(f"{OWN}/fields", mobile="13811112222", role=role)
        assert refused.status_code == 422, role
        assert "Of this person it is not asked for: " in refused.text
    assert f"****{MOBILE[-4:]}" in (await phone.get(OWN)).text
    await phone.get(f"{OWN}/fields")
    right = await phone.post(f"{OWN}/fields", mobile="13811112222", role="contact")
    assert right.headers["location"] == OWN
    assert f"****{MOBILE[-4:]}" in (await phone.get(OWN)).text
    rows = await office.fetch(
        "SELECT actor FROM application_history WHERE application_id = $1 AND action = 'corrected'",
        customer.application_id,
    )
    assert [row["actor"] for row in rows] == [await by_slip(office, customer)]


async def test_a_consent_is_given_anew_where_it_is_wanted(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer, phone = await inside(office, clerk, consent=None)
    assert "信用卡审批" in (await phone.get(f"{OWN}/consent", lang="zh-CN")).text
    assert (await phone.post(f"{OWN}/consent")).status_code == 422
    assert (await office.shown(customer))["state"] == "awaiting_material"
    page = await phone.get(f"{OWN}/consent", lang="en")
    words = re.search(r'name="words" value="([0-9a-f]{64})"', page.text)
    assert words is not None
    stale = await phone.post(f"{OWN}/consent", agree="yes", words="0" * 64)
    assert stale.status_code == 422
    assert "The words have changed" in stale.text
    # to what stood there, in whatever language the answer is
    await phone.get(OWN, lang="zh-CN")
    given = await phone.post(f"{OWN}/consent", agree="yes", words=words[1])
    assert given.headers["location"] == OWN
    again = await phone.get(f"{OWN}/consent")
    assert again.headers["location"] == OWN, "it is asked for once"
    rows = await office.fetch(
        "SELECT body::jsonb -> 'consent' AS consent FROM application_file"
        " WHERE application_id = $1",
        customer.application_id,
    )
    consent = json.loads(rows[0]["consent"])
    assert consent["purpose"] == "信用卡审批"
    shown = load_customer_page()
    digest = hashlib.sha256(shown.consent.en.encode()).hexdigest()
    text = {"version": shown.version, "language": "en", "digest": digest}
    assert (consent["text"], words[1]) == (text, digest)
    corrected = await office.last(customer, "application.corrected")
    assert corrected["consent"]["text"] == text
    case = await clerk.get(f"/intake/applications/{customer.application_id}?lang=en")
    assert f"to the words {shown.version} (en, SHA-256 {digest[:12]}…)" in shown_text(case)


@pytest.mark.parametrize("revision", ["", "0", "-1", "7x", "9" * 10])
@pytest.mark.parametrize(
    ("form", "sent"),
    [
        ("fields", {"office_phone": "021-64567890", "role": "applicant"}),
        ("consent", {"agree": "yes", "words": _WORDS}),
        ("withdraw", {"sure": "yes"}),
    ],
)
async def test_a_form_that_does_not_say_what_it_was_about_changes_nothing(
    own: tuple[Customer, Phone], office: Office, form: str, sent: dict[str, str], revision: str
) -> None:
    customer, phone = own
    before = await office.shown(customer)
    await phone.get(f"{OWN}/{form}")
    answer = await phone.post(f"{OWN}/{form}", **sent, revision=revision)
    assert answer.headers["location"] == OWN
    assert "changed meanwhile" in (await phone.get(OWN, lang="en")).text
    assert await office.shown(customer) == before


async def test_a_customer_withdraws_once_they_are_sure(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer, phone = await inside(office, clerk)
    page = await phone.get(f"{OWN}/withdraw", lang="en")
    assert "ends for good" in page.text
    unsure = await phone.post(f"{OWN}/withdraw", reason="不办了")
    assert unsure.status_code == 422
    assert await office.state(customer) == "awaiting_material"
    await phone.post(f"{OWN}/withdraw", reason="不办了", sure="yes")
    assert await office.state(customer) == "withdrawn"
    page = await phone.get(OWN, lang="en")
    assert "Your application is withdrawn" in page.text
    assert "不办了" not in page.text
    assert (await phone.get(f"{OWN}/withdraw")).headers["location"] == OWN
    shown = await clerk.get(f"/intake/applications/{customer.application_id}?lang=en")
    assert "Customer" in shown.text


async def declined(office: Office) -> Customer:
    customer = await office.handed_over()
    await office.review_says(
        customer,
        review.ChecksCompleted,
        review.ApplicationDeclined,
        **decision(),
        category="credit_history",
        reapply_from="2027-06-01",
    )
    await office.until(customer, "declined")
    return customer


async def test_a_declined_customer_asks_why_and_then_for_a_review_by_a_person(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer = await declined(office)
    phone = Phone.at(office)
    await phone.enter(customer.number, await code_for(office, customer, clerk))
    page = await phone.get(OWN, lang="en")
    assert "You may apply again from" in page.text
    assert "Ask about the decision" in page.text
    await phone.get(f"{OWN}/appeal", lang="en")
    assert (await phone.post(f"{OWN}/appeal", wish="the card")).status_code == 422
    await phone.post(f"{OWN}/appeal", wish="explanation")
    first = await office.last(customer, "appeal.requested")
    assert (first["wish"], first["words"], first["entered_by"][:8]) == (
        "explanation",
        None,
        "customer",
    )
    page = await phone.get(OWN, lang="en")
    assert "We have it." in page.text
    assert (await phone.get(f"{OWN}/appeal")).headers["location"] == OWN  # one at a time

    about = {"appeal_id": first["appeal_id"], "appeal_number": f"{customer.number}-1"}
    opened = {**about, "wish": "explanation", "working_days": 15}
    await office.review_says(customer, review.AppealOpened, **opened)
    answered = {**about, "category": "credit_history", "automatic": True, "answered_by": "r"}
    await office.review_says(customer, review.AppealAnswered, **answered, outcome="explained")

    async def says(words: str) -> bool:
        return words in (await phone.get(OWN, lang="en")).text

    await eventually(lambda: says("Answered: we wrote to you."))
    page = await phone.get(f"{OWN}/appeal", lang="en")
    assert 'value="human-review"' in page.text
    assert 'value="explanation"' not in page.text
    await phone.post(f"{OWN}/appeal", wish="human-review", words="收入证明的月份写错了")
    second = await office.last(customer, "appeal.requested")
    assert second["wish"] == "human-review"
    assert "月份" not in str(second)
    about = {"appeal_id": second["appeal_id"], "appeal_number": f"{customer.number}-2"}
    opened = {**about, "wish": "human-review", "working_days": 15}
    await office.review_says(customer, review.AppealOpened, **opened)
    await eventually(lambda: says("You have it within 15 working days."))
    answered |= about
    today = office.now.date().isoformat()
    await office.review_says(
        customer, review.AppealAnswered, **answered, outcome="changed", reapply_from=today
    )
    await eventually(lambda: says("you may apply anew at once"))
    assert await office.state(customer) == "declined"
    rows = await office.fetch(
        "SELECT reapply_from FROM application WHERE application_id = $1", customer.application_id
    )
    assert rows[0]["reapply_from"].isoformat() == today


async def test_whose_limit_the_policy_alone_set_asks_about_it_and_nobody_else_does(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer = await office.approved()
    await office.until(customer, "card_producing")
    phone = Phone.at(office)
    await phone.enter(customer.number, await code_for(office, customer, clerk))
    assert "Ask about the limit" in (await phone.get(OWN, lang="en")).text
    page = await phone.get(f"{OWN}/appeal", lang="en")
    assert "Your limit was set automatically." in page.text
    await phone.post(f"{OWN}/appeal", wish="human-review", words="额度太低")
    asked = await office.last(customer, "appeal.requested")
    assert asked["wish"] == "human-review"
    assert "额度" not in str(asked)
    about = {
        "appeal_id": asked["appeal_id"],
        "appeal_number": f"{customer.number}-1",
        "about": "limit",
    }
    opened = {**about, "wish": "human-review", "working_days": 15}
    await office.review_says(customer, review.AppealOpened, **opened)
    answered = {**about, "category": None, "automatic": True, "answered_by": "r", "basis": "income"}
    await office.review_says(customer, review.AppealAnswered, **answered, outcome="changed")

    async def says(words: str) -> bool:
        return words in (await phone.get(OWN, lang="en")).text

    await eventually(lambda: says("a higher limit is possible"))
    assert await office.state(customer) == "card_producing"

    people = await office.handed_over()
    approved = {**decision(), "automatic": False, "decided_by": ["a", "b"]}
    await office.review_says(
        people,
        review.ChecksCompleted,
        review.ApplicationApproved,
        **approved,
        limit={"minor": 1_500_000},
    )
    await office.until(people, "card_producing")
    other = Phone.at(office)
    await other.enter(people.number, await code_for(office, people, clerk))
    assert "Ask about the limit" not in (await other.get(OWN, lang="en")).text
    assert (await other.get(f"{OWN}/appeal")).headers["location"] == OWN


async def test_a_customer_disputes_the_credit_report_and_may_apply_anew_once_it_is_put_right(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer = await declined(office)
    phone = Phone.at(office)
    await phone.enter(customer.number, await code_for(office, customer, clerk))
    assert "The credit report is wrong" in (await phone.get(OWN, lang="en")).text
    await phone.get(f"{OWN}/dispute", lang="en")
    empty = await phone.post(f"{OWN}/dispute", words=" ")
    assert (empty.status_code, "Say what is wrong in it." in empty.text) == (422, True)
    await phone.post(f"{OWN}/dispute", words="逾期记录不是我的")
    asked = await office.last(customer, "dispute.requested")
    assert "逾期" not in str(asked)
    assert asked["entered_by"].startswith("customer")
    assert (await phone.get(f"{OWN}/dispute")).headers["location"] == OWN  # one at a time
    # an appeal against the decision is something else
    assert 'value="human-review"' in (await phone.get(f"{OWN}/appeal", lang="en")).text

    async def says(words: str) -> bool:
        return words in (await phone.get(OWN, lang="en")).text

    about = {"dispute_id": asked["dispute_id"], "dispute_number": f"{customer.number}-D1"}
    await office.review_says(customer, review.DisputeOpened, **about, days=20)
    await eventually(lambda: says("You have it within 20 days."))
    today = office.now.date().isoformat()
    await office.review_says(
        customer,
        review.DisputeAnswered,
        **about,
        outcome="corrected",
        reapply_from=today,
        answered_by="r",
    )
    await eventually(lambda: says("The credit report is put right."))
    rows = await office.fetch(
        "SELECT state, reapply_from FROM application WHERE application_id = $1",
        customer.application_id,
    )
    assert (rows[0]["state"], rows[0]["reapply_from"].isoformat()) == ("declined", today)


async def test_progress_tells_nothing_of_a_hold(office: Office, clerk: httpx.AsyncClient) -> None:
    customer = await office.handed_over()
    code = await code_for(office, customer, clerk)
    phone = Phone.at(office)
    await phone.enter(customer.number, code)
    before = shown_text(await phone.get(OWN, lang="en"))
    await office.review_says(customer, review.ApplicationHeld)
    await office.until(customer, "on_hold")
    assert shown_text(await phone.get(OWN, lang="en")) == before
    await phone.get(f"{OWN}/withdraw")
    await phone.post(f"{OWN}/withdraw", sure="yes")
    page = await phone.get(OWN, lang="en")
    assert "You asked to withdraw" in page.text
    assert (await phone.get(f"{OWN}/withdraw")).headers["location"] == OWN


async def test_the_list_is_the_same_as_a_file(
    office: Office, clerk: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def drawn(sheet: Sheet) -> bytes:
        threads.append(threading.current_thread())
        return customer_pdf.drawn(sheet)

    monkeypatch.setattr(pages_customer, "drawn", drawn)
    customer, phone = await inside(office, clerk, party={"office_phone": "1"})
    for language in ("zh-CN", "en"):
        page = await phone.get(OWN, lang=language)
        own = await phone.get(f"{OWN}/list.pdf", lang=language)
        theirs = await clerk.get(
            f"/intake/applications/{customer.application_id}/checklist.pdf",
            params={"lang": language},
        )
        assert own.headers["content-type"] == "application/pdf"
        assert own.headers["content-disposition"].endswith(f'-{customer.number[-6:]}.pdf"')
        assert own.content == theirs.content
        document = pypdfium2.PdfDocument(own.content)
        text = "".join("".join(one.get_textpage().get_text_bounded() for one in document).split())
        for name in re.findall("<h3>([^<]+)</h3>", page.text):
            assert "".join(html.unescape(name).split()) in text
        for why in re.findall('<p class="own-why">([^<]+)</p>', page.text):
            assert "".join(html.unescape(why).split()) in text
        assert not [clear for clear in _CLEAR if clear in text]
    assert len(threads) == 4
    assert threading.current_thread() not in threads, "others are answered meanwhile"


# -- the office's part -----------------------------------------------------------------------------


async def test_who_may_give_codes_and_of_which_applications(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer = await submitted(office)
    here = f"/intake/applications/{customer.application_id}/access"
    reviewer = await office.colleague("reviewer")
    elsewhere = await office.colleague("assistant", branch=OTHER_BRANCH)
    for path in (here, here + "/give", here + "/send", here + "/revoke"):
        way = "GET" if path == here else "POST"
        assert (await reviewer.request(way, path)).status_code == 403
        assert (await elsewhere.request(way, path)).status_code == 404
    page = await clerk.get(here, params={"lang": "en"})
    assert "No code yet" in page.text
    code = await code_for(office, customer, clerk)
    page = await clerk.get(here, params={"lang": "en"})
    assert code not in page.text
    assert "can be used until" in page.text
    kept = await office.fetch("SELECT * FROM access_code")
    assert not [row for row in kept if code.replace("-", "") in str(dict(row))]


@pytest.mark.parametrize(("way", "counts"), [("give", 1), ("send", 0)])
async def test_who_printed_a_slip_counts_as_one_who_entered_the_form(
    office: Office, clerk: httpx.AsyncClient, way: str, counts: int
) -> None:
    customer = await submitted(office)
    async with office.service.pool.acquire() as conn:
        before = await store.who_entered(conn, customer.application_id)
        await clerk.post(f"/intake/applications/{customer.application_id}/access/{way}")
        after = await store.who_entered(conn, customer.application_id)
    assert len(after - before) == counts
    assert "customer" not in after


@pytest.mark.parametrize("way", ["give", "send"])
async def test_what_is_done_by_a_printed_code_says_who_had_it_in_hand(
    office: Office, clerk: httpx.AsyncClient, way: str
) -> None:
    customer = await submitted(office, party={"office_phone": "1"})
    here = f"/intake/applications/{customer.application_id}"
    if way == "give":
        code = await code_for(office, customer, clerk)
    else:
        await clerk.post(here + "/access/send")
        code = await sent_code(office, customer)
    phone = Phone.at(office)
    assert (await phone.enter(customer.number, code)).status_code == 303
    await phone.get(f"{OWN}/fields", lang="en")
    await phone.post(f"{OWN}/fields", office_phone="021-64567890", role="applicant")
    await phone.post(f"{OWN}/leave")
    (clerks,) = await office.fetch(
        "SELECT a.issued_by, s.name FROM access_code a JOIN directory_staff s"
        " ON a.issued_by = 'staff:' || s.staff_id WHERE application_id = $1",
        customer.application_id,
    )
    printed = way == "give"
    actor = f"customer:{clerks['issued_by']}" if printed else "customer"
    lines = await accesses(office, customer)
    assert [who for what, who in lines if what in ("entered", "left")] == [actor, actor]
    history = await office.fetch(
        "SELECT actor FROM application_history WHERE application_id = $1 AND action = 'corrected'",
        customer.application_id,
    )
    assert [row["actor"] for row in history] == [actor]
    words = f"Customer, by the code that {clerks['name']} printed"
    case = shown_text(await clerk.get(here, params={"lang": "en"}))
    assert case.count(words) == 2 * printed, "entered, and corrected"
    assert "Entered with the code" in case
    access = shown_text(await clerk.get(here + "/access", params={"lang": "en"}))
    assert access.count(words) == 2 * printed
    auditor = await office.colleague("auditor")
    log = await audited(auditor, number=customer.number)
    assert log.count(words) == 3 * printed
    printer = clerks["issued_by"].removeprefix("staff:")
    assert (await audited(auditor, number=customer.number, who=printer)).count(words) == 3 * printed


async def test_a_code_is_sent_sealed_and_seen_by_nobody_here(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer = await submitted(office)
    here = f"/intake/applications/{customer.application_id}/access"
    old = await code_for(office, customer, clerk)
    sent = await clerk.post(here + "/send")
    assert sent.headers["location"] == here
    page = await clerk.get(here, params={"lang": "en"})
    assert "Code sent by message" in page.text
    assert [line[0] for line in await accesses(office, customer)] == ["issued", "sent"]
    code = await sent_code(office, customer)
    assert code not in page.text
    assert (await Phone.at(office).enter(customer.number, old)).status_code == 401
    assert (await Phone.at(office).enter(customer.number, code)).status_code == 303


@pytest.mark.parametrize("way", ["give", "send"])
async def test_a_new_code_of_the_office_puts_out_who_came_by_an_earlier_one(
    office: Office, clerk: httpx.AsyncClient, way: str
) -> None:
    customer, phone = await inside(office, clerk)
    here = f"/intake/applications/{customer.application_id}/access"
    await phone.post(f"{OWN}/code")
    assert (await phone.get(OWN)).status_code == 200, "their own next code ends nothing"
    await clerk.post(f"{here}/{way}")
    assert (await phone.get(OWN)).headers["location"] == "/progress?ended=1"


@pytest.mark.parametrize("by", ["staff", "draft", "customer"])
async def test_a_code_ends_with_the_mobile_for_which_it_was(
    office: Office, clerk: httpx.AsyncClient, by: str
) -> None:
    if by == "draft":
        customer = await office.begun()
    elif by == "customer":
        customer = await submitted(office, party={"mobile": "12345"})
    else:
        customer = await submitted(office)
    mobile = "2345" if by == "customer" else MOBILE[-4:]
    phone = Phone.at(office)
    first = await code_for(office, customer, clerk)
    assert (await phone.enter(customer.number, first, mobile)).status_code == 303
    await phone.get(OWN)
    page = await phone.post(f"{OWN}/code")
    found = re.search(r"<strong>([A-Z]{4}-[A-Z]{4})</strong>", page.text)
    assert found is not None
    party = {"role": "applicant", "mobile": "13811112222"}
    here = f"{API}/applications/{customer.application_id}"
    match by:
        case "staff":
            changed = await clerk.patch(here, json={"parties": [party]})
        case "draft":
            form = customer.form | {"parties": [customer.form["parties"][0] | party]}
            changed = await office.client().put(here, json=form)
        case "customer":
            await phone.get(f"{OWN}/fields")
            changed = await phone.post(f"{OWN}/fields", **party)
    assert changed.status_code in (200, 303), changed.text
    assert (await Phone.at(office).enter(customer.number, found[1], mobile)).status_code == 401
    inside = await phone.get(OWN)
    assert inside.status_code == (200 if by == "customer" else 303), "they did it themselves"
    assert [what for what, _ in await accesses(office, customer)][-1] == "revoked"


async def test_a_code_that_is_given_while_the_mobile_is_corrected_is_for_the_new_one(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer = await submitted(office)
    here = f"{API}/applications/{customer.application_id}"

    async def wait(many: int) -> bool:
        found = await office.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE '%FROM application WHERE application_id%FOR %'"
        )
        return len(found) >= many

    async with office.service.pool.acquire() as conn, conn.transaction():
        await conn.execute(
            "SELECT FROM application WHERE application_id = $1 FOR UPDATE", customer.application_id
        )
        party = {"role": "applicant", "mobile": "13811112222"}
        correcting = asyncio.create_task(clerk.patch(here, json={"parties": [party]}))
        await eventually(lambda: wait(1))
        giving = asyncio.create_task(code_for(office, customer, clerk))
        await eventually(lambda: wait(2))
    assert (await correcting).status_code == 200
    code = await giving
    assert (await Phone.at(office).enter(customer.number, code)).status_code == 401
    assert (await Phone.at(office).enter(customer.number, code, "2222")).status_code == 303


async def test_who_is_in_can_be_put_out_whatever_became_of_the_code(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer, phone = await inside(office, clerk)
    here = f"/intake/applications/{customer.application_id}/access"
    await phone.post(f"{OWN}/code")
    for _ in range(load_customer_page().code_tries):
        await Phone.at(office).enter(customer.number, "CCCCCCCC")
    assert f'action="{here}/revoke"' in (await clerk.get(here)).text
    await clerk.post(here + "/revoke")
    assert (await phone.get(OWN)).headers["location"] == "/progress?ended=1"
    assert f'action="{here}/revoke"' not in (await clerk.get(here)).text


async def test_nobody_is_written_to_before_the_hand_in(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer = await office.begun()
    here = f"/intake/applications/{customer.application_id}/access"
    assert "/send" not in (await clerk.get(here)).text
    await clerk.post(here + "/send")
    assert "print a slip" in (await clerk.get(here, params={"lang": "en"})).text
    assert await accesses(office, customer) == []


async def test_no_code_and_no_session_is_left_of_who_was_erased(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer, phone = await inside(office, clerk)
    await phone.post(f"{OWN}/code")
    await office.withdraw(customer)
    await erase(office.settings, office.service.clock, customer.number)
    for table in ("access_code", "customer_session"):
        left = await office.fetch(
            f"SELECT 1 FROM {table} WHERE application_id = $1",
            customer.application_id,
        )
        assert left == [], table
    assert (await phone.get(OWN)).headers["location"] == "/progress?ended=1"


async def test_without_a_mobile_nobody_would_be_known(
    office: Office, clerk: httpx.AsyncClient
) -> None:
    customer = await office.begun(office.customer(party={"mobile": None}))
    here = f"/intake/applications/{customer.application_id}/access"
    answer = await clerk.post(here + "/give")
    assert answer.headers["location"] == here
    page = await clerk.get(here, params={"lang": "en"})
    assert "names no mobile" in page.text
