"""The sign-in page and the shared components, in a browser before the sample app."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI
from playwright.async_api import Browser, expect
from pydantic import SecretStr

from shared.web.oidc import IdentityProvider, ProviderSettings
from tests.browser.sample import make_app
from tests.browser.test_pages import picture
from tests.browser.watching import NARROW, WIDE, Watched
from tests.eventually import eventually
from tests.identity_provider import CLIENT, SECRET, Provider, running_provider

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PEOPLE = {"林晓岚", "周启明", "沈佩", "丁一"}


@asynccontextmanager
async def serving(make: Callable[[str], FastAPI]) -> AsyncIterator[str]:
    """The app on a free port, which it is told; its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(make(origin), log_config=None, access_log=False)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listening]))

        async def started() -> bool:
            return server.started

        await eventually(started)
        try:
            yield origin
        finally:
            server.should_exit = True
            await running


def provider_for(bank: Provider, origin: str) -> IdentityProvider:
    """The office at this address, as a client of the provider."""
    return IdentityProvider(
        ProviderSettings(
            issuer=bank.issuer,
            client_id=CLIENT,
            client_secret=SecretStr(SECRET),
            public_url=origin,
            claim_is="staff_id",
        )
    )


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: Browser, tmp_path: Path) -> AsyncIterator[Watched]:
    """Somebody who has not signed in, before the sample app on a free port."""
    async with serving(lambda _origin: make_app(tmp_path)) as origin:
        watched = await Watched.open(browser, origin)
        yield watched
        await watched.context.close()


async def test_signing_in_leads_to_what_was_wanted_and_out_again(visitor: Watched) -> None:
    page = await visitor.show("/sample/components?sort=-number")
    await expect(page).to_have_title("登录 · 办卡")
    await picture(visitor, "sign-in-zh-CN")
    assert await visitor.faults("zh-CN", PEOPLE) == []
    await expect(page.locator("#username")).to_be_focused()
    await page.keyboard.type("A0101")
    await page.keyboard.press("Tab")
    await page.keyboard.type("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("不正确")
    visitor.complaints.clear()  # of the status 401
    await page.get_by_label("密码").fill("A0101")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{visitor.origin}/sample/components?sort=-number")
    await page.locator("details.menu summary").click()
    await page.get_by_role("button", name="退出").click()
    await expect(page.locator("#username")).to_be_visible()
    await page.goto(visitor.origin + "/sample/components")
    await expect(page).to_have_url(f"{visitor.origin}/sign-in?next=/sample/components")
    visitor.assert_clean()


async def test_signing_in_at_the_banks_provider_works_under_our_policy(
    browser: Browser, tmp_path: Path
) -> None:
    async with (
        running_provider() as bank,
        serving(lambda origin: make_app(tmp_path, provider_for(bank, origin))) as origin,
        AsyncExitStack() as closing,
    ):
        visitor = await Watched.open(browser, origin)
        closing.push_async_callback(visitor.context.close)
        page = await visitor.show("/sample/components?sort=-number")
        await picture(visitor, "sign-in-provider-zh-CN")
        assert await visitor.faults("zh-CN", PEOPLE) == []
        assert await visitor.serious() == []
        await page.set_viewport_size(NARROW)
        await picture(visitor, "sign-in-provider-narrow")
        await page.get_by_role("link", name="使用行内统一账号登录").press("Enter")
        await expect(page).to_have_url(f"{origin}/sample/components?sort=-number")
        asked = [one for one in visitor.foreign if not one.startswith(bank.issuer)]
        assert asked == []
        assert visitor.complaints == []
        bank.who = "nobody"
        await visitor.context.clear_cookies()
        await visitor.show("/sign-in?lang=en")
        await page.get_by_role("link", name="Sign in with the bank's account").click()
        await expect(page.get_by_role("alert")).to_contain_text("nobody of that name")
        await picture(visitor, "sign-in-provider-unknown")
        assert await visitor.faults("en", PEOPLE) == []


async def test_signing_in_never_leads_to_another_host(visitor: Watched) -> None:
    page = await visitor.show("/sign-in?next=//elsewhere.example/sample")
    await page.get_by_label("用户名").fill("A0101")
    await page.get_by_label("密码").fill("A0101")
    await page.keyboard.press("Enter")
    await page.wait_for_url(lambda url: "sign-in" not in url)
    assert page.url.startswith(visitor.origin + "/")
    assert visitor.foreign == []


REFUSED = {status: f"/sample/refused/{status}" for status in (403, 404, 409, 412, 422, 429, 503)}


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_every_page_that_says_why_not_is_sound(visitor: Watched, language: str) -> None:
    page = await visitor.show(f"/sign-in?lang={language}&next=/sample/decide")
    await page.locator("#username").fill("A0101")
    await page.locator("#password").fill("A0101")
    await page.keyboard.press("Enter")
    await expect(page.locator("#sidebar")).to_be_attached()
    visitor.complaints.clear()  # nothing is shown by GET at the address of a form
    for status, path in {**REFUSED, 500: "/sample/crash"}.items():
        await visitor.show(path, status=status)
        if language == "en":  # its rules are the same in both
            assert await visitor.serious() == [], status
        for theme in ("light", "dark"):
            await page.evaluate("theme => document.documentElement.dataset.bsTheme = theme", theme)
            for size in (WIDE, NARROW):
                await visitor.resize(size)
                await picture(visitor, f"refused-{status}-{language}-{theme}-{size['width']}")
                assert await visitor.faults(language, PEOPLE) == [], (status, theme, size)
        assert await visitor.cut(WIDE, NARROW) == [], status
    visitor.assert_clean()


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_every_component_is_sound(visitor: Watched, language: str) -> None:
    page = await visitor.show(f"/sign-in?lang={language}&next=/sample/components")
    await page.locator("#username").fill("A0101")
    await page.locator("#password").fill("A0101")
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-chart]").first).to_have_attribute("data-drawn", "1")
    await picture(visitor, f"components-{language}")
    faults = await visitor.faults(language, PEOPLE)
    # the sample's own words are Chinese in every language
    assert [one for one in faults if not one.startswith("Chinese in English")] == []
    await visitor.resize(NARROW)
    visitor.assert_clean()
