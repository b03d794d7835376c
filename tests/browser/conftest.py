"""Headless Chromium before the real services: one office and one browser for all tests here."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from deploy import local
from shared.web.middleware import LANGUAGE_COOKIE
from tests.browser.chromium import find_chromium
from tests.browser.town import Town, opened
from tests.browser.watching import ONLY_HERE, WIDE, Watched
from tests.stack import running

expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong

Enter = Callable[..., Awaitable[Watched]]


@pytest.fixture(scope="package")
def browser_stack() -> Iterator[local.Stack]:
    # a stack of its own: another suite's databases would not know what this one publishes
    with running("browser-test", durable=False) as stack:
        yield stack


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def town(
    browser_stack: local.Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Town]:
    async with opened(browser_stack, tmp_path_factory.mktemp("town") / "clock") as town:
        yield town


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    chromium = find_chromium()
    assert chromium is not None  # without it the tests here are not collected
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            # Chromium's own sandbox does not run under root
            chromium_sandbox=os.geteuid() != 0,
            args=["--disable-dev-shm-usage", "--disable-gpu", ONLY_HERE],
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def windows(browser: Browser) -> AsyncIterator[dict[tuple[str, str], Watched]]:
    """{(member of staff, language): their window}; kept open, so that styles are read once."""
    opened: dict[tuple[str, str], Watched] = {}
    yield opened
    for watched in opened.values():
        await watched.context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def enter(
    town: Town, browser: Browser, windows: dict[tuple[str, str], Watched]
) -> AsyncIterator[Enter]:
    """enter("reviewer", "en"): their window, signed in; the test fails if it is not clean."""
    used: list[Watched] = []

    async def enter(who: str, language: str = "zh-CN") -> Watched:
        if (who, language) not in windows:
            chosen = {"name": LANGUAGE_COOKIE, "value": language, "url": town.url}
            windows[who, language] = await Watched.open(
                browser, town.url, town.browser_cookie(who), chosen, language=language
            )
        watched = windows[who, language]
        await watched.page.set_viewport_size(WIDE)
        used.append(watched)
        return watched

    yield enter
    for watched in used:
        watched.assert_clean()


def screenshots() -> Path | None:
    """Where pictures of every page are wanted (`BANKA_SCREENSHOTS`), for people to look at."""
    folder = os.environ.get("BANKA_SCREENSHOTS")
    return Path(folder) if folder else None
