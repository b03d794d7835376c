"""Intake's pages and its sign-in, from the counter to the checklist."""

from __future__ import annotations

import csv
import io
import random
import re
from collections.abc import AsyncIterator
from datetime import date, timedelta

import asyncpg
import pypdfium2
import pytest
import pytest_asyncio
from openpyxl import load_workbook
from playwright.async_api import Browser, Page, expect

from deploy.demo.papers import pdf
from services.intake.batch import COLUMNS
from shared.formats import make_synthetic_resident_id
from tests.browser.conftest import Enter
from tests.browser.test_pages import picture
from tests.browser.town import PASSWORD, USERNAME, Town
from tests.browser.watching import NARROW, WIDE, Watched
from tests.eventually import eventually
from tests.integration.intake.office import EMPLOYER, HOME, MOBILE, NAME, OFFICE_PHONE, WORK
from tests.papers import picture as scan

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def counter(town: Town, browser: Browser) -> AsyncIterator[Watched]:
    """An assistant who came in by the sign-in page."""
    watched = await Watched.open(browser, town.url)
    page = await watched.show("/")
    await expect(page).to_have_url(f"{town.url}/sign-in?next=/reporting/board")
    await page.get_by_label("用户名").fill(USERNAME)
    await page.get_by_label("密码").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("晨会看板")
    yield watched
    watched.assert_clean()
    await watched.context.close()


async def sound(watched: Watched, town: Town, name: str) -> None:
    """The page as it stands, in both languages, light and dark, wide and narrow."""
    page = watched.page
    for language in ("en", "zh-CN"):
        await page.locator(f".languages a[lang={language}]").click()
        await expect(page.locator("html")).to_have_attribute("lang", language)
        await page.wait_for_load_state()  # the language stands in its first line
        await picture(watched, f"{name}-{language}")
        assert await watched.faults(language, town.names) == []
        assert await watched.serious(contrast=False) == []
        assert await watched.cut() == []
        await page.evaluate("document.documentElement.dataset.bsTheme = 'dark'")
        await watched.resize(NARROW)
        await picture(watched, f"{name}-{language}-narrow")
        assert await watched.faults(language, town.names) == [], "dark and narrow"
        assert await watched.serious(contrast=False) == [], "dark and narrow"
        await page.set_viewport_size(WIDE)


async def fill_in(page: Page) -> None:
    """What an assistant types for a salaried customer."""
    born = date(1980, 1, 1) + timedelta(days=random.randint(0, 4000))
    typed = {
        "name": NAME,
        "id_number": make_synthetic_resident_id("31", born, random.randint(100, 899)),
        "mobile": MOBILE,
        "id_issued": "2019-03-01",
        "id_expires": "2039-03-01",
        "nationality": "CHN",
        "home_address": HOME,
        "employer": EMPLOYER,
        "occupation": "工程师",
        "work_address": WORK,
        "office_phone": OFFICE_PHONE,
        "monthly_income": "12000",
        "consent_day": "2026-11-10",
    }
    for name, value in typed.items():
        await page.locator(f"#{name}").fill(value)
    await page.locator("#branch").select_option("3101")
    await page.locator("#salutation").select_option("ms")


async def page_by_page(watched: Watched, town: Town) -> None:
    """The paper that was filed is seen in small and page by page, without a mouse."""
    page = watched.page
    small = page.locator("#papers img")

    async def drawn() -> bool:
        await page.reload()
        return await small.count() == 1

    await eventually(drawn)
    assert await small.evaluate("async (it) => (await it.decode(), it.naturalWidth)") == 170
    await sound(watched, town, "intake-papers")
    case = page.url.split("?", maxsplit=1)[0]
    await watched.tab_to("#papers li a")
    await page.keyboard.press("Enter")
    await expect(page.locator(".pager-now")).to_contain_text("第 1 / 2 页")
    large = page.locator(".paper-page img")
    for key, number in (("ArrowRight", 2), ("ArrowRight", 2), ("ArrowLeft", 1)):
        await page.wait_for_load_state()
        await page.keyboard.press(key)
        await expect(page.locator(".pager-now")).to_contain_text(f"第 {number} / 2 页")
        assert await large.evaluate("async (it) => (await it.decode(), it.naturalHeight)") == 1600
    await sound(watched, town, "intake-paper")
    await page.goto(f"{case}/register")
    await expect(page.locator("h1")).to_have_text("资料登记簿")
    # received, prepared, seen in small, and three pages that were turned to
    assert await page.locator("tbody tr").count() >= 6
    await sound(watched, town, "intake-register")
    await page.goto(case)


