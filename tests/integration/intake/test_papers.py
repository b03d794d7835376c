"""Papers as people see them: drawn after the upload, watermarked, registered, destroyed in time."""

from __future__ import annotations

import asyncio
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from PIL import Image

from deploy.demo.papers import paper, pdf
from services.intake.application import DESTRUCTION
from services.intake.customer import VIEWER
from services.intake.erasure import ErasureError, erase
from shared.events import review
from shared.identifiers import new_id
from shared.paper_images import DRAWING, DocumentRefusedError
from shared.parameters import load_papers
from shared.privacy.vault import Erasure
from tests.eventually import eventually
from tests.integration.intake.office import (
    API,
    NAME,
    OTHER_BRANCH,
    SALARIED_PAPERS,
    Customer,
    Office,
)
from tests.papers import picture

pytestmark = pytest.mark.asyncio(loop_scope="module")

REASON = f"核对{NAME}的签名"


async def filed(office: Office, customer: Customer, content: bytes) -> str:
    """The page of a paper that was handed in."""
    answer = await office.upload(customer, "income_proof", content=content)
    assert answer.status_code == 201, answer.text
    document = answer.json()["document_id"]
    return f"/intake/applications/{customer.application_id}/documents/{document}"


async def prepared(client: httpx.AsyncClient, path: str) -> None:
    async def there() -> bool:
        return (await client.get(path + "/thumbnail")).status_code == 200

    await eventually(there)


def size(answer: httpx.Response) -> tuple[int, int]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    return Image.open(io.BytesIO(answer.content)).size


async def uses(office: Office, path: str) -> list[tuple[str, int | None]]:
    rows = await office.fetch(
        "SELECT what, page FROM paper_use WHERE document_id = $1 ORDER BY id",
        path.rsplit("/", 1)[-1],
    )
    return [(row["what"], row["page"]) for row in rows]


