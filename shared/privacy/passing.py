"""Keys for what is kept a few days and belongs to no one person: a table of many.

The key lies wrapped by the bank key beside what it seals; without that row nothing can be opened.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.privacy.bank_key import KEY_BYTES, NONCE_BYTES, BankKey
from shared.privacy.vault import SealBrokenError


@dataclass(frozen=True, slots=True)
class PassingKey:
    """Seals the parts of one thing. `subject`: its id, in which alone they open."""

    subject: str
    bank_key_id: str
    wrapped: bytes = field(repr=False)
    _cipher: AESGCM = field(repr=False)

    @classmethod
    def make(cls, bank_key: BankKey, subject: str) -> Self:
        """A new key."""
        raw = os.urandom(KEY_BYTES)
        return cls(subject, bank_key.current_id, bank_key.wrap(raw, subject), AESGCM(raw))

    @classmethod
    def unwrap(cls, bank_key: BankKey, subject: str, bank_key_id: str, wrapped: bytes) -> Self:
        """The key again; raises BankKeyError."""
        raw = bank_key.unwrap(wrapped, subject, bank_key_id)
        return cls(subject, bank_key_id, wrapped, AESGCM(raw))

    def seal(self, part: str, text: str) -> bytes:
        """Encrypt a part; it opens only as this part."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), self._associated(part))

    def open(self, part: str, sealed: bytes) -> str:
        """Decrypt a part; raises SealBrokenError."""
        try:
            return self._cipher.decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._associated(part)
            ).decode()
        except InvalidTag:
            raise SealBrokenError(f"part {part} of {self.subject}") from None

    def _associated(self, part: str) -> bytes:
        return f"{self.subject}|{part}".encode()