async def test_an_application_is_taken_at_the_counter_and_its_papers_filed(
    town: Town, counter: Watched
) -> None:
    page = counter.page
    await page.get_by_role("link", name="受理与资料清单").click()
    await sound(counter, town, "intake-list")
    await page.get_by_role("link", name="新建申请").click()
    await sound(counter, town, "intake-new")
    await fill_in(page)
    await page.locator("button[name=then][value=keep]").click()
    checklist = page.locator("#checklist")
    await expect(checklist).to_contain_text("待补充")
    await expect(checklist).to_contain_text("已收待核")
    done = checklist.locator("progress")
    before = int(await done.get_attribute("value") or "0")
    file = {"name": "front.pdf", "mimeType": "application/pdf", "buffer": pdf(["front", "back"])}
    await page.locator("#file").set_input_files(file)  # type: ignore[arg-type]
    await expect(page.locator(".queue-row")).to_contain_text("front.pdf")
    await page.locator("#file-papers button[type=submit]").click()
    await expect(done).to_have_attribute("value", str(before + 1))
    await sound(counter, town, "intake-application")
    await page_by_page(counter, town)
    whole = await page.locator("body").inner_text()
    assert NAME not in whole
    assert MOBILE not in whole


async def test_a_masked_field_is_shown_for_a_reason_and_hidden_again(
    town: Town, counter: Watched, browser: Browser
) -> None:
    page = counter.page
    await page.clock.install()
    await counter.show("/intake/applications/new")
    await fill_in(page)
    await page.locator("button[name=then][value=keep]").click()
    await expect(page.locator("#checklist")).to_be_visible()
    case = page.url
    shown = page.get_by_role("link", name="查看手机明文")
    await expect(shown).to_be_visible()
    place = page.locator("dd.reveal-place").filter(has_text="****7788")
    dd = page.locator("dt:text-is('手机') + dd")
    for way in ("Escape", "waiting"):
        await counter.tab_to("a[href$='applicant/mobile']")
        await page.keyboard.press("Enter")
        await expect(dd.locator("select")).to_be_focused()
        if way == "Escape":
            await picture(counter, "intake-reveal-asked")
            assert await counter.faults("zh-CN", town.names) == []
            assert await counter.serious() == []
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(dd).to_contain_text(MOBILE)
        await expect(page.get_by_role("button", name="隐藏手机")).to_be_focused()
        assert await counter.serious() == []
        if way == "Escape":
            await picture(counter, "intake-reveal-shown")
            await page.keyboard.press("Escape")
        else:
            await page.clock.fast_forward(61_000)
        await expect(dd).not_to_contain_text(MOBILE)
        await expect(place).to_have_count(1)
        await expect(shown).to_be_focused()
    await page.set_viewport_size(NARROW)
    await shown.click()
    await expect(dd.locator("select")).to_be_focused()
    await counter.resize(NARROW)  # with what was opened
    await picture(counter, "intake-reveal-narrow")
    await page.set_viewport_size(WIDE)

    cookies = await counter.context.cookies()
    plain = await browser.new_context(java_script_enabled=False, locale="zh-CN")
    await plain.add_cookies(cookies)  # type: ignore[arg-type]
    without = await plain.new_page()
    await without.goto(case)
    await without.get_by_role("link", name="查看手机明文").click()
    await without.locator("select").select_option("compare")
    await without.get_by_role("button", name="查看").click()
    await expect(without.locator("main")).to_contain_text(MOBILE)
    await without.get_by_role("button", name="隐藏手机").click()
    await expect(without).to_have_url(case)
    await expect(without.locator("main")).not_to_contain_text(MOBILE)
    await plain.close()


