"""The command that makes an archived report again from its manifest and compares the bytes."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from services.reporting import editions
from shared.postgres.pool import open_pool
from shared.settings import Settings, SettingsError, load_settings
from shared.web import i18n
from shared.web.pages import LOCALE

SAME, DIFFERENT, UNKNOWN = 0, 1, 2  # exit codes


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 where the bytes are the same, 1 where they differ, 2 where nothing can be said:
    the manifest is unknown, or another build made it."""
    parser = argparse.ArgumentParser(prog="python -m services.reporting report")
    parser.add_argument("--manifest", required=True, metavar="ID")
    parser.add_argument("--verify", required=True, action="store_true")
    wanted = parser.parse_args(arguments)
    try:
        settings = load_settings("reporting")
        return asyncio.run(_verify(settings, wanted.manifest))
    except (SettingsError, OSError) as problem:
        sys.stderr.write(f"{problem}\n")
        return UNKNOWN


async def _verify(settings: Settings, manifest_id: str) -> int:
    load_words(settings)
    pool = await open_pool(settings, "reporting", min_size=1, max_size=2)
    try:
        found = await editions.verify(pool, manifest_id)
    finally:
        await pool.close()
    if found is None:
        sys.stderr.write(f"{manifest_id}: no such report\n")
        return UNKNOWN
    if found.same:
        sys.stdout.write(f"{manifest_id}: same bytes, sha256 {found.expected}\n")
        return SAME
    if found.changed:
        sys.stderr.write(
            f"{manifest_id}: made by another build (differs in: {', '.join(found.changed)});"
            " run the build that made it\n"
        )
        return UNKNOWN
    sys.stderr.write(
        f"{manifest_id}: DIFFERENT: archived {found.expected}, made anew {found.actual}\n"
    )
    return DIFFERENT


def load_words(settings: Settings) -> None:
    """The texts of reports, as the running service has them."""
    i18n.load([LOCALE, Path(__file__).parent / "locale"], settings.business_zone)
