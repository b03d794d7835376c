"""What a check is: the one form in which every file of this folder says what it asks and why.

How long an answer may be used and how patiently a system is asked are the bank's to set:
`checks.yaml` of the parameters, under the check's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel

from shared.parameters import AskedSystem, load_checks
from shared.privacy.sealing import DataClass

CheckName = Literal["identity", "meeting", "bureau", "watchlist"]


@dataclass(frozen=True, slots=True)
class AskedOf:
    """The system that a check asks.

    needs: fields of the party without which it is not asked.
    sealed_as: class of the key that seals the answer.
    resource: the noun under which the system takes questions (`reports`).
    report: what the system answers.
    question: (opened fields, payload of the call) -> what is asked.
    with_consent: only with the consent to the credit query, signed before, for its purpose.
    knows: whether the system holds people with such a document, by the opened fields.
    also: fields that are opened as well, where the party has them.
    beside: (answer, opened fields) -> the answer with what review itself finds beside it.
    """

    needs: tuple[str, ...]
    sealed_as: DataClass
    resource: str
    report: type[BaseModel]
    question: Callable[[Mapping[str, str], Mapping[str, Any]], dict[str, Any]]
    with_consent: bool = False
    knows: Callable[[Mapping[str, str]], bool] = lambda person: True  # noqa: ARG005
    also: tuple[str, ...] = ()
    beside: Callable[[Any, Mapping[str, str]], BaseModel] = lambda report, person: report  # noqa: ARG005


@dataclass(frozen=True, slots=True)
class CheckKind:
    """One check: what it asks, on which ground it is made, what its absence means.

    title: as pages call it (a message id).
    basis: legal ground, as the case's history keeps it.
    absence: the finding where there is no answer; it never lets an approval pass.
    system: whom it asks; None where review looks at the hand-over itself, each time anew.
    """

    name: CheckName
    title: str
    basis: str
    absence: str
    system: AskedOf | None = None

    @property
    def terms(self) -> AskedSystem:
        """The bank's terms for asking its system."""
        return load_checks().systems.of(self.name)

    @property
    def valid(self) -> timedelta:
        """How long an answer may be used again."""
        return timedelta(days=self.terms.valid_days)
