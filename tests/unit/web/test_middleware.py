"""What every answer carries: a policy that allows nothing foreign, a trace, a language, figures."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY

from shared.web.middleware import (
    CONTENT_SECURITY_POLICY,
    LANGUAGE_COOKIE,
    RequestFrame,
    current_traceparent,
)
from tests.unit.web.conftest import Visit

PATHS = ["/sample/components", "/sign-in", "/healthz", "/sample/nowhere", "/sample/crash"]


@pytest.mark.parametrize("path", [*PATHS, "/sample/api/v1/whoami", "/static/banka.css"])
async def test_every_answer_has_the_security_headers(visit: Visit, path: str) -> None:
    for visitor in (visit("A0101"), visit()):
        headers = (await visitor.get(path)).headers
        assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "strict-transport-security" not in headers  # not production
        assert "server" not in headers


def test_the_policy_allows_nothing_inline_and_nobody_else() -> None:
    rules = dict(rule.split(" ", 1) for rule in CONTENT_SECURITY_POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY
    assert "*" not in CONTENT_SECURITY_POLICY


async def test_pages_are_not_kept_by_the_browser(visit: Visit) -> None:
    answer = await visit("A0101").get("/sample/components")
    assert answer.headers["cache-control"] == "no-store"


async def test_in_production_the_site_is_for_https_only() -> None:
    framed = RequestFrame(FastAPI(), service="sample", secure=True)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(framed), base_url="https://banka.test"
    ) as client:
        headers = (await client.get("/docs?lang=en")).headers
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert headers["set-cookie"].endswith("; Secure")


async def test_the_language_of_a_link_is_kept_for_later_pages(visit: Visit) -> None:
    visitor = visit("A0101")
    first = await visitor.get("/sample/components")
    assert (
        first.headers["content-language"],
        LANGUAGE_COOKIE in first.headers.get("set-cookie", ""),
    ) == ("zh-CN", False)
    chosen = await visitor.get("/sample/components?lang=en")
    assert chosen.headers["content-language"] == "en"
    assert '<html lang="en"' in chosen.text
    assert (await visitor.get("/sample/components")).headers["content-language"] == "en"
    back = await visitor.get("/sample/components?lang=zh-CN")
    assert back.headers["content-language"] == "zh-CN"


async def test_a_language_cannot_smuggle_a_header(visit: Visit) -> None:
    answer = await visit().get("/sign-in?lang=en%0d%0aX-Evil:1")
    assert "x-evil" not in answer.headers
    assert answer.headers["content-language"] == "zh-CN"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_change_from_another_site_is_refused(visit: Visit, site: str) -> None:
    mine = visit("A0101")
    form = {"csrf_token": mine.form_token}
    answer = await mine.post("/sample/decide", form, **{"sec-fetch-site": site})
    assert (answer.status_code, answer.json()["code"]) == (403, "cross-site")
    for ours in ("same-origin", "none"):
        answer = await mine.post("/sample/decide", form, **{"sec-fetch-site": ours})
        assert answer.status_code == 303
    looked = await mine.get("/sample/components", **{"sec-fetch-site": site})
    assert looked.status_code == 200  # a link from another site may lead here


async def test_a_callers_trace_goes_on_and_a_broken_one_is_replaced(
    app: FastAPI, visit: Visit
) -> None:
    seen: list[str | None] = []

    @app.get("/traced")
    async def traced() -> None:
        seen.append(current_traceparent())

    client = visit().client
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    given = f"00-{trace}-00f067aa0ba902b7-01"
    answer = await client.get("/traced", headers={"traceparent": given})
    assert answer.headers["x-request-id"] == trace
    assert seen[-1] is not None
    assert seen[-1].startswith(f"00-{trace}-")
    assert seen[-1] != given  # a span of its own
    for broken in ("", "nonsense", f"00-{'0' * 32}-00f067aa0ba902b7-01", given + "\n"):
        answer = await client.get("/traced", headers={"traceparent": broken.strip("\n") + "x"})
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
        assert answer.headers["x-request-id"] != trace
    assert current_traceparent() is None


async def test_requests_are_counted_by_route_never_by_address(visit: Visit) -> None:
    def counted(route: str, status: str) -> float:
        labels = {"service": "sample", "method": "GET", "route": route, "status": status}
        return REGISTRY.get_sample_value("banka_http_requests_total", labels) or 0.0

    before = counted("/sample/components", "200"), counted("unmatched", "404")
    await visit("A0101").get("/sample/components?q=440101199001011234")
    await visit("A0101").get("/sample/440101199001011234")
    after = counted("/sample/components", "200"), counted("unmatched", "404")
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
    figures = (await visit().client.get("/metrics")).text
    assert "440101199001011234" not in figures


async def test_the_probes_speak_of_the_service(visit: Visit) -> None:
    client = visit().client
    assert (await client.get("/healthz")).text == "ok\n"
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]) == (503, {"broker": "stopped"})
    assert (await client.get("/internal/quiet")).json()["next_due"] == "2026-03-10T01:32:00Z"
