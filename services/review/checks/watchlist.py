"""Watchlists: those of the bank's screening system, and beside them the bank's own list of names.

Ground: 反洗钱法 28, 29. A resemblance is looked into by compliance and told to nobody else
(反洗钱法 35); what was like what, and what else was a little like it, is sealed with the answer.
Absence: nobody is approved. Who is open is screened again when the own list changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from services.review.checks.kind import AskedOf, CheckKind
from services.review.checks.names import OwnMatch, search
from services.review.checks.subject import subject
from services.review.policy import WatchlistAnswer
from shared.parameters import load_checks, load_internal_list
from shared.privacy.sealing import DataClass
from shared.web.i18n import mark


class Hit(BaseModel):
    """One entry that resembles the applicant."""

    model_config = ConfigDict(hide_input_in_errors=True, frozen=True, populate_by_name=True)

    list_name: Annotated[str, Field(alias="list", max_length=100)]
    score: Annotated[float, Field(ge=0, le=1)]


class WatchlistReport(BaseModel):
    """What the search found: `hits` in the screening system's lists, `own` in the bank's."""

    model_config = ConfigDict(hide_input_in_errors=True, frozen=True)

    hits: Annotated[list[Hit], Field(max_length=100)]
    own: list[OwnMatch] = []

    @property
    def as_fact(self) -> WatchlistAnswer:
        counts_from = load_checks().screening.outside
        outside = any(hit.score >= counts_from for hit in self.hits)
        return "hit" if outside or any(match.counts for match in self.own) else "clear"


def question(person: Mapping[str, str], call: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """What is asked: `person` holds the opened fields."""
    return subject(person)


def beside(report: WatchlistReport, person: Mapping[str, str]) -> WatchlistReport:
    """The answer with what the bank's own list says of the person's names."""
    names = [person[name] for name in ("name", "chinese_name") if person.get(name)]
    own = search(names, load_internal_list(), load_checks().screening)
    return report.model_copy(update={"own": own})


CHECK = CheckKind(
    name="watchlist",
    title=mark("Watchlists"),
    basis="反洗钱法 28, 29",
    absence="WATCHLIST_UNAVAILABLE",
    system=AskedOf(
        needs=("name", "id_number"),
        sealed_as=DataClass.IDENTITY,
        resource="screen",
        report=WatchlistReport,
        question=question,
        also=("chinese_name",),
        beside=beside,
    ),
)