async def test_the_values_of_a_line_of_the_audit_log_are_opened_for_a_reason(
    town: Town, counter: Watched, enter: Enter
) -> None:
    page = counter.page
    await counter.show("/intake/applications/new")
    await fill_in(page)
    await page.locator("button[name=then][value=keep]").click()
    await expect(page.locator("#checklist")).to_be_visible()
    number = await page.locator("h1").inner_text()
    await page.goto(f"{page.url.split('?')[0]}/corrections")
    await page.locator("#employer").fill("云岭茶业有限公司")
    await page.locator("main button[type=submit]").click()
    await expect(page.locator("#history")).to_be_visible()
    for language, opens, says, hides in (
        ("zh-CN", "查看内容明文", "查看", "隐藏内容"),
        ("en", "Show in clear: the values", "Show", "Hide the values"),
    ):
        auditor = await enter("compliance", language)
        log = await auditor.show("/intake/audit?since=2026-01-01")
        corrected = re.compile("更正申请表|Form corrected")
        row = log.locator("tbody tr", has_text=number).filter(has_text=corrected)
        await row.get_by_role("link", name=opens).press("Enter")
        await expect(row.locator("select")).to_be_focused()
        await around(auditor, town, f"audit-asked-{language}", language)
        await row.locator("select").select_option(index=1)
        await row.get_by_role("button", name=says, exact=True).press("Enter")
        await expect(row).to_contain_text("云岭茶业有限公司")
        await expect(row.get_by_role("button", name=hides)).to_be_focused()
        await around(auditor, town, f"audit-opened-{language}", language)


async def around(watched: Watched, town: Town, name: str, language: str) -> None:
    """The page as it stands, light and dark, wide and narrow."""
    names = {*town.names, "云岭茶业有限公司", EMPLOYER}
    for theme, size in (("light", WIDE), ("dark", NARROW)):
        await watched.page.evaluate(
            "theme => document.documentElement.dataset.bsTheme = theme", theme
        )
        await watched.resize(size)
        await picture(watched, f"{name}-{theme}")
        assert await watched.faults(language, names) == []
    assert await watched.cut(WIDE, NARROW) == []


def table(*rows: dict[str, str]) -> bytes:
    """A branch's sheet, as Chinese Excel saves CSV."""
    born = date(1980, 1, 1) + timedelta(days=random.randint(0, 4000))
    sequence = random.randint(100, 800)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS.values())
    for n, changes in enumerate(rows):
        cells = {
            "name": NAME,
            "salutation": "女士",
            "mobile": MOBILE,
            "home_address": HOME,
            "id_issued": "2019-03-01",
            "id_expires": "2039-03-01",
            "employer": EMPLOYER,
            "occupation": "工程师",
            "work_address": WORK,
            "office_phone": OFFICE_PHONE,
            "monthly_income_yuan": "12000",
            "applicant_type": "受薪",
            "product": "标准信用卡",
            "id_number": make_synthetic_resident_id("31", born, sequence + n),
            **changes,
        }
        writer.writerow([cells.get(name, "") for name in COLUMNS])
    return text.getvalue().encode("gb18030")


MANY_FAULTS = {
    "home_address": "北",
    "work_address": "北",
    "occupation": "",
    "office_phone": "1",
    "postcode": "1",
    "email": "x",
    "credit_code": "1",
    "monthly_income_yuan": "a lot",
}


async def test_a_branchs_table_is_looked_at_taken_and_its_bad_rows_taken_away(
    town: Town, counter: Watched
) -> None:
    page = counter.page
    await page.goto(f"{town.url}/intake/batches/new")
    await sound(counter, town, "intake-tables")
    content = table(
        *[{}] * 3,  # few: other tests look at the first page of this office's lists
        {"id_issued": "yesterday", "mobile": "1390", "employer": "=A1", **MANY_FAULTS},
        {"product": "", "office_phone": "2164567890"},
    )
    await page.locator("#branch").select_option("3101")
    file = {"name": "list.csv", "mimeType": "text/csv", "buffer": content}
    await page.locator("#file").set_input_files(file)  # type: ignore[arg-type]
    await page.get_by_role("button", name="导入并检查").focus()
    await page.keyboard.press("Enter")
    take = page.get_by_role("button", name="受理合格行")
    await expect(take).to_be_visible()  # the page shows itself anew when it was looked at
    rows = page.locator("main table tbody tr")
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("证件签发日 · 日期格式如 2026-10-12。")
    await expect(rows.first).to_contain_text("手机 · ")
    await expect(rows.first).to_contain_text("单位 · 请将公式改为数值")
    assert NAME not in await page.locator("body").inner_text()
    await sound(counter, town, "intake-table-looked-at")
    await counter.resize(NARROW)
    widths = (
        await rows.first.locator("td")
        .last.locator("div")
        .evaluate_all("all => all.map((one) => one.getBoundingClientRect().width)")
    )
    assert len(widths) > 9
    assert max(widths) > NARROW["width"] / 2, "as many findings as there are leave room for words"
    await page.set_viewport_size(WIDE)
    assert await counter.serious() == []
    await take.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".page-head")).to_contain_text("已受理")
    await expect(page.locator("main")).to_contain_text("待补件")
    await sound(counter, town, "intake-table-taken")
    async with page.expect_download() as loading:
        await page.get_by_role("link", name="有问题的行（Excel）").click()
    kept = io.BytesIO((await (await loading.value).path()).read_bytes())
    cells = [[cell.value for cell in row] for row in load_workbook(kept).worksheets[0].iter_rows()]
    assert [row[0] for row in cells] == ["姓名", NAME, NAME]
    assert "日期格式如" in str(cells[1][-1])


