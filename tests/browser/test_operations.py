"""What operators decide on the pages, without a mouse; and that a page shows nobody's data."""

from __future__ import annotations

import asyncpg
import pytest
from playwright.async_api import expect

from tests.browser.conftest import Enter
from tests.browser.town import Town
from tests.eventually import eventually
from tests.integration.review.bank import NAME

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

HOME = "/review/operations/parked"


async def _audit(town: Town, name: str) -> list[tuple[str, str]]:
    conn = await asyncpg.connect(town.bank.superuser_url)
    try:
        rows = await conn.fetch(
            "SELECT who, action, why FROM messaging.audit WHERE what LIKE '%' || $1 || '%'",
            town.stuck.get(name, name),
        )
    finally:
        await conn.close()
    assert {row["who"] for row in rows} <= {f"staff:{town.staff_ids['ops']}"}
    return [(row["action"], row["why"]) for row in rows]


async def test_an_event_is_retried_and_skipped_by_keyboard(town: Town, enter: Enter) -> None:
    watched = await enter("ops", "en")
    for name, button in (("retried", "Retry"), ("skipped", "Skip")):
        page = await watched.show(f"{HOME}/{town.parked_id(name)}")
        dialog = button.lower()
        await watched.tab_to(f"[data-dialog-open={dialog}]")
        await page.keyboard.press("Enter")
        asked = page.locator(f"dialog#{dialog}")
        await expect(asked).to_be_visible()
        # no reason, no decision
        await asked.get_by_role("button", name=button).press("Enter")
        await expect(asked).to_be_visible()
        await asked.get_by_label("Reason").fill("agreed with intake")
        await asked.get_by_role("button", name=button).press("Enter")
        await expect(page.locator(".flashes .notice-success")).to_be_visible()
        assert await _audit(town, name) == [(dialog, "agreed with intake")]

    async def gone() -> bool:
        text = await (await watched.show(HOME)).locator("main").inner_text()
        return town.stuck["skipped"][-8:] not in text.split("Decided lately")[0]

    await eventually(gone)


async def test_who_looked_before_another_decided_is_told_so(town: Town, enter: Enter) -> None:
    one, two = await enter("ops", "en"), await enter("ops")
    number = town.parked_id("broken")
    page, late = await one.show(f"{HOME}/{number}"), await two.show(f"{HOME}/{number}")
    await page.get_by_role("button", name="Retry").click()
    await page.locator("dialog#retry").get_by_label("Reason").fill("first")
    await page.locator("dialog#retry").get_by_role("button", name="Retry").click()
    await expect(page.locator(".flashes .notice-success")).to_be_visible()
    await late.get_by_role("button", name="跳过").click()
    await late.locator("dialog#skip").get_by_label("原因").fill("second")
    await late.locator("dialog#skip").get_by_role("button", name="跳过").click()
    await expect(late.locator(".flashes .notice-danger")).to_contain_text("其间已重试过")
    assert await _audit(town, "broken") == [("retry", "first")]


async def test_many_are_seen_before_they_are_done(town: Town, enter: Enter) -> None:
    page = await (await enter("ops", "en")).show(f"{HOME}?subject={town.stuck['many']}")
    await page.get_by_role("link", name="Skip all of these").click()
    await expect(page.locator("main")).to_contain_text("A preview: nothing is done yet.")
    assert await _audit(town, "many") == []
    await page.get_by_label("Reason").fill("a test of theirs")
    await page.get_by_role("button", name="Skip 1 for good").click()
    await expect(page.locator(".flashes")).to_contain_text("Skipped: 1.")
    assert await _audit(town, "many") == [("skip", "a test of theirs")]


async def test_a_consumer_that_stopped_is_resumed(town: Town, enter: Enter) -> None:
    page = await (await enter("ops", "en")).show(HOME)
    await expect(page.get_by_role("alert")).to_contain_text("review.applications@2")
    await page.get_by_role("button", name="Resume").click()
    await page.locator("dialog[open]").get_by_label("Reason").fill("rolled back")
    await page.locator("dialog[open]").get_by_role("button", name="Resume").click()
    await expect(page.locator(".flashes .notice-success")).to_be_visible()
    await expect(page.get_by_role("alert")).to_have_count(0)
    assert await _audit(town, "review.applications@2") == [("resume", "rolled back")]


async def test_tabs_lead_to_the_other_services_and_nothing_shows_a_name(
    town: Town, enter: Enter
) -> None:
    watched = await enter("ops", "en")
    page = await watched.show(HOME)
    for tab, service in (
        ("Intake", "intake"),
        ("Messages", "notify"),
        ("Reporting", "reporting"),
        ("Review", "review"),
    ):
        await page.get_by_label("Services").get_by_role("link", name=tab).click()
        # all of these pages say the same
        await page.wait_for_url(f"{town.url}/{service}/operations/parked")
        await expect(page.locator("h1")).to_have_text("Parked events")
        await expect(page.locator(".sidebar [aria-current=page]")).to_have_text("Parked events")
    for path in (f"/{town.parked_id('gap')}", f"/failed?reference=call:{town.failed_call}"):
        text = await (await watched.show(HOME + path)).content()
        assert town.stuck["gap"] in text
        assert NAME not in text


async def test_only_operations_may_look_and_decide(town: Town, enter: Enter) -> None:
    for who in ("manager", "reviewer"):
        await (await enter(who)).show(HOME, status=403)
