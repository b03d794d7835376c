"""The papers that customers hand in, encrypted, named by their SHA-256, with their pages drawn.

Bytes lie in one object store (a folder or S3) that never sees them in clear. Whoever shows a paper
to a person records that; this module only stores and opens. `shared.paper_images` has checked what
is stored.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import obstore
from cryptography.exceptions import InvalidTag
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, from_url
from prometheus_client import Counter

from shared.paper_images import CheckedPaper, MediaType
from shared.privacy.bank_key import NONCE_BYTES
from shared.privacy.sealing import DataClass

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from shared.privacy.vault import DataKey, PartyKeys, Vault

# An object: magic, id of its data key (16 bytes), nonce (12), ciphertext and tag.
_MAGIC: Final = b"bkd1"
_KEY_ID_BYTES: Final = 16

FAILURES = Counter(
    "banka_document_store_failures_total",
    "Papers that the store (folder or S3) did not take, give or delete: full, away, or it refuses",
    ["operation"],
)


class DocumentMissingError(LookupError):
    """The store does not hold that paper."""


class DocumentsUnavailableError(OSError):
    """The store does not do its work: full, away, or it refuses us. Trying again may help."""


class DocumentDamagedError(ValueError):
    """The stored bytes are not the ones that were put in."""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """What is known about a paper once it is kept."""

    sha256: str  # of the clear bytes, lower-case hex
    media_type: MediaType
    size: int  # bytes, clear


class DocumentStore:
    """Keeps and opens papers; one per process."""

    def __init__(self, url: str, vault: Vault) -> None:
        self._store: ObjectStore = _open_store(url)
        self._vault = vault
        self.failing: dict[str, str] = {}  # {put, get or delete: why it failed the last time}

    async def put(self, keys: PartyKeys, paper: CheckedPaper) -> StoredDocument:
        """Keep a paper of a party; the same bytes twice are one paper."""
        digest = hashlib.sha256(paper.content).hexdigest()
        key = keys.by_class[DataClass.DOCUMENT]
        await self._write(key, _Name(keys.application_id, digest), paper.content)
        return StoredDocument(digest, paper.media_type, len(paper.content))

    async def put_pages(self, application_id: str, sha256: str, pages: Sequence[bytes]) -> None:
        """Keep the pictures of a paper's pages beside it, under the paper's own key; twice is once.

        Raises DocumentMissingError and KeyUnavailableError as `get` does.
        """
        key, _ = await self._read(_Name(application_id, sha256))
        for number, page in enumerate(pages, start=1):
            await self._write(key, _Name(application_id, sha256, number), page)

    async def get(self, application_id: str, sha256: str) -> bytes:
        """The clear bytes of a paper.

        Raises DocumentMissingError, DocumentDamagedError, and KeyUnavailableError where the
        person's key is gone or this service may not see documents.
        """
        return await self._open(_Name(application_id, sha256))

    async def get_page(self, application_id: str, sha256: str, number: int) -> bytes:
        """The picture of a page, from 1; raises as `get` does."""
        return await self._open(_Name(application_id, sha256, number))

    async def delete(self, application_id: str, sha256: str) -> None:
        """Remove a paper and its pages' pictures; nothing happens where they are gone already."""
        name = _Name(application_id, sha256)
        found = obstore.list(self._store, prefix=name.folder)
        with self._reached("delete"):
            paths = [one["path"] async for some in found for one in some]
        for path in paths:
            if path == name.path or path.startswith(f"{name.path}."):
                with (
                    contextlib.suppress(NotFoundError, FileNotFoundError),
                    self._reached("delete"),
                ):
                    await obstore.delete_async(self._store, path)

    async def _write(self, key: DataKey, name: _Name, content: bytes) -> None:
        nonce = os.urandom(NONCE_BYTES)
        sealed = key.cipher.encrypt(nonce, content, name.associated)
        head = _MAGIC + uuid.UUID(key.data_key_id).bytes
        with self._reached("put"):
            await obstore.put_async(self._store, name.path, head + nonce + sealed)

    async def _read(self, name: _Name) -> tuple[DataKey, bytes]:
        try:
            with self._reached("get"):
                result = await obstore.get_async(self._store, name.path)
                stored = bytes(await result.bytes_async())
        except (NotFoundError, FileNotFoundError):
            raise DocumentMissingError(str(name)) from None
        header = len(_MAGIC) + _KEY_ID_BYTES
        if not stored.startswith(_MAGIC) or len(stored) < header + NONCE_BYTES:
            raise DocumentDamagedError(str(name))
        key_id = str(uuid.UUID(bytes=stored[len(_MAGIC) : header]))
        return (await self._vault.data_keys([key_id]))[key_id], stored[header:]

    @contextlib.contextmanager
    def _reached(self, what: str) -> Iterator[None]:
        try:
            yield
        except (NotFoundError, FileNotFoundError):
            self.failing.pop(what, None)  # it answered
            raise
        except (BaseError, OSError) as error:
            FAILURES.labels(what).inc()
            # the first line says what; those behind it are its insides
            self.failing[what] = str(error).partition("\n")[0] or type(error).__name__
            raise DocumentsUnavailableError(f"{what} of papers: {self.failing[what]}") from error
        self.failing.pop(what, None)

    async def _open(self, name: _Name) -> bytes:
        key, sealed = await self._read(name)
        try:
            return key.cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.associated)
        except InvalidTag:
            raise DocumentDamagedError(str(name)) from None


@dataclass(frozen=True, slots=True)
class _Name:
    """Of a paper in the store, or of a page's picture; both parts come from events too, and neither
    may lead out of the store."""

    application_id: str
    sha256: str
    page: int | None = None

    def __post_init__(self) -> None:
        uuid.UUID(self.application_id)
        if len(self.sha256) != 64 or not set(self.sha256) <= set("0123456789abcdef"):
            raise DocumentMissingError("not a SHA-256")

    @property
    def folder(self) -> str:
        return str(uuid.UUID(self.application_id))

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.sha256}" + (f".{self.page}" if self.page else "")

    @property
    def associated(self) -> bytes:
        """What the sealed bytes belong to: they open as nothing else."""
        whole = f"{self.application_id}|{self.sha256}"
        return (f"{whole}|{self.page}" if self.page else whole).encode()

    def __str__(self) -> str:
        return f"document {self.sha256} of {self.application_id}"


def _open_store(url: str) -> ObjectStore:
    if url.startswith("file://"):
        return LocalStore.from_url(url, mkdir=True)
    return from_url(url)
