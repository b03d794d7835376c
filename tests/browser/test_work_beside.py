"""What officers do at a case beside deciding it, with the keyboard alone."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Enter
from tests.browser.test_pages import picture
from tests.browser.test_work import post_by_keyboard
from tests.browser.town import Town
from tests.browser.watching import NARROW, WIDE, Watched
from tests.eventually import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


WORDS = "核对无误，材料属实"  # none of it stands in what the town says


async def looked_at(watched: Watched, town: Town, name: str, language: str) -> None:
    """The page as it stands, with what is open on it, wide and narrow."""
    typed = {*town.names, WORDS}  # what officers write is in their language
    await picture(watched, f"{name}-{language}")
    assert await watched.faults(language, typed) == []
    assert await watched.serious() == []
    await watched.resize(NARROW)
    await picture(watched, f"{name}-{language}-narrow")
    assert await watched.faults(language, typed) == [], "narrow"
    await watched.page.set_viewport_size(WIDE)


async def test_a_limit_is_proposed_by_one_and_signed_by_another(town: Town, enter: Enter) -> None:
    here = f"/review/cases/{town.application_id('asking')}/limit-change"
    first = await enter("reviewer")
    await first.show("/review/limit-changes")
    await post_by_keyboard(first, f"a[href='{here}']")
    await expect(first.page.locator("#change")).to_contain_text("待决定")
    await first.tab_to("#limit")
    await first.page.keyboard.press("Control+A")
    await first.page.keyboard.type("25000")
    await first.tab_to("#grant-note")
    await first.page.keyboard.type(WORDS)
    await post_by_keyboard(first, f"form[action='{here}/grant'] button")
    await expect(first.page.locator("#change")).to_contain_text("¥25,000.00")
    assert await first.page.locator("button[data-dialog-open=sign]").count() == 0

    second = await enter("risk", "en")
    await second.show(here)
    await post_by_keyboard(second, "button[data-dialog-open=sign]")
    await expect(second.page.locator("dialog#sign")).to_be_visible()
    await looked_at(second, town, "limit-sign-dialog", "en")
    await post_by_keyboard(second, "dialog#sign button[type=submit]")
    await expect(second.page.locator(".notice-success")).to_be_visible()
    await expect(second.page.locator("main")).to_contain_text("Earlier changes")
    await looked_at(second, town, "limit-granted", "en")


async def test_a_call_is_recorded_and_the_way_is_free(town: Town, enter: Enter) -> None:
    here = f"/review/cases/{town.application_id('doubtful')}"
    watched = await enter("reviewer", "en")
    page = await watched.show(here)
    decide = page.locator("#decide")
    await expect(decide).to_contain_text("An approval is not possible yet")
    await page.keyboard.press("t")
    await expect(page).to_have_url(f"{town.url}{here}#telephone")
    await watched.tab_to("[name=heard]")
    await page.keyboard.press("Space")
    await watched.tab_to("#call-note")
    await page.keyboard.type(WORDS)
    await post_by_keyboard(watched, f"form[action='{here}/calls'] button")
    await expect(page.locator(".notice-success")).to_be_visible()

    async def confirmed() -> bool:
        await page.reload()
        return "An approval is not possible yet" not in await decide.inner_text()

    await eventually(confirmed)
    await expect(page.locator("#telephone")).to_contain_text("Confirmed")
    await page.keyboard.press("d")
    await expect(page).to_have_url(f"{town.url}{here}#decide")


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_a_suspicion_is_handed_over_and_looked_into(
    town: Town, enter: Enter, language: str
) -> None:
    here = f"/review/cases/{town.application_id('middling')}"
    officer = await enter("reviewer", language)
    page = await officer.show(here)
    await post_by_keyboard(officer, f"form[action='{here}/claim'] button")
    await expect(page.locator(".notice-success")).to_be_visible()
    await page.keyboard.press("d")
    await officer.tab_to("button[data-dialog-open=hold]")
    await page.keyboard.press("Enter")
    await expect(page.locator("#hold-reason")).to_be_focused()
    await looked_at(officer, town, "hold-dialog", language)
    await page.keyboard.press("ArrowDown")
    await officer.tab_to("#hold-note")
    await page.keyboard.type(WORDS)
    await post_by_keyboard(officer, "dialog#hold button[type=submit]")
    await expect(page.locator("main")).not_to_contain_text(WORDS)
    assert await officer.faults(language, town.names) == []

    compliance = await enter("compliance", language)
    page = await compliance.show(here)
    await expect(page.locator("main")).to_contain_text("周启明")
    await looked_at(compliance, town, "held-by-officer", language)
    await compliance.tab_to("[name=finding]")
    await page.keyboard.press("Space")
    await compliance.tab_to("#finding-note")
    await page.keyboard.type(WORDS)
    await post_by_keyboard(compliance, f"form[action='{here}/release'] button")
    await expect(page.locator(".notice-success")).to_be_visible()


async def test_one_box_chooses_all_cases_of_a_page(town: Town, enter: Enter) -> None:
    watched = await enter("risk", "en")
    page = await watched.show("/review/queue")
    boxes, everything = page.locator(".pick"), page.get_by_label("Choose all on this page")
    assert await boxes.count() > 0
    await watched.tab_to("[data-picks]")
    await page.keyboard.press("Space")
    assert [await one.is_checked() for one in await boxes.all()].count(False) == 0
    await boxes.first.uncheck()
    await expect(everything).not_to_be_checked()
    await everything.check()
    await expect(boxes.first).to_be_checked()