async def test_how_far_a_table_is_shows_without_a_reload(town: Town, counter: Watched) -> None:
    page = counter.page
    await page.goto(f"{town.url}/intake/batches/new")
    await page.locator("#branch").select_option("3101")
    file = {"name": "list.csv", "mimeType": "text/csv", "buffer": table(*[{}] * 4)}
    await page.locator("#file").set_input_files(file)  # type: ignore[arg-type]
    await page.get_by_role("button", name="导入并检查").click()
    await page.get_by_role("button", name="受理合格行").wait_for()
    conn = await asyncpg.connect(town.bank.superuser_url.replace("banka_review", "banka_intake"))
    async with conn.transaction():
        await conn.execute("LOCK number_counter IN EXCLUSIVE MODE")  # no row is taken meanwhile
        await page.get_by_role("button", name="受理合格行").click()
        progress = page.get_by_role("progressbar", name="正在受理合格行")
        await expect(progress).to_have_attribute("max", "4")
        await expect(page.locator("#progress")).to_contain_text("0 / 4")
        async with page.expect_response(lambda answer: answer.url.endswith("/progress")):
            pass
        await expect(progress).to_have_attribute("value", "0")
        await sound(counter, town, "intake-table-progress")
    await conn.close()
    await expect(page.locator(".page-head")).to_contain_text("已受理")
    await page.get_by_role("link", name="批量导入").click()
    await expect(page.locator("main tbody tr").first).to_contain_text("已受理")
    await sound(counter, town, "intake-tables-later")


async def test_a_list_is_narrowed_kept_and_searched_with_the_keyboard(
    town: Town, counter: Watched
) -> None:
    page = counter.page
    await page.goto(f"{town.url}/intake/applications/new")
    await fill_in(page)
    await page.locator("button[name=then][value=submit]").click()
    await expect(page.locator(".page-head")).to_contain_text("待补件")

    await page.goto(f"{town.url}/intake/applications")
    rows = page.locator("main tbody tr")
    await expect(rows.first).to_be_visible()
    await page.locator(".filter-more > summary").focus()
    await page.keyboard.press("Enter")
    await page.get_by_label("等待方").select_option("customer")
    await page.get_by_label("到期", exact=True).select_option("any")
    await page.get_by_role("button", name="查询", exact=True).focus()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"waiting=customer.*due=any"))
    await expect(page.locator(".filter-more")).to_have_attribute("open", "")
    await page.get_by_role("link", name="到期", exact=True).focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("th[aria-sort=ascending]")).to_have_count(1)

    await page.locator(".views-edit > summary").focus()
    await page.keyboard.press("Enter")
    await page.get_by_label("视图名称").fill("T+3")
    await page.keyboard.press("Enter")
    view = page.get_by_role("link", name="T+3")
    await expect(view).to_have_attribute("aria-current", "page")
    await sound(counter, town, "intake-list-kept")
    await page.locator(".views-edit > summary").click()
    await picture(counter, "intake-list-views")
    assert await counter.serious() == []
    await page.get_by_role("button", name="删除视图 T+3").click()
    await expect(view).to_have_count(0)

    await page.goto(f"{town.url}/intake/applications?product=business&channel=partner")
    await expect(page.locator(".empty-state")).to_contain_text("没有符合条件的申请")
    await sound(counter, town, "intake-list-empty")

    await page.keyboard.press("/")
    await page.keyboard.type(NAME)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{town.url}/intake/applications/search")
    await expect(rows.first).to_be_visible()
    await picture(counter, "intake-found-zh-CN")
    assert await counter.faults("zh-CN", town.names) == []
    assert await counter.serious() == []
    await counter.resize(NARROW)
    await picture(counter, "intake-found-zh-CN-narrow")
    assert await counter.faults("zh-CN", town.names) == []
    await page.set_viewport_size(WIDE)
    await page.get_by_role("searchbox").fill("查无此人")
    await page.keyboard.press("Enter")
    await expect(page.locator(".empty-state")).to_contain_text("没有找到申请")
    await sound(counter, town, "intake-found-nobody")


