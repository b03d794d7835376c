"""The counter's form and queue of papers in a browser: by the keyboard, with the script and
without, in both languages, on a narrow screen and a wide one."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Dialog, Page, expect

from deploy.demo.papers import pdf
from shared.formats import make_synthetic_resident_id
from shared.web.session import COOKIE
from tests.browser.test_intake import fill_in, sound
from tests.browser.test_pages import picture
from tests.browser.town import PASSWORD, USERNAME, Town
from tests.browser.watching import MOST_SHIFT, NARROW, WIDE, Watched
from tests.eventually import eventually
from tests.integration.intake.office import MOBILE, NAME
from tests.papers import picture as scan
from tests.unit.intake.builders import MRZ
from tests.weighing import MOST_BYTES

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NEW = "/intake/applications/new"
DROP = """
(files) => {
  const transfer = new DataTransfer();
  for (const { name, type, base64 } of files) {
    const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type }));
  }
  const zone = document.querySelector("#checklist");
  for (const kind of ["dragover", "drop"]) {
    const options = { bubbles: true, cancelable: true, dataTransfer: transfer };
    zone.dispatchEvent(new DragEvent(kind, options));
  }
}
"""
PASTE = """
(base64) => {
  const transfer = new DataTransfer();
  const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
  transfer.items.add(new File([bytes], "image.png", { type: "image/png" }));
  const options = { bubbles: true, cancelable: true, clipboardData: transfer };
  document.dispatchEvent(new ClipboardEvent("paste", options));
}
"""


@pytest_asyncio.fixture(loop_scope="session")
async def counter(town: Town, browser: Browser) -> AsyncIterator[Watched]:
    """An assistant at the counter."""
    watched = await Watched.open(browser, town.url)
    await _sign_in(await watched.show("/sign-in"))
    yield watched
    watched.assert_clean()
    await watched.context.close()


async def _sign_in(page: Page) -> None:
    await page.locator("input[name=username]").fill(USERNAME)
    await page.locator("input[name=password]").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/reporting/**")
    await page.wait_for_load_state("networkidle")  # what comes later is not the next page's


def number(sex: int = 0) -> str:
    """A customer's ID number from Shanghai; even is a woman."""
    born = date(1980, 1, 1) + timedelta(days=random.randint(0, 4000))
    return make_synthetic_resident_id("31", born, random.randint(50, 440) * 2 + sex)


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


async def test_the_form_says_what_is_wrong_while_it_is_filled_in(
    town: Town, counter: Watched
) -> None:
    page = await counter.show(NEW)
    assert await counter.weight() <= MOST_BYTES
    await expect(page.locator("#mobile-note")).to_have_text("")
    await page.locator("#branch").select_option("3101")
    await expect(page.locator("[data-checklist]")).to_contain_text("工作证明")

    await page.locator("#id_number").fill(number())
    await expect(page.locator("[data-says='']")).to_contain_text("女 · ")
    await expect(page.locator("#salutation")).to_have_value("ms")
    await expect(page.locator("#nationality")).to_have_value("CHN")
    await page.locator("#name").focus()
    await page.keyboard.type(NAME)
    await page.keyboard.press("Enter")
    await expect(page.locator("#salutation")).to_be_focused()

    await page.locator("#mobile").fill("1390")
    await page.keyboard.press("Tab")
    note = page.locator("#mobile-note")
    await expect(note).to_contain_text("手机号码格式有误")
    await expect(page.locator("#mobile")).to_have_attribute("aria-invalid", "true")
    await expect(page.locator("[data-said]")).to_contain_text("手机: 手机号码格式有误")
    await page.locator("#email").focus()
    await page.keyboard.press("Alt+KeyN")
    await page.locator("#mobile").fill(MOBILE)
    await expect(note).to_have_text("")
    await expect(page.locator("#mobile")).not_to_have_attribute("aria-invalid", "true")
    assert await counter.shift() <= MOST_SHIFT
    assert MOBILE not in "".join(one.url for one in counter.loaded)

    employer = page.locator("[data-field=employer]")
    await expect(employer).to_be_visible()
    await page.locator("#product").select_option("student")
    await page.locator("#applicant_type").select_option("student")
    await expect(employer).to_be_hidden()
    await expect(page.locator("[data-checklist]")).to_contain_text("学籍证明")
    await page.locator("#product").select_option("supplementary")
    await page.locator("#applicant_type").select_option("supplementary")
    await expect(page.locator("#holder_name")).to_be_visible()
    await page.locator("#mobile").fill("1")
    await page.locator("#email").fill("nobody")
    await page.keyboard.press("Tab")
    await expect(page.locator("#email-note")).to_contain_text("邮箱")
    assert await counter.serious() == []


