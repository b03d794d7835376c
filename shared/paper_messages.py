"""How a service and the process that decodes its papers talk: one message each way."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

Refusal: TypeAlias = Literal[
    "empty",
    "too_large",
    "unknown_type",
    "damaged",
    "encrypted",
    "active",
    "two_in_one",
    "too_many_pages",
    "too_many_pixels",
    "too_complex",
]
"""Why a file is no paper that the office takes."""


def pack(header: Any, blobs: Sequence[bytes]) -> bytes:
    """One message: its length, the JSON with the blobs' sizes, the blobs."""
    head = json.dumps([header, [len(blob) for blob in blobs]]).encode()
    return b"".join([struct.pack(">I", len(head)), head, *blobs])


def unpack(message: bytes) -> tuple[Any, list[bytes]]:
    """The parts of a whole message; raises ValueError for a part of one."""
    if len(message) < 4:
        raise ValueError("cut off")
    place = 4 + struct.unpack_from(">I", message)[0]
    if len(message) < place:
        raise ValueError("cut off")
    header, sizes = json.loads(message[4:place])
    blobs = []
    for size in sizes:
        blobs.append(message[place : place + size])
        place += size
    if len(message) != place:
        raise ValueError("cut off")
    return header, blobs
