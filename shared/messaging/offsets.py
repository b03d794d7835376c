"""Moving a consumer's stored offsets, in the transaction of what was applied up to there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# where they still stand where we left them, and never backwards, whatever stale records came
MOVE_OFFSETS = """
    UPDATE messaging.consumer_offset o SET next = p.to_
    FROM (SELECT * FROM unnest($3::int[], $4::bigint[], $5::bigint[])
          AS u (part, from_, to_) ORDER BY part) p
    WHERE o.consumer = $1 AND o.topic = $2 AND o.part = p.part AND o.next = p.from_
        AND p.to_ > p.from_
    RETURNING o.part
"""


@dataclass(frozen=True, slots=True)
class OffsetMove:
    """A partition's next offset, from where we stand to the end of a poll."""

    part: int
    start: int
    end: int


def columns(moves: Sequence[OffsetMove]) -> tuple[list[int], list[int], list[int]]:
    """The moves as the statement takes them."""
    return [m.part for m in moves], [m.start for m in moves], [m.end for m in moves]
