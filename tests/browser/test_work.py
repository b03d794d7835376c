"""What people do with the pages, in a real browser before the real services."""

from __future__ import annotations

import re
from pathlib import Path

import openpyxl
import pytest
from playwright.async_api import Browser, Error, expect

from services.reporting import words
from shared.events import intake, review
from shared.events.payload import Payload
from shared.web import i18n
from shared.web.pages import LOCALE
from tests.browser.conftest import Enter
from tests.browser.test_pages import picture
from tests.browser.town import TUESDAY, Town
from tests.browser.watching import Watched
from tests.integration.review.bank import NAME

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

_COLOURS = """(canvas) => {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const seen = new Set();
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3]) seen.add(data.slice(at, at + 3).join());
  }
  return seen.size;
}"""
# the life of a posted card, newest first
_LIFE: tuple[type[Payload], ...] = (
    intake.CardPosted,
    intake.CardProduced,
    intake.CardOrdered,
    review.ApplicationApproved,
    review.ChecksCompleted,
    intake.PreCheckPassed,
    intake.PreCheckStarted,
    intake.ApplicationSubmitted,
    intake.ApplicationDrafted,
)
DAILY = f"/reporting/reports/daily/{TUESDAY.date()}"


async def test_the_morning_board_shows_what_was_and_what_is_to_do(town: Town, enter: Enter) -> None:
    page = await (await enter("manager")).show("/reporting/board")
    handed_in = page.locator(".stat", has_text="进件")
    await expect(handed_in.locator(".stat-value")).to_have_text("6")
    silent = page.locator("#stalled")
    await expect(silent).to_contain_text(town.number("silent"))
    await expect(page.locator("#owed")).to_contain_text(town.number("owing"))
    await expect(page.locator("#owed")).to_contain_text("工作证明")
    await page.get_by_role("link", name=town.number("silent")).click()
    await expect(page.locator("h1")).to_have_text(town.number("silent"))
    await expect(page.locator(".notice-danger")).to_be_visible()
    await page.go_back()
    await handed_in.click()
    await expect(page.locator("tbody tr")).to_have_count(6)


async def test_a_branch_sees_its_own_and_a_region_its_branches(town: Town, enter: Enter) -> None:
    for who, sees in (("assistant", {"new"}), ("manager", {"new", "second"})):
        page = await (await enter(who)).show("/reporting/applications")
        text = await page.locator("table").inner_text()
        for name in ("new", "second", "queries"):
            assert (town.number(name) in text) is (name in sees), f"{who}: {name}"
    watched = await enter("assistant")
    await watched.show(f"/reporting/applications/{town.application_id('second')}", status=404)
    await watched.show("/review/queue", status=403)


async def test_applications_are_found_by_number_and_filter(town: Town, enter: Enter) -> None:
    page = await (await enter("manager")).show("/reporting/applications")
    rows = page.locator("tbody tr")
    everything = await rows.count()
    await page.keyboard.press("/")  # goes to the search field
    await page.keyboard.type(town.number("owing")[-6:])
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_contain_text(town.number("owing"))
    await page.go_back()
    await expect(rows).to_have_count(everything)
    await page.get_by_label("状态", exact=True).select_option("withdrawn")
    await page.get_by_role("button", name="查询", exact=True).click()
    await expect(rows.filter(has_text=town.number("withdrawn"))).to_have_count(1)
    await expect(rows.filter(has_not_text="已撤回")).to_have_count(0)
    await page.get_by_label("申请编号（完整或末几位）").fill("张三")
    await page.get_by_role("button", name="查找").click()
    await expect(page.locator(".notice-warning")).to_be_visible()
    assert "%" not in page.url


async def test_a_list_is_sorted_by_its_heads(enter: Enter) -> None:
    page = await (await enter("manager")).show("/reporting/applications")
    head = page.locator("th", has_text="申请").first
    await head.get_by_role("link").click()
    await expect(head).to_have_attribute("aria-sort", "ascending")
    await page.wait_for_load_state()  # rows come after their heads
    upwards = await page.locator("tbody tr a.mono").all_inner_texts()
    await head.get_by_role("link").click()
    await expect(head).to_have_attribute("aria-sort", "descending")
    await page.wait_for_load_state()
    downwards = await page.locator("tbody tr a.mono").all_inner_texts()
    assert upwards == sorted(upwards)
    assert downwards == sorted(downwards, reverse=True)
    assert downwards != upwards


