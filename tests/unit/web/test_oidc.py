"""Sign-in at the bank's identity provider: against one that runs, over HTTP."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey

from shared.settings import SettingsError
from shared.web.oidc import (
    CA_FILE,
    CALLBACK,
    FILE,
    IdentityProvider,
    ProviderSettings,
    load_provider,
)
from shared.web.session import COOKIE
from tests.browser.sample import make_app
from tests.identity_provider import CLIENT, SECRET, Provider, new_key, running_provider
from tests.unit.web.conftest import BROWSER, hidden

TRUSTED = ssl.create_default_context()  # once: it takes longer than most of the tests
WANTED = "/sample/components?sort=-number"


@pytest.fixture
async def bank() -> AsyncIterator[Provider]:
    async with running_provider() as provider:
        yield provider


def provider_for(bank: Provider, **settings: Any) -> IdentityProvider:
    given = {
        "issuer": bank.issuer,
        "client_id": CLIENT,
        "client_secret": SECRET,
        "public_url": "http://banka.test",
        "claim_is": "staff_id",
    }
    return IdentityProvider(ProviderSettings.model_validate(given | settings), TRUSTED)


class Desk:
    """A browser before the sample app; what leaves for the provider is sent there for real."""

    def __init__(self, folder: Path, provider: IdentityProvider) -> None:
        self.app = make_app(folder, provider)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url="http://banka.test", headers=BROWSER
        )

    async def begin(self, wanted: str = WANTED) -> httpx.Response:
        return await self.client.get("/sign-in/provider", params={"next": wanted})

    async def at_provider(self, begun: httpx.Response) -> str:
        """What the provider sends the browser back with, as an address of ours."""
        async with httpx.AsyncClient(verify=TRUSTED) as browser:
            sent = await browser.get(begun.headers["location"])
        assert sent.status_code == 302, sent.text
        return sent.headers["location"].removeprefix("http://banka.test")

    async def sign_in(self, wanted: str = WANTED) -> httpx.Response:
        return await self.client.get(await self.at_provider(await self.begin(wanted)))

    def let_in(self) -> bool:
        return COOKIE in self.client.cookies


async def test_whom_the_provider_vouches_for_gets_in_and_where_they_wanted(
    bank: Provider, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, provider_for(bank))
    page = (await desk.client.get("/sign-in", params={"next": WANTED})).text
    assert "/sign-in/provider?next=" in page
    answer = await desk.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, WANTED)
    assert (await desk.client.get("/sample/components")).status_code == 200
    cookies = answer.headers.get_list("set-cookie")
    attempt = next(one for one in cookies if one.startswith("banka_attempt_"))
    assert "Max-Age=0" in attempt, "an attempt is used once"


async def test_what_is_asked_of_the_provider_is_new_each_time(
    bank: Provider, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, provider_for(bank, prompt="login"))
    seen: dict[str, set[str]] = {"state": set(), "nonce": set(), "code_challenge": set()}
    for _ in range(3):
        begun = await desk.begin()
        await desk.at_provider(begun)
        cookie = next(
            one for one in begun.headers.get_list("set-cookie") if "banka_attempt_" in one
        )
        assert {"HttpOnly", "SameSite=lax", f"Path={CALLBACK}"} <= set(cookie.split("; "))
        for name, values in seen.items():
            values.add(bank.asked[name])
    assert {len(values) for values in seen.values()} == {3}
    assert bank.asked["prompt"] == "login"
    assert bank.asked["redirect_uri"] == f"http://banka.test{CALLBACK}"


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "/sign-in"])
async def test_it_leads_nowhere_but_into_the_house(
    bank: Provider, tmp_path: Path, wanted: str
) -> None:
    answer = await Desk(tmp_path, provider_for(bank)).sign_in(wanted)
    assert answer.headers["location"] == "/"


async def test_whoever_does_not_work_here_is_told_so_and_not_made_up(
    bank: Provider, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, provider_for(bank))
    bank.who = "<b>stranger"
    answer = await desk.sign_in()
    assert answer.status_code == 403
    assert "没有这个用户" in answer.text
    assert "&lt;b&gt;stranger" in answer.text
    assert not desk.let_in()


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"iss": "https://elsewhere.example"},
        {"aud": "another-client"},
        {"aud": "another-client", "azp": CLIENT},
        {"aud": ["another-client", CLIENT], "azp": "another-client"},
        {"aud": ["another-client", CLIENT]},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"iat": 4_000_000_000},
        {"at_hash": "of another token"},
        {"preferred_username": None},
        {"preferred_username": ["A0101"]},
        {"preferred_username": " "},
        {"alg": "none"},
    ],
)
async def test_a_token_that_is_not_right_in_one_way_lets_nobody_in(
    bank: Provider, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    desk = Desk(tmp_path, provider_for(bank))
    bank.claims = wrong
    answer = await desk.sign_in()
    assert answer.status_code == 401
    assert "无法核实" in answer.text
    assert not desk.let_in()


async def test_a_token_that_another_signed_lets_nobody_in(bank: Provider, tmp_path: Path) -> None:
    desk = Desk(tmp_path, provider_for(bank))
    forged = new_key()
    private = {**forged.as_dict(private=True), "kid": str(bank.keys[0].kid)}
    bank.key = RSAKey.import_key(private)
    assert (await desk.sign_in()).status_code == 401
    assert not desk.let_in()


async def test_a_key_that_the_provider_changed_since_is_asked_for(
    bank: Provider, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, provider_for(bank))
    assert (await desk.sign_in()).status_code == 303
    bank.keys.append(new_key())
    assert (await desk.sign_in()).status_code == 303
    same_name = {**new_key().as_dict(private=True), "kid": str(bank.keys[-1].kid)}
    bank.keys[-1] = RSAKey.import_key(same_name)
    assert (await desk.sign_in()).status_code == 303


@pytest.mark.parametrize(("ahead", "status"), [(50, 303), (-50, 303), (90, 401), (-90, 401)])
async def test_clocks_may_differ_a_little(
    bank: Provider, tmp_path: Path, ahead: int, status: int
) -> None:
    desk = Desk(tmp_path, provider_for(bank, clock_skew=70))
    now = int(time.time()) + ahead
    bank.claims = {"iat": now, "exp": now} if ahead < 0 else {"iat": now, "exp": now + 300}
    assert (await desk.sign_in()).status_code == status


async def test_what_was_begun_elsewhere_is_not_taken(bank: Provider, tmp_path: Path) -> None:
    """Or an attacker signs a colleague in as themselves, and reads what is typed."""
    theirs, ours = (Desk(folder, provider_for(bank)) for folder in (tmp_path, tmp_path))
    sent = await theirs.at_provider(await theirs.begin())
    await ours.begin()
    answer = await ours.client.get(sent)
    assert answer.status_code == 200
    assert "已过期" in answer.text
    assert not ours.let_in()
    assert bank.tokens == 0
    # nor in the name of one that was begun here
    own = await ours.at_provider(await ours.begin())
    state = httpx.URL(own).params["state"]
    assert "已过期" in (await ours.client.get(own.replace(state, state[:12] + "x"))).text
    assert bank.tokens == 0
    # nor with a cookie of one's own making
    state = httpx.URL(sent).params["state"]
    ours.client.cookies.set(f"banka_attempt_{state[:12]}", "WyJ4Il0.x", domain="banka.test")
    assert "已过期" in (await ours.client.get(sent)).text


async def test_a_kept_attempt_is_over_after_ten_minutes(
    bank: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By our own clock: a copied cookie ends with no browser's help."""
    desk = Desk(tmp_path, provider_for(bank))
    sent = await desk.at_provider(await desk.begin())
    later = time.time() + 601
    (copied,) = [one for one in desk.client.cookies.jar if one.name.startswith("banka_attempt_")]
    desk.client.cookies.set(copied.name, copied.value or "", domain="banka.test")
    monkeypatch.setattr("shared.web.sign_in.time.time", lambda: later)
    assert "已过期" in (await desk.client.get(sent)).text
    assert bank.tokens == 0


