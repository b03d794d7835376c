"""`python -m services.intake` serves. `migrate` updates the schemas of intake and of the vault,
`organisation FILE.yaml [WHO [WHY]]` loads branches and staff (`-`: from the standard input),
`password USERNAME [WHO]` reads a password from the standard input and sets it,
`erase NUMBER [ROLE]` deletes the data of whose card it is under that number, or of who has another
role there, or locks it while a term runs, `index-names` lets people be found by name who applied
before that was possible, `rotate-bank-key` wraps persons' keys under the first line of the secret
`bank-key`, `reader` suggests what stands on ID cards. WHO, a staff id, and WHY stand
in the audit log."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

# openpyxl loads numpy where an environment has it, as developers' have for the reader of cards:
# 15 MB that no deployment's service holds. What needs it, `card_ocr`, is a process of its own.
sys.modules.setdefault("numpy", None)  # type: ignore[arg-type]

from services.intake import accounts, reader
from services.intake.accounts import AccountError
from services.intake.app import build
from services.intake.erasure import ErasureError, erase
from services.intake.naming import index_names
from services.intake.organisation import OrganisationError, read_organisation
from shared.clock import open_clock
from shared.events.payload import PartyRole
from shared.observability import configure_logging
from shared.privacy.vault_database import migrate_vault, rotate_bank_key
from shared.settings import Settings, SettingsError, load_settings
from shared.web.service import run

_USAGE = (
    "usage: python -m services.intake"
    " [migrate | organisation FILE|- [WHO [WHY]] | password USERNAME [WHO] | erase NUMBER [ROLE]"
    " | index-names | rotate-bank-key | reader]\n"
)


def main(arguments: list[str]) -> None:
    """Exits with 2 and one line where a setting, a secret or a file is missing or wrong."""
    try:
        match arguments:
            case []:
                pass
            case ["migrate"]:
                asyncio.run(migrate_vault(_settings()))
            case ["organisation", file, *by] if len(by) <= 2:
                text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
                _load(_settings(), text, _who(by), by[1] if len(by) > 1 else None)
                return
            case ["password", username, *by] if len(by) <= 1:
                settings = _settings()
                password = sys.stdin.readline().rstrip("\n")
                clock = open_clock(settings)
                asyncio.run(
                    accounts.set_password(settings, clock, username, password, who=_who(by))
                )
                return
            case ["erase", number, *roles] if len(roles) <= 1 and set(roles) <= set(PartyRole):
                settings = _settings()
                role = PartyRole(roles[0]) if roles else None
                outcome = asyncio.run(erase(settings, open_clock(settings), number, role))
                sys.stdout.write(f"{outcome}\n")
                return
            case ["index-names"]:
                sys.stdout.write(f"{asyncio.run(index_names(_settings()))} names entered\n")
                return
            case ["rotate-bank-key"]:
                wrapped = asyncio.run(rotate_bank_key(_settings()))
                sys.stdout.write(f"{wrapped} keys are wrapped anew\n")
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


def _who(by: list[str]) -> str:
    return f"staff:{by[0]}" if by else accounts.OPERATOR


def _load(settings: Settings, text: str, who: str, why: str | None) -> None:
    wanted = read_organisation(text)
    clock = open_clock(settings)
    loaded = asyncio.run(accounts.load(settings, clock, wanted, who=who, why=why))
    sys.stdout.write(f"organisation: {loaded.branches} branches, {loaded.staff} staff changed\n")


def _leave(words: str) -> None:
    sys.stderr.write(words)
    raise SystemExit(2)


main(sys.argv[1:])
