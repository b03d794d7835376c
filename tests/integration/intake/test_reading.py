"""ID cards that a machine reads: suggestions beside the card, and nothing that counts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from services.intake import store_reading
from services.intake.erasure import erase
from services.intake.idcard import Line
from services.intake.reader import CardReader, Reader
from shared.formats import read_resident_id
from shared.paper_images import DocumentRefusedError
from shared.parameters import load_papers
from tests.bench import cards
from tests.eventually import eventually
from tests.integration.intake.office import HOME, NAME, OTHER_BRANCH, Customer, Office

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER_NAME = NAME[:2] + "看" + NAME[3:]  # one character is another
AUTHORITY = "望江区公安局"
EVERYTHING = (
    "SELECT (SELECT json_agg(a ORDER BY a.application_id) FROM application a"
    " WHERE application_id = $1)::text,"
    " (SELECT json_agg(i ORDER BY i.item) FROM checklist_item i WHERE application_id = $1)::text,"
    " (SELECT count(*) FROM application_history WHERE application_id = $1),"
    " (SELECT count(*) FROM checklist_change WHERE application_id = $1),"
    " (SELECT count(*) FROM paper_reading WHERE application_id = $1),"
    " (SELECT count(*) FROM messaging.event_log WHERE subject = $1),"
    " (SELECT count(*) FROM messaging.call WHERE subject = $1 AND kind <> 'preview')"
)


class Canned(CardReader):
    """A machine of whose answers the test decides."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: list[list[Line]] = []
        self.refuses = False
        self.asked = 0
        self.hangs: asyncio.Event | None = None

    async def lines(self, content: bytes) -> list[list[Line]]:
        self.asked += 1
        if self.hangs is not None:
            self.hangs.set()
            await asyncio.sleep(3600)
        if self.refuses:
            raise DocumentRefusedError("too_complex")
        return self.pages


def lines(*texts: str, score: float = 0.99) -> list[Line]:
    """Lines of a card, one below the other."""
    return [
        Line(
            text,
            (score,) * len(text),
            ((60, y), (60 + 40 * len(text), y), (60 + 40 * len(text), y + 40), (60, y + 40)),
        )
        for y, text in zip(range(60, 2000, 70), texts, strict=False)
    ]


def reader_of(office: Office, machine: CardReader) -> Reader:
    archive = office.service.archive
    assert archive._documents is not None
    vault = archive._opened
    assert vault is not None
    return Reader(office.service.pool, vault[0], archive._documents, machine, office.service.clock)


@pytest_asyncio.fixture(loop_scope="module")
async def machine(office: Office) -> AsyncIterator[Canned]:
    """What is left of other tests' cards is nobody's business here."""
    await office.fetch(
        "UPDATE card_reading SET state = 'failed', failure = 'missing' WHERE state = 'waiting'"
    )
    canned = Canned()
    await store_reading.enlist(
        office.service.pool, load_papers().cards.items, office.now - timedelta(days=14)
    )
    await office.fetch(
        "UPDATE card_reading SET state = 'failed', failure = 'missing' WHERE state = 'waiting'"
    )
    yield canned
    canned.close()


async def card_of(office: Office, customer: Customer, item: str, **content: Any) -> str:
    answer = await office.upload(customer, item, **content)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["document_id"])


async def state(office: Office, document_id: str) -> tuple[str, int, str | None]:
    (row,) = await office.fetch(
        "SELECT state, tries, failure FROM card_reading WHERE document_id = $1", document_id
    )
    return row["state"], row["tries"], row["failure"]


async def now_due(office: Office) -> None:
    """Whatever was put back may be tried again at once."""
    await office.fetch("UPDATE card_reading SET claimed_until = NULL WHERE state = 'waiting'")


def place(customer: Customer, document_id: str) -> str:
    return f"/intake/applications/{customer.application_id}/documents/{document_id}/reading"


async def test_the_machine_reads_both_sides_and_nothing_moves_by_it(
    office: Office, machine: Canned
) -> None:
    customer = await office.begun()
    (person, ethnicity, _), chance = cards.people(1, 1)[0], Random(1)
    person = replace(person, name=NAME, id_number=customer.id_number, home_address=HOME)
    sides = {
        "id_front": cards.front(person, ethnicity),
        "id_back": cards.back(person, AUTHORITY),
    }
    ids = {
        item: await card_of(
            office, customer, item, content=cards.photograph(image, "clean", chance)
        )
        for item, (image, _) in sides.items()
    }
    for document_id in ids.values():
        await office.drawn(document_id)
    before = await office.fetch(EVERYTHING, customer.application_id)
    real = CardReader()
    try:
        reader = reader_of(office, real)
        assert [await reader.once() for _ in "123"] == [True, True, False]
    finally:
        real.close()

    assert await office.fetch(EVERYTHING, customer.application_id) == before
    for item, (_, says) in sides.items():
        (row,) = await office.fetch("SELECT * FROM card_reading WHERE document_id = $1", ids[item])
        kept = says.keys() - {"ethnicity"}  # nobody needs to know it
        # sealed: nothing of it stands there in clear
        assert not any(says[name] in str(dict(row)) for name in kept - {"sex"})
        found = await store_reading.card_readings(office.service.pool, [ids[item]])
        opened = await office.desk.open_readings({ids[item]: found[ids[item]].says})
        assert opened[ids[item]] == {name: says[name] for name in kept}
        assert all(doubts == () for _, doubts in found[ids[item]].told.values())


