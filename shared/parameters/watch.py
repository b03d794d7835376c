"""Takes new parameters into a running service: whole and right, or not at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog
from prometheus_client import Gauge

from shared.parameters.load import fingerprint, held, seen, take
from shared.parameters.reading import ParametersError

LOOK_SECONDS = 5.0  # between two looks at the folder; it is read when it has rested for one

REFUSED = Gauge(
    "banka_parameters_refused",
    "1 while the folder of parameters holds something wrong and the service works with what it"
    " took before",
)

log = structlog.get_logger(__name__)


class Watch:
    """Looks after the folder of parameters (None: those that ship).

    refused: what is wrong with the folder as it is now, in one line, or "".
    """

    def __init__(self, folder: Path | None, *, seconds: float = LOOK_SECONDS) -> None:
        self.refused = ""
        self._folder = folder
        self._seconds = seconds

    async def run(self) -> None:
        """Look until cancelled."""
        tried = looked = seen()
        while True:
            await asyncio.sleep(self._seconds)
            now = await asyncio.to_thread(fingerprint, self._folder)
            # while files are being copied the folder changes from look to look
            if now == looked != tried:
                tried = now
                await asyncio.to_thread(self._take)
            looked = now

    def _take(self) -> None:
        before = held().digests()
        try:
            after = take(self._folder)
        except ParametersError as error:
            more = len(error.faults) - 1
            self.refused = f"refused: {error.faults[0]}" + (f" (and {more} more)" if more else "")
            REFUSED.set(1)
            log.error(
                "parameters refused, the old ones hold", detail=[str(one) for one in error.faults]
            )
        except Exception as error:  # whatever it is, the old ones hold
            self.refused = f"refused: {type(error).__name__}"
            REFUSED.set(1)
            log.exception("parameters cannot be read, the old ones hold")
        else:
            self.refused = ""
            REFUSED.set(0)
            new = sorted(after.digests().keys() - before.keys())
            log.info("parameters taken", version=[f"{code} {version}" for code, version in new])
