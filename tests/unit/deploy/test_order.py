"""In which order `make test` runs the tests."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import LONGEST

ROOT = Path(__file__).parents[3]


def test_what_begins_is_there() -> None:
    assert [one for one in LONGEST if not (ROOT / one).exists()] == []
