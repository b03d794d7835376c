"""The session cookie: ours, unchanged, of this shift; and the token that forms carry."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.web.session import LIFETIME, RENEWED, Session, Signer

KEY = b"k" * 48
NOW = 1_790_000_000.0
SIGNER = Signer(KEY)
SESSION = Session.begin("A0101", 3, NOW)


def test_a_session_comes_back_as_it_was() -> None:
    assert SIGNER.open(SIGNER.seal(SESSION), NOW) == SESSION


@pytest.mark.parametrize(
    ("seconds", "valid"),
    [(-61, False), (-60, True), (0, True), (LIFETIME - 1, True), (LIFETIME, False)],
)
def test_a_session_lasts_one_shift_and_tolerates_a_clock_that_is_a_little_ahead(
    seconds: float, valid: bool
) -> None:
    signer = Signer(KEY, idle=2 * LIFETIME)
    assert (signer.open(signer.seal(SESSION), NOW + seconds) is not None) is valid


@pytest.mark.parametrize(("seconds", "valid"), [(0, True), (1799, True), (1800, False)])
def test_a_session_that_nobody_uses_ends(seconds: float, valid: bool) -> None:
    signer = Signer(KEY, idle=1800)
    assert (signer.open(signer.seal(SESSION), NOW + seconds) is not None) is valid


def test_a_session_that_is_used_goes_on_until_the_shift_ends() -> None:
    signer = Signer(KEY, idle=1800)
    cookie, now = signer.seal(SESSION), NOW
    while now + 1700 < NOW + LIFETIME:
        now += 1700
        session = signer.open(cookie, now)
        assert session is not None
        assert (session.digest, session.until) == (SESSION.digest, SESSION.until)
        cookie = signer.renewed(session, now) or cookie
    assert signer.open(cookie, NOW + LIFETIME) is None


def test_a_cookie_is_made_anew_once_a_minute_at_most() -> None:
    assert SIGNER.renewed(SESSION, NOW + RENEWED - 1) is None
    assert SIGNER.renewed(SESSION, NOW + RENEWED) is not None


def test_only_our_key_makes_a_session() -> None:
    assert Signer(b"x" * 48).open(SIGNER.seal(SESSION), NOW) is None


@given(st.data())
def test_no_changed_cookie_is_accepted(data: st.DataObject) -> None:
    sealed = SIGNER.seal(SESSION)
    place = data.draw(st.integers(0, len(sealed) - 1))
    mark = data.draw(st.sampled_from("ABCabc019-_.").filter(lambda one: one != sealed[place]))
    assert SIGNER.open(sealed[:place] + mark + sealed[place + 1 :], NOW) is None


@given(st.text(max_size=80))
def test_nonsense_is_nobody_and_never_an_error(cookie: str) -> None:
    assert SIGNER.open(cookie, NOW) is None


def test_a_colleague_cannot_be_put_into_a_signed_session() -> None:
    _, mac = SIGNER.seal(SESSION).split(".")
    body = json.dumps(["M0101", SESSION.issued_at, 3, SESSION.nonce, SESSION.seen_at]).encode()
    forged = base64.urlsafe_b64encode(body).decode().rstrip("=")
    assert SIGNER.open(f"{forged}.{mac}", NOW) is None


def test_a_form_token_is_no_session_signature() -> None:
    text, _ = SIGNER.seal(SESSION).split(".")
    assert SIGNER.open(f"{text}.{SIGNER.form_token(text)}", NOW) is None


def test_a_form_token_belongs_to_one_session() -> None:
    other = Session.begin("A0101", 3, NOW)
    token = SIGNER.form_token(SESSION.nonce)
    assert SIGNER.accepts_form(SESSION.nonce, token)
    assert not SIGNER.accepts_form(other.nonce, token)
    assert not SIGNER.accepts_form(SESSION.nonce, None)
    assert not SIGNER.accepts_form(SESSION.nonce, "")
    assert not SIGNER.accepts_form(SESSION.nonce, "令牌")


def test_two_sign_ins_are_two_sessions() -> None:
    assert Session.begin("A0101", 3, NOW).nonce != SESSION.nonce


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 are needed"):
        Signer(b"k" * 31)
