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

CheckName = Literal["identity", "bureau", "watchlist"]


@dataclass(frozen=True, slots=True)
class CheckKind:
    """One check: what it needs, on which ground it is made, what its absence means.

    title: as pages call it (a message id).
    needs: fields of the party without which it is not made.
    basis: legal ground, as the case's history keeps it.
    sealed_as: class of the key that seals the answer.
    absence: the policy's finding where there is no answer; it never lets an approval pass.
    with_consent: made only with the consent to the credit query, signed before, for its purpose.
    resource: the noun under which the system takes questions (`reports`).
    report: what the system answers.
    question: (opened fields, payload of the call) -> what is asked.
    knows: whether the system holds people with such a document, by the opened fields.
    """

    name: CheckName
    title: str
    needs: tuple[str, ...]
    basis: str
    sealed_as: DataClass
    absence: str
    resource: str
    report: type[BaseModel]
    question: Callable[[Mapping[str, str], Mapping[str, Any]], dict[str, Any]]
    with_consent: bool = False
    knows: Callable[[Mapping[str, str]], bool] = lambda person: True  # noqa: ARG005

    @property
    def asked(self) -> AskedSystem:
        """The bank's terms for asking this system."""
        return load_checks().systems.of(self.name)

    @property
    def valid(self) -> timedelta:
        """How long an answer may be used again."""
        return timedelta(days=self.asked.valid_days)
