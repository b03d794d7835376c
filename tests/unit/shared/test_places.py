"""The table of places: whole, and right where one can tell."""

from __future__ import annotations

import pytest

from shared import places
from shared.places import PROVINCES, is_place, retired_in


def test_every_province_with_counties_of_its_own_has_some() -> None:
    codes = places._retired().keys()
    assert {len(code) for code in codes} == {6}
    assert {code[:2] for code in codes} == PROVINCES.keys() - {"71", "81", "82", "83"}


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
        ("110000", False, None),
        ("441900", True, None),  # 东莞市 has no counties
        ("889999", False, None),
        ("449999", True, None),  # of people who are made up
    ],
)
def test_a_place_is_known_with_the_year_in_which_it_was_given_up(
    code: str, known: bool, year: int | None
) -> None:
    assert is_place(code) is known
    assert retired_in(code) == year
