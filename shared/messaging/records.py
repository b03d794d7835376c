"""Reading Kafka records that aiokafka cannot: whatever a broker takes from a partner must arrive.

aiokafka raises for a whole batch if the name of one header is not UTF-8, takes the bits that no
version uses for a longer number, and believes the offsets that a client wrote into its records.
Brokers check none of it, so one such record would stop its partition for ever, or lose another. A
batch that aiokafka cannot read, or reads as if it had holes, is read again here: as the protocol
says, whatever bytes a name may have, and numbered as the broker counts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import decode_varint

_COUNT = struct.Struct(">i")  # of a batch's records: the last field of its header
_COUNT_AT = _DefaultRecordBatchPy.HEADER_STRUCT.size - _COUNT.size


def read_all() -> None:
    """From now on every consumer of this process reads such records, too."""
    fetcher.MemoryRecords = _Records


class _Records(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of a fetch, in aiokafka's own fast form, each with its bytes at hand."""

    def next_batch(self, *_args: Any) -> Any:
        raw = self._next_slice
        batch = super().next_batch()
        return batch if batch is None or batch.magic < 2 else _Batch(batch, raw)


class _Batch:
    """A batch as the fetcher sees it; offsets before those that were yielded it passes over."""

    def __init__(self, batch: Any, raw: Any) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        # offsets count the records, unless compaction took some out
        whole = _COUNT.unpack_from(self._raw, _COUNT_AT)[0] == self._batch.last_offset_delta + 1
        expected = self._batch.base_offset
        try:
            for record in self._batch:
                if whole and record.offset != expected:
                    break
                expected += 1
                yield record
            else:
                return
        except (UnicodeDecodeError, CorruptRecordException):
            pass
        # from the start: what was yielded already has an offset that the fetcher is beyond
        yield from _OddBatch(self._raw)


class _OddBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """A batch of records as the protocol describes them: a length before each, one byte of
    attributes, and names of headers that are not text in `\\xff` form."""

    _pos: int

    def _read_msg(self, *_args: Any) -> Any:
        buffer = self._buffer
        length, start = decode_varint(buffer, self._pos)
        pos = start + 1  # the attributes, which no version uses
        elapsed, pos = decode_varint(buffer, pos)
        stamp = self.first_timestamp + elapsed
        if self.timestamp_type == self.LOG_APPEND_TIME:
            stamp = self.max_timestamp
        delta, pos = decode_varint(buffer, pos)
        if self._num_records == self.last_offset_delta + 1:
            delta = self._next_record_index
        key, pos = _bytes(buffer, pos)
        value, pos = _bytes(buffer, pos)
        count, pos = decode_varint(buffer, pos)
        headers = []
        for _ in range(count):
            name, pos = _bytes(buffer, pos)
            content, pos = _bytes(buffer, pos)
            headers.append(((name or b"").decode("utf-8", "backslashreplace"), content))
        self._pos = start + length
        return _DefaultRecordPy(
            self.base_offset + delta, stamp, self.timestamp_type, key, value, headers
        )


def _bytes(buffer: Any, pos: int) -> tuple[bytes | None, int]:
    length, pos = decode_varint(buffer, pos)
    return (None, pos) if length < 0 else (bytes(buffer[pos : pos + length]), pos + length)
