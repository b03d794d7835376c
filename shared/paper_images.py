"""Papers as pictures: checks what is uploaded, draws what people see, writes on it who looks.

Decoding happens in another process (`shared.paper_decoding`) with limits of memory and processor
time. This one never touches a decoder, and holds no more than the bytes.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from shared.paper_messages import Refusal, pack, unpack
from shared.parameters import load_papers

MediaType = Literal["application/pdf", "image/jpeg", "image/png"]

THUMBNAIL: Final = 240  # pixels, longest side
DRAWING: Final = 2
"""The version of how PDFs are drawn, to be counted up where one looks different than before. 1:
pages without what was typed and ticked in their forms; 2: with it."""
_ROOT: Final = Path(__file__).parents[1]
_AT_ONCE: Final = 2  # forks that decode for one process of a service
_GRACE: Final = 5.0  # seconds after which a fork that should have ended is given up


class DocumentRefusedError(ValueError):
    """The bytes are no paper that the office takes; `code` says why."""

    def __init__(self, code: Refusal) -> None:
        super().__init__(f"document refused ({code})")
        self.code = code


@dataclass(frozen=True, slots=True)
class CheckedPaper:
    """Bytes that were decoded wholly and within the limits: only such are kept."""

    content: bytes = field(repr=False)
    media_type: MediaType
    pages: int


class _Cut(Exception):
    """The fork ended without an answer: it met a limit, or the file broke its decoder. `seconds`:
    how long it had run."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"ended after {seconds:.1f} s")
        self.seconds = seconds


class PaperReader:
    """Has papers decoded; one per process of a service. Starts its helper when it is needed first,
    and again where it has ended."""

    module: ClassVar[str] = "shared.paper_decoding"  # what runs as the helper
    at_once: ClassVar[int] = _AT_ONCE

    def __init__(self) -> None:
        self._helper: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._room = asyncio.Semaphore(self.at_once)

    def limits(self) -> dict[str, Any]:
        """Within which a fork works."""
        return load_papers().model_dump(
            mode="json", exclude={"version", "digest", "refusals", "cards"}
        )

    async def check(self, content: bytes) -> CheckedPaper:
        """The paper that these bytes are, whatever its name says; raises DocumentRefusedError."""
        (found,) = await self.check_all([content])
        if isinstance(found, DocumentRefusedError):
            raise found
        return found

    async def check_all(
        self, contents: Sequence[bytes]
    ) -> list[CheckedPaper | DocumentRefusedError]:
        """What each of them is, in one fork; where a file ends that, in a fork for each."""
        found, _ = await self.check_within(contents, math.inf)
        return [one for one in found if one is not None]

    async def check_within(
        self, contents: Sequence[bytes], most_seconds: float
    ) -> tuple[list[CheckedPaper | DocumentRefusedError | None], float]:
        """What each of them is, and how many seconds it took. None: it was not looked at,
        because those before it had taken as many as they may together."""
        largest = load_papers().largest_bytes
        # what is too large is not even handed over
        small = [content if len(content) <= largest else None for content in contents]
        told, seconds = await self._examine([one for one in small if one is not None], most_seconds)
        each = iter(told)
        return [
            DocumentRefusedError("too_large") if one is None else _checked(one, next(each))
            for one in small
        ], seconds

    async def _examine(
        self, contents: Sequence[bytes], most_seconds: float
    ) -> tuple[list[dict[str, Any] | None], float]:
        if not contents:
            return [], 0.0
        try:
            told, _ = await self._ask({"job": "check"}, contents)
            return told["papers"], told["seconds"]
        except _Cut as cut:
            spent = cut.seconds
        if len(contents) == 1:
            return [{"code": "too_complex"}], spent
        found: list[dict[str, Any] | None] = []
        for one in contents:
            if spent >= most_seconds:
                found.append(None)
                continue
            told, seconds = await self._examine([one], most_seconds)
            found += told
            spent += seconds
        return found, spent

    async def render_all(self, papers: Sequence[bytes]) -> list[list[bytes] | DocumentRefusedError]:
        """Every page of each of these checked papers as a JPEG, in one fork; where drawing meets a
        limit, in a fork for each."""
        if not papers:
            return []
        try:
            counts, drawn = await self._ask({"job": "render"}, papers)
        except _Cut:
            if len(papers) == 1:
                return [DocumentRefusedError("too_complex")]
            return [(await self.render_all([one]))[0] for one in papers]
        pages = iter(drawn)
        return [list(itertools.islice(pages, count)) for count in counts]

    async def stamp(self, page: bytes, text: str, *, longest: int | None = None) -> bytes:
        """A rendered page with the text written all over it, at most so many pixels long; raises
        DocumentRefusedError."""
        asked = {
            "job": "stamp",
            "text": text,
            "longest": longest or load_papers().preview_pixels,
        }
        _, (stamped,) = await self.ask(asked, [page])
        return stamped

    def close(self) -> None:
        """End the helper; what is being decoded is given up."""
        if self._control is not None:
            self._control.close()  # the helper reads its end
        if self._helper is not None:
            self._helper.wait(timeout=_GRACE)
        self._control = self._helper = None

    async def ask(self, asked: dict[str, Any], blobs: Sequence[bytes]) -> tuple[Any, list[bytes]]:
        """What a job of the helper's comes to. Raises DocumentRefusedError where it meets a limit,
        or breaks its fork."""
        try:
            return await self._ask(asked, blobs)
        except _Cut:
            raise DocumentRefusedError("too_complex") from None

    async def _ask(self, asked: dict[str, Any], blobs: Sequence[bytes]) -> tuple[Any, list[bytes]]:
        limits = self.limits()
        message = pack({**asked, "limits": limits}, blobs)
        async with self._room:
            begun = time.monotonic()
            ours, theirs = socket.socketpair()
            try:
                with theirs:
                    self._hand_over(theirs)
                reader, writer = await asyncio.open_unix_connection(sock=ours)
            except BaseException:
                ours.close()
                raise
            try:
                async with asyncio.timeout(2 * limits["cpu_seconds"] + _GRACE):
                    writer.write(message)
                    writer.write_eof()
                    return unpack(await reader.read(-1))
            except (ConnectionError, TimeoutError, ValueError):
                raise _Cut(time.monotonic() - begun) from None
            finally:
                writer.close()

    def _hand_over(self, connection: socket.socket) -> None:
        if self._control is not None:
            try:
                socket.send_fds(self._control, [b"j"], [connection.fileno()])
                return
            except OSError:  # the helper has ended: begin another
                self.close()
        self._start()
        assert self._control is not None
        socket.send_fds(self._control, [b"j"], [connection.fileno()])

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._helper = subprocess.Popen(
                [sys.executable, "-m", self.module, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                # nothing of the service's settings: whoever breaks a decoder finds no secret
                env={name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
                start_new_session=True,
            )
        self._control = ours


def _checked(
    content: bytes, told: dict[str, Any] | None
) -> CheckedPaper | DocumentRefusedError | None:
    if told is None:
        return None
    if "code" in told:
        return DocumentRefusedError(told["code"])
    return CheckedPaper(content, told["media_type"], told["pages"])
