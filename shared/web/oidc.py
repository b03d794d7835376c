"""The bank's own identity provider: OpenID Connect, authorization code with PKCE.

`oidc.json` among the secrets says which; without it people sign in with a password of ours. Whoever
the provider vouches for is looked up among the staff and never made up: an organisation is a file.

Authlib has the protocol, joserfc the signatures; what is asked of the provider goes through httpx.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import httpx
import structlog
from authlib.common.security import generate_token
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from shared.settings import SettingsError

FILE = "oidc.json"
CA_FILE = "oidc-ca.pem"  # whom to trust where the provider's certificate is the bank's own
CALLBACK = "/sign-in/provider/callback"
# Never what a provider happens to offer: it may list `none`.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
_WAIT = 5.0  # seconds for each answer of the provider
_KEPT = (
    3600.0  # seconds that its addresses are believed; its keys until one is unknown or does not fit
)

log = structlog.get_logger(__name__)


class ProviderAway(Exception):
    """The provider does not answer, or not with what a provider answers."""


class AnswerRefused(Exception):
    """What came back does not prove who somebody is; the message is one word for the log."""


class ProviderSettings(BaseModel):
    """`oidc.json`.

    public_url: how browsers reach this office. claim: what of the ID token says who it is, and
    `claim_is` whether that is somebody's user name or staff id. local_users: whether passwords of
    ours open anything beside it. prompt: `login` has the provider ask again, for desks that people
    share. clock_skew: seconds that its clock may differ from ours.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    issuer: str
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretStr | None = None
    client_auth: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"
    public_url: str
    scope: Annotated[str, Field(pattern=r"^openid( |$)")] = "openid profile"
    claim: Annotated[str, Field(min_length=1)] = "preferred_username"
    claim_is: Literal["username", "staff_id"] = "username"
    local_users: bool = False
    prompt: Literal["login", "select_account"] | None = None
    clock_skew: Annotated[int, Field(ge=0, le=300)] = 60

    @field_validator("issuer", "public_url")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError("must be https://host or https://host/path")
        return value

    @model_validator(mode="after")
    def _public_url_is_an_origin(self) -> ProviderSettings:
        if urlsplit(self.public_url).path not in ("", "/"):
            raise ValueError("public_url has no path: https://host")
        return self

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends people back to; it has to know this address."""
        return self.public_url.rstrip("/") + CALLBACK


def load_provider(secrets_dir: Path, *, production: bool) -> IdentityProvider | None:
    """The provider of `oidc.json`, None without the file. Raises SettingsError naming each fault,
    never a value."""
    path = secrets_dir / FILE
    if not path.exists():
        return None
    try:
        settings = ProviderSettings.model_validate(json.loads(path.read_text("utf-8")))
    except ValidationError as problem:
        faults = "; ".join(
            f"{'.'.join(map(str, one['loc']))} {one['msg'].removeprefix('Value error, ')}".strip()
            for one in problem.errors(include_url=False, include_input=False)
        )
        raise SettingsError(f"secret {path}: {faults}") from None
    except ValueError:
        raise SettingsError(f"secret {path}: not JSON") from None
    for name in ("issuer", "public_url"):
        if production and not getattr(settings, name).startswith("https://"):
            raise SettingsError(f"secret {path}: {name} must be https in production")
    authority = secrets_dir / CA_FILE
    try:
        trusted = ssl.create_default_context(cafile=authority if authority.exists() else None)
    except (OSError, ssl.SSLError):
        raise SettingsError(f"secret {authority}: no certificates in PEM") from None
    return IdentityProvider(settings, trusted)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in on its way: what the browser keeps until it comes back from the provider."""

    state: str
    nonce: str
    verifier: str
    target: str
    begun: float

    @classmethod
    def begin(cls, target: str, now: float) -> Attempt:
        """A new one, to lead to `target` in the end. now: seconds of the epoch."""
        return cls(generate_token(24), generate_token(24), generate_token(64), target, now)

    @classmethod
    def read(cls, kept: Sequence[str]) -> Attempt:
        """What the browser kept, as `kept` gave it out."""
        state, nonce, verifier, target, begun = kept
        return cls(state, nonce, verifier, target, float(begun))

    def kept(self) -> list[str]:
        """For the browser."""
        return [self.state, self.nonce, self.verifier, self.target, str(self.begun)]