async def test_the_pages_are_prepared_after_the_upload_whatever_fails_meanwhile(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await office.colleague("assistant")
    customer, go_on, tries = await office.begun(), asyncio.Event(), 0
    render = office.service.reader.render_all

    async def slow(contents: list[bytes]) -> list[list[bytes] | DocumentRefusedError]:
        nonlocal tries
        tries += 1
        await go_on.wait()
        if tries == 1:
            raise ConnectionError("the store is away")
        return await render(contents)

    monkeypatch.setattr(office.service.reader, "render_all", slow)
    path = await filed(office, customer, pdf(["first", "second"]))
    for language, words in (("zh-CN", "页面正在准备"), ("en", "The pages are being prepared")):
        assert words in (await client.get(path, params={"lang": language})).text
    case = f"/intake/applications/{customer.application_id}"
    assert "being prepared" in (await client.get(case, params={"lang": "en"})).text
    assert (await client.get(path + "/pages/1")).status_code == 404
    assert await uses(office, path) == []

    go_on.set()
    await prepared(client, path)
    assert tries == 2
    assert path + "/thumbnail" in (await client.get(case)).text
    shown = await client.get(path, params={"page": 2, "lang": "en"})
    assert "Page 2 of 2" in shown.text
    assert path + "/pages/2" in shown.text
    within = await client.get(path, params={"page": 2}, headers={"HX-Request": "true"})
    assert path + "/pages/2" in within.text
    assert f'hx-get="{path}?page=1"' in within.text, "pages are turned where it stands"
    assert "<html" not in within.text
    assert "<html" in shown.text
    assert "hx-get" not in shown.text
    rows = await office.fetch("SELECT pages, failure FROM paper_preview WHERE document_id = $1",
                              path.rsplit("/", 1)[-1])  # fmt: skip
    assert [tuple(row) for row in rows] == [(2, None)]


async def test_a_pdf_that_an_older_version_drew_is_drawn_again_when_somebody_looks(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, render = await office.colleague("assistant"), office.service.reader.render_all
    customer, fails = await office.begun(), False

    async def drawn(contents: list[bytes]) -> list[list[bytes] | DocumentRefusedError]:
        return [DocumentRefusedError("too_complex")] if fails else await render(contents)

    monkeypatch.setattr(office.service.reader, "render_all", drawn)
    path = await filed(office, customer, pdf(["form"]))
    document = path.rsplit("/", 1)[-1]
    await prepared(client, path)

    async def drawings() -> list[tuple[int, int]]:
        rows = await office.fetch(
            "SELECT drawing, pages FROM paper_preview WHERE document_id = $1 ORDER BY id", document
        )
        return [tuple(row) for row in rows]

    async def waiting() -> int:
        rows = await office.fetch(
            "SELECT FROM messaging.call WHERE kind = 'preview' AND key LIKE $1 || '%'", document
        )
        return len(rows)

    assert await drawings() == [(DRAWING, 1)]
    asked = await waiting()
    assert (await client.get(path + "/thumbnail")).status_code == 200
    assert await waiting() == asked, "what this version drew is not drawn again"

    await office.fetch("UPDATE paper_preview SET drawing = 1 WHERE document_id = $1", document)
    for part in ("/thumbnail", "/pages/1", "/thumbnail"):
        assert (await client.get(path + part)).status_code == 200

    async def again() -> bool:
        return await drawings() == [(1, 1), (DRAWING, 1)]

    await eventually(again)
    # one that cannot be drawn any more stays as it was
    fails = True
    await office.fetch("UPDATE paper_preview SET drawing = 1 WHERE document_id = $1", document)
    await office.fetch("DELETE FROM messaging.call WHERE kind = 'preview'")
    assert (await client.get(path + "/pages/1")).status_code == 200

    async def failed() -> bool:
        return await drawings() == [(1, 1), (1, 1), (DRAWING, 0)]

    await eventually(failed)
    assert (await client.get(path + "/pages/1")).status_code == 200


async def test_who_looks_stands_on_the_page_and_in_the_register(office: Office) -> None:
    first, second = [await office.colleague("assistant") for _ in "12"]
    customer = await office.begun()
    path = await filed(office, customer, pdf(["one", "two"]))
    await prepared(first, path)

    mine, yours = [await one.get(path + "/pages/2") for one in (first, second)]
    assert size(mine) == size(yours) == (1131, 1600)
    assert mine.content != yours.content
    small = await first.get(path + "/thumbnail")
    assert max(size(small)) == 240
    # the thumbnail counts once an hour, each page each time it is looked at
    assert await uses(office, path) == [("thumbnail", 1), ("page", 2), ("page", 2)]
    assert (await first.get(path + "/pages/3")).status_code == 404
    assert len(await uses(office, path)) == 3

    register = await first.get(
        f"/intake/applications/{customer.application_id}/register", params={"lang": "en"}
    )
    happened = ["Seen, page 2", "Seen in small", "Pages prepared · 2 pages", "Received"]
    places = [register.text.index(words) for words in happened]
    assert places == sorted(places)  # the latest first
    (received,) = [row for row in register.text.split("<tr") if "Received" in row]
    assert "Branch terminal" in received  # who handed it in
    elsewhere = await office.colleague("assistant", branch=OTHER_BRANCH)
    for part in ("", "/pages/1", "/thumbnail"):
        assert (await elsewhere.get(path + part)).status_code == 404


async def test_the_original_is_for_who_may_have_it_and_says_why(office: Office) -> None:
    assistant, reviewer = [await office.colleague(one) for one in ("assistant", "reviewer")]
    customer = await office.begun()
    content = paper("image/jpeg", f"income of {NAME}")
    path = await filed(office, customer, content)
    await prepared(assistant, path)
    asked = {"reason": REASON}
    assert (await assistant.post(path + "/original", data=asked)).status_code == 403
    for no_reason in ({}, {"reason": "    "}):
        assert (await reviewer.post(path + "/original", data=no_reason)).status_code == 422
    assert ("original", None) not in await uses(office, path)

    answer = await reviewer.post(path + "/original", data=asked)
    assert answer.content == content
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["cache-control"] == "no-store"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert (await uses(office, path))[-1] == ("original", None)
    (row,) = await office.fetch(
        "SELECT reason FROM paper_use WHERE document_id = $1 AND what = 'original'",
        path.rsplit("/", 1)[-1],
    )
    assert NAME not in row["reason"]

    register = f"/intake/applications/{customer.application_id}/register"
    assert REASON in (await reviewer.get(register)).text
    assert REASON not in (await assistant.get(register)).text
    page = await assistant.get(path, params={"lang": "en"})
    assert "Original file" not in page.text
    assert "Original file" in (await reviewer.get(path, params={"lang": "en"})).text


async def test_what_cannot_be_drawn_says_why_and_is_drawn_when_asked_again(
    office: Office,
) -> None:
    client = await office.colleague("assistant")
    customer = await office.begun()
    store = folder_of(office, customer)

    async def failed() -> bool:
        return "cannot be shown" in (await client.get(path, params={"lang": "en"})).text

    async with office.service.pool.acquire() as conn, conn.transaction():
        # the worker finds no paper: it is put away before the call is seen
        answer = asyncio.create_task(filed(office, customer, picture("put away")))
        await conn.execute("LOCK TABLE messaging.call IN SHARE MODE")

        async def kept() -> list[Path]:
            # written beside its place first, under a name with a number sign
            return [one for one in store.glob("*") if "#" not in one.name]

        (file,) = await eventually(kept)
        content = file.read_bytes()
        file.unlink()
    path = await answer
    await eventually(failed)
    assert "missing or damaged" in (await client.get(path, params={"lang": "en"})).text
    file.write_bytes(content)
    assert (await client.post(path + "/prepare")).status_code == 303
    await prepared(client, path)


async def test_papers_of_the_release_before_are_drawn_when_somebody_looks(office: Office) -> None:
    client = await office.colleague("reviewer")
    customer = await office.begun()
    path = await filed(office, customer, picture("of the release before"))
    await prepared(client, path)
    document = path.rsplit("/", 1)[-1]
    await office.fetch("DELETE FROM paper_preview WHERE document_id = $1", document)
    (page,) = [one for one in folder_of(office, customer).glob("*") if one.suffix]
    page.unlink()
    assert (await client.get(path + "/thumbnail")).status_code == 404  # it may still be on its way
    office.step(office.now + timedelta(hours=2))
    case = f"/intake/applications/{customer.application_id}"
    assert (await client.get(case)).status_code == 200
    await prepared(client, path)
    assert page.exists()
    rows = await office.fetch(
        "SELECT FROM messaging.call WHERE kind = 'preview' AND subject = $1",
        customer.application_id,
    )
    assert len(rows) == 2  # however often somebody looked


async def test_of_a_hundred_papers_the_last_one_counts(office: Office) -> None:
    """By their numbers, the hundredth of which is longer than those before."""
    customer = await office.begun()
    await office.upload(customer, "id_front")
    await office.fetch(
        "INSERT INTO document (document_id, document_number, application_id, item, sha256,"
        " media_type, size, received_at) SELECT gen_random_uuid()::text,"
        " left(document_number, -2) || lpad(n::text, 2, '0'), application_id,"
        " CASE n WHEN 99 THEN item ELSE 'work_proof' END, sha256, media_type, size, received_at"
        " FROM document, generate_series(2, 99) n WHERE application_id = $1",
        customer.application_id,
    )
    last = (await office.upload(customer, "id_front")).json()["document_id"]
    for _ in range(2):
        lines = {one["item"]: one for one in (await office.shown(customer))["checklist"]}
        assert lines["id_front"]["documents"][0] == last
        await office.upload(customer, "id_back")


async def test_the_register_is_only_added_to(office: Office) -> None:
    async with office.service.pool.acquire() as conn:
        for table in ("paper_preview", "paper_use", "paper_end"):
            for change in (f"DELETE FROM {table}", f"UPDATE {table} SET document_id = 'x'"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await conn.execute(change)


async def test_a_customer_who_asks_for_it_is_deleted_or_locked_away(office: Office) -> None:
    assistant = await office.colleague("assistant")
    young, old, going_on = [
        await office.begun(office.customer(party={"device": f"device of {new_id()}"}))
        for _ in "123"
    ]
    path = await filed(office, young, picture("of a draft"))
    await filed(office, old, picture("of a case"))
    await office.submit(old)
    for customer in (young, old):
        await office.withdraw(customer)
    await kept_until(office, young, "2027-01-10")

    async def ask(number: str) -> Erasure:
        return await erase(office.settings, office.service.clock, number)

    for number in ("no such number", going_on.number):
        with pytest.raises(ErasureError):
            await ask(number)
    # a draft is kept for a while by habit, a case by law, and a device by none
    assert await devices(office, young, old, going_on) == 3
    assert [await ask(one.number) for one in (young, old)] == ["destroyed", "restricted"]
    await settled(office)
    assert files(office, young) == []
    assert len(files(office, old)) == 2
    assert (await person_key(office, young), await person_key(office, old)) == (False, True)
    assert await devices(office, young, old) == 0
    assert await devices(office, going_on) == 1
    page = await assistant.get(path, params={"lang": "en"})
    assert "Destroyed: the customer asked for it" in page.text
    case = await assistant.get(f"/intake/applications/{old.application_id}", params={"lang": "en"})
    assert "locked until the retention term ends" in case.text
    assert await ask(young.number) == "destroyed"


async def test_papers_are_destroyed_when_every_term_is_over(office: Office) -> None:
    client = await office.colleague("assistant")
    ended, going_on = await office.handed_over(), await office.handed_over()
    abandoned = await office.begun()
    for one in (ended, going_on):
        await office.withdraw(one)
    await office.withdraw(abandoned)
    await office.review_says(ended, review.WithdrawalGranted, request_id=await wish(office, ended))
    await office.until(ended, "withdrawn")

    for one in (ended, going_on):
        await office.fetch(
            "INSERT INTO access_code (application_id, who, digest, issued_at, issued_by,"
            " valid_until) SELECT $1, $2, $2, now(), 'customer', now()",
            one.application_id,
            b"of their mobile",
        )
    await kept_until(office, ended, "2036-10-12")
    await kept_until(office, going_on, "2036-10-12")
    await kept_until(office, abandoned, "2027-01-10")

    async def drawn() -> bool:
        return len(files(office, ended)) == 2 * len(SALARIED_PAPERS)

    await eventually(drawn)
    page = f"/intake/applications/{ended.application_id}"
    path = page + "/documents/" + (await office.shown(ended))["documents"][0]["document_id"]

    office.step(office.now.replace(year=2036) - timedelta(seconds=1))
    await office.service.papers.sweep()
    await settled(office)
    assert len(files(office, ended)) == 2 * len(SALARIED_PAPERS)
    assert (await client.get(path + "/thumbnail")).status_code == 200

    office.step(office.now + timedelta(seconds=1))
    for _ in "twice":
        await office.service.papers.sweep()
    await settled(office)

    async def gone() -> bool:
        return files(office, ended) == []

    await eventually(gone)
    assert await person_key(office, ended) is False
    codes = await office.fetch(
        "SELECT application_id FROM access_code WHERE application_id = ANY ($1)",
        [ended.application_id, going_on.application_id],
    )
    # a case that review has not let go is none that has ended
    assert [row["application_id"] for row in codes] == [going_on.application_id]
    assert await person_key(office, going_on) is True
    assert len(files(office, going_on)) == 2 * len(SALARIED_PAPERS)
    shown = await client.get(path, params={"lang": "en"})
    assert "This paper was destroyed" in shown.text
    assert (await client.get(path + "/thumbnail")).status_code == 404
    register = await client.get(page + "/register", params={"lang": "en"})
    assert register.text.count("Destroyed: the term for keeping it was over") == 5
    assert "Seen in small" in register.text  # what happened before stays
    reviewer = await office.colleague("reviewer")
    answer = await reviewer.post(path + "/original", data={"reason": REASON})
    assert answer.status_code == 409


async def devices(office: Office, *customers: Customer) -> int:
    """Of how many of these applications it is known on which device they were begun."""
    (row,) = await office.fetch(
        "SELECT count(*) AS n FROM application_device WHERE application_id = ANY ($1)",
        [one.application_id for one in customers],
    )
    return int(row["n"])


async def test_whoever_else_was_named_goes_with_the_application(office: Office) -> None:
    contact = {"role": "contact", "name": "联系人", "mobile": "13811112222"}
    named, dropped = office.customer(), office.customer()
    persons = []
    for one in (named, dropped):
        one.form["parties"].append(contact)
        await office.begun(one)
        begun = await office.desk.look(VIEWER, one.application_id)
        persons += [party.person for party in begun.parties if party.role == "contact"]
    form = {**dropped.form, "parties": dropped.form["parties"][:1]}
    path = f"{API}/applications/{dropped.application_id}"
    assert (await office.client().put(path, json=form)).status_code == 200
    for one in (named, dropped):
        await office.withdraw(one)
    keys = "SELECT count(*) FROM vault.person_key WHERE person_id = ANY ($1)"
    held = (
        "SELECT count(*) FROM vault.person WHERE person_id = ANY ($1) AND retain_until IS NOT NULL"
    )

    async def all_held() -> bool:
        found: int = await vault(office, held, persons)
        return found == len(persons)

    await eventually(all_held)
    assert await vault(office, keys, persons) == len(persons) == 2
    office.step(office.now + timedelta(days=load_papers().keep_abandoned_days, seconds=1))
    await office.service.papers.sweep()
    await settled(office)
    assert await vault(office, keys, persons) == 0


async def kept_until(office: Office, customer: Customer, until: str) -> None:
    """Waits until the vault knows how long the customer's key is kept."""

    async def told() -> bool:
        found = await vault(
            office,
            "SELECT retain_until FROM vault.person WHERE person_id = $1",
            await person(office, customer),
        )
        return found is not None and str(found)[:10] == until

    await eventually(told)


def folder_of(office: Office, customer: Customer) -> Path:
    """Where the store keeps what belongs to an application."""
    return (
        Path(str(office.settings.documents_url).removeprefix("file://")) / customer.application_id
    )


def files(office: Office, customer: Customer) -> list[str]:
    """What lies in the store for an application."""
    return [one.name for one in folder_of(office, customer).glob("*")]


async def person(office: Office, customer: Customer) -> str:
    rows = await office.fetch(
        "SELECT person FROM application WHERE application_id = $1", customer.application_id
    )
    return str(rows[0]["person"])


async def wish(office: Office, customer: Customer) -> str:
    """The id of the customer's request to withdraw."""
    told = await office.last(customer, "application.withdrawal-requested")
    return str(told["request_id"])


async def person_key(office: Office, customer: Customer) -> bool:
    found = await vault(
        office,
        "SELECT EXISTS (SELECT FROM vault.person_key WHERE person_id = $1)",
        await person(office, customer),
    )
    return bool(found)


async def vault(office: Office, sql: str, *arguments: Any) -> Any:
    conn = await asyncpg.connect(office.vault_url)
    try:
        return await conn.fetchval(sql, *arguments)
    finally:
        await conn.close()


async def settled(office: Office) -> None:
    """Every destruction that was asked for was made, or found to be too early."""

    async def done() -> bool:
        rows = await office.fetch(
            "SELECT FROM messaging.call WHERE kind = $1 AND state <> 'done'", DESTRUCTION
        )
        return not rows

    await eventually(done)
