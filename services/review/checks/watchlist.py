"""Watchlists: sanctions, politically exposed persons, the bank's own list.

Ground: 反洗钱法 28, 29. A resemblance is looked into by compliance and told to nobody else
(反洗钱法 35). Absence: nobody is approved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from services.review.checks.subject import subject
from services.review.policy import WatchlistAnswer

RESOURCE = "screen"
THRESHOLD = 0.85  # likeness from which a hit counts; u, confirmed by compliance


class Hit(BaseModel):
    """One entry that resembles the applicant."""

    model_config = ConfigDict(hide_input_in_errors=True, frozen=True, populate_by_name=True)

    list_name: Annotated[str, Field(alias="list", max_length=100)]
    score: Annotated[float, Field(ge=0, le=1)]


class WatchlistReport(BaseModel):
    """What the search found."""

    model_config = ConfigDict(hide_input_in_errors=True, frozen=True)

    hits: Annotated[list[Hit], Field(max_length=100)]

    @property
    def as_fact(self) -> WatchlistAnswer:
        return "hit" if any(hit.score >= THRESHOLD for hit in self.hits) else "clear"


def question(person: Mapping[str, str], call: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """What is asked: `person` holds the opened fields."""
    return subject(person)
