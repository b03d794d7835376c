"""A branch's table on its pages: looked at, taken, and what was bad taken away, mended and loaded
again; whatever dies on the way, nothing is lost and nothing is there twice."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from services.intake import tables
from services.intake.batch import COLUMNS
from services.intake.tables import Tables
from shared.parameters import load_clocks
from shared.privacy.vault_database import read_bank_key
from tests.eventually import eventually
from tests.integration.intake.office import (
    API,
    BRANCH,
    EMPLOYER,
    HOME,
    MOBILE,
    NAME,
    OFFICE_PHONE,
    OTHER_BRANCH,
    WORK,
    Customer,
    Office,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = "/intake/batches"
CELLS = {
    "name": NAME,
    "salutation": "女士",
    "id_issued": "2019-03-01",
    "id_expires": "2039-03-01",
    "mobile": MOBILE,
    "home_address": HOME,
    "employer": EMPLOYER,
    "occupation": "工程师",
    "work_address": WORK,
    "office_phone": OFFICE_PHONE,
    "monthly_income_yuan": "12000",
    "applicant_type": "受薪",
    "product": "标准信用卡",
    "consent_date": "2026-10-11",
}


def row(office: Office, **changes: str) -> dict[str, str]:
    """A row about somebody new."""
    return {**CELLS, "id_number": office.customer().id_number, **changes}


def sheet(*rows: dict[str, str], encoding: str = "utf-8-sig") -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS.values())
    writer.writerows([[one.get(name, "") for name in COLUMNS] for one in rows])
    return text.getvalue().encode(encoding)


def number(where: str) -> str:
    """The table whose page this is."""
    return where.rpartition("/")[2]


async def load(client: httpx.AsyncClient, content: bytes, branch: str = BRANCH) -> str:
    """Load a table; the address of its page."""
    answer = await client.post(
        PAGES, data={"branch": branch}, files={"file": ("list.csv", content, "text/csv")}
    )
    assert answer.status_code == 303, answer.text
    where: str = answer.headers["location"]
    return where


async def until(office: Office, where: str, state: str) -> None:
    """Waits until the table is so far."""

    async def reached() -> bool:
        rows = await office.fetch("SELECT state FROM batch WHERE batch_id = $1", number(where))
        return [one["state"] for one in rows] == [state]

    await eventually(reached)


async def states(office: Office, where: str) -> dict[int, str]:
    rows = await office.fetch(
        "SELECT row, state FROM batch_row WHERE batch_id = $1 ORDER BY row", number(where)
    )
    return {one["row"]: one["state"] for one in rows}


async def applications(office: Office, where: str) -> list[str]:
    rows = await office.fetch(
        "SELECT application_id FROM batch_row WHERE batch_id = $1 AND state = 'taken' ORDER BY row",
        number(where),
    )
    return [one["application_id"] for one in rows]


async def taken(client: httpx.AsyncClient, office: Office, content: bytes) -> str:
    """A table whose good rows are taken."""
    where = await load(client, content)
    await until(office, where, "checked")
    answer = await client.post(f"{where}/take")
    assert (answer.status_code, answer.headers["location"]) == (303, where)
    await until(office, where, "done")
    return where


async def test_a_sheet_with_bad_rows_is_looked_at_taken_mended_and_loaded_again(
    office: Office,
) -> None:
    client = await office.colleague("assistant", branch=BRANCH)
    by_batch = "SELECT count(*) FROM application WHERE channel = 'batch'"
    by_look = "SELECT what FROM personal_view WHERE what LIKE 'table %'"
    before, looked = await office.fetch(by_batch), await office.fetch(by_look)
    good = [row(office) for _ in range(4)]
    spoilt = [
        row(office, id_issued="yesterday", mobile="123", office_phone="=1+1"),
        row(office, product=""),
        row(office, id_number=good[0]["id_number"], monthly_income_yuan="9000"),
    ]
    content = sheet(*good, *spoilt, encoding="gb18030")
    where = await load(client, content)
    await until(office, where, "checked")
    assert await states(office, where) == dict(
        zip(range(2, 9), ["good"] * 4 + ["bad"] * 3, strict=True)
    )
    # nothing is taken before somebody says so
    assert await office.fetch(by_batch) == before
    chinese = (await client.get(where, params={"lang": "zh-CN"})).text
    for words in (
        "证件签发日 · 日期格式如 2026-10-12。",
        "手机 · ",
        "单位电话 · 请将公式改为数值",
        "第 2 行",
    ):
        assert words in chinese, words
    english = (await client.get(where, params={"lang": "en"})).text
    assert "id_issued · Write the day as 2026-10-12." in english
    assert "in row 2: keep one" in english
    beyond = (await client.get(where, params={"lang": "en", "page": "99"})).text
    assert "in row 2: keep one" in beyond, "beyond the last page is the last"
    for text in (NAME, MOBILE, good[0]["id_number"], HOME, "yesterday"):
        assert text not in chinese + english

    assert (await client.post(f"{where}/take")).status_code == 303
    assert (await client.post(f"{where}/take")).status_code == 303
    await until(office, where, "done")
    ids = await applications(office, where)
    assert len(set(ids)) == 4
    for application_id in ids:
        kinds = [kind for kind, _, _ in await office.said(application_id)]
        assert kinds == [
            "application.drafted",
            "application.submitted",
            "application.pre-check-started",
            "application.material-requested",
        ]
        shown = (await client.get(f"/intake/api/v1/applications/{application_id}")).json()
        assert (shown["channel"], shown["state"]) == ("batch", "awaiting_material")
        assert shown["parties"][0]["fields"]["name"] == "司***"
    numbers = await office.fetch(
        "SELECT application_number FROM application WHERE application_id = ANY ($1)", ids
    )
    assert len({one["application_number"] for one in numbers}) == 4

    for kind in ("csv", "xlsx"):
        answer = await client.get(f"{where}/rejected.{kind}", params={"lang": "zh-CN"})
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        again = await load(client, answer.content)
        assert again != where
        await until(office, again, "checked")
        assert set((await states(office, again)).values()) == {"bad"}, "as it is, it is bad"
    mended = answer_mended(await client.get(f"{where}/rejected.csv?lang=zh-CN"), spoilt, office)
    where = await taken(client, office, mended)
    assert list((await states(office, where)).values()) == ["taken"] * 3
    assert len(await office.fetch(by_look)) == len(looked) + 3


def answer_mended(answer: httpx.Response, spoilt: list[dict[str, str]], office: Office) -> bytes:
    """The file of bad rows as the branch sends it back."""
    heading, *lines = csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    places = {name: heading.index(chinese) for name, chinese in COLUMNS.items()}
    for line, (name, text) in zip(
        lines,
        [("mobile", MOBILE), ("product", "gold"), ("id_number", office.customer().id_number)],
        strict=True,
    ):
        line[places[name]] = text
    lines[0][places["id_issued"]] = "2019-03-01"
    lines[0][places["office_phone"]] = f"'{OFFICE_PHONE}"
    assert len(lines) == len(spoilt)
    written = io.StringIO()
    csv.writer(written).writerows([heading, *lines])
    return written.getvalue().encode("gb18030")


async def test_the_whole_sheet_again_with_some_rows_mended_takes_only_those(
    office: Office,
) -> None:
    client = await office.colleague("assistant")
    good, bad = [row(office) for _ in range(3)], row(office, mobile="1")
    first = await taken(client, office, sheet(*good, bad))
    assert await load(client, sheet(*good, bad)) == first, "the same file is the same table"
    assert "此前已导入过" in (await client.get(first, params={"lang": "zh-CN"})).text
    second = await taken(client, office, sheet(*good, {**bad, "mobile": MOBILE}))
    assert second != first
    assert list((await states(office, second)).values()) == ["known"] * 3 + ["taken"]
    assert len(await applications(office, second)) == 1
    # an application that has ended may be meant anew
    (before, *_) = await applications(office, first)
    await office.withdraw(Customer("", application_id=before))
    third = await taken(client, office, sheet(good[0]))
    assert list((await states(office, third)).values()) == ["taken"]
    # and one that came in otherwise is a duplicate
    other = await office.begun()
    await office.submit(other)
    fourth = await load(client, sheet(row(office, id_number=other.id_number)))
    await until(office, fourth, "checked")
    assert list((await states(office, fourth)).values()) == ["bad"]
    page = (await client.get(fourth, params={"lang": "en"})).text
    assert "id_number · " in page


async def test_two_wishes_of_one_person_are_taken_one_after_the_other(office: Office) -> None:
    client = await office.colleague("assistant")
    one = row(office)
    where = await taken(client, office, sheet(one, {**one, "product": "gold"}, one))
    assert list((await states(office, where)).values()) == ["taken", "taken", "bad"]
    persons = await office.fetch(
        "SELECT DISTINCT person FROM application WHERE application_id = ANY ($1)",
        await applications(office, where),
    )
    assert len(persons) == 1


async def test_what_changed_since_the_rows_were_looked_at_is_found_when_they_are_taken(
    office: Office,
) -> None:
    client = await office.colleague("assistant")
    rows = [row(office) for _ in range(3)]
    where = await load(client, sheet(*rows))
    await until(office, where, "checked")
    quicker = await office.begun(office.customer(party={"id_number": rows[1]["id_number"]}))
    await office.submit(quicker)
    await client.post(f"{where}/take")
    await until(office, where, "done")
    assert list((await states(office, where)).values()) == ["taken", "bad", "taken"]
    assert "重复申请" in (await client.get(where, params={"lang": "zh-CN"})).text


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_TAKEN_AT_ONCE", 5)


@pytest.mark.usefixtures("small_chunks")
async def test_a_process_that_dies_in_the_middle_of_a_chunk_loses_nothing_and_doubles_nothing(
    office: Office,
) -> None:
    client = await office.colleague("assistant")
    where = await load(client, sheet(*[row(office) for _ in range(40)]))
    await until(office, where, "checked")
    await client.post(f"{where}/take")

    async def some() -> bool:
        done = list((await states(office, where)).values()).count("taken")
        return done > 5

    await eventually(some)
    key = read_bank_key(office.settings)
    for pause in (0.02, 0.05, 0.08, 0.12):  # others begin and are gone
        other = asyncio.create_task(Tables(lambda: office.service, office.desk, key).run())
        await asyncio.wait([other], timeout=pause)
        other.cancel()
    conn = await asyncpg.connect(office.superuser_url)
    for _ in range(3):  # as a process that is killed leaves it: in the middle of whatever it does
        await conn.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE usename = 'intake_app' AND pid <> pg_backend_pid()"
        )
        await eventually(some)
    await conn.close()
    await until(office, where, "done")
    assert set((await states(office, where)).values()) == {"taken"}
    ids = await applications(office, where)
    assert len(set(ids)) == 40
    told = await office.fetch(
        "SELECT type, count(*) AS n, count(DISTINCT subject) AS subjects"
        " FROM messaging.event_log WHERE subject = ANY ($1) GROUP BY type",
        ids,
    )
    assert {(one["n"], one["subjects"]) for one in told} == {(40, 40)}


@pytest.mark.usefixtures("small_chunks")
async def test_two_processes_share_the_work_and_never_a_row(office: Office) -> None:
    client = await office.colleague("assistant")
    key = read_bank_key(office.settings)
    others = [Tables(lambda: office.service, office.desk, key) for _ in range(2)]
    at_work = [asyncio.create_task(other.run()) for other in others]
    contents = [sheet(*[row(office) for _ in range(25)]) for _ in range(2)]
    found = await asyncio.gather(*(taken(client, office, content) for content in contents))
    for task in at_work:
        task.cancel()
    for where in found:
        assert len(set(await applications(office, where))) == 25
    drafted = await office.fetch(
        "SELECT subject FROM messaging.event_log WHERE type = 'banka.application.drafted.v1'"
        " GROUP BY subject HAVING count(*) > 1"
    )
    assert drafted == []


async def test_a_row_that_nobody_can_take_keeps_no_other_waiting(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await office.colleague("assistant")
    rows = [row(office) for _ in range(3)]
    where = await load(client, sheet(*rows))
    await until(office, where, "checked")
    seal_many = office.desk.seal_many

    async def stumbling(forms: list[Any]) -> list[Any]:
        if any(form.applicant.id_number == rows[1]["id_number"] for form in forms):
            raise RuntimeError(rows[1]["id_number"])
        return await seal_many(forms)

    monkeypatch.setattr(office.desk, "seal_many", stumbling)
    await client.post(f"{where}/take")
    await until(office, where, "done")
    assert list((await states(office, where)).values()) == ["taken", "bad", "taken"]
    assert "运维可查看原因" in (await client.get(where, params={"lang": "zh-CN"})).text


async def test_who_loads_a_table_has_entered_what_stands_in_it(office: Office) -> None:
    """Whoever has its rows taken hands them in: neither passes what somebody else has to."""
    loads, takes, checks = [await office.colleague("assistant") for _ in "123"]
    where = await load(loads, sheet(row(office, product="business")))
    await until(office, where, "checked")
    assert (await takes.post(f"{where}/take")).status_code == 303
    await until(office, where, "done")
    (application_id,) = await applications(office, where)
    told = []
    for officer in (loads, takes, checks):
        answer = await officer.post(f"{API}/applications/{application_id}/pass")
        assert (answer.status_code, answer.json()["code"]) == (422, "not-passable")
        told.append("entered-by-same-person" in {one["code"] for one in answer.json()["errors"]})
    assert told == [True, True, False]


async def test_a_table_is_its_branchs_own_and_shows_how_far_it_is(office: Office) -> None:
    mine = await office.colleague("assistant", branch=BRANCH)
    theirs = await office.colleague("assistant", branch=OTHER_BRANCH)
    auditor = await office.colleague("auditor")
    where = await load(mine, sheet(row(office)))
    await until(office, where, "checked")
    for path in (where, f"{where}/progress", f"{where}/rejected.csv"):
        assert (await theirs.get(path)).status_code == 404
        assert (await auditor.get(path)).status_code == 403
    assert (await theirs.post(f"{where}/take")).status_code == 404
    # a channel speaks for its own customers, not for a branch
    assert (await office.client("web-channel").get(where)).status_code == 401
    refused = await theirs.post(
        PAGES, data={"branch": BRANCH}, files={"file": ("x.csv", sheet(row(office)))}
    )
    assert refused.status_code == 422
    assert where in (await mine.get(f"{PAGES}/new")).text
    assert where not in (await theirs.get(f"{PAGES}/new")).text
    progress = await mine.get(f"{where}/progress")
    assert (progress.status_code, progress.headers["hx-refresh"]) == (204, "true")
    broken = await mine.post(
        PAGES,
        data={"branch": BRANCH},
        files={"file": ("list.xlsx", b"PK\x03\x04")},
        params={"lang": "zh-CN"},
    )
    assert broken.status_code == 422
    assert "请将表格重新另存为" in broken.text


async def test_how_far_it_is_shows_while_the_work_goes_on(office: Office) -> None:
    client = await office.colleague("assistant")
    where = await load(client, sheet(row(office), row(office, mobile="1")))
    await until(office, where, "checked")
    conn = await asyncpg.connect(office.superuser_url)
    taking = "UPDATE batch SET state = 'taking' WHERE batch_id = $1"
    async with conn.transaction():
        # somebody else is at it: a process that was asked before
        await conn.execute(taking, number(where))
        page = (await client.get(where)).text
        assert "<progress" not in page
        await conn.execute("UPDATE batch SET state = 'checked' WHERE batch_id = $1", number(where))
    async with conn.transaction():
        await conn.execute("LOCK number_counter IN EXCLUSIVE MODE")  # no row is taken meanwhile
        await office.fetch(taking, number(where))
        page = (await client.get(where)).text
        fragment = (await client.get(f"{where}/progress")).text
        for text in (page, fragment):
            assert re.search(r'<progress[^>]* value="0" max="1"', text), text
            assert "0 / 1" in text
        assert "<html" not in fragment
    await conn.close()
    await until(office, where, "done")


async def test_what_stands_in_a_table_is_sealed_and_forgotten_in_time(office: Office) -> None:
    client = await office.colleague("assistant")
    secret = row(office, employer="不外传机械厂", mobile="1")
    where = await taken(client, office, sheet(row(office), secret))
    kept = await office.fetch(
        "SELECT b.*, r.* FROM batch b JOIN batch_row r USING (batch_id) WHERE batch_id = $1",
        number(where),
    )
    assert {one["row"]: one["cells"] is None for one in kept} == {2: True, 3: False}
    for one in kept:
        for value in one.values():
            shown = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            for text in (NAME, "不外传", secret["id_number"], HOME):
                assert text not in shown
    office.step(office.now + timedelta(days=load_clocks().table_days))
    office.service.tables._swept = -1e9  # the sweep is once a minute

    async def forgotten() -> bool:
        (batch,) = await office.fetch(
            "SELECT state, wrapped FROM batch WHERE batch_id = $1", number(where)
        )
        return (batch["state"], batch["wrapped"]) == ("closed", None)

    await eventually(forgotten)
    assert await office.fetch("SELECT FROM batch_row WHERE cells IS NOT NULL") == []
    page = await client.get(where, params={"lang": "en"})
    assert page.status_code == 200
    assert "not kept any more" in page.text
    assert (await client.get(f"{where}/rejected.csv")).status_code == 409
    again = await load(client, sheet(row(office), secret))
    assert again != where
