"""An ID card is read by the real machine, and its suggestions are taken over by whoever looks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import asyncpg
import pytest
from playwright.async_api import expect

from deploy.runtime import CHECKOUT
from tests.bench import cards
from tests.browser.test_intake import counter, fill_in, sound
from tests.browser.town import Town
from tests.browser.watching import Watched
from tests.eventually import eventually
from tests.integration.intake.office import HOME, NAME

__all__ = ["counter"]  # a fixture
pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
]

OTHER_NAME = NAME[:3] + "明"
FOUND = "SELECT count(*) FROM card_reading WHERE application_id = $1"


@asynccontextmanager
async def reading(town: Town) -> AsyncIterator[None]:
    """The reader as it is deployed, for a while; it ends in peace."""
    reader = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.intake", "reader"),
        cwd=CHECKOUT,
        env=town.office.environment("intake"),
    )
    try:
        yield
    finally:
        reader.terminate()
        assert await asyncio.wait_for(reader.wait(), 60) == 0


async def test_a_suggestion_is_taken_over_with_the_keyboard_and_sent(
    town: Town, counter: Watched
) -> None:
    page = await counter.show("/intake/applications/new")
    await fill_in(page)
    number = await page.locator("#id_number").input_value()
    await page.locator("button[name=then][value=keep]").click()
    await expect(page.locator("#checklist")).to_be_visible()
    case = page.url.split("?", maxsplit=1)[0]
    (person, ethnicity, _), chance = cards.people(1, 1)[0], Random(1)
    image, _ = cards.front(
        replace(person, name=OTHER_NAME, id_number=number, home_address=HOME), ethnicity
    )
    await page.locator("#file").set_input_files(
        {
            "name": "front.jpg",
            "mimeType": "image/jpeg",
            "buffer": cards.photograph(image, "rotated up to 5°", chance),
        }
    )
    await expect(page.locator(".queue-row")).to_contain_text("front.jpg")
    await page.locator("#file-papers button[type=submit]").click()
    await expect(page.locator("#papers li")).to_have_count(1)
    entry = page.locator(".reading-list li")

    async def read() -> bool:
        # not asked of the page: to load it again and again takes the machine from who reads
        return bool(await conn.fetchval(f"{FOUND} AND state = 'read'", case.rpartition("/")[2]))

    async def drawn() -> bool:
        await page.goto(case)
        return await page.locator("#papers img").count() == 1

    conn = await asyncpg.connect(town.bank.superuser_url.replace("banka_review", "banka_intake"))
    try:
        async with reading(town):
            await eventually(read)
    finally:
        await conn.close()
    await eventually(drawn)
    await expect(entry.get_by_text("项识别建议")).to_have_count(1)
    await page.locator("html[lang=zh-CN]").wait_for()
    await counter.tab_to(".reading-list a")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("核对证件")
    assert await page.locator(".reading-card img").evaluate(
        "async (it) => (await it.decode(), it.naturalWidth)"
    )
    named = page.locator(".reading-row").filter(has=page.locator("#read-name"))
    await expect(named).to_contain_text("不一致")
    # what differs is marked by more than a colour
    marked = named.locator("mark").first
    assert await marked.evaluate("(it) => getComputedStyle(it).borderBottomStyle") == "solid"
    await sound(counter, town, "intake-reading")
    assert await page.locator("#read-name").input_value() == ""
    await counter.tab_to("button[name=take][value=name]")
    await page.keyboard.press("Enter")
    field = page.locator("#read-name")
    await expect(field).to_have_value(OTHER_NAME)
    await expect(field).to_be_focused()  # and can be mended at once
    await expect(page.locator("#read-id_number")).to_have_value("")
    await page.keyboard.press("Enter")  # sends the form, and takes over nothing more
    await expect(page.locator("#checklist")).to_contain_text("姓名")
    await expect(page.locator("#checklist")).to_contain_text("NAME_MISMATCH")
    assert await counter.serious() == []
