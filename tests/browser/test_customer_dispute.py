"""A customer says on a phone that the credit report is wrong, an officer answers, and the customer
reads the answer."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Enter
from tests.browser.test_customer import both_widths, chosen, phone, photo, slip
from tests.browser.test_customer import enter as come_in
from tests.browser.test_intake import counter, fill_in
from tests.browser.test_work import post_by_keyboard
from tests.browser.town import Town
from tests.browser.watching import MOST_SHIFT, NARROW, Watched
from tests.eventually import eventually
from tests.weighing import MOST_BYTES

__all__ = ["counter", "phone"]  # fixtures

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

OWN = "/progress/application"
WORDS = "逾期记录不是我的"


async def hand_in_everything(page: Page) -> None:
    """Every paper that is still wanted, one after the other."""
    wanted = page.locator("#to-do a[href*='/items/']")
    while await wanted.count():
        left = await wanted.count()
        await wanted.first.click()
        await page.locator("#file").set_input_files(chosen(photo(1600, 1200)))  # type: ignore[arg-type]
        issued = page.locator("#issued_on")
        if await issued.count():
            await issued.fill("2026-11-02")
        await page.locator("main button[type=submit]").last.click()
        await expect(page.locator(".notice-success")).to_be_visible()
        await page.wait_for_load_state()  # it comes in parts
        assert await wanted.count() < left


async def test_a_customer_disputes_the_report_on_a_phone_and_reads_the_answer(
    town: Town, counter: Watched, phone: Watched, enter: Enter
) -> None:
    office = counter.page
    await office.goto(f"{town.url}/intake/applications/new")
    await fill_in(office)
    await office.locator("button[name=then][value=submit]").click()
    await expect(office.locator(".page-head")).to_contain_text("待补件")
    application_id = office.url.split("?")[0].rpartition("/")[2]
    await office.get_by_role("link", name="客户自助页").click()
    await office.get_by_role("button", name="打印凭条").click()
    page = phone.page
    await come_in(page, town, *await slip(office))
    await page.set_viewport_size(NARROW)
    await hand_in_everything(page)
    await both_widths(phone, town, "customer-checking")

    await phone.show(OWN)
    await post_by_keyboard(phone, f"a[href='{OWN}/dispute']")
    await expect(page.locator("h1")).to_have_text("征信报告有误")
    await phone.show(f"{OWN}/dispute")
    assert await phone.weight() <= MOST_BYTES
    assert await phone.shift() <= MOST_SHIFT
    assert await phone.serious() == []
    await both_widths(phone, town, "customer-dispute")
    await phone.tab_to("#words")
    await page.keyboard.type(WORDS)
    await post_by_keyboard(phone, f"form[action='{OWN}/dispute'] button")
    await expect(page.locator(".notice-success")).to_be_visible()
    asked = page.locator("#appeals")
    await expect(asked).not_to_contain_text(WORDS)

    async def shows(words: str) -> bool:
        await page.reload()
        return words in await asked.inner_text()

    await eventually(lambda: shows("20 日"))
    await both_widths(phone, town, "customer-disputing")

    here = f"/review/cases/{application_id}"
    officer = await enter("reviewer")
    await officer.show("/review/appeals?section=disputes")
    await post_by_keyboard(officer, f"a[href='{here}#dispute']")
    dispute = officer.page.locator("#dispute")
    await expect(dispute).to_contain_text(WORDS)
    await post_by_keyboard(officer, f"form[action='{here}/dispute/claim'] button")
    await expect(dispute).to_contain_text("周启明")
    await officer.tab_to("[name=became]")
    await officer.page.keyboard.press("Space")
    await officer.tab_to("#dispute-note")
    await officer.page.keyboard.type("征信中心已更正")
    await post_by_keyboard(officer, f"form[action='{here}/dispute/answer'] button")
    await expect(officer.page.locator(".notice-success")).to_be_visible()
    await eventually(lambda: shows("更正"))
    await both_widths(phone, town, "customer-dispute-answered")
