"""`python -m services.intake reader`: reads ID cards by a machine, as suggestions for whoever
pre-checks.

A process of its own, and an office may do without: it needs what `requirements-reading.lock`
installs, and some memory. It writes to `card_reading` and to nothing else, so no application moves
by it. Pictures are hostile until shown otherwise: `services.intake.card_ocr` decodes and reads each
in a fork with limits.
"""

from __future__ import annotations

import asyncio
import importlib.util
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import structlog

from services.intake import store, store_reading
from services.intake.idcard import FIELDS, Line, Side, Suggestion, read_card
from services.intake.store_reading import Claimed
from shared.calendar import business_day
from shared.clock import Clock, open_clock
from shared.documents import DocumentDamagedError, DocumentMissingError, DocumentStore
from shared.events.payload import FIELD_CLASSES
from shared.messaging.errors import one_line
from shared.paper_images import DocumentRefusedError, PaperReader
from shared.parameters import load_papers
from shared.postgres.pool import open_pool
from shared.privacy.vault import VAULT_DATABASE, KeyUnavailableError, Vault
from shared.privacy.vault_database import open_vault
from shared.settings import Settings, SettingsError

log = structlog.get_logger(__name__)

POLL_SECONDS = 2.0
ALIVE = Path(tempfile.gettempdir(), "banka-reader")  # touched after each round: the health check's
_MORE_SECONDS = 30.0  # for what a claim covers besides the reading itself
_BACKOFF = 10.0  # seconds before a card is tried again, for each time that it was

KEPT: Mapping[str, str] = {
    **{name: FIELD_CLASSES[name] for names in FIELDS.values() for name in names
       if name in FIELD_CLASSES},
    "sex": "identity",
    "birth_date": "identity",
    "authority": "identity",
}  # fmt: skip
"""What is kept of a card, and the class of the key that seals it. No form asks for somebody's
ethnicity: it is not kept (个人信息保护法 6)."""


class CardReader(PaperReader):
    """Has the lines on papers read; see `shared.paper_images` for how."""

    module: ClassVar[str] = "services.intake.card_ocr"
    at_once: ClassVar[int] = 1  # it is the processor's work

    def limits(self) -> dict[str, Any]:
        """Within which a fork works."""
        return load_papers().cards.model_dump(mode="json")

    async def ready(self) -> None:
        """Load the machine. Raises DocumentRefusedError where it does not start."""
        await self.ask({"job": "ready"}, [])

    async def lines(self, content: bytes) -> list[list[Line]]:
        """The lines of text on each page. Raises DocumentRefusedError where that meets a limit, or
        breaks the machine."""
        pages, _ = await self.ask({"job": "read"}, [content])
        try:
            return [[_line(*one) for one in lines] for lines in pages]
        except (TypeError, ValueError):  # whoever broke a fork may write what they like
            raise DocumentRefusedError("too_complex") from None

    async def suggest(self, side: Side, content: bytes, clock: Clock) -> dict[str, Suggestion]:
        """What a side of a card says, by a picture of it. Raises DocumentRefusedError."""
        return read_card(side, await self.lines(content), business_day(clock.now()))


def _line(
    text: str, scores: Sequence[float], corners: Sequence[Sequence[float]], glare: float
) -> Line:
    first, second, third, fourth = [(float(x), float(y)) for x, y in corners]
    if len(text) != len(scores):
        raise ValueError("not a line")
    return Line(str(text), tuple(map(float, scores)), (first, second, third, fourth), float(glare))