async def test_the_same_answer_counts_once(bank: Provider, tmp_path: Path) -> None:
    desk = Desk(tmp_path, provider_for(bank))
    sent = await desk.at_provider(await desk.begin())
    assert (await desk.client.get(sent)).status_code == 303
    assert "已过期" in (await desk.client.get(sent)).text


async def test_two_windows_may_sign_in_at_once(bank: Provider, tmp_path: Path) -> None:
    desk = Desk(tmp_path, provider_for(bank))
    first, second = await desk.begin("/sample/components"), await desk.begin("/")
    for begun, wanted in ((second, "/"), (first, "/sample/components")):
        answer = await desk.client.get(await desk.at_provider(begun))
        assert answer.headers["location"] == wanted


async def test_the_answer_of_another_provider_is_refused(bank: Provider, tmp_path: Path) -> None:
    desk = Desk(tmp_path, provider_for(bank))
    bank.issuer_sent = "https://elsewhere.example"
    assert (await desk.sign_in()).status_code == 401
    assert bank.tokens == 0


async def test_whoever_turns_back_at_the_provider_may_try_again(
    bank: Provider, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, provider_for(bank))
    bank.refuses = "access_denied"
    answer = await desk.sign_in()
    assert answer.status_code == 401
    assert "没有完成" in answer.text
    assert f"/sign-in/provider?next={WANTED}".replace("?sort=-", "%3Fsort%3D-") in answer.text


