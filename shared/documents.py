"""The papers that customers hand in: checked by content, encrypted, named by their SHA-256.

Bytes lie in one object store (a folder or S3) that never sees them in clear. Whoever shows a paper
to a person records that; this module only stores and opens.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import obstore
from cryptography.exceptions import InvalidTag
from obstore.exceptions import NotFoundError
from obstore.store import LocalStore, from_url

from shared.privacy.bank_key import NONCE_BYTES
from shared.privacy.sealing import DataClass

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from shared.privacy.vault import DataKey, PartyKeys, Vault

MediaType = Literal["application/pdf", "image/jpeg", "image/png"]

LARGEST_DOCUMENT: Final = 10 * 1024 * 1024  # bytes
# An object: magic, id of its data key (16 bytes), nonce (12), ciphertext and tag.
_MAGIC: Final = b"bkd1"
_KEY_ID_BYTES: Final = 16


class DocumentRefusedError(ValueError):
    """The bytes are no paper that the office takes; `code` says why."""

    def __init__(self, code: Literal["empty", "too_large", "unknown_type", "damaged"]) -> None:
        super().__init__(f"document refused ({code})")
        self.code = code


class DocumentMissingError(LookupError):
    """The store does not hold that paper."""


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

    async def put(self, keys: PartyKeys, content: bytes) -> StoredDocument:
        """Keep a paper of a party; the same bytes twice are one paper.

        Raises DocumentRefusedError.
        """
        media_type = check_document(content)
        digest = hashlib.sha256(content).hexdigest()
        key = keys.by_class[DataClass.DOCUMENT]
        await obstore.put_async(
            self._store, _path(keys.application_id, digest), _encrypt(key, digest, content)
        )
        return StoredDocument(digest, media_type, len(content))

    async def get(self, application_id: str, sha256: str) -> bytes:
        """The clear bytes of a paper.

        Raises DocumentMissingError, DocumentDamagedError, and KeyUnavailableError where the
        person's key is gone or this service may not see documents.
        """
        try:
            result = await obstore.get_async(self._store, _path(application_id, sha256))
            stored = bytes(await result.bytes_async())
        except (NotFoundError, FileNotFoundError):
            raise DocumentMissingError(f"document {sha256} of {application_id}") from None
        header = len(_MAGIC) + _KEY_ID_BYTES
        if not stored.startswith(_MAGIC) or len(stored) < header + NONCE_BYTES:
            raise DocumentDamagedError(f"document {sha256} of {application_id}")
        key_id = str(uuid.UUID(bytes=stored[len(_MAGIC) : header]))
        key = (await self._vault.data_keys([key_id]))[key_id]
        try:
            content = key.cipher.decrypt(
                stored[header : header + NONCE_BYTES],
                stored[header + NONCE_BYTES :],
                _associated(application_id, sha256),
            )
        except InvalidTag:
            raise DocumentDamagedError(f"document {sha256} of {application_id}") from None
        return content

    async def delete(self, application_id: str, sha256: str) -> None:
        """Remove a paper whose retention has ended; nothing happens if it is gone already."""
        try:
            await obstore.delete_async(self._store, _path(application_id, sha256))
        except (NotFoundError, FileNotFoundError):
            return


def check_document(content: bytes) -> MediaType:
    """The type of a paper by its content, whatever its name says; raises DocumentRefusedError."""
    if not content:
        raise DocumentRefusedError("empty")
    if len(content) > LARGEST_DOCUMENT:
        raise DocumentRefusedError("too_large")
    media_type = sniff(content)
    if media_type is None:
        raise DocumentRefusedError("unknown_type")
    # a broken upload lacks its end, which every one of these formats marks
    complete = {
        "application/pdf": b"%%EOF" in content[-1024:],
        "image/jpeg": b"\xff\xd9" in content[-64:],
        "image/png": b"IEND" in content[-64:],
    }
    if not complete[media_type]:
        raise DocumentRefusedError("damaged")
    return media_type


def sniff(content: bytes) -> MediaType | None:
    """PDF, JPEG or PNG by the first bytes; None for anything else."""
    if content.startswith(b"%PDF-"):
        return "application/pdf"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    return None


def _open_store(url: str) -> ObjectStore:
    if url.startswith("file://"):
        return LocalStore.from_url(url, mkdir=True)
    return from_url(url)


def _encrypt(key: DataKey, digest: str, content: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    sealed = key.cipher.encrypt(nonce, content, _associated(key.application_id, digest))
    return _MAGIC + uuid.UUID(key.data_key_id).bytes + nonce + sealed


def _path(application_id: str, digest: str) -> str:
    # both come from events too: neither may lead out of the store
    application = str(uuid.UUID(application_id))
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise DocumentMissingError("not a SHA-256")
    return f"{application}/{digest}"


def _associated(application_id: str, digest: str) -> bytes:
    return f"{application_id}|{digest}".encode()
