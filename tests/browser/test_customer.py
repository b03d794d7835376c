"""The customer's own page in Chromium: on a phone, by keyboard, and without JavaScript."""

from __future__ import annotations

import io
import random
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Browser, Page, expect

from shared.web.middleware import LANGUAGE_COOKIE
from tests.browser.test_intake import counter, fill_in, sound  # noqa: F401 - a fixture
from tests.browser.test_pages import picture
from tests.browser.town import Town
from tests.browser.watching import MOST_SHIFT, NARROW, WIDE, Watched
from tests.integration.intake.office import EMPLOYER, HOME, MOBILE, NAME
from tests.weighing import MOST_BYTES

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def photo(width: int, height: int) -> bytes:
    """A photograph of that size, as a phone sends it; no two are alike."""
    drawn = Image.new("RGB", (width, height), "white")
    for _ in range(30):
        x, y = random.randint(0, width), random.randint(0, height)
        drawn.paste((30, 60, 120), (x, y, x + width // 10, y + height // 40))
    written = io.BytesIO()
    drawn.save(written, "JPEG", quality=85)
    return written.getvalue()


def chosen(content: bytes, name: str = "IMG_0001.jpg") -> dict[str, object]:
    return {"name": name, "mimeType": "image/jpeg", "buffer": content}


@pytest_asyncio.fixture(loop_scope="session")
async def phone(town: Town, browser: Browser) -> AsyncIterator[Watched]:
    """A customer's own browser, of nobody who is signed in."""
    watched = await Watched.open(browser, town.url)
    await watched.page.set_viewport_size(NARROW)
    yield watched
    watched.assert_clean()
    await watched.context.close()


async def both_widths(watched: Watched, town: Town, name: str) -> None:
    """As `sound`; the window is a phone's again afterwards."""
    await sound(watched, town, name)
    await watched.page.set_viewport_size(NARROW)


async def slip(page: Page) -> tuple[str, str]:
    """(last six digits, code) of a slip that is shown."""
    facts = page.locator(".slip-facts dd")
    return (await facts.nth(1).inner_text()).strip(), (await facts.nth(3).inner_text()).strip()


async def enter(page: Page, town: Town, number_end: str, code: str) -> None:
    await page.goto(f"{town.url}/progress")
    await page.locator("#number_end").fill(number_end)
    await page.locator("#mobile_end").fill(MOBILE[-4:])
    await page.locator("#code").fill(code)
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{town.url}/progress/application")  # and until it is whole


async def test_a_customer_does_everything_on_a_phone(
    town: Town,
    counter: Watched,  # noqa: F811
    phone: Watched,
) -> None:
    office = counter.page
    await office.goto(f"{town.url}/intake/applications/new")
    await fill_in(office)
    await office.locator("#office_phone").fill("1")
    await office.locator("#consent_day").fill("")
    await office.locator("button[name=then][value=submit]").click()
    await expect(office.locator(".page-head")).to_contain_text("待补件")
    await office.get_by_role("link", name="客户自助页").click()
    await both_widths(counter, town, "customer-access-none")
    await office.set_viewport_size(WIDE)
    await office.get_by_role("button", name="打印凭条").click()
    qr = office.get_by_role("img", name="网址二维码")
    assert await qr.locator("path").get_attribute("d")
    await expect(office.locator(".slip-address")).to_have_text(f"{town.url}/progress")
    number_end, code = await slip(office)
    await picture(counter, "customer-slip-zh-CN")
    assert await counter.faults("zh-CN", town.names) == []
    await office.emulate_media(media="print")
    await expect(office.locator(".sidebar")).to_be_hidden()
    await picture(counter, "customer-slip-printed")
    await office.emulate_media(media="screen")

    page = phone.page
    await phone.show("/progress")
    await both_widths(phone, town, "customer-enter")
    await page.set_viewport_size(NARROW)
    await page.locator("#number_end").fill(number_end)
    await page.locator("#mobile_end").fill("0000")
    await page.locator("#code").fill("BBBB-BBBB")
    async with page.expect_response(lambda answer: answer.request.method == "POST") as refused:
        await page.keyboard.press("Enter")
    assert (await refused.value).status == 401
    await expect(page.locator("[role=alert]")).to_contain_text("不匹配")
    phone.complaints.clear()  # the browser complains of the status itself
    await picture(phone, "customer-refused")

    await enter(page, town, number_end, code)
    text = await page.locator("body").inner_text()
    assert not [one for one in (NAME, MOBILE, EMPLOYER, HOME) if one in text]
    await both_widths(phone, town, "customer-own")
    await phone.show("/progress/application")
    assert await phone.weight() <= MOST_BYTES
    assert await phone.shift() <= MOST_SHIFT

    await phone.tab_to("a[href$='/items/id_front']")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("身份证人像面")
    said, again = page.locator("#file-said"), page.get_by_role("button", name="重拍")
    await page.locator("#file").set_input_files(chosen(photo(400, 300)))  # type: ignore[arg-type]
    await expect(said).to_contain_text("照片较小")
    await expect(again).to_be_visible()
    large = chosen(bytes(11 * 1024 * 1024), "huge.jpg")
    await page.locator("#file").set_input_files(large)  # type: ignore[arg-type]
    await expect(said).to_contain_text("不能超过 10.0 MB")
    assert not await page.locator("#file").evaluate("(it) => it.checkValidity()")
    await page.locator("#file").set_input_files(chosen(photo(1600, 1200)))  # type: ignore[arg-type]
    await expect(page.locator(".own-preview")).to_be_visible()
    await expect(said).not_to_contain_text("照片较小")
    await picture(phone, "customer-photo")
    async with page.expect_file_chooser() as choosing:
        await again.click()
    await expect(page.locator(".own-preview")).to_be_hidden()
    await (await choosing.value).set_files(chosen(photo(1600, 1200)))  # type: ignore[arg-type]
    await expect(page.locator(".own-preview")).to_be_visible()
    await page.get_by_role("button", name="提交").click()
    await expect(page.locator(".notice-success")).to_contain_text("已收到：身份证人像面")
    await expect(page.locator("#done")).to_contain_text("身份证人像面")
    await page.locator("a[href$='/items/income_proof']").click()
    await both_widths(phone, town, "customer-item")

    await page.goto(f"{town.url}/progress/application/fields")
    await expect(page.locator("main input[type=text]")).to_have_count(1)
    await both_widths(phone, town, "customer-fields")
    await page.locator("#office_phone").fill("021-64567890")
    await page.keyboard.press("Enter")
    await expect(page.locator(".notice-success")).to_contain_text("已更正")
    await page.get_by_role("link", name="签署授权").click()
    await both_widths(phone, town, "customer-consent")
    await page.get_by_label("本人已阅读并同意").check()
    await page.get_by_role("button", name="签署授权").click()
    await expect(page.locator(".notice-success")).to_contain_text("已收到您的授权")
    await both_widths(phone, town, "customer-own-later")
    await page.emulate_media(media="print")
    await expect(page.locator(".own-foot")).to_be_hidden()
    await expect(page.locator("#to-do")).to_be_visible()
    await page.emulate_media(media="screen")

    await page.get_by_role("button", name="领取下次的查询码").click()
    next_code = (await page.locator(".own-code").inner_text()).strip()
    assert re.fullmatch("[A-Z]{4}-[A-Z]{4}", next_code)
    await picture(phone, "customer-code")
    assert await phone.faults("zh-CN", town.names) == []
    await page.get_by_role("link", name="返回清单").click()
    await page.get_by_role("link", name="撤回申请").click()
    await both_widths(phone, town, "customer-withdraw")
    await page.get_by_role("link", name="返回清单").click()
    await page.get_by_role("button", name="退出").click()
    await expect(page).to_have_url(f"{town.url}/progress")

    await office.goto(office.url.removesuffix("/give"))
    await expect(office.locator("main")).to_contain_text("凭查询码进入")
    await both_widths(counter, town, "customer-access")
    await without_scripts(town, phone, number_end, next_code)


async def without_scripts(town: Town, phone: Watched, number_end: str, code: str) -> None:
    """The same page where no script runs: entered, a paper handed in, withdrawn."""
    browser = phone.context.browser
    assert browser is not None
    context = await browser.new_context(viewport=NARROW, java_script_enabled=False)
    await context.add_cookies([{"name": LANGUAGE_COOKIE, "value": "en", "url": town.url}])
    page = await context.new_page()
    await enter(page, town, number_end, code)
    await page.locator("a[href$='/items/id_back']").click()
    await page.locator("#file").set_input_files(chosen(photo(900, 900)))  # type: ignore[arg-type]
    await page.get_by_role("button", name="Send it").click()
    await expect(page.locator(".notice-success")).to_contain_text("We have received")
    await page.get_by_role("link", name="Withdraw the application").click()
    await page.get_by_role("button", name="Withdraw it").click()
    await expect(page.locator("[role=alert]")).to_contain_text("Tick the box")
    await page.get_by_label("I want to withdraw my application").check()
    await page.get_by_role("button", name="Withdraw it").click()
    await expect(page.locator("h2").first).to_have_text("Your application is withdrawn")
    await context.close()
