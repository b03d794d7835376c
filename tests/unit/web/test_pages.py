"""Pages and the way from one to the next."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import Request
from jinja2 import UndefinedError

from shared.web import static_files
from shared.web.pages import chart_json, icon, make_environment, with_query
from tests.unit.web.conftest import Visit


def asked(address: str) -> Request:
    path, _, query = address.partition("?")
    return Request(
        {"type": "http", "path": path, "query_string": query.encode(), "headers": [], "app": None}
    )


def test_an_address_with_other_parameters() -> None:
    request = asked("/queue?q=01&sort=due&page=3")
    assert with_query(request, sort="-due", page=None) == "/queue?q=01&sort=-due"
    assert with_query(asked("/queue?page=3"), page=None) == "/queue"
    assert with_query(asked("/queue"), q="a b&c") == "/queue?q=a+b%26c"


def test_data_of_a_chart_cannot_end_its_element() -> None:
    text = chart_json({"name": "</script><script>alert(1)</script>&"})
    assert "<" not in text
    assert "&" not in text
    assert "\\u003c/script\\u003e" in text


def test_an_icon_with_words_is_read_and_one_without_is_hidden() -> None:
    assert 'aria-label="a &lt;b&gt;"' in icon("menu-2", "a <b>")
    assert 'aria-hidden="true"' in icon("menu-2")


def test_a_name_that_a_template_does_not_get_is_an_error_not_a_blank() -> None:
    with pytest.raises(UndefinedError):
        make_environment(None).from_string("{{ nobody_gave_this }}").render()


def test_what_people_typed_is_shown_as_text() -> None:
    shown = make_environment(None).from_string("{{ note }}").render(note="<b>")
    assert shown == "&lt;b&gt;"


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    sprite = (static_files.FOLDER / "vendor/tabler-icons/sprite.svg").read_text("utf-8")
    shipped = set(re.findall(r'id="([a-z0-9-]+)"', sprite))
    wanted: set[str] = set()
    root = static_files.FOLDER.parents[2]
    for path in [
        *root.glob("shared/web/templates/*"),
        *root.glob("services/*/templates/**/*.html"),
    ]:
        text = path.read_text(encoding="utf-8")
        wanted |= set(re.findall(r'icon\("([a-z0-9-]+)"', text))
        wanted |= set(re.findall(r'icon_name="([a-z0-9-]+)"', text))
    assert len(wanted) > 20
    assert wanted <= shipped


async def test_a_line_after_a_form_is_shown_once(visit: Visit) -> None:
    visitor = visit("A0101")
    answer = await visitor.post("/sample/decide", {"csrf_token": visitor.form_token})
    assert answer.status_code == 303
    assert "notice-success" in (await visitor.get("/sample/components")).text.split("<h1>")[0]
    again = (await visitor.get("/sample/components")).text.split("<h1>")[0]
    assert "notice-success" not in again


@pytest.mark.parametrize(
    "cookie", ["x", "W10=", "WyJldmlsIiwgIngiXQ==", "bnVsbA==", "W1tdLCAieCJd"]
)
async def test_a_forged_line_is_not_shown(visit: Visit, cookie: str) -> None:
    visitor = visit("A0101")
    visitor.client.cookies.set("banka_flash", cookie)
    answer = await visitor.get("/sample/components")
    assert answer.status_code == 200
    assert "notice-" not in answer.text.split("<h1>")[0]


async def test_htmx_is_led_on_by_its_own_header(visit: Visit) -> None:
    visitor = visit("A0101")
    answer = await visitor.post(
        "/sample/decide", {"csrf_token": visitor.form_token}, **{"HX-Request": "true"}
    )
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/sample/components")


async def test_the_theme_is_one_of_ours(visit: Visit) -> None:
    visitor = visit("A0101")
    visitor.client.cookies.set("banka_theme", "dark")
    assert 'data-bs-theme="dark"' in (await visitor.get("/sample/components")).text
    visitor.client.cookies.set("banka_theme", "evil")
    assert "evil" not in (await visitor.get("/sample/components")).text


def test_the_environment_knows_what_the_templates_use() -> None:
    environment = cast("Any", make_environment(None))
    text = '{% do seen.append("gold"|named("product")) %}{{ seen[0] }}'
    assert environment.from_string(text).render(seen=[]) in {"金卡", "Gold card"}
    assert SimpleNamespace(**environment.globals).static("banka.css")


def test_words_of_a_catalogue_may_hold_a_sign_of_percent() -> None:
    environment = make_environment(None)
    said = environment.from_string("{{ _(words) }}").render(words="Debt takes 70 % of the income")
    assert said == "Debt takes 70 % of the income"
    said = environment.from_string('{{ _("%(n)s %% of <all>", n=n) }}').render(n="<b>")
    assert said == "&lt;b&gt; % of <all>"
