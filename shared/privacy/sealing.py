"""What a sealed value looks like: a payload can carry one without knowing how to open it.

This module imports nothing that can encrypt: payload models need the type only.
`shared.privacy.vault` seals and opens.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Self

from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

# bk1 . UUID of the data key . unpadded base64url of nonce (12 bytes) + ciphertext + tag (16 bytes)
SEALED_PATTERN = (
    r"^bk1\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.[A-Za-z0-9_-]{38,}$"
)
_SEALED = re.compile(SEALED_PATTERN)


class DataClass(StrEnum):
    """Kinds of personal data with a key each, so that a desk can be given some and not others."""

    CONTACT = "contact"  # how to reach and address the person: name, phone, e-mail, postal address
    IDENTITY = "identity"  # who the person is: ID number and term, birth date, nationality
    FINANCIAL = "financial"  # employer, income, other banks' limits
    DOCUMENT = "document"  # the bytes of the material handed in


class SealedParts(NamedTuple):
    """The pieces of a sealed value: which key opens it, and nonce + ciphertext in base64url."""

    data_key_id: str
    body: str


class Sealed(str):
    """One personal field, encrypted; worthless without the person's key.

    Its clear text never appears in `repr`, logs or schemas. Raises ValueError for anything that
    does not have the form `bk1.<data key id>.<base64url>`: clear text cannot slip into a payload by
    mistake.
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        if _SEALED.fullmatch(value) is None:
            # the value may be somebody's clear data: it must not stand in the error
            raise ValueError("not a sealed value (bk1.<data key id>.<base64url>)")
        return super().__new__(cls, value)

    @property
    def parts(self) -> SealedParts:
        _, data_key_id, body = self.split(".")
        return SealedParts(data_key_id, body)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        # A model that carries a Sealed sets `hide_input_in_errors=True`: pydantic would otherwise
        # print a rejected clear value in its error.
        return core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(pattern=SEALED_PATTERN, strict=True)
        )
