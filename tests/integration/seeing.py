"""docs/who-sees-what.md and its Chinese twin: which role is shown what, as tests found by trying.

Each service's test owns a section. It fails where the section says otherwise; run with
BANKA_WRITE_DOCS=1 it writes the section instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.web.permissions import Role

_FOLDER = Path(__file__).parents[2] / "docs"
_TEXTS: Mapping[str, str] = {"en": "who-sees-what.md", "zh": "who-sees-what.zh-CN.md"}

Sight = Literal["shown", "asked", "hidden"]
"""shown: with what is opened anyway. asked: alone, after a reason was given, which is recorded."""

_MARKS: Mapping[str, Mapping[Sight, str]] = {
    "en": {"shown": "yes", "asked": "for a reason", "hidden": "–"},
    "zh": {"shown": "可见", "asked": "说明理由", "hidden": "–"},
}
_ROLES: Mapping[str, Mapping[Role, str]] = {
    "en": {role: role.value.replace("_", " ") for role in Role},
    "zh": {
        Role.ASSISTANT: "客户经理助理",
        Role.REVIEWER: "信审员",
        Role.RISK_OFFICER: "风险经理",
        Role.COMPLIANCE: "合规",
        Role.MANAGER: "主管",
        Role.OPS: "运维",
        Role.AUDITOR: "审计",
    },
}


@dataclass(frozen=True)
class Row:
    """What is seen, in both languages, and by whom."""

    en: str
    zh: str
    seen: Mapping[Role, Sight]


@dataclass(frozen=True)
class Table:
    """One table with its heading in both languages."""

    en: str
    zh: str
    rows: Sequence[Row]


def agrees(service: str, tables: Iterable[Table]) -> bool:
    """Whether the documentation says of this service what was found; written first where that is
    wanted."""
    tables = list(tables)
    wanted = {language: _section(service, tables, language) for language in _TEXTS}
    if os.environ.get("BANKA_WRITE_DOCS"):
        for language, text in wanted.items():
            path = _FOLDER / _TEXTS[language]
            path.write_text(_with(path.read_text(encoding="utf-8"), service, text), "utf-8")
    return all(
        text in (_FOLDER / _TEXTS[language]).read_text(encoding="utf-8")
        for language, text in wanted.items()
    )


def _section(service: str, tables: Sequence[Table], language: str) -> str:
    roles = _ROLES[language]
    lines = [f"## {service}"]
    for table in tables:
        lines += ["", f"### {getattr(table, language)}", ""]
        lines.append(f"| | {' | '.join(roles.values())} |")
        lines.append("| --- |" + " --- |" * len(roles))
        lines += [
            f"| {getattr(row, language)} | "
            + " | ".join(_MARKS[language][row.seen[role]] for role in roles)
            + " |"
            for row in table.rows
        ]
    return "\n".join([*lines, ""])


def _with(page: str, service: str, section: str) -> str:
    """The page with this section in place of the one of before, or at its end."""
    head, found, rest = page.partition(f"## {service}\n")
    if not found:
        return f"{page.rstrip()}\n\n{section}"
    _, following, tail = rest.partition("\n## ")
    return head + section + (f"\n## {tail}" if following else "")
