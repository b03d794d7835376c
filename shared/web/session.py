"""The signed session that all services accept: who signed in, when, and under which epoch.

The cookie holds no secret and no personal data; it is signed with the key that all services share.
It ends with the shift, and before that where nobody has used it for a while: whoever answers puts
the time of it into the cookie anew. Signing out ends it in every service; raising a member of
staff's epoch in the directory ends every session that they have.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from starlette.responses import Response

COOKIE = "banka_session"
LIFETIME = 12 * 3600  # seconds: one long shift; then people sign in again
IDLE = 3600  # seconds without a click, by default; `BANKA_SESSION_IDLE` says other minutes
RENEWED = 60  # seconds after which the cookie says anew that it was used
_CLOCK_SKEW = 60  # seconds that another machine's clock may be ahead
_KEY_MIN = 32  # bytes


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in. `issued_at` and `seen_at` (when it was last used) are machine time in whole
    seconds, not the business clock."""

    staff_id: str
    issued_at: int
    epoch: int
    nonce: str
    seen_at: int

    @property
    def digest(self) -> str:
        """What other services are told of it when it ends: nobody can make a cookie from it."""
        return hashlib.sha256(self.nonce.encode()).hexdigest()[:32]

    @property
    def until(self) -> datetime:
        """When it ends by itself, machine time."""
        return datetime.fromtimestamp(self.issued_at + LIFETIME, UTC)

    @classmethod
    def begin(cls, staff_id: str, epoch: int, wall_time: float) -> Session:
        """A session that starts now."""
        return cls(staff_id, int(wall_time), epoch, secrets.token_urlsafe(12), int(wall_time))


class Signer:
    """Signs and checks sessions and form tokens; idle: seconds after which an unused session is
    over. Raises ValueError for a key under 32 bytes."""

    def __init__(self, key: bytes, idle: int = IDLE) -> None:
        if len(key) < _KEY_MIN:
            raise ValueError(
                f"the session key has {len(key)} bytes, at least {_KEY_MIN} are needed"
            )
        self._key = key
        self._idle = idle

    def _mac(self, purpose: str, text: str) -> str:
        digest = hmac.new(self._key, f"{purpose}\0{text}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def seal(self, session: Session) -> str:
        """The session as the cookie's value."""
        body = json.dumps(
            [session.staff_id, session.issued_at, session.epoch, session.nonce, session.seen_at],
            separators=(",", ":"),
        )
        text = base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")
        return f"{text}.{self._mac('session', text)}"

    def open(self, cookie: str | None, wall_time: float) -> Session | None:
        """The session in a cookie, or None if it is absent, forged, older than a shift, or was not
        used for too long."""
        if not cookie or cookie.count(".") != 1:
            return None
        text, mac = cookie.split(".")
        if not hmac.compare_digest(mac.encode(), self._mac("session", text).encode()):
            return None
        try:
            body = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            staff_id, issued_at, epoch, nonce, seen_at = json.loads(body)
        except (binascii.Error, ValueError, TypeError):
            return None
        if not issued_at - _CLOCK_SKEW <= wall_time < issued_at + LIFETIME:
            return None
        if wall_time >= seen_at + self._idle:
            return None
        return Session(str(staff_id), int(issued_at), int(epoch), str(nonce), int(seen_at))

    def renewed(self, session: Session, wall_time: float) -> str | None:
        """The cookie that says that the session is in use now; None where it says so already."""
        if wall_time < session.seen_at + RENEWED:
            return None
        return self.seal(replace(session, seen_at=int(wall_time)))

    def sign(self, purpose: str, content: Sequence[str]) -> str:
        """Texts that a browser keeps for us and cannot change; for one purpose alone."""
        text = base64.urlsafe_b64encode(json.dumps(list(content)).encode()).decode().rstrip("=")
        return f"{text}.{self._mac(f'kept {purpose}', text)}"

    def signed(self, purpose: str, value: str | None) -> list[str] | None:
        """What was signed for this purpose; None if it is absent or forged."""
        text, _, mac = (value or "").partition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(f"kept {purpose}", text).encode()):
            return None
        found: list[str] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return found

    def form_token(self, nonce: str) -> str:
        """The token that forms of this session carry, so that no other site can post for it."""
        return self._mac("form", nonce)

    def accepts_form(self, nonce: str, token: str | None) -> bool:
        """Whether a posted token belongs to this session."""
        return token is not None and hmac.compare_digest(
            token.encode(), self.form_token(nonce).encode()
        )


def set_session(response: Response, value: str, *, secure: bool) -> None:
    """Puts a sealed session on the answer."""
    response.set_cookie(
        COOKIE, value, max_age=LIFETIME, path="/", secure=secure, httponly=True, samesite="lax"
    )


def clear_session(response: Response, *, secure: bool) -> None:
    """Takes the session off the browser."""
    response.delete_cookie(COOKIE, path="/", secure=secure, httponly=True, samesite="lax")
