"""What is drawn hangs on the draws alone: a seed sends the same again, and hypothesis finds nothing
that differs when it draws a second time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from tests.fuzz.hostile import OTHERS, spoilt, written
from tests.fuzz.over_events import people
from tests.fuzz.over_http import each

_SEEDS = (27, 28)
_DRAWN = 100
_HOLDING_MUCH: dict[str, Any] = {"list": [[], {}], "nothing": None, "deep": {"": {"": []}}}
STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "people": people(),
    "documents": spoilt(_HOLDING_MUCH, most=6).flatmap(written),
}


@pytest.mark.parametrize("seed", _SEEDS)
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_seed_draws_the_same_again(name: str, seed: int) -> None:
    first, second = list[Any](), list[Any]()
    known = repr(OTHERS)
    for drawn in (first, second):
        each(STRATEGIES[name], _DRAWN, seed, drawn.append)
    assert second == first
    assert len(set(first)) > _DRAWN // 4
    assert repr(OTHERS) == known
