"""The business clock: the one source of "now" for decisions, deadlines and reports.

Time-outs, leases, back-off and lag never use it: they go by the machine's and the database's clock.
"""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from shared.settings import Settings

CLOCKS_APART = timedelta(minutes=1)
"""By how much, at most, the clock of another of the bank's systems and ours are taken to differ."""


class Clock(Protocol):
    """Tells the business time, as an aware instant in UTC."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock; the only one in production."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ClockUnreadableError(RuntimeError):
    """The clock file is missing or holds no instant."""


class SteppedClock:
    """Stands still at the instant written in a file until the driver of a demo or test moves it.

    All processes of a stack read the same file, so that all of them agree on "now". The file is
    read again only when it was replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int, int] | None = None
        self._now: datetime | None = None

    def now(self) -> datetime:
        """Raises ClockUnreadableError if the file is gone or is not one RFC 3339 instant."""
        try:
            status = self._path.stat()
            # the inode too: two steps may fall into one tick of the file system's clock
            version = (status.st_mtime_ns, status.st_ino, status.st_size)
            if version != self._version or self._now is None:
                self._now = parse_instant(self._path.read_text(encoding="ascii").strip())
                self._version = version
        except (OSError, ValueError) as problem:
            raise ClockUnreadableError(
                f"{self._path} must hold one RFC 3339 instant: {problem}"
            ) from None
        return self._now


def step_clock(path: Path, instant: datetime) -> None:
    """Move the business clock of a demo or test; readers see the old or the new instant."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(format_instant(instant) + "\n")
        # the services may run as another user than the driver
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def open_clock(settings: Settings) -> Clock:
    """The clock that the settings ask for: the machine's, or a stepped one outside production."""
    return SystemClock() if settings.clock_file is None else SteppedClock(settings.clock_file)


def parse_instant(text: str) -> datetime:
    """An RFC 3339 instant as aware UTC; raises ValueError without an offset."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return instant.astimezone(UTC)


def format_instant(instant: datetime) -> str:
    """RFC 3339 in UTC with `Z`; microseconds only where there are any."""
    if instant.tzinfo is None:
        raise ValueError("an instant has an offset from UTC")
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