class _Metadata(BaseModel):
    """What the provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class IdentityProvider:
    """Sends people to the provider, and reads who they are when they come back."""

    def __init__(self, settings: ProviderSettings, trusted: ssl.SSLContext | bool = True) -> None:
        self.settings = settings
        self._trusted = trusted
        self._metadata: tuple[float, _Metadata] | None = None
        self._keys: KeySet | None = None

    async def address(self, attempt: Attempt) -> str:
        """Where to send somebody who wants to sign in. Raises ProviderAway."""
        settings = self.settings
        asked = {
            "nonce": attempt.nonce,
            "code_challenge": create_s256_code_challenge(attempt.verifier),
            "code_challenge_method": "S256",
            **({"prompt": settings.prompt} if settings.prompt else {}),
        }
        address: str = prepare_grant_uri(
            (await self._about()).authorization_endpoint,
            client_id=settings.client_id,
            response_type="code",
            redirect_uri=settings.redirect_uri,
            scope=settings.scope,
            state=attempt.state,
            **asked,
        )
        return address

    async def who(self, attempt: Attempt, code: str, issuer: str | None) -> str:
        """What the claim says of whoever came back with this code. Raises AnswerRefused,
        ProviderAway."""
        if issuer not in (None, self.settings.issuer):
            raise AnswerRefused("issuer")  # another provider's answer (RFC 9207)
        token = await self._token(attempt, code)
        claims = await self._claims(attempt, token)
        value = claims.get(self.settings.claim)
        if not isinstance(value, str) or not value.strip():
            raise AnswerRefused("claim-missing")
        return value.strip()

    async def _token(self, attempt: Attempt, code: str) -> Mapping[str, Any]:
        settings, about = self.settings, await self._about()
        secret = settings.client_secret
        body = prepare_token_request(
            "authorization_code",
            code=code,
            redirect_uri=settings.redirect_uri,
            code_verifier=attempt.verifier,
        )
        auth = ClientAuth(
            settings.client_id,
            secret.get_secret_value() if secret else "",
            settings.client_auth if secret else "none",
        )
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        address, headers, body = auth.prepare("POST", about.token_endpoint, headers, body)
        answer = await self._ask("POST", address, content=body, headers=headers)
        token = _content(answer)
        if "error" in token:
            log.warning("sign-in refused by the provider", error=str(token["error"])[:40])
            raise AnswerRefused("code")
        if answer.status_code != httpx.codes.OK:
            raise ProviderAway("token endpoint")
        return token

    async def _claims(self, attempt: Attempt, token: Mapping[str, Any]) -> Mapping[str, Any]:
        """The ID token's claims, once signature, issuer, audience, time and nonce are right."""
        settings = self.settings
        try:
            signed = await self._verified(str(token.get("id_token", "")))
            claims = CodeIDToken(
                signed.claims,
                signed.header,
                options={
                    "iss": {"essential": True, "value": settings.issuer},
                    "aud": {"essential": True, "value": settings.client_id},
                },
                params={
                    "nonce": attempt.nonce,
                    "client_id": settings.client_id,
                    "access_token": token.get("access_token"),
                },
            )
            claims.validate(now=int(time.time()), leeway=settings.clock_skew)
        except (JoseError, ValueError, TypeError) as problem:
            log.warning("sign-in with a token that is not right", problem=type(problem).__name__)
            raise AnswerRefused("token") from None
        found: Mapping[str, Any] = claims
        return found

    async def _verified(self, id_token: str) -> jwt.Token:
        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        try:
            return jwt.decode(id_token, await self._key_set(), registry=registry)
        except (InvalidKeyIdError, BadSignatureError):
            self._keys = None  # it has changed its keys since, maybe under the same name
            return jwt.decode(id_token, await self._key_set(), registry=registry)

    async def _key_set(self) -> KeySet:
        if self._keys is None:
            answer = await self._ask("GET", (await self._about()).jwks_uri)
            if answer.status_code != httpx.codes.OK:
                raise ProviderAway("keys")
            self._keys = KeySet.import_key_set(_content(answer))  # type: ignore[arg-type]
        return self._keys

    async def _about(self) -> _Metadata:
        now = time.monotonic()
        if self._metadata is not None and now < self._metadata[0] + _KEPT:
            return self._metadata[1]
        address = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        answer = await self._ask("GET", address)
        try:
            found = _Metadata.model_validate(_content(answer))
        except ValidationError:
            raise ProviderAway("configuration") from None
        if found.issuer != self.settings.issuer:
            log.error("the provider names another issuer", detail=found.issuer[:200])
            raise ProviderAway("issuer")
        self._metadata = now, found
        return found

    async def _ask(self, method: str, address: str, **more: Any) -> httpx.Response:
        try:
            async with httpx.AsyncClient(verify=self._trusted, timeout=_WAIT) as client:
                answer = await client.request(method, address, **more)
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            log.warning("the identity provider is away", error=type(problem).__name__)
            raise ProviderAway(type(problem).__name__) from None
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            log.warning("the identity provider is away", status=answer.status_code)
            raise ProviderAway(str(answer.status_code))
        return answer


def _content(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ProviderAway("no JSON object")
    return found