async def test_suggestions_stand_beside_the_card_and_count_once_somebody_sends_them(
    office: Office, machine: Canned
) -> None:
    customer = await office.begun()
    document_id = await card_of(office, customer, "id_front")
    await office.drawn(document_id)
    machine.pages = [
        lines(
            f"姓名{OTHER_NAME}",
            "性别" + ("男" if read_resident_id(customer.id_number).sex == "male" else "女"),
            "住址" + HOME[:11],
            HOME[11:],
            f"公民身份号码{customer.id_number[:17]}"
            + ("1" if customer.id_number[17] != "1" else "2"),
        )
    ]
    reader = reader_of(office, machine)
    assistant, path = await office.colleague("assistant"), place(customer, document_id)
    case = f"/intake/applications/{customer.application_id}"
    assert (await assistant.get(path)).status_code == 404  # no machine: no suggestion
    assert path not in (await assistant.get(case)).text
    await reader.once()

    for language, told in (
        ("en", ("4 suggestions", "1 doubtful")),
        ("zh-CN", ("4 项识别建议", "1 项存疑")),
    ):
        page = await assistant.get(case, params={"lang": language})
        assert path in page.text
        assert all(words in page.text for words in told)
    before = await office.fetch(EVERYTHING, customer.application_id)
    page = await assistant.get(path, params={"lang": "en"})
    assert page.headers["cache-control"] == "no-store"
    assert "99 % certain" in page.text
    assert "The number&#39;s own check fails: a digit is wrong." in page.text
    assert '<mark class="differs">看</mark>' in page.text
    assert f'<mark class="differs">{NAME[2]}</mark>' in page.text
    assert page.text.count("differs\n") + page.text.count("differs</span>") >= 2
    assert "the same</span>" in page.text  # the address
    chinese = await assistant.get(path, params={"lang": "zh-CN"})
    for words in ("以下仅为识别建议", "可信度 99%", "不一致", "号码校验位不符", "采用：姓名"):
        assert words in chinese.text

    # one field is taken over: it stands in the viewer's field, and nothing is kept
    taken = await assistant.post(path, data={"take": "name", "home_address": "typed by hand"})
    assert taken.status_code == 200
    assert re.search(rf'name="name"[^>]*value="{OTHER_NAME}"', taken.text)
    assert re.search(r'name="home_address"[^>]*value="typed by hand"', taken.text)
    assert re.search(r'name="id_number"[^>]*value=""', taken.text)
    assert await office.fetch(EVERYTHING, customer.application_id) == before
    # that they saw the card, and of the form what differs, is recorded each time
    views = await office.fetch(
        "SELECT what, party, field, why FROM personal_view WHERE application_id = $1 ORDER BY id",
        customer.application_id,
    )
    assert [tuple(row) for row in views] == 3 * [
        ("card", None, None, None),
        ("field", "applicant", "name", "compare"),
        ("field", "applicant", "id_number", "compare"),
    ]

    # what they send counts, as it always did
    sent = await assistant.post(
        f"{case}/readings", data={"document_id": document_id, "name": OTHER_NAME}
    )
    assert sent.status_code == 303
    assert "NAME_MISMATCH" in (await assistant.get(case, params={"lang": "en"})).text
    again = await assistant.get(path)
    assert re.search(rf'name="name"[^>]*value="{OTHER_NAME}"', again.text)


async def test_only_who_reads_papers_of_the_branch_sees_suggestions(
    office: Office, machine: Canned
) -> None:
    customer = await office.begun()
    document_id = await card_of(office, customer, "id_front")
    machine.pages = [lines(f"姓名{NAME}")]
    await reader_of(office, machine).once()
    path = place(customer, document_id)
    assert (await (await office.colleague("assistant")).get(path)).status_code == 200
    elsewhere = await office.colleague("assistant", branch=OTHER_BRANCH)
    assert (await elsewhere.get(path)).status_code == 404
    for role in ("ops", "reviewer"):
        assert (await (await office.colleague(role)).get(path)).status_code == 403
    assert (await office.client().get(path)).status_code != 200


async def test_a_card_that_cannot_be_read_is_given_up_and_said(
    office: Office, machine: Canned
) -> None:
    customer = await office.begun()
    document_id = await card_of(office, customer, "id_front")
    reader, machine.refuses = reader_of(office, machine), True
    attempts = load_papers().cards.attempts
    for tried in range(attempts):
        assert await reader.once()
        expected = "failed" if tried + 1 == attempts else "waiting"
        assert (await state(office, document_id))[:2] == (expected, tried + 1)
        assert not await reader.once()  # not at once again
        await now_due(office)
    assert machine.asked == attempts
    assistant, path = await office.colleague("assistant"), place(customer, document_id)
    for language, words in (
        ("en", "The picture is too much for it. Read the card yourself."),
        ("zh-CN", "该图片无法识别，请自行核对证件。"),
    ):
        page = await assistant.get(path, params={"lang": language})
        assert words in page.text
        assert 'name="take"' not in page.text


