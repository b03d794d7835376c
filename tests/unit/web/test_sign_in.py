"""Signing in and out: the right password, the right way back, and nowhere else."""

from __future__ import annotations

import httpx
import pytest

from shared.parameters import load_sign_in
from shared.web.session import COOKIE, IDLE, RENEWED
from tests.unit.web.conftest import Visit, Visitor, hidden


async def sign_in(
    visitor: Visitor, username: str, password: str, back_to: str = "/"
) -> httpx.Response:
    form = await visitor.get(f"/sign-in?next={back_to}")
    fields = {
        "username": username,
        "password": password,
        "csrf_token": hidden(form.text, "csrf_token"),
        "next": back_to,
    }
    return await visitor.post("/sign-in", fields)


async def test_a_password_manager_may_fill_the_page_in(visit: Visit) -> None:
    page = (await visit().get("/sign-in")).text
    assert 'autocomplete="username"' in page
    assert 'autocomplete="current-password"' in page


async def test_the_right_password_opens_the_page_that_was_wanted(visit: Visit) -> None:
    visitor = visit()
    answer = await sign_in(visitor, " A0101 ", "A0101", "/sample/components")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sample/components")
    cookie = next(one for one in answer.headers.get_list("set-cookie") if COOKIE in one)
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert (await visitor.get("/sample/components")).status_code == 200


async def test_a_wrong_password_and_an_unknown_name_look_the_same(visit: Visit) -> None:
    wrong = await sign_in(visit(), "A0101", "no")
    unknown = await sign_in(visit(), "A0199", "no")
    assert wrong.status_code == unknown.status_code == 401
    for answer in (wrong, unknown):
        assert "用户名或密码不正确" in answer.text
        assert COOKIE not in str(answer.headers.get_list("set-cookie"))
        assert 'value="no"' not in answer.text
    assert 'value="A0101"' in wrong.text


@pytest.mark.parametrize("name", ["A0101", "A0199"])  # an account, and a name that nobody has
async def test_after_too_many_tries_at_a_name_one_waits(visit: Visit, name: str) -> None:
    burst, answers = load_sign_in().accounts.burst, list[httpx.Response]()
    while not answers or (answers[-1].status_code == 401 and len(answers) < 10 * burst):
        answers.append(
            await sign_in(visit(), (name, f" {name.swapcase()}")[len(answers) % 2], "no")
        )
    late = answers.pop()
    assert late.status_code == 429
    assert len(answers) >= burst, "so many at once are no haste"
    assert "请等一分钟" in late.text
    assert int(late.headers["retry-after"]) > 0
    other = await sign_in(visit(), "A0102", "no")
    assert other.status_code == 401, "of another name nothing was too much"


async def test_after_too_many_tries_from_an_address_one_waits(visit: Visit) -> None:
    burst, answers = load_sign_in().addresses.burst, list[int]()
    hasty = visit()  # who does not even ask for the form is counted, too
    while not answers or (answers[-1] == 200 and len(answers) < 10 * burst):
        sent = {"username": f"N{len(answers)}", "password": "no"}
        answers.append((await hasty.post("/sign-in", sent)).status_code)
    assert answers.pop() == 429
    assert len(answers) >= burst
    elsewhere = visit(address="10.9.9.9")
    assert (await sign_in(elsewhere, "N1", "no")).status_code == 401


async def test_who_is_let_in_has_not_tried_in_vain(visit: Visit) -> None:
    for _ in range(2 * load_sign_in().accounts.burst):
        assert (await sign_in(visit(), "A0101", "A0101")).status_code == 303


async def test_a_sign_in_that_another_site_prepared_is_refused(visit: Visit) -> None:
    visitor, attacker = visit(), visit()
    theirs = hidden((await attacker.get("/sign-in")).text, "csrf_token")
    await visitor.get("/sign-in")
    for token in ("", "x", theirs):
        fields = {"username": "A0101", "password": "A0101", "csrf_token": token}
        answer = await visitor.post("/sign-in", fields)
        assert answer.status_code == 200
        assert "过期" in answer.text
        assert COOKIE not in visitor.client.cookies


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "http:evil.example",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "\t//evil.example",
        "javascript:alert(1)",
        "//[evil.example",
        "https://\u2100.example/",
        "evil.example",
        "",
        "/sign-in",
        "/sign-out",
    ],
)
async def test_signing_in_never_leads_out_of_the_house(visit: Visit, elsewhere: str) -> None:
    visitor = visit()
    form = await visitor.client.get("/sign-in", params={"next": elsewhere})
    assert hidden(form.text, "next") == "/"
    fields = {
        "username": "A0101",
        "password": "A0101",
        "csrf_token": hidden(form.text, "csrf_token"),
        "next": elsewhere,
    }
    answer = await visitor.post("/sign-in", fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    signed_in = await visitor.client.get("/sign-in", params={"next": elsewhere})
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/")


async def test_the_way_back_keeps_its_filters(visit: Visit) -> None:
    back_to = "/reporting/applications?q=0101&sort=-submitted"
    visitor = visit()
    form = await visitor.client.get("/sign-in", params={"next": back_to})
    assert hidden(form.text, "next") == back_to.replace("&", "&amp;")


async def test_signing_out_ends_the_session_and_needs_the_form_token(visit: Visit) -> None:
    visitor = visit("A0101")
    copied = visitor.client.cookies[COOKIE]
    assert (await visitor.post("/sign-out", {})).status_code == 403
    answer = await visitor.post("/sign-out", {"csrf_token": visitor.form_token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert (await visitor.get("/sample/components")).status_code == 303
    assert "已退出" in (await visitor.get("/sign-in")).text
    thief = visit()
    thief.client.cookies.set(COOKIE, copied, domain="banka.test")
    assert (await thief.get("/sample/components")).status_code == 303
    assert (await visit().post("/sign-out", {})).status_code == 303  # of nobody: nothing to end


async def test_a_session_is_kept_alive_by_people_and_not_by_pages(visit: Visit) -> None:
    visitor = visit("A0101", age=RENEWED + 1)
    by_itself = await visitor.get("/sample/components", **{"HX-Request": "true"})
    assert by_itself.status_code == 200
    assert COOKIE not in str(by_itself.headers.get_list("set-cookie"))
    looked = await visitor.get("/sample/components")
    (cookie,) = [one for one in looked.headers.get_list("set-cookie") if COOKIE in one]
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    again = await visitor.get("/sample/components")
    assert COOKIE not in str(again.headers.get_list("set-cookie")), "it is fresh"


async def test_what_ends_a_session_does_not_renew_it(visit: Visit) -> None:
    visitor = visit("A0101", age=RENEWED + 1)
    answer = await visitor.post("/sign-out", {"csrf_token": visitor.form_token})
    (cookie,) = [one for one in answer.headers.get_list("set-cookie") if COOKIE in one]
    assert "Max-Age=0" in cookie


async def test_whoever_was_away_for_an_hour_signs_in_again(visit: Visit) -> None:
    assert (await visit("A0101", age=IDLE - 5).get("/sample/components")).status_code == 200
    assert (await visit("A0101", age=IDLE + 1).get("/sample/components")).status_code == 303
