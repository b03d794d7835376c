"""`python -m services.intake` serves. `migrate` updates the schemas of intake and of the vault,
`organisation FILE.yaml` loads branches and staff (`-`: from the standard input),
`password USERNAME` reads a password from the standard input and sets it, `erase NUMBER` deletes the
data of who applied under that number, or locks it while a term runs, `index-names` lets people be
found by name who applied before that was possible, `reader` suggests what stands on ID cards."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from services.intake import accounts, reader
from services.intake.accounts import AccountError
from services.intake.app import build
from services.intake.erasure import ErasureError, erase
from services.intake.naming import index_names
from services.intake.organisation import OrganisationError, read_organisation
from shared.clock import open_clock
from shared.observability import configure_logging
from shared.privacy.vault_database import migrate_vault
from shared.settings import Settings, SettingsError, load_settings
from shared.web.service import run

_USAGE = (
    "usage: python -m services.intake"
    " [migrate | organisation FILE|- | password USERNAME | erase NUMBER | index-names | reader]\n"
)


def main(arguments: list[str]) -> None:
    """Exits with 2 and one line where a setting, a secret or a file is missing or wrong."""
    try:
        match arguments:
            case []:
                pass
            case ["migrate"]:
                asyncio.run(migrate_vault(_settings()))
            case ["organisation", file]:
                _load(
                    _settings(), sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
                )
                return
            case ["password", username]:
                settings = _settings()
                password = sys.stdin.readline().rstrip("\n")
                asyncio.run(
                    accounts.set_password(settings, open_clock(settings), username, password)
                )
                return
            case ["erase", number]:
                settings = _settings()
                outcome = asyncio.run(erase(settings, open_clock(settings), number))
                sys.stdout.write(f"{outcome}\n")
                return
            case ["index-names"]:
                sys.stdout.write(f"{asyncio.run(index_names(_settings()))} names entered\n")
                return
            case ["reader"]:
                asyncio.run(reader.serve(_settings()))
                return
            case _:
                _leave(_USAGE)
    except (AccountError, ErasureError, OSError, OrganisationError, SettingsError) as problem:
        _leave(f"{problem}\n")
    run("intake", build)


def _settings() -> Settings:
    settings = load_settings("intake")
    configure_logging("intake")
    return settings


def _load(settings: Settings, text: str) -> None:
    wanted = read_organisation(text)
    loaded = asyncio.run(accounts.load(settings, open_clock(settings), wanted))
    sys.stdout.write(f"organisation: {loaded.branches} branches, {loaded.staff} staff changed\n")


def _leave(words: str) -> None:
    sys.stderr.write(words)
    raise SystemExit(2)


main(sys.argv[1:])
