"""The checklist of an application: every item, 已完成 or 待补充, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from services.intake.form import ApplicationForm
from services.intake.rules import (
    CONSENT_ITEM,
    Paper,
    Wanted,
    applicable,
    consented,
    examine,
    sound,
)
from shared.parameters import Product

Need = Literal["mandatory", "one_of", "optional"]
_WEIGHT: dict[Need, int] = {"mandatory": 0, "one_of": 1, "optional": 2}


@dataclass(frozen=True, slots=True)
class Line:
    """One item. `need`: it is needed, it is one of a `group` of which one is enough, or it is
    welcome. `done`: nothing about it is open. `reasons`: (return code, field of the form or None)
    for everything that is open. `documents`: ids of its papers, newest first."""

    item: str
    need: Need
    group: str | None
    done: bool
    reasons: tuple[tuple[str, str | None], ...]
    documents: tuple[str, ...]


def checklist(
    form: ApplicationForm,
    papers: Sequence[Paper],
    product: Product,
    *,
    today: date,
    region: str,
    on_file: frozenset[str] = frozenset(),
    asked: Sequence[Wanted] = (),
) -> list[Line]:
    """The lines in the order of the product's matrix, then items that only a finding or a paper
    brought in. `asked`: what a reviewer wants besides and is still open."""
    needs: dict[str, tuple[Need, str | None]] = {}
    for requirement in applicable(form, product, today=today, region=region, on_file=on_file):
        for item in requirement.items:
            known = needs.get(item)
            if known is None or _WEIGHT[requirement.need] < _WEIGHT[known[0]]:
                needs[item] = (requirement.need, requirement.group)
    found = examine(form, papers, product, today=today, region=region, on_file=on_file)
    reasons: dict[str, list[tuple[str, str | None]]] = {}
    for wanted in (*found.wanted, *asked):
        reason = (wanted.code, wanted.field)
        if reason not in reasons.setdefault(wanted.item, []):
            reasons[wanted.item].append(reason)
        needs.setdefault(wanted.item, ("mandatory", None))
    for paper in papers:
        needs.setdefault(paper.item, ("optional", None))
    return [
        Line(
            item=item,
            need=need,
            group=group,
            done=not reasons.get(item) and _is_there(item, form, papers, product, today, on_file),
            reasons=tuple(reasons.get(item, ())),
            documents=tuple(paper.document_id for paper in reversed(papers) if paper.item == item),
        )
        for item, (need, group) in needs.items()
    ]


def _is_there(
    item: str,
    form: ApplicationForm,
    papers: Sequence[Paper],
    product: Product,
    today: date,
    on_file: frozenset[str],
) -> bool:
    if item == CONSENT_ITEM:
        return consented(form.consent, today)
    return item in on_file or bool(sound(item, papers, product))
