"""Places as ID numbers name them: county codes of GB/T 2260, in force and retired.

The table holds every code of the revisions from December 1980 to April 2019 (places.tsv; from the
GB2260 project, BSD licence). A later code is unknown to it, which makes a person look and nothing
more: a number is given once, so such codes belong to children and to people registered late.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

# The county part 9999 is allocated nowhere, so no real person can have such a number.
SYNTHETIC_COUNTY: Final = "9999"

# GB/T 2260: first two digits of the region code
PROVINCES: Final[dict[str, str]] = {
    "11": "北京", "12": "天津", "13": "河北", "14": "山西", "15": "内蒙古",
    "21": "辽宁", "22": "吉林", "23": "黑龙江",
    "31": "上海", "32": "江苏", "33": "浙江", "34": "安徽", "35": "福建", "36": "江西",
    "37": "山东",
    "41": "河南", "42": "湖北", "43": "湖南", "44": "广东", "45": "广西", "46": "海南",
    "50": "重庆", "51": "四川", "52": "贵州", "53": "云南", "54": "西藏",
    "61": "陕西", "62": "甘肃", "63": "青海", "64": "宁夏", "65": "新疆",
    "71": "台湾", "81": "香港", "82": "澳门", "83": "台湾居住证",
}  # fmt: skip

# They have no counties in the table: what follows is not looked at.
_WITHOUT_COUNTIES: Final = frozenset({"71", "81", "82", "83"})


def is_place(region: str) -> bool:
    """Whether the six digits are or ever were the code of a place; a made-up person's are."""
    if region[:2] not in PROVINCES:
        return False
    county = region[2:]
    return county == SYNTHETIC_COUNTY or region[:2] in _WITHOUT_COUNTIES or region in _retired()


def retired_in(region: str) -> int | None:
    """The year in which the code was given up; None for one in force or unknown."""
    return _retired().get(region)


@cache
def _retired() -> dict[str, int | None]:
    """{code: the year in which it was given up}."""
    table = Path(__file__).with_name("places.tsv").read_text(encoding="ascii")
    rows = (line.partition("\t") for line in table.splitlines())
    return {code: int(year) if year else None for code, _, year in rows}
