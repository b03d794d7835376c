"""The table of places: whole, and right where one can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared import places
from shared.places import PROVINCES, is_place, retired_in


def test_the_table_is_in_order_and_of_known_provinces() -> None:
    text = Path(places.__file__).with_name("places.tsv").read_text(encoding="ascii")
    codes = [line.partition("\t")[0] for line in text.splitlines()]
    assert codes == sorted(set(codes))
    assert {len(code) for code in codes} == {6}
    assert {code[:2] for code in codes} <= PROVINCES.keys()
    # every province with counties of its own has some
    assert PROVINCES.keys() - {code[:2] for code in codes} <= {"71", "81", "82", "83"}


@pytest.mark.parametrize(
    ("code", "known", "year"),
    [
        ("360426", True, None),  # 德安县
        ("110101", True, None),  # 东城区
        ("110103", True, 2010),  # 崇文区
        ("110104", True, 2010),  # 宣武区
        ("130223", True, 2018),  # 滦县
        ("320721", True, 2014),  # 赣榆县
        ("110200", False, None),
        ("889999", False, None),
        ("449999", True, None),  # of people who are made up
    ],
)
def test_a_place_is_known_with_the_year_in_which_it_was_given_up(
    code: str, known: bool, year: int | None
) -> None:
    assert is_place(code) is known
    assert retired_in(code) == year