async def test_a_timeline_tells_the_life_of_an_application(town: Town, enter: Enter) -> None:
    page = await (await enter("manager")).show(
        f"/reporting/applications/{town.application_id('posted')}"
    )
    await expect(page.locator(".steps-track [aria-current=step]")).to_contain_text("已寄出")
    told = await page.locator(".timeline-title strong").all_inner_texts()
    i18n.load([LOCALE, Path(words.__file__).parent / "locale"])
    with i18n.in_language("zh-CN"):
        newest_first = [words.event_words(kind.type)[0] for kind in _LIFE]
    assert [one for one in told if one in newest_first] == newest_first
    text = await page.locator("main").inner_text()
    assert NAME not in text
    assert town.applicants["posted"].mobile not in text


async def post_by_keyboard(watched: Watched, selector: str) -> None:
    await watched.tab_to(selector)
    await watched.page.keyboard.press("Enter")


async def test_a_case_is_claimed_decided_and_signed_with_the_keyboard_alone(
    town: Town, enter: Enter
) -> None:
    case = f"/review/cases/{town.application_id('second')}"
    first = await enter("reviewer")
    await first.show("/review/queue")
    await post_by_keyboard(first, f"a[href='{case}']")
    await expect(first.page.locator("h1")).to_have_text(town.number("second"))
    await post_by_keyboard(first, f"form[action='{case}/claim'] button")
    await expect(first.page.locator(".notice-success")).to_be_visible()
    await picture(first, "case-claimed-zh-CN")
    assert await first.faults("zh-CN", town.names) == []
    await first.tab_to("#limit")
    await first.page.keyboard.press("Control+A")
    await first.page.keyboard.type("10000")
    await first.tab_to("#note")
    await first.page.keyboard.type("资料齐全")
    await post_by_keyboard(first, f"form[action='{case}/approval'] button")
    await expect(first.page.locator("main")).to_contain_text("¥10,000.00")
    assert await first.page.locator(f"form[action='{case}/signature']").count() == 0

    second = await enter("risk")
    await second.show("/review/queue?section=to_sign")
    await post_by_keyboard(second, f"a[href='{case}']")
    await expect(second.page.locator("h1")).to_have_text(town.number("second"))
    await post_by_keyboard(second, "button[data-dialog-open=sign]")
    dialog = second.page.locator("dialog#sign")
    await expect(dialog).to_be_visible()
    await second.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    focused = await second.page.evaluate("document.activeElement.dataset.dialogOpen")
    assert focused == "sign"  # the focus is where it was
    await second.page.keyboard.press("Enter")
    await expect(dialog).to_be_visible()
    await picture(second, "sign-dialog-zh-CN")
    await post_by_keyboard(second, "dialog#sign button[type=submit]")
    await expect(second.page.locator(".page-head .state").first).to_have_text("已批准")
    await expect(second.page.locator("main")).to_contain_text("周启明 + 贺子衿")


async def test_a_dialog_holds_the_focus_and_its_own_fields(town: Town, enter: Enter) -> None:
    case = f"/review/cases/{town.application_id('middling')}"
    watched = await enter("reviewer", "en")
    page = await watched.show(case)
    if await page.get_by_role("button", name="Claim").count():
        await page.get_by_role("button", name="Claim").click()
    await page.get_by_role("button", name="Decline", exact=True).click()
    dialog = page.locator("dialog#decline")
    await expect(dialog.get_by_label("Reason")).to_be_focused()
    await dialog.get_by_text("Opinion").click()  # the label leads to the field beside it
    await expect(dialog.locator("textarea")).to_be_focused()
    await picture(watched, "decline-dialog-en")
    assert await watched.faults("en", town.names) == []
    for _ in range(8):
        await page.keyboard.press("Tab")
        inside = (
            "document.activeElement.closest('dialog') || document.activeElement === document.body"
        )
        assert await page.evaluate(f"Boolean({inside})")
    await dialog.get_by_role("button", name="Cancel").click()
    await page.get_by_role("button", name="Ask for material").click()
    await picture(watched, "material-dialog-en")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Put back").click()
    await expect(page.locator(".notice-success")).to_be_visible()


async def test_the_next_case_is_one_key_away(town: Town, enter: Enter) -> None:
    watched = await enter("reviewer", "en")
    page = await watched.show("/review/queue")
    await page.keyboard.press("n")
    await expect(page.locator(".notice-success")).to_have_text("The case is yours.")
    assert "/review/cases/" in page.url
    assert await watched.faults("en", town.names) == []
    await page.get_by_role("button", name="Put back").click()
    await expect(page.locator(".notice-success")).to_be_visible()


