"""Intake from the command line.

python -m services.intake                         serve
python -m services.intake migrate                 update the schemas of intake and of the vault
python -m services.intake organisation FILE.yaml  load branches and staff
python -m services.intake password USERNAME       set a password, read from standard input
"""

import asyncio
import sys
from pathlib import Path

from services.intake.accounts import AccountError, load, set_password
from services.intake.app import build
from services.intake.organisation import OrganisationError, read_organisation
from shared.clock import open_clock
from shared.observability import configure_logging
from shared.privacy.vault_database import migrate_vault
from shared.settings import SettingsError, load_settings
from shared.web.service import run


def main(arguments: list[str]) -> None:
    """Exits with 2 and one line where a setting, a secret or a file is missing or wrong."""
    try:
        match arguments:
            case ["migrate"]:
                settings = load_settings("intake")
                configure_logging("intake")
                asyncio.run(migrate_vault(settings))
            case ["organisation", file]:
                _load_organisation(Path(file))
                return
            case ["password", username]:
                _set_password(username)
                return
    except (SettingsError, OrganisationError, AccountError) as problem:
        sys.stderr.write(f"{problem}\n")
        raise SystemExit(2) from None
    run("intake", build)


def _load_organisation(file: Path) -> None:
    settings = load_settings("intake")
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "not UTF-8"
        raise OrganisationError(f"{file}: {reason}") from None
    try:
        wanted = read_organisation(text)
    except OrganisationError as problem:
        lines = "\n".join(f"{file}: {line}" for line in str(problem).splitlines())
        raise OrganisationError(lines) from None
    loaded = asyncio.run(load(settings, open_clock(settings), wanted))
    sys.stdout.write(f"organisation: {loaded.branches} branches and {loaded.staff} staff changed\n")


def _set_password(username: str) -> None:
    settings = load_settings("intake")
    password = sys.stdin.readline().rstrip("\r\n")
    asyncio.run(set_password(settings, open_clock(settings), username, password))
    sys.stdout.write(f"password of {username} is set\n")


main(sys.argv[1:])
