"""docs/rules.md and its Chinese twin: every rule of the pre-check, and what holds in review
whatever a policy says. Written by `make docs`; `banka rules` prints the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.intake.rule_book import POLICY, RULES, Rule
from services.review.invariants import GAPS, INVARIANTS, Gap, Invariant, kind_of, place_of
from shared.events.payload import FIELD_CLASSES
from shared.parameters import load_return_codes

FOLDER = Path(__file__).parent.parent / "docs"
TEXTS: Mapping[str, str] = {"en": "rules.md", "zh-CN": "rules.zh-CN.md"}

_HEAD: Mapping[str, str] = {
    "en": """# The rules of the pre-check and of review

Written by `make docs` from `services/intake/rule_book.py` and `services/review/invariants.py`; not
by hand; `banka rules` prints the same. Grade: A statute or standard, B the vendor's or the press, C
a secondary source, d our own computation, u the office's practice: what is not A is to be confirmed
by compliance before a bank relies on it. A parameter names its file under `shared/parameters` (of a
credit policy under `services/review/policies`) and the place in it. Whatever the pre-check finds is
told at once. A rule of review has the functions that enforce it, in `services/review`, and what the
database refuses by itself.
""",
    "zh-CN": """# 初审与审批规则

本文件由 `make docs` 根据 `services/intake/rule_book.py` 和 `services/review/invariants.py` 生成，
请勿手工修改；`banka rules` 显示同样的内容。

等级：A 法规或标准，B 厂商资料或新闻，C 二手资料，d 自行推算，u 办公室惯例。
非 A 级的须经合规部门确认后方可使用。

参数一列写明 `shared/parameters`（策略在 `services/review/policies`）下的文件及其位置。
初审发现的所有问题一次性告知。
审批规则写明由 `services/review` 中的哪些函数执行，以及数据库自身的约束。
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
_OF_REVIEW: Mapping[str, tuple[str, ...]] = {
    "en": (
        *("code", "what holds", "enforced by", "the database refuses", "said as"),
        *("reason", "grade", "parameter"),
    ),
    "zh-CN": ("代码", "规则", "执行的函数", "数据库约束", "提示", "出处", "等级", "参数"),
}
_OF_GAPS: Mapping[str, tuple[str, ...]] = {
    "en": ("code", "rule", "why not", "reason", "grade"),
    "zh-CN": ("代码", "规则", "未执行的原因", "出处", "等级"),
}
_KINDS: Mapping[str, str] = {
    "problem": "接口代码",
    "finding": "策略结论",
    "obstacle": "批准障碍",
    "check": "检查结果",
}
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


@dataclass(frozen=True, slots=True)
class Section:
    """One table with its heading."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def text(language: str) -> str:
    """The whole page in one language."""
    parts = [_HEAD[language]]
    for section in sections(language):
        lines = [section.columns, ("---",) * len(section.columns), *section.rows]
        parts.append(f"\n## {section.heading}\n\n")
        parts.extend(f"| {' | '.join(line)} |\n" for line in lines)
    return "".join(parts)


def sections(language: str) -> Iterator[Section]:
    """Every table of the page in one language; codes stand in backticks."""
    en = language == "en"
    for severity, by, english, chinese in _PARTS:
        found = [rule for rule in RULES if (rule.severity, rule.by) == (severity, by)]
        rows = [_row(rule, language) for rule in found]
        yield Section(english if en else chinese, _COLUMNS[language], rows)
    yield Section(
        "Review: what holds whatever a policy says" if en else "审批：不论策略如何均须遵守",
        _OF_REVIEW[language],
        [_row_of_review(one, language) for one in INVARIANTS],
    )
    yield Section(
        "Review: what is not enforced" if en else "审批：尚未执行的规则",
        _OF_GAPS[language],
        [_row_of_gap(one, language) for one in GAPS],
    )


def _row(rule: Rule, language: str) -> tuple[str, ...]:
    words = load_return_codes().codes[rule.code].names.in_language(language)
    return (
        f"`{rule.code}`",
        words,
        ", ".join(_looked_at(one, language) for one in rule.looks_at),
        _reason(rule.citation, language),
        rule.grade,
        f"`{rule.parameter}`" if rule.parameter else "",
    )


def _row_of_review(rule: Invariant, language: str) -> tuple[str, ...]:
    said = (
        f"{kind if language == 'en' else _KINDS[kind]} `{code}`"
        for code in rule.refuses
        for kind in [kind_of(code)]
    )
    return (
        f"`{rule.code}`",
        rule.title.in_language(language),
        ", ".join(f"`{place_of(one)}`" for one in rule.enforced_by),
        "; ".join(f"`{one.table}: {one.says}`" for one in rule.constraints),
        ", ".join(said),
        _reason(rule.citation, language),
        rule.grade,
        f"`{rule.parameter}`" if rule.parameter else "",
    )


def _row_of_gap(gap: Gap, language: str) -> tuple[str, ...]:
    return (
        f"`{gap.code}`",
        gap.title.in_language(language),
        gap.why.in_language(language),
        _reason(gap.citation, language),
        gap.grade,
    )


def _reason(citation: str, language: str) -> str:
    if language == "en":
        return citation
    return _ARTICLES.sub(r"第 \1 条", citation).replace(POLICY, "本行规定")


def _looked_at(part: str, language: str) -> str:
    if part in FIELD_CLASSES:
        return f"`{part}`"
    if part not in _LOOKED_AT:
        raise UnknownPartError(part)
    return part if language == "en" else _LOOKED_AT[part]
