"""Every page in both languages: for people without a mouse or good eyes, on narrow screens, and
without a word to anybody outside."""

from __future__ import annotations

import pytest

from services.review.policy_folder import newest
from tests.browser.conftest import Enter, screenshots
from tests.browser.town import TUESDAY, Town
from tests.browser.watching import MOST_SHIFT, NARROW, WIDE, WIDEST, Watched
from tests.weighing import MOST_BYTES

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# page -> (who looks, address); what is in braces is an application of the town
PAGES = {
    "board": ("manager", "/reporting/board"),
    "applications": ("manager", "/reporting/applications"),
    "timeline": ("manager", "/reporting/applications/{posted}"),
    "timeline-owing": ("assistant", "/reporting/applications/{owing}"),
    "daily": ("manager", f"/reporting/reports/daily/{TUESDAY.date()}"),
    "figure": ("manager", f"/reporting/reports/daily/{TUESDAY.date()}/figures/submitted"),
    "archive": ("manager", "/reporting/reports"),
    "queue": ("reviewer", "/review/queue"),
    "queue-mine": ("reviewer", "/review/queue?section=mine"),
    "workload": ("risk", "/review/workload"),
    "appeals": ("reviewer", "/review/appeals"),
    "appeal": ("reviewer", "/review/cases/{adverse}"),
    "appeal-limit": ("reviewer", "/review/cases/{posted}"),
    "limit-changes": ("reviewer", "/review/limit-changes"),
    "limit": ("reviewer", "/review/cases/{posted}/limit-change"),
    "limit-asked": ("reviewer", "/review/cases/{asking}/limit-change"),
    "limit-to-sign": ("risk", "/review/cases/{raised}/limit-change"),
    "disputes": ("reviewer", "/review/appeals?section=disputes"),
    "disputes-to-give": ("risk", "/review/appeals?section=disputes"),
    "limit-changes-to-give": ("risk", "/review/limit-changes"),
    "dispute": ("reviewer", "/review/cases/{second}"),
    "dispute-claimed": ("reviewer", "/review/cases/{queries}"),
    "case": ("reviewer", "/review/cases/{middling}"),
    "telephone": ("reviewer", "/review/cases/{doubtful}"),
    "held": ("compliance", "/review/cases/{watched}"),
    "policies": ("risk", "/review/policies"),
    "policy": ("risk", f"/review/policies/{newest().policy.digest}"),
    "replays": ("risk", f"/review/policies/{newest().policy.digest}/replays"),
    "replay": ("risk", f"/review/policies/{newest().policy.digest}/replays/{{replay}}"),
    "replay-cases": ("risk", f"/review/policies/{newest().policy.digest}/replays/{{replay}}/cases"),
    "shadow": ("risk", f"/review/policies/{newest().policy.digest}/shadow"),
    "drifts": ("risk", "/review/policies/drift"),
    "drift": ("risk", "/review/policies/drift/{drift}"),
    "messages": ("manager", "/notify/messages"),
    "audit": ("compliance", "/intake/audit?since=2026-01-01"),
    "audit-review": ("compliance", "/review/audit?since=2026-01-01"),
    "audit-notify": ("compliance", "/notify/audit?since=2026-01-01"),
    "audit-reporting": ("compliance", "/reporting/audit?since=2026-01-01"),
    "reveal": ("reviewer", "/review/cases/{middling}/fields/mobile"),
    "staff": ("manager", "/intake/staff"),
    "member": ("manager", "/intake/staff/A3101"),
    "sessions": ("assistant", "/intake/sessions"),
    "parked": ("ops", "/review/operations/parked"),
    "parked-nothing": ("ops", "/intake/operations/parked?text=nothing"),
    "parked-event": ("ops", "/review/operations/parked/{parked[broken]}"),
    "parked-gap": ("ops", "/review/operations/parked/{parked[gap]}"),
    "parked-failed": ("ops", "/review/operations/parked/failed?reference=call:{failed}"),
    "parked-many": ("ops", "/review/operations/parked/many?action=retry"),
    "nowhere": ("manager", "/reporting/applications/nobody"),
}
LANGUAGES = ("zh-CN", "en")
# pages on which somebody works for minutes: with every dialog of a case, with every group's table
HEAVIER = {"telephone": 112_000, "replay": 110_000, "drift": 115_000}


def address(town: Town, page: str) -> str:
    ids = {name: one.application_id for name, one in town.applicants.items()}
    parked = {name: town.parked_id(name) for name in town.stuck}
    return PAGES[page][1].format(
        **ids, parked=parked, failed=town.failed_call, replay=town.replay, drift=town.drift
    )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", PAGES)
async def test_a_page_is_sound(town: Town, enter: Enter, page: str, language: str) -> None:
    watched = await enter(PAGES[page][0], language)
    await watched.show(address(town, page), status=404 if page == "nowhere" else 200)
    await picture(watched, f"{page}-{language}")
    assert await watched.faults(language, town.names) == []
    # contrast is dear and the same in both languages: axe-core measures it of each look once
    assert await watched.serious(contrast=language == "zh-CN") == []
    assert await watched.weight() <= HEAVIER.get(page, MOST_BYTES)
    assert await watched.shift() <= MOST_SHIFT, await watched.page.evaluate("window.moved")
    assert await watched.cut(WIDE, WIDEST, NARROW) == []
    await watched.resize(WIDEST)
    assert await watched.faults(language, town.names) == [], "widest"
    await watched.page.evaluate("document.documentElement.dataset.bsTheme = 'dark'")
    await watched.resize(NARROW)
    await picture(watched, f"{page}-{language}-narrow")
    assert await watched.faults(language, town.names) == [], "dark and narrow"
    assert await watched.serious(contrast=language == "en") == [], "dark and narrow"


async def picture(watched: Watched, name: str) -> None:
    """A picture of the whole page, where somebody wants to look at it."""
    folder = screenshots()
    if folder:
        await watched.page.screenshot(path=folder / f"{name}.png", full_page=True)


async def test_a_page_that_arrives_bit_by_bit_does_not_move_either(
    town: Town, enter: Enter
) -> None:
    watched = await enter("manager")
    path = address(town, "applications")
    await watched.show(path)
    size = len(await watched.loaded[0].body())
    async with watched.slow(size // 2):  # a machine or a line that is busy
        await watched.show(path)
    assert await watched.shift() <= MOST_SHIFT / 5, await watched.page.evaluate("window.moved")
    assert await watched.page.locator("main .table").is_visible()


async def test_what_is_wrong_with_a_page_is_noticed(town: Town, enter: Enter) -> None:
    watched = await enter("manager")
    page = await watched.show("/reporting/reports")
    light = await watched.weight()
    assert light > 1000
    await page.evaluate(
        """() => {
          document.querySelector("main").insertAdjacentHTML("beforeend", "<button></button>");
          document.querySelector("main").style.paddingTop = "200px";
        }"""
    )
    assert [one.split(":")[0] for one in await watched.serious()] == ["button-name"]
    await page.wait_for_function(f"window.shifted > {MOST_SHIFT}")
    assert await watched.shift() > MOST_SHIFT
