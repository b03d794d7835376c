"""A browser that is watched: whom it asks, what it complains of, and how its pages are made.

async with Watched.open(browser, town.url) as watched:
    await watched.page.goto(...)
    watched.assert_clean()
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    Response,
    ViewportSize,
)

WIDE: ViewportSize = {"width": 1360, "height": 900}
NARROW: ViewportSize = {"width": 360, "height": 780}
WIDEST: ViewportSize = {"width": 1920, "height": 1080}
# where the layout turns, and a small notebook
BETWEEN: list[ViewportSize] = [{"width": width, "height": 900} for width in (768, 992, 1200, 1280)]
MOST_BYTES = 100_000  # of a page with what it loads of ours; the vendored kit is kept for a year
# Of what moves after it was shown; people notice from 0.1.
MOST_SHIFT = 0.05
# A name of any other host is refused before it is looked up, also what the browser asks for itself.
ONLY_HERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
_AUDIT = (Path(__file__).parent / "audit.js").read_text(encoding="utf-8")
# A page that breaks its own policy says so in an event; it is turned into a complaint. What moves
# after it was shown is added up.
_POLICY = """
addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.violatedDirective} forbids ${event.blockedURI || "inline"}`);
});
window.shifted = 0;
window.moved = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) {
    if (one.hadRecentInput) continue;
    window.shifted += one.value;
    for (const { node, previousRect: from, currentRect: to } of one.sources) {
      const what = node?.outerHTML?.slice(0, 80) ?? node?.nodeName;
      window.moved.push(`${what} from ${from.x},${from.y} to ${to.x},${to.y}`);
    }
  }
}).observe({ type: "layout-shift", buffered: true });
"""
# A table that is pushed sideways hides what is last in it: its buttons.
_CUT = """() => [...document.querySelectorAll(".table-frame, .btn, .state")]
  .filter((one) => one.checkVisibility({ visibilityProperty: true }))
  .filter((one) => one.scrollWidth > one.clientWidth + 1)
  .map((one) => `${one.scrollWidth} in ${one.clientWidth} px: ${one.outerHTML.slice(0, 120)}`)"""


@dataclass
class Watched:
    """One browser window, as one member of staff has it."""

    context: BrowserContext
    page: Page
    origin: str
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    loaded: list[Response] = field(default_factory=list)

    @classmethod
    async def open(
        cls, browser: Browser, origin: str, *cookies: dict[str, str], language: str = "zh-CN"
    ) -> Watched:
        """A window that has not been anywhere; whoever opens it closes its context."""
        context = await browser.new_context(
            viewport=WIDE, reduced_motion="reduce", locale=language, accept_downloads=True
        )
        await context.add_cookies(cookies)  # type: ignore[arg-type]
        await context.add_init_script(_POLICY)
        watched = cls(context, await context.new_page(), origin)
        context.on("request", watched._note)
        context.on("response", lambda answer: watched.loaded.append(answer))
        watched.page.on("console", watched._hear)
        watched.page.on("pageerror", watched._break)
        return watched

    def _note(self, request: Request) -> None:
        # a picture that was chosen and is not sent yet is one of the page's own
        asked, ours = urlsplit(request.url.removeprefix("blob:")), urlsplit(self.origin)
        if (asked.scheme, asked.netloc) != (ours.scheme, ours.netloc) and asked.scheme != "data":
            self.foreign.append(request.url)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} at {self.page.url}")

    def _break(self, error: Error) -> None:
        self.complaints.append(f"{error.message} at {self.page.url}")

    def assert_clean(self) -> None:
        """Nothing was asked of another host and nothing broke, since the last time."""
        foreign, complaints = self.foreign[:], self.complaints[:]
        self.foreign.clear()
        self.complaints.clear()
        assert not foreign, f"asked of another host: {foreign}"
        assert not complaints, f"complained: {complaints}"

    async def show(self, path: str, *, status: int = 200) -> Page:
        """Open a page of ours and wait until its scripts have run."""
        self.loaded.clear()
        answer = await self.page.goto(self.origin + path, wait_until="load")
        assert answer is not None
        del self.loaded[: self.loaded.index(answer)]  # what came late for the page before
        assert answer.status == status, f"{path}: {answer.status}"
        if status != 200:
            self.complaints.clear()  # the browser complains of the status itself
        return self.page

    @asynccontextmanager
    async def slow(self, bytes_a_second: int) -> AsyncIterator[None]:
        """Whatever is loaded meanwhile arrives so slowly."""
        network = await self.context.new_cdp_session(self.page)
        limits = {"offline": False, "latency": 0, "uploadThroughput": -1}
        try:
            await network.send("Network.enable")
            await network.send(
                "Network.emulateNetworkConditions",
                {**limits, "downloadThroughput": bytes_a_second},
            )
            yield
        finally:
            await network.send(
                "Network.emulateNetworkConditions", {**limits, "downloadThroughput": -1}
            )
            await network.detach()

    async def resize(self, size: ViewportSize) -> None:
        """Make the window so large and wait until the page is laid out for it, which happens a
        moment later; fails where it scrolls sideways."""
        await self.page.set_viewport_size(size)
        await self.page.wait_for_function(
            "most => document.scrollingElement.scrollWidth <= most", arg=size["width"]
        )

    async def faults(self, language: str, names: Iterable[str] = ()) -> list[str]:
        """What is wrong with the page for people who do not see it, or do not use a mouse."""
        await self.page.wait_for_load_state()  # it comes in parts
        found: list[str] = await self.page.evaluate(
            f"(asked) => ({_AUDIT})(asked.language, asked.names)",
            {"language": language, "names": sorted(names)},
        )
        return found

    async def cut(self, *sizes: ViewportSize) -> list[str]:
        """What does not fit its place, with the width of the window at which it does not; sizes:
        all that people have, unless some are named."""
        found = []
        for size in sizes or (NARROW, *BETWEEN, WIDE, WIDEST):
            await self.resize(size)
            found += [f"{size['width']}: {one}" for one in await self.page.evaluate(_CUT)]
        await self.page.set_viewport_size(WIDE)
        return found

    async def serious(self, *, contrast: bool = True) -> list[str]:
        """What axe-core finds that is serious or critical, with the place of each.

        Without contrast it takes a quarter of the time; `faults` measures contrast by itself."""
        if not await self.page.evaluate("'axe' in window"):  # it stays for the page's next look
            await self.page.evaluate(AXE_SCRIPT)
        options = {
            "resultTypes": ["violations"],
            "preload": False,  # of styles of other hosts, which there are none
            "rules": {"color-contrast": {"enabled": contrast}},
        }
        found = await self.page.evaluate(
            "options => axe.run(options).then(found => found.violations)", options
        )
        return [
            f"{one['id']}: {node['target']}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    async def weight(self) -> int:
        """Bytes of the page and of what it loaded of ours, not packed; the kit does not count."""
        ours = [one for one in self.loaded if "/static/vendor/" not in one.url]
        return sum([len(await one.body()) for one in ours])

    async def shift(self) -> float:
        """How much of the page moved after it was shown, as browsers measure it."""
        moved: float = await self.page.evaluate("window.shifted")
        return moved

    async def tab_to(self, selector: str, *, most: int = 120) -> None:
        """Press Tab until this element has the focus, as somebody without a mouse does. Each stop
        on the way must be seen."""
        page = self.page
        for _ in range(most):
            await page.keyboard.press("Tab")
            stop = await page.evaluate(
                """(selector) => {
                  const it = document.activeElement;
                  const look = getComputedStyle(it);
                  const ring = look.outlineStyle !== "none" && parseFloat(look.outlineWidth) > 0;
                  const seen = ring || look.boxShadow !== "none";
                  return { there: it.matches(selector), seen, is: it.outerHTML.slice(0, 120) };
                }""",
                selector,
            )
            assert stop["seen"] or stop["is"].startswith("<body"), f"focus unseen: {stop['is']}"
            if stop["there"]:
                return
        raise AssertionError(f"{selector} is not reached by the keyboard on {page.url}")
