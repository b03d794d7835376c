"""The bank's own key: wraps every person's key and never enters a database."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES: Final = 32  # AES-256
NONCE_BYTES: Final = 12  # AES-GCM


class BankKeyError(ValueError):
    """The bank key is not what it must be, or did not wrap what it is asked to unwrap."""


class BankKey:
    """Wraps and unwraps persons' keys, and hides values for search.

    The secret's file has one key per line, 32 bytes in base64 or hex; the first wraps, the others
    only unwrap what older lines wrapped. The last line also keys the search index, so it stays when
    keys are rotated.
    """

    def __init__(self, keys: list[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise BankKeyError(f"a bank key has {KEY_BYTES} bytes")
        self._wrapping = {_key_id(key): AESGCM(_derive(key, b"banka person key")) for key in keys}
        self.ids = tuple(self._wrapping)  # of every key of the file
        self.current_id = _key_id(keys[0])
        self.index_id = _key_id(keys[-1])
        self._index_key = _derive(keys[-1], b"banka blind index")

    @classmethod
    def from_secret(cls, text: str) -> BankKey:
        """Read the content of the secret file `bank-key`; raises BankKeyError."""
        return cls([_decode(line.strip()) for line in text.splitlines() if line.strip()])

    def wrap(self, key: bytes, person: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._wrapping[self.current_id].encrypt(nonce, key, person.encode())

    def unwrap(self, wrapped: bytes, person: str, bank_key_id: str) -> bytes:
        cipher = self._wrapping.get(bank_key_id)
        if cipher is None:
            raise BankKeyError(f"bank key {bank_key_id} is not in the secret's file")
        try:
            return cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], person.encode())
        except InvalidTag:
            raise BankKeyError("the bank key did not wrap this person's key") from None

    def blind(self, kind: str, value: str) -> bytes:
        """A digest under which a value can be found again but not read (HMAC-SHA256)."""
        return hmac.digest(self._index_key, f"{kind}|{value}".encode(), hashlib.sha256)


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(key)


def _key_id(key: bytes) -> str:
    return _derive(key, b"banka key id").hex()[:16]


def _decode(line: str) -> bytes:
    if len(line) == 2 * KEY_BYTES:
        try:
            return bytes.fromhex(line)
        except ValueError:
            pass
    try:
        standard = line.translate(str.maketrans("-_", "+/"))
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except binascii.Error:
        raise BankKeyError(
            f"a bank key is {KEY_BYTES} bytes in base64 (openssl rand -base64 32)"
        ) from None