async def test_a_passport_is_filled_in_by_its_machine_readable_line(
    town: Town, counter: Watched
) -> None:
    page = await counter.show(NEW)
    await page.locator("#branch").select_option("3101")
    await expect(page.locator("[data-checklist]")).to_contain_text("身份证人像面")
    for name in ("mrz", "birth_date", "chinese_name", "holder_mrz"):
        await expect(page.locator(f"[data-field={name}]")).to_be_hidden()

    # by the keyboard, and a scanner that types
    await page.locator("#id_type").focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.locator("#id_type")).to_have_value("passport")
    await expect(page.locator("#mrz")).to_be_visible()
    await expect(page.locator("#birth_date")).to_have_attribute("aria-required", "true")
    # other fields are asked for, which moves the form; a browser forgives it within half a second
    await page.evaluate("window.shifted = 0")
    await page.keyboard.press("Tab")
    await expect(page.locator("#mrz")).to_be_focused()
    await page.keyboard.type(MRZ)
    for name, value in (
        ("id_number", "C01X00T47"),
        ("nationality", "DEU"),
        ("birth_date", "1990-05-20"),
        ("id_expires", "2030-02-28"),
        ("salutation", "ms"),
    ):
        await expect(page.locator(f"#{name}")).to_have_value(value)
    await expect(page.locator("[data-says='']")).to_contain_text("德国")
    await expect(page.locator("[data-checklist]")).to_contain_text("护照资料页")
    await expect(page.locator("[data-checklist]")).to_contain_text("签证或居留许可")
    await expect(page.locator("[data-checklist]")).not_to_contain_text("身份证人像面")

    await page.locator("#birth_date").fill("1991-05-20")
    await page.keyboard.press("Tab")
    await expect(page.locator("#mrz-note")).to_contain_text("与填写内容不一致")
    await page.locator("#birth_date").fill("1990-05-20")
    await page.keyboard.press("Tab")
    await expect(page.locator("#mrz-note")).not_to_contain_text("不一致")
    await page.locator("#name").fill("安娜")
    await page.keyboard.press("Tab")
    await expect(page.locator("#name-note")).to_contain_text("拉丁字母")
    await page.locator("#name").fill("Anna Müller")
    await expect(page.locator("#name-note")).not_to_contain_text("未按护照")
    assert await counter.serious() == []
    assert await counter.shift() <= MOST_SHIFT
    for width, size in (("narrow", NARROW), ("wide", WIDE)):
        await counter.resize(size)
        await picture(counter, f"counter-passport-{width}")

    # kept as it was typed, and gone on with
    await page.keyboard.press("Control+Enter")
    await page.wait_for_url(re.compile(r"/intake/applications/[0-9a-f-]{36}$"))
    persons = page.locator("main")
    await expect(persons).to_contain_text("护照")
    await expect(persons).to_contain_text("******T47")
    assert "C01X00T47" not in await page.content()


async def test_the_form_is_sound_in_both_languages_and_widths(town: Town, counter: Watched) -> None:
    page = await counter.show(NEW)
    await page.locator("[data-shortcuts] summary").click()
    await sound(counter, town, "counter-new")
    await page.locator("#branch").select_option("3101")
    await page.locator("#mobile").fill("17012345678")
    await page.locator("#id_number").fill("123")
    await page.locator("#name").fill(NAME)
    await page.locator("button[value=check]:not([tabindex])").click()
    await page.wait_for_url(f"{town.url}/intake/applications")
    await expect(page.locator("#id_number-note")).to_contain_text("证件号码")
    await expect(page.locator("#mobile-note")).to_have_class(re.compile("note-warn"))
    await expect(page.locator("#name")).to_have_value(NAME)
    assert await counter.serious() == []


async def test_a_draft_is_kept_and_gone_on_with_by_the_keyboard(
    town: Town, counter: Watched
) -> None:
    page = await counter.show(NEW)
    await fill_in(page)
    await page.locator("#office_phone").fill("")
    await page.locator("#office_phone").press("Control+Enter")
    await expect(page.locator("#file-papers")).to_be_visible()
    await counter.tab_to(".page-actions a[href$='/form']")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("继续填写申请表")
    await expect(page.locator("#name")).to_have_value(NAME)
    await expect(page.locator("#office_phone-note")).to_have_class(re.compile("note-missing"))
    await sound(counter, town, "counter-draft")
    await page.keyboard.press("Alt+KeyN")
    await expect(page.locator("#office_phone")).to_be_focused()
    await page.keyboard.type("02164567890")
    await page.keyboard.press("Control+Shift+Enter")
    await expect(page.locator(".page-head")).to_contain_text("待补件")