@pytest.mark.parametrize("when", ["begin", "back", "gone"])
async def test_a_provider_that_is_away_is_said_and_ends_nothing(
    bank: Provider, tmp_path: Path, when: str
) -> None:
    desk = Desk(tmp_path, provider_for(bank))
    colleague = Desk(tmp_path, provider_for(bank))
    await colleague.sign_in()
    if when == "gone":
        desk = Desk(tmp_path, provider_for(bank, issuer="http://127.0.0.1:1"))
    if when == "back":
        sent = await desk.at_provider(await desk.begin())
        bank.away = True
        answer = await desk.client.get(sent)
    else:
        bank.away = True
        answer = await desk.begin()
    assert answer.status_code == 503
    assert "暂时没有响应" in answer.text
    assert not desk.let_in()
    client = colleague.client
    client.cookies.set(COOKIE, client.cookies[COOKIE], domain="banka.test")
    assert (await client.get("/sample/components")).status_code == 200


async def test_a_provider_under_another_name_is_not_believed(
    bank: Provider, tmp_path: Path
) -> None:
    bank.claims = {"metadata issuer": "https://elsewhere.example"}
    assert (await Desk(tmp_path, provider_for(bank)).begin()).status_code == 503


@pytest.mark.parametrize("local", [False, True])
async def test_passwords_of_ours_open_something_only_if_the_bank_says_so(
    bank: Provider, tmp_path: Path, local: bool
) -> None:
    desk = Desk(tmp_path, provider_for(bank, local_users=local))
    page = (await desk.client.get("/sign-in")).text
    assert ('name="password"' in page) is local
    fields = {"username": "A0101", "password": "A0101"}
    if local:
        fields["csrf_token"] = hidden(page, "csrf_token")
    answer = await desk.client.post("/sign-in", data=fields)
    assert answer.status_code == (303 if local else 403)
    assert desk.let_in() is local


async def test_a_wrong_secret_of_ours_lets_nobody_in(bank: Provider, tmp_path: Path) -> None:
    desk = Desk(tmp_path, provider_for(bank, client_secret="another"))
    assert (await desk.sign_in()).status_code == 401
    assert not desk.let_in()


GOOD = {
    "issuer": "https://id.bank.example/realms/staff",
    "client_id": "banka",
    "client_secret": "hidden-0123",
    "public_url": "https://banka.bank.example",
}


def test_without_a_file_there_is_no_provider(tmp_path: Path) -> None:
    assert load_provider(tmp_path, production=True) is None
    (tmp_path / FILE).write_text(json.dumps(GOOD))
    provider = load_provider(tmp_path, production=True)
    assert provider is not None
    assert provider.settings.redirect_uri == f"https://banka.bank.example{CALLBACK}"
    assert not provider.settings.local_users
    assert "hidden-0123" not in repr(provider.settings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"issuer": "http://id.bank.example"}, "issuer must be https in production"),
        ({"public_url": "http://banka.bank.example"}, "public_url must be https in production"),
        ({"public_url": "https://banka.bank.example/office"}, "public_url has no path"),
        ({"issuer": "id.bank.example"}, "issuer must be https://host"),
        ({"client_id": ""}, "client_id String should have"),
        ({"secret": "x"}, "secret Extra inputs"),
        ({"clock_skew": 3600}, "clock_skew Input should be"),
        ({"scope": "profile"}, "scope String should match"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_place_and_no_value(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    (tmp_path / FILE).write_text(json.dumps(GOOD | change))
    with pytest.raises(SettingsError) as refused:
        load_provider(tmp_path, production=True)
    assert words in str(refused.value)
    assert FILE in str(refused.value)
    assert "hidden-0123" not in str(refused.value)


def test_what_is_no_file_of_the_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    with pytest.raises(SettingsError, match="not JSON"):
        load_provider(tmp_path, production=True)
    (tmp_path / FILE).write_text(json.dumps(GOOD))
    (tmp_path / CA_FILE).write_text("no certificate")
    with pytest.raises(SettingsError, match="no certificates in PEM"):
        load_provider(tmp_path, production=True)