async def test_what_a_reader_had_in_hand_that_died_is_taken_up_and_given_up_in_the_end(
    office: Office, machine: Canned
) -> None:
    customer, pool = await office.begun(), office.service.pool
    document_id = await card_of(office, customer, "id_back")
    machine.pages = [lines(f"签发机关{AUTHORITY}")]
    reader = reader_of(office, machine)
    await store_reading.enlist(pool, load_papers().cards.items, office.now - timedelta(days=1))
    claimed = await store_reading.claim(pool, 60.0)
    assert claimed is not None
    assert claimed.document_id == document_id
    assert not await reader.once()  # another has it in hand
    await now_due(office)
    assert await reader.once()
    assert await state(office, document_id) == ("read", 2, None)
    # whoever comes back late changes nothing
    assert not await store_reading.keep(pool, claimed, {}, {}, office.now)

    second = await card_of(office, customer, "id_back")
    await store_reading.enlist(pool, load_papers().cards.items, office.now - timedelta(days=1))
    for _ in range(load_papers().cards.attempts):
        assert await store_reading.claim(pool, 60.0) is not None
        await now_due(office)
    asked = machine.asked
    assert await reader.once()
    assert (await state(office, second))[::2] == ("failed", "too_complex")
    assert machine.asked == asked


async def test_a_reader_that_is_stopped_puts_its_card_back(office: Office, machine: Canned) -> None:
    document_id = await card_of(office, await office.begun(), "id_front")
    machine.hangs = asyncio.Event()
    running = asyncio.create_task(reader_of(office, machine).run())
    await machine.hangs.wait()
    assert (await state(office, document_id))[:2] == ("waiting", 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await state(office, document_id))[:2] == ("waiting", 0)
    machine.hangs, machine.pages = None, [lines(f"姓名{NAME}")]
    assert await reader_of(office, machine).once()
    assert (await state(office, document_id))[0] == "read"


async def test_two_readers_never_have_the_same_card(office: Office, machine: Canned) -> None:
    customer, pool = await office.begun(), office.service.pool
    expected = {await card_of(office, customer, item) for item in ("id_front", "id_back")}
    await store_reading.enlist(pool, load_papers().cards.items, office.now - timedelta(days=1))
    async with pool.acquire() as one, pool.acquire() as two, one.transaction(), two.transaction():
        first, second = [await store_reading.claim(conn, 60.0) for conn in (one, two)]
        third = await store_reading.claim(two, 60.0)
    assert first is not None
    assert second is not None
    assert {first.document_id, second.document_id} == expected
    assert third is None


async def test_what_is_past_the_pre_check_or_old_is_not_read(
    office: Office, machine: Canned
) -> None:
    over = await office.handed_over()
    drafted = await office.begun()
    document_id = await card_of(office, drafted, "id_front")
    items, pool = load_papers().cards.items, office.service.pool
    await store_reading.enlist(pool, items, office.now + timedelta(minutes=1))
    assert await store_reading.claim(pool, 60.0) is None
    await store_reading.enlist(pool, items, office.now - timedelta(days=1))
    claimed = await store_reading.claim(pool, 60.0)
    assert claimed is not None
    assert claimed.document_id == document_id
    assert await store_reading.claim(pool, 60.0) is None
    rows = await office.fetch(
        "SELECT FROM card_reading WHERE application_id = $1 AND state = 'waiting'",
        over.application_id,
    )
    assert rows == []


async def test_what_was_read_is_destroyed_with_the_card(office: Office, machine: Canned) -> None:
    customer = await office.begun()
    read, unread = [await card_of(office, customer, one) for one in ("id_front", "id_back")]
    machine.pages = [lines(f"姓名{NAME}")]
    reader = reader_of(office, machine)
    await reader.once()
    assert (await state(office, read))[0] == "read"
    assert (await state(office, unread))[0] == "waiting"
    await office.withdraw(customer)
    assert await erase(office.settings, office.service.clock, customer.number) == "destroyed"

    async def gone() -> bool:
        rows = await office.fetch(
            "SELECT FROM card_reading WHERE application_id = $1", customer.application_id
        )
        return not rows

    await eventually(gone)
    assert not await reader.once()


async def test_a_key_that_is_gone_seals_nothing_more(office: Office, machine: Canned) -> None:
    customer = await office.begun()
    document_id = await card_of(office, customer, "id_front")
    machine.pages = [lines(f"姓名{NAME}")]
    person = await office.service.pool.fetchval(
        "SELECT person FROM application WHERE application_id = $1", customer.application_id
    )
    vault = await office.service.archive.vault()
    await vault.destroy(person, office.now, on_duty=False)
    assert await reader_of(office, machine).once()
    assert await state(office, document_id) == ("failed", 1, "erased")
    page = await (await office.colleague("assistant")).get(
        place(customer, document_id), params={"lang": "en"}
    )
    assert "The customer&#39;s data was deleted or is restricted." in page.text