async def test_an_officer_gives_verdicts_with_the_keyboard(town: Town, counter: Watched) -> None:
    page = counter.page
    await page.goto(f"{town.url}/intake/applications/new")
    await fill_in(page)
    await page.locator("button[name=then][value=submit]").click()
    await expect(page.locator(".page-head")).to_contain_text("待补件")
    file = {"name": "front.png", "mimeType": "image/png", "buffer": scan("officer")}
    await page.locator("#file").set_input_files(file)  # type: ignore[arg-type]
    await page.locator("#file-papers button[type=submit]").click()
    row = page.locator("#checklist tbody tr", has_text="身份证人像面")
    await expect(row).to_contain_text("已收待核")

    await row.get_by_role("button", name="核收").focus()
    await page.keyboard.press("Enter")
    await expect(row).to_contain_text("已核收")
    await row.get_by_role("button", name="再次要件").first.focus()
    await page.keyboard.press("Enter")
    dialog = page.locator("dialog[open]")
    await dialog.get_by_label("再次要件原因").select_option("ACCEPTED_IN_ERROR")
    await dialog.get_by_label("影像不清晰").focus()
    await page.keyboard.press("Space")
    await dialog.get_by_label("内部备注").fill("只说这一份")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    # the same dialog is about another item now, and holds nothing of the one before
    other = page.get_by_role("button", name="要求提供").first
    await other.focus()
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("heading")).to_contain_text("要求提供：")
    await expect(dialog.get_by_label("再次要件原因")).to_be_hidden()
    await expect(dialog.get_by_label("影像不清晰")).not_to_be_checked()
    await expect(dialog.get_by_label("内部备注")).to_have_value("")
    await page.keyboard.press("Escape")
    await expect(other).to_be_focused()
    await row.get_by_role("button", name="再次要件").first.focus()
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("heading")).to_contain_text("再次要件：")
    await dialog.get_by_label("再次要件原因").select_option("ACCEPTED_IN_ERROR")
    await dialog.get_by_label("影像不清晰").check()
    assert await counter.faults("zh-CN", town.names) == [], "with the dialog open"
    await dialog.get_by_role("button", name="再次要件").focus()
    await page.keyboard.press("Enter")
    await expect(row).to_contain_text("已退回")
    await expect(row).to_contain_text("已重复要件 1 次")
    await expect(page.locator("#changes")).to_contain_text("此前误判为合格")
    await sound(counter, town, "intake-verdict")
    case = re.sub(r"[?#].*", "", page.url)
    parts = {"corrections": "更正申请表", "readings": "资料内容核对", "history": "办理经过"}
    for part, title in parts.items():
        await page.goto(f"{case}/{part}")
        await expect(page.locator("h1")).to_have_text(title)
        await sound(counter, town, f"intake-{part}")
    await page.goto(case)

    await page.get_by_role("link", name="打印资料清单").click()
    await expect(page.locator("main")).to_contain_text("影像不清晰")
    await sound(counter, town, "intake-checklist")
    await page.emulate_media(media="print")
    await expect(page.locator(".sidebar")).to_be_hidden()
    await expect(page.locator("[data-print]")).to_be_hidden()
    await expect(page.locator("main table")).to_be_visible()
    await page.goto(f"{page.url.split('?')[0]}?reader=office")
    printed = pypdfium2.PdfDocument(await page.pdf())
    first = "".join(printed[0].get_textpage().get_text_range().split())
    assert "签名的申请表" in first, "the table begins below the heading"
    await page.emulate_media(media="screen")
    await page.goto(f"{town.url}/intake/work?section=returned")
    await expect(page.locator("tbody tr").first).to_contain_text("项待补充")
    await sound(counter, town, "intake-work")

    conn = await asyncpg.connect(town.bank.superuser_url.replace("banka_review", "banka_intake"))
    await conn.execute("UPDATE application SET due_at = state_since - interval '9 days'")
    await conn.close()
    await page.goto(f"{town.url}/intake/work?section=escalated")
    late = page.locator("tbody tr").first
    await expect(late).to_contain_text("已超时")
    await expect(late).to_contain_text("主管")
    await sound(counter, town, "intake-overdue")
    await page.goto(f"{town.url}/intake/applications")
    await expect(page.locator("tbody tr").first).to_contain_text("已超时")
    await sound(counter, town, "intake-list-late")
