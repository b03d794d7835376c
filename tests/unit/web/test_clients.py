"""What a channel shows to be let in: a token that is its own, or one that a secret bought."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from shared.events.payload import Channel
from shared.web.clients import FILE, TOKEN_SECONDS, ApiClient, ApiClients, Secret
from shared.web.permissions import OF_PEOPLE, Permission
from shared.web.session import Session, Signer

KEY, NOW = b"k" * 48, 1_790_000_000.0
OLD, NEW = "old-secret-of-the-web-channel", "new secret: with+signs"
VIEW, EDIT = Permission.APPLICATION_VIEW, Permission.APPLICATION_EDIT


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def secret(text: str, begins: float | None = None, ends: float | None = None) -> Secret:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Secret.model_validate({"sha256": digest, "not_before": begins, "expires": ends})


def web(*secrets: Secret, name: str = "web") -> ApiClient:
    return ApiClient(name, Channel.WEB, frozenset({VIEW, EDIT}), None, secrets=secrets)


def basic(name: str, text: str) -> str:
    return "Basic " + b64encode(f"{name}:{text}".encode()).decode()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def clients(clock: Clock) -> ApiClients:
    """The web channel on the way from one secret to the next; an app with a token of its own."""
    channel = web(secret(OLD, ends=NOW + 60), secret(NEW, begins=NOW - 60))
    return ApiClients([(None, channel), ("t" * 24, web(name="app"))], key=KEY, now=clock)


def test_both_secrets_hold_while_a_channel_changes_them(clients: ApiClients, clock: Clock) -> None:
    def holds(text: str) -> bool:
        return clients.by_secret(basic("web", text)) is not None

    clock.now = NOW - 61
    assert (holds(OLD), holds("new%20secret%3A+with%2Bsigns")) == (True, False)
    clock.now = NOW - 60
    assert (holds(OLD), holds("new%20secret%3A+with%2Bsigns")) == (True, True)
    clock.now = NOW + 60
    assert (holds(OLD), holds("new%20secret%3A+with%2Bsigns")) == (False, True)


@pytest.mark.parametrize(
    "shown",
    [
        None,
        "",
        basic("web", "wrong"),
        basic("web", ""),
        basic("app", OLD),
        basic("nobody", OLD),
        basic("web", "t" * 24),
        f"Bearer {OLD}",
        "Basic !!!",
        "Basic " + b64encode(b"\xff:\xff").decode(),
        "Basic " + b64encode(b"web").decode(),
        "Basic " + hashlib.sha256(OLD.encode()).hexdigest(),
    ],
)
def test_nothing_else_buys_a_token(clients: ApiClients, shown: str | None) -> None:
    assert clients.by_secret(shown) is None


def test_a_token_is_for_what_it_was_bought_for_and_does_not_last(
    clients: ApiClients, clock: Clock
) -> None:
    client = clients.by_secret(basic("web", OLD))
    assert client is not None
    token = clients.issue(client, [VIEW])
    found = clients.by_token(f"Bearer {token}")
    assert found is not None
    assert (found.id, found.permissions) == ("web", frozenset({VIEW}))
    whole = clients.by_token(f"Bearer {clients.issue(client, client.permissions)}")
    assert whole is not None
    assert whole.permissions == {VIEW, EDIT}
    clock.now += TOKEN_SECONDS - 1
    assert clients.by_token(f"Bearer {token}") is not None
    clock.now += 1
    assert clients.by_token(f"Bearer {token}") is None


def test_a_token_gives_no_more_than_the_list_does_now(clients: ApiClients, clock: Clock) -> None:
    token = clients.issue(web(), [VIEW, EDIT, Permission.OPERATIONS_REDRIVE])
    found = clients.by_token(f"Bearer {token}")
    assert found is not None
    assert found.permissions == {VIEW, EDIT}
    # who was struck off the list is out at once
    assert ApiClients([(None, web(name="app"))], key=KEY, now=clock).find(token) is None


def test_what_we_did_not_sign_is_no_token(clients: ApiClients, clock: Clock) -> None:
    token = clients.issue(web(), [VIEW])
    head, body, mac = token.split(".")
    unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0"  # {"alg":"none","typ":"at+jwt"}
    others = ApiClients([(None, web())], key=b"x" * 48, now=clock)
    claims = {"iss": "banka", "sub": "web", "exp": NOW + 60, "scope": VIEW}
    raw = jwt.encode(
        {"alg": "HS256", "typ": "at+jwt"}, claims, OctKey.import_key(KEY), algorithms=["HS256"]
    )
    session = Signer(KEY).seal(Session.begin("web", 1, NOW))
    for forged in (
        f"{head}.{body}.",
        f"{head}.{body}.{mac[:-2]}AA",
        f"{unsigned}.{body}.",
        f"{head}.{body[:-4]}.{mac}",
        others.issue(web(), [VIEW]),
        raw,  # signed with the key of the sessions itself
        session,
        "..",
        "a.b.c",
    ):
        assert clients.find(forged) is None, forged
    assert clients.find(token) is not None


def test_without_a_key_no_token_that_was_bought_counts(clients: ApiClients) -> None:
    token = clients.issue(web(), [VIEW])
    assert ApiClients([(None, web())]).find(token) is None


def test_the_list_names_secrets_by_digest(tmp_path: Path) -> None:
    entry = {"id": "web", "channel": "web", "permissions": ["application.view"]}
    digest = hashlib.sha256(OLD.encode()).hexdigest()
    (tmp_path / FILE).write_text(json.dumps([{**entry, "secrets": [{"sha256": digest}]}]))
    assert ApiClients.load(tmp_path, key=KEY).by_secret(basic("web", OLD)) is not None
    (tmp_path / FILE).write_text(json.dumps([entry]))
    with pytest.raises(ValueError, match="a client has a token or secrets"):
        ApiClients.load(tmp_path, key=KEY)
    wrong = {**entry, "secrets": [{"sha256": digest, "not_before": "2026-11-01"}]}
    (tmp_path / FILE).write_text(json.dumps([wrong]))
    with pytest.raises(ValueError, match="not_before"):  # a moment, not a day of some clock
        ApiClients.load(tmp_path, key=KEY)


@pytest.mark.parametrize("permission", sorted(OF_PEOPLE))
def test_no_program_is_let_do_what_two_people_answer_for(
    tmp_path: Path, permission: Permission
) -> None:
    entry = {"id": "robot", "channel": "web", "token": OLD, "permissions": ["review.view"]}
    (tmp_path / FILE).write_text(json.dumps([entry]))
    ApiClients.load(tmp_path)
    entry["permissions"] = ["review.view", permission]
    (tmp_path / FILE).write_text(json.dumps([entry]))
    with pytest.raises(ValueError, match=f"{permission}: for people alone"):
        ApiClients.load(tmp_path)