async def test_keys_can_be_switched_off(town: Town, counter: Watched) -> None:
    page = await counter.show(NEW)
    await page.locator("[data-shortcuts] summary").click()
    switch = page.locator("[data-shortcuts-switch]")
    await switch.focus()
    await page.keyboard.press("Space")
    page = await counter.show(NEW)
    await page.locator("#name").focus()
    await page.keyboard.press("Alt+KeyN")
    await expect(page.locator("#name")).to_be_focused()
    await page.locator("#branch").select_option("3101")
    await page.locator("#name").press("Enter")
    await expect(page.locator("#id_number-note")).to_contain_text("未填写")  # checked, not kept
    await page.locator("[data-shortcuts] summary").click()
    await expect(switch).not_to_be_checked()
    await switch.check()


async def test_papers_are_dropped_pasted_and_filed_one_by_one(town: Town, counter: Watched) -> None:
    page = await counter.show(NEW)
    await fill_in(page)
    await page.locator("button[value=keep]").click()
    await expect(page.locator("#file-papers")).to_be_visible()
    rows = page.locator(".queue-row")
    big = b"%PDF-1.7\n" + b"0" * 11 * 1024 * 1024
    front, back = scan("queue front"), pdf(["back"])
    files = [
        {"name": "身份证正面.png", "type": "image/png", "base64": encoded(front)},
        {"name": "反面.pdf", "type": "application/pdf", "base64": encoded(back)},
        {"name": "工资单.png", "type": "image/png", "base64": encoded(b"no picture")},
        {"name": "letter.docx", "type": "application/msword", "base64": encoded(b"PK")},
    ]
    await page.evaluate(DROP, files)
    await expect(rows).to_have_count(4)
    await page.evaluate(PASTE, encoded(scan("pasted")))
    huge = {"name": "huge.pdf", "mimeType": "application/pdf", "buffer": big}
    await page.locator("#file").set_input_files(huge)  # type: ignore[arg-type]
    await expect(rows).to_have_count(6)
    chosen = [await rows.nth(n).locator("[data-item]").input_value() for n in range(6)]
    assert chosen == ["id_front", "id_back", "income_proof", "", "", ""]
    await expect(rows.nth(3)).to_contain_text("不是 PDF、JPEG 或 PNG")
    await expect(rows.nth(5)).to_contain_text("文件过大")
    await expect(rows.nth(4)).to_contain_text("请选择该文件属于哪项资料")
    await expect(rows.nth(2).locator("[data-date]")).to_be_visible()
    await expect(rows.nth(0).locator("[data-date]")).to_be_hidden()
    await picture(counter, "counter-queue")
    await counter.resize(NARROW)
    await picture(counter, "counter-queue-narrow")
    await page.set_viewport_size(WIDE)
    assert await counter.faults("zh-CN", town.names) == []
    assert await counter.serious() == []

    done = page.locator("#checklist progress")
    before = int(await done.get_attribute("value") or "0")
    await page.get_by_role("button", name="全部收件").focus()
    await page.keyboard.press("Enter")
    await expect(rows.nth(1)).to_contain_text("已收件")
    await expect(rows.nth(2)).to_contain_text("不是 PDF、JPEG 或 PNG")
    counter.complaints.clear()  # the browser complains of the status itself
    await expect(done).to_have_attribute("value", str(before + 2))
    await expect(page.locator("#papers")).to_be_visible()
    await expect(rows.nth(0)).to_contain_text("已收件")

    await rows.nth(4).locator("[data-item]").select_option("application_form_signed")
    await page.get_by_role("button", name="全部收件").click()
    await expect(rows.nth(4)).to_contain_text("已收件")
    await rows.nth(2).get_by_role("button", name="重试").click()
    await expect(rows.nth(2)).to_contain_text("不是 PDF、JPEG 或 PNG")
    counter.complaints.clear()
    await rows.nth(2).get_by_role("button", name="移除").click()
    await expect(rows).to_have_count(5)
    await expect(page.locator("[data-sum-shown]")).to_have_text("已收件 3 份，待处理 2 份")


