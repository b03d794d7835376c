"""Personal fields on their way from a partner: encrypted to the office's published key (JWE).

ECDH-ES with A256GCM, compact form, the key named by `kid`. Rotation: add a key in front, publish
both, take the old one out when no partner uses it any more.

    python -m shared.privacy.jwe new-key [OLD-FILE] > office-key.json
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from shared.identifiers import new_id

ALGORITHMS: Final = ["ECDH-ES", "A256GCM"]
_REGISTRY: Final = jwe.JWERegistry(algorithms=ALGORITHMS)
_LONGEST_TOKEN: Final = 700_000  # characters; a paper of about 500 kB
# the library stops at 64 KB unless told otherwise
_REGISTRY.max_ciphertext_length = _LONGEST_TOKEN


class JweError(ValueError):
    """A value is not a JWE to the office's key; `code` says why and never what was in it.

    Codes: `clear` (not a JWE at all), `unknown_key`, `algorithm`, `broken`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(f"not a JWE to the office's key ({code})")
        self.code = code


class OfficeKeys:
    """The office's private keys by `kid`, the first of them the one that partners should use."""

    def __init__(self, keys: list[ECKey]) -> None:
        if not keys:
            raise ValueError("the office's key set is empty")
        self._keys = {str(key.kid): key for key in keys}

    @classmethod
    def from_secret(cls, text: str) -> OfficeKeys:
        """Read the secret file `office-key.json`, a private JWK set; raises ValueError."""
        try:
            keys = [ECKey.import_key(jwk) for jwk in json.loads(text)["keys"]]
        except (JoseError, KeyError, TypeError, ValueError) as problem:
            raise ValueError(
                f"office-key.json is not a private JWK set: {type(problem).__name__}"
            ) from None
        if any(not key.kid or not key.is_private for key in keys):
            raise ValueError("office-key.json: every key needs a kid and its private part")
        return cls(keys)

    def decrypt(self, token: str) -> str:
        """The clear text of a compact JWE; raises JweError."""
        try:
            return self.decrypt_bytes(token).decode()
        except UnicodeDecodeError:
            raise JweError("broken") from None

    def decrypt_bytes(self, token: str) -> bytes:
        """The clear bytes of a compact JWE, such as a paper's; raises JweError."""
        if token.count(".") != 4 or len(token) > _LONGEST_TOKEN:
            raise JweError("clear")
        header = _header(token)
        if header.get("alg") != "ECDH-ES" or header.get("enc") != "A256GCM" or "zip" in header:
            raise JweError("algorithm")
        key = self._keys.get(str(header.get("kid")))
        if key is None:
            raise JweError("unknown_key")
        try:
            return jwe.decrypt_compact(token, key, registry=_REGISTRY).plaintext or b""
        except (JoseError, ValueError, TypeError, KeyError):
            raise JweError("broken") from None

    def public_jwks(self) -> dict[str, Any]:
        """The public key set that partners fetch."""
        return {"keys": [key.as_dict(private=False) for key in self._keys.values()]}


def _header(token: str) -> dict[str, Any]:
    first = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except ValueError:
        raise JweError("clear") from None
    if not isinstance(header, dict):
        raise JweError("clear")
    return header


def looks_like_jwe(value: object) -> bool:
    """Whether a value has the outer form of a compact JWE; a clear personal field has not."""
    return isinstance(value, str) and value.count(".") == 4 and value.startswith("eyJ")


def encrypt(clear: str | bytes, public_jwks: Mapping[str, Any]) -> str:
    """What a partner does: encrypt text or bytes to the first key of the office's public set."""
    jwk = public_jwks["keys"][0]
    key = ECKey.import_key(jwk)
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": jwk["kid"]}
    return jwe.encrypt_compact(
        header, clear.encode() if isinstance(clear, str) else clear, key, registry=_REGISTRY
    )


def new_key_set(old: str | None = None) -> str:
    """A private JWK set with a fresh P-256 key in front of the old ones, as JSON."""
    fresh = ECKey.generate_key("P-256", {"kid": new_id(), "use": "enc", "alg": "ECDH-ES"})
    kept = json.loads(old)["keys"] if old else []
    return json.dumps({"keys": [fresh.as_dict(private=True), *kept]}, indent=2)


def _main(arguments: list[str]) -> int:
    if not arguments or arguments[0] != "new-key" or len(arguments) > 2:
        sys.stderr.write("usage: python -m shared.privacy.jwe new-key [OLD-FILE]\n")
        return 2
    old = Path(arguments[1]).read_text(encoding="utf-8") if len(arguments) == 2 else None
    sys.stdout.write(new_key_set(old) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(_main(sys.argv[1:]))
