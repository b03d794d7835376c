"""`python -m services.intake` serves; `migrate` updates the schemas of intake and of the vault."""

import asyncio
import sys

from services.intake.app import build
from shared.observability import configure_logging
from shared.privacy.vault_database import migrate_vault
from shared.settings import SettingsError, load_settings
from shared.web.service import run


def main(arguments: list[str]) -> None:
    """Exits with 2 and one line where a setting, a secret or a file is missing or wrong."""
    if arguments == ["migrate"]:
        try:
            settings = load_settings("intake")
            configure_logging("intake")
            asyncio.run(migrate_vault(settings))
        except SettingsError as problem:
            sys.stderr.write(f"{problem}\n")
            raise SystemExit(2) from None
    run("intake", build)


main(sys.argv[1:])
