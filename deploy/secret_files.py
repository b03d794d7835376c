"""The folder of secrets that services, broker and database share: one file per secret.

The same names lie at /run/secrets in the deployment. Nothing is ever overwritten: a secret that
exists stays, because data were sealed and sessions signed with it.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path

from joserfc.jwk import ECKey

from shared.events import catalog
from shared.postgres.pool import app_role, owner_role
from shared.privacy.vault_database import VAULT_OWNER

ADMIN = "admin"  # the broker's super user: provisioning and operators
SUPERUSER = "superuser"
CLIENTS_FILE = "api-clients.json"  # as shared.web.clients reads it
OIDC_FILES = ("oidc.json", "oidc-ca.pem")  # as shared.web.oidc reads them
OPERATORS_FILES = (CLIENTS_FILE, *OIDC_FILES)  # never made here: what the bank says, or leaves out

# Channels of the demo and the tests that call intake's API, and what they may do there: a terminal
# of the office sees its branches, a channel its own applications. Their days pass in seconds.
CHANNELS = {"branch-terminal": "counter", "web-channel": "web"}
_CHANNEL_MAY = ["application.create", "application.edit", "application.view", "material.receive"]
_SEES_ITS_BRANCHES = frozenset({"branch-terminal"})
_RATE = {"per_second": 2000, "burst": 5000}


def kafka_users() -> list[str]:
    """Everyone with a name of their own on the broker: the services, the partners, operators."""
    return [ADMIN, *catalog.SERVICES, *(partner.name for partner in catalog.PARTNERS)]


def postgres_roles() -> list[str]:
    """Two roles for each service (`_owner` changes tables, `_app` changes rows), the vault's."""
    roles = [role(service) for service in catalog.SERVICES for role in (owner_role, app_role)]
    return [*roles, VAULT_OWNER]


def make_secrets(folder: Path) -> list[str]:
    """Write every secret that the folder lacks, readable to its owner alone; returns their names.

    Passwords are 32 random bytes in base64url, `bank-key` 32 bytes (it wraps the persons' keys),
    `session-key` 48, `office-key.json` a JWK set with one P-256 key for what partners seal to us.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        folder.chmod(0o700)
    contents = {
        **{f"kafka-{user}": _random(32) for user in kafka_users()},
        **{f"postgres-{role}": _random(32) for role in (SUPERUSER, *postgres_roles())},
        "session-key": _random(48),
        "bank-key": _random(32),
        "sms-token": _random(24),
        "office-key.json": _office_key(),
    }
    made = []
    for name, content in contents.items():
        path = folder / name
        if path.exists() and path.stat().st_size > 0:
            continue
        _write(path, content)
        made.append(name)
    return made


def _write(path: Path, content: str) -> None:
    """Written aside and renamed: a reader never sees half a secret."""
    incoming = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(content + "\n")
    incoming.replace(path)


def make_channels(folder: Path) -> None:
    """Let the demo's channels call the API: `token-<channel>` for each and the list of all in
    `api-clients.json`. For demo and tests; in production that list is the operators'."""
    if (folder / CLIENTS_FILE).exists():
        return
    entries = []
    for client, channel in CHANNELS.items():
        token = _random(32)
        _write(folder / f"token-{client}", token)
        entries.append(
            {
                "id": client,
                "token": token,
                "channel": channel,
                "permissions": _CHANNEL_MAY,
                "branches": None,
                "sees": "branch" if client in _SEES_ITS_BRANCHES else "own",
                "rate": _RATE,
            }
        )
    _write(folder / CLIENTS_FILE, json.dumps(entries, indent=1))


def read_secret(folder: Path, name: str) -> str:
    """A secret without its closing line break; raises FileNotFoundError naming the file."""
    return (folder / name).read_text(encoding="utf-8").strip()


def _random(length: int) -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(length)).decode().rstrip("=")


def _office_key() -> str:
    key = ECKey.generate_key("P-256", private=True, auto_kid=True)
    fields = {**key.as_dict(private=True), "use": "enc", "alg": "ECDH-ES"}
    return json.dumps({"keys": [fields]}, indent=1)