class Reader:
    """Reads what waits, one card after the other."""

    def __init__(
        self, pool: Any, vault: Vault, documents: DocumentStore, reader: CardReader, clock: Clock
    ) -> None:
        self._pool = pool
        self._vault = vault
        self._documents = documents
        self._reader = reader
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled; waits where something is away."""
        delay = POLL_SECONDS
        while True:
            try:
                while await self.once():
                    _touch()
                _touch()
                delay = POLL_SECONDS
            except Exception as error:  # noqa: BLE001 - the next round does it
                log.warning("cards were not read", error=one_line(error))
                delay = min(2 * delay, 60.0)
            await asyncio.sleep(delay)

    async def once(self) -> bool:
        """Read one card; False where none waits."""
        cards = load_papers().cards
        since = self._clock.now() - timedelta(days=cards.days)
        async with self._pool.acquire() as conn:
            await store_reading.enlist(conn, cards.items, since)
            claimed = await store_reading.claim(conn, 2 * cards.cpu_seconds + _MORE_SECONDS)
        if claimed is None:
            return False
        if claimed.tries > cards.attempts:  # whoever had it in hand never came back
            await self._give_up(claimed, "too_complex")
            return True
        try:
            await self._read(claimed)
        except asyncio.CancelledError:
            await self._put_back(claimed, 0.0, counts=False)
            raise
        except KeyUnavailableError:
            await self._give_up(claimed, "erased")
        except (DocumentMissingError, DocumentDamagedError):
            await self._give_up(claimed, "missing")
        except DocumentRefusedError as refused:
            if claimed.tries < cards.attempts:
                await self._put_back(claimed, claimed.tries * _BACKOFF, counts=True)
            else:
                await self._give_up(claimed, refused.code)
        return True

    async def _read(self, claimed: Claimed) -> None:
        content = await self._documents.get(claimed.application_id, claimed.sha256)
        found = await self._reader.suggest(claimed.side, content, self._clock)
        kept = {name: one for name, one in found.items() if name in KEPT}
        async with self._pool.acquire() as conn:
            app = await store.find_application(conn, claimed.application_id)
        assert app is not None  # the queue's rows name one
        # asked for anew: a key that is gone by now seals nothing more
        keys = await self._vault.party_keys(app.holder.party_id, claimed.application_id)
        says = keys.seal_fields({name: one.value for name, one in kept.items()}, KEPT)
        async with self._pool.acquire() as conn:
            await store_reading.keep(conn, claimed, says, kept, self._clock.now())
        log.info("card read", document_id=claimed.document_id, kind=claimed.side, count=len(kept))

    async def _give_up(self, claimed: Claimed, failure: str) -> None:
        async with self._pool.acquire() as conn:
            await store_reading.give_up(conn, claimed, failure, self._clock.now())
        log.warning("card not read", document_id=claimed.document_id, reason=failure)

    async def _put_back(self, claimed: Claimed, seconds: float, *, counts: bool) -> None:
        async with self._pool.acquire() as conn:
            await store_reading.put_back(conn, claimed, seconds=seconds, counts=counts)


def _touch() -> None:
    ALIVE.touch()


async def serve(settings: Settings, *, vault_database: str = VAULT_DATABASE) -> None:
    """Read cards until SIGTERM. Raises SettingsError where the machine is not installed."""
    if importlib.util.find_spec("rapidocr") is None:
        raise SettingsError("the reader needs what requirements-reading.lock installs")
    settings.required("documents_url")
    async with AsyncExitStack() as closing:
        reader = CardReader()
        closing.callback(reader.close)
        try:
            await reader.ready()
        except DocumentRefusedError:
            raise SettingsError("the machine that reads cards does not start") from None
        pool = await open_pool(settings, "intake", min_size=1, max_size=2)
        closing.push_async_callback(pool.close)
        vault, vault_pool = await open_vault(
            settings, "intake", database=vault_database, max_size=1
        )
        closing.push_async_callback(vault_pool.close)
        documents = DocumentStore(settings.documents_url, vault)
        work = asyncio.create_task(
            Reader(pool, vault, documents, reader, open_clock(settings)).run()
        )
        for ended in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(ended, work.cancel)
        log.info("reader ready")
        with suppress(asyncio.CancelledError):
            await work
