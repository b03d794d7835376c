"""What a database did for a statement, node by node: tests of lists look at rows, not at times."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


async def explained(conn: Any, statement: str, values: list[Any]) -> list[dict[str, Any]]:
    """The nodes of the plan by which the statement was run."""
    found = await conn.fetchval(
        f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}",
        *values,
    )
    return list(_nodes(json.loads(found)[0]["Plan"]))


def rows_read(node: dict[str, Any]) -> int:
    """Rows that a node gave, and those that it looked at and passed over."""
    passed_over = node.get("Rows Removed by Filter", 0) + node.get(
        "Rows Removed by Index Recheck", 0
    )
    return int((node["Actual Rows"] + passed_over) * node["Actual Loops"])


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for one in plan.get("Plans", ()):
        yield from _nodes(one)