async def test_what_was_filed_from_the_queue_is_handed_in_from_the_same_page(
    town: Town, counter: Watched
) -> None:
    page = await counter.show(NEW)
    await fill_in(page)
    await page.locator("button[value=keep]").click()
    files = [
        {"name": f"{word}.png", "mimeType": "image/png", "buffer": scan(f"handed in {word}")}
        for word in ("正面", "反面")
    ]
    await page.locator("#file").set_input_files(files)  # type: ignore[arg-type]
    await page.get_by_role("button", name="全部收件").click()
    await expect(page.locator("[data-sum-shown]")).to_have_text("已收件 2 份，待处理 0 份")
    await expect(page.locator("#papers li")).to_have_count(2)
    await expect(page.get_by_role("link", name="录入材料上的内容")).to_be_visible()
    await page.get_by_role("button", name="提交", exact=True).click()
    await expect(page.locator(".flashes")).to_contain_text("已提交")


async def test_a_form_outlives_the_session_in_which_it_was_typed(
    town: Town, counter: Watched
) -> None:
    page = await counter.show(NEW)
    await fill_in(page)
    await counter.context.clear_cookies(name=COOKIE)
    signed_out = page.locator("[data-notice] [data-why=signed-out]")
    await page.locator("button[value=keep]").click()  # at once: nothing told the page until now
    await expect(signed_out).to_be_visible()
    await expect(signed_out).to_contain_text("登录已失效")
    await page.locator("#mobile").fill("13800002222")
    await page.locator("#email").focus()
    await expect(signed_out).to_be_visible()
    await expect(page).to_have_url(f"{town.url}{NEW}")
    await expect(page.locator("#mobile")).to_have_value("13800002222")
    counter.complaints.clear()  # the browser complains of the status itself
    other = await counter.context.new_page()
    await other.goto(f"{town.url}/sign-in")
    await _sign_in(other)  # another session, with another token for forms
    await other.close()
    await page.locator("button[value=keep]").click()
    await expect(page.locator(".flashes")).to_contain_text("草稿")
    counter.complaints.clear()


async def test_who_leaves_what_was_typed_is_asked_first(town: Town, counter: Watched) -> None:
    page = await counter.show(NEW)
    await page.locator("#name").press_sequentially("王")
    asked: list[str] = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.dismiss()

    page.on("dialog", stay)
    await page.locator(".back-link").click(no_wait_after=True)

    async def was_asked() -> bool:
        return asked == ["beforeunload"]

    await eventually(was_asked)
    await expect(page.locator("#name")).to_have_value("王")
    page.remove_listener("dialog", stay)


async def test_one_paper_that_did_not_arrive_is_tried_again(town: Town, counter: Watched) -> None:
    page = await counter.show(NEW)
    await fill_in(page)
    await page.locator("button[value=keep]").click()
    file = {"name": "正面.png", "mimeType": "image/png", "buffer": scan("broken line")}
    await page.locator("#file").set_input_files(file)  # type: ignore[arg-type]
    await page.route("**/documents", lambda route: route.abort())
    await page.get_by_role("button", name="全部收件").click()
    row = page.locator(".queue-row")
    await expect(row).to_contain_text("网络中断")
    counter.complaints.clear()
    await page.unroute("**/documents")
    await row.get_by_role("button", name="重试").click()
    await expect(row).to_contain_text("已收件")


async def test_form_and_papers_work_without_a_script(town: Town, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False, locale="zh-CN")
    page = await context.new_page()
    await page.goto(f"{town.url}/sign-in")
    await _sign_in(page)
    await page.goto(town.url + NEW)
    await expect(page.locator("[data-shortcuts]")).to_be_hidden()
    await expect(page.locator("#main_card_number")).to_be_visible()
    await fill_in(page)
    await page.locator("#mobile").fill("1390")
    await page.locator("#name").press("Enter")  # checks, and keeps nothing
    await expect(page).to_have_url(f"{town.url}/intake/applications")
    await expect(page.locator("#mobile-note")).to_contain_text("手机号码格式有误")
    await expect(page.locator("#name")).to_have_value(NAME)
    await page.locator("button[value=keep]").click()
    files = [
        {"name": "正面.png", "mimeType": "image/png", "buffer": scan("plain front")},
        {"name": "反面.png", "mimeType": "image/png", "buffer": scan("plain back")},
    ]
    await page.locator("#file").set_input_files(files)  # type: ignore[arg-type]
    await page.locator("#file-papers button[type=submit]").click()
    await expect(page.locator(".flashes")).to_contain_text("身份证国徽面 已收件")
    await context.close()
