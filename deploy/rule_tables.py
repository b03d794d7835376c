"""docs/rules.md and its Chinese twin: every rule of the pre-check, written by `make docs`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from services.intake.rule_book import POLICY, RULES, Rule
from shared.events.payload import FIELD_CLASSES
from shared.parameters import load_return_codes

FOLDER = Path(__file__).parent.parent / "docs"
TEXTS: Mapping[str, str] = {"en": "rules.md", "zh-CN": "rules.zh-CN.md"}

_HEAD: Mapping[str, str] = {
    "en": """# The rules of the pre-check

Written by `make docs` from `services/intake/rule_book.py`; not by hand. Grade: A statute or
standard, B the vendor's or the press, C a secondary source, u the office's practice: what is not A
is to be confirmed by compliance before a bank relies on it. A parameter names its file under
`shared/parameters` and the place in it. Whatever is found is told at once.
""",
    "zh-CN": """# 初审规则

本文件由 `make docs` 根据 `services/intake/rule_book.py` 生成，请勿手工修改。

等级：A 法规或标准，B 厂商资料或新闻，C 二手资料，u 办公室惯例。
非 A 级的须经合规部门确认后方可使用。

参数一列写明 `shared/parameters` 下的文件及其位置。所有问题一次性告知。
""",
}
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "en": ("code", "what is found", "looks at", "reason", "grade", "parameter"),
    "zh-CN": ("代码", "问题", "依据的内容", "出处", "等级", "参数"),
}
# heading and what it means, in the order of the page
_PARTS: tuple[tuple[str, str, str, str], ...] = (
    (
        "block",
        "rules",
        "Block: the office cannot take the application",
        "阻断：不能受理",
    ),
    (
        "return",
        "rules",
        "Return: the customer brings or corrects something",
        "退回：客户须补充或更正",
    ),
    ("warn", "rules", "Warn: a person looks, nothing stops", "提示：人工核实，不影响受理"),
    ("return", "people", "Return, found by people alone", "退回：仅由人工发现"),
)
_ARTICLES = re.compile(r"Art\. ([0-9, ]+)")
_LOOKED_AT: Mapping[str, str] = {
    "every needed field": "各必填字段",
    "papers": "资料",
    "consent": "征信授权",
    "persons": "表内人员",
    "other applications": "其他申请",
    "product": "产品",
    "device": "设备",
}


class UnknownPartError(Exception):
    """A rule looks at something that has no words."""


def text(language: str) -> str:
    """The whole page in one language."""
    parts = [_HEAD[language]]
    for severity, by, english, chinese in _PARTS:
        found = [rule for rule in RULES if (rule.severity, rule.by) == (severity, by)]
        parts.append(
            f"\n## {english if language == 'en' else chinese}\n\n{_table(found, language)}"
        )
    return "".join(parts)


def _table(rules: Iterable[Rule], language: str) -> str:
    columns = _COLUMNS[language]
    rows = [columns, ("---",) * len(columns), *(_row(rule, language) for rule in rules)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(rule: Rule, language: str) -> tuple[str, ...]:
    words = load_return_codes().codes[rule.code].names.in_language(language)
    reason = rule.citation
    if language != "en":
        reason = _ARTICLES.sub(r"第 \1 条", reason).replace(POLICY, "本行规定")
    return (
        f"`{rule.code}`",
        words,
        ", ".join(_looked_at(one, language) for one in rule.looks_at),
        reason,
        rule.grade,
        f"`{rule.parameter}`" if rule.parameter else "",
    )


def _looked_at(part: str, language: str) -> str:
    if part in FIELD_CLASSES:
        return f"`{part}`"
    if part not in _LOOKED_AT:
        raise UnknownPartError(part)
    return part if language == "en" else _LOOKED_AT[part]