async def test_the_message_log_shows_texts_without_the_name(town: Town, enter: Enter) -> None:
    page = await (await enter("assistant")).show("/notify/messages")
    await page.get_by_label("申请编号（完整或末几位）").fill(town.number("owing"))
    await page.get_by_role("button", name="查找").click()
    await expect(page.locator("tbody tr")).to_have_count(2)
    mobile = town.applicants["owing"].mobile
    await expect(page.locator("tbody")).to_contain_text(f"{mobile[:3]}****{mobile[-4:]}")
    await page.locator("tbody tr a", has_text="补").first.click()
    text = page.locator(".message-text")
    await expect(text).to_contain_text("工作证明")
    whole = await page.locator("body").inner_text()
    assert NAME not in whole
    assert mobile not in whole
    await expect(page.locator(".timeline-list li").first).to_be_visible()


async def test_the_daily_report_draws_its_charts_and_leads_to_events(
    town: Town, enter: Enter
) -> None:
    page = await (await enter("manager")).show(DAILY)
    charts = page.locator("[data-chart]")
    assert await charts.count() >= 4
    for index in range(await charts.count()):
        chart = charts.nth(index)
        await chart.scroll_into_view_if_needed()
        await expect(chart).to_have_attribute("data-drawn", "1")
        colours = await chart.locator("canvas").evaluate(_COLOURS)
        assert colours > 5, f"chart {index} is blank"
    table = page.locator(".chart-table").first
    await table.locator("summary").click()
    await expect(table.locator("table")).to_be_visible()
    await table.locator("tbody tr").last.get_by_role("link", name="6", exact=True).click()
    await expect(page.locator("tbody tr")).to_have_count(6)


async def test_the_report_is_taken_home_as_a_workbook(
    town: Town, enter: Enter, tmp_path: Path
) -> None:
    page = await (await enter("manager")).show(DAILY)
    async with page.expect_download() as coming:
        await page.get_by_role("link", name="Excel").click()
    download = await coming.value
    assert download.suggested_filename.startswith(f"banka-daily-{TUESDAY.date()}")
    path = tmp_path / "report.xlsx"
    await download.save_as(path)
    book = openpyxl.load_workbook(path)
    cells = [str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row]
    assert "进件" in " ".join(cells)
    await page.goto(town.url + "/reporting/reports")
    await expect(page.locator("tbody tr").first).to_contain_text(str(TUESDAY.date()))


async def test_an_assistant_reads_nothing_of_fraud_in_a_reason(town: Town, enter: Enter) -> None:
    with i18n.in_language("zh-CN"):
        neutral = words.category_name("internal")
    assert neutral == "综合评估"
    page = await (await enter("assistant")).show(DAILY)
    text = await page.locator("main").text_content() or ""
    assert neutral in text
    for word in ("欺诈", "风险", "名单"):
        assert word not in text


async def test_the_language_is_switched_and_kept(town: Town, enter: Enter) -> None:
    watched = await enter("ops")
    page = await watched.show("/reporting/applications?state=withdrawn")
    await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    await page.get_by_role("link", name="English").click()
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    await expect(page.locator("h1")).to_have_text("All applications")
    await expect(page).to_have_url(re.compile("state=withdrawn"))  # the filter stayed
    await expect(page.locator("tbody tr").filter(has_not_text="Withdrawn")).to_have_count(0)
    await expect(page.get_by_text(town.number("withdrawn"))).to_be_visible()
    await page.get_by_role("link", name="Messages").click()
    await expect(page.locator("h1")).to_have_text("Messages to customers")
    await page.get_by_role("link", name="中文").click()
    await expect(page.locator("h1")).to_have_text("客户消息")


async def test_the_side_bar_opens_on_a_narrow_screen(enter: Enter) -> None:
    watched = await enter("manager", "en")
    await watched.page.set_viewport_size({"width": 390, "height": 844})
    page = await watched.show("/reporting/board")
    bar = page.locator("#sidebar")
    await expect(bar).to_be_hidden()
    await page.get_by_role("button", name="Menu").click()
    await expect(bar).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(bar).to_be_hidden()
    await page.get_by_role("button", name="Menu").click()
    await bar.get_by_role("link", name="Review queue").click()
    await expect(page.locator("h1")).to_have_text("Review queue")


async def test_the_watch_itself_sees_what_would_leave_the_machine(
    town: Town, browser: Browser
) -> None:
    watched = await Watched.open(browser, town.url, town.browser_cookie("ops"))
    try:
        page = await watched.show("/reporting/board")
        watched.assert_clean()
        asked = "fetch('https://elsewhere.example/x').then(() => 'answered', () => 'refused')"
        assert await page.evaluate(asked) == "refused"
        with pytest.raises(AssertionError, match=r"connect-src.*elsewhere"):
            watched.assert_clean()
        with pytest.raises(Error, match="ERR_"):
            await page.goto("https://elsewhere.example/")
        with pytest.raises(AssertionError, match=r"another host: .*elsewhere"):
            watched.assert_clean()
    finally:
        await watched.context.close()
