"""What a check is: the one form in which every file of this folder says what it asks and why.

How long an answer may be used and how patiently a system is asked are the bank's to set:
`checks.yaml` of the parameters, under the check's name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.review.checks.subject import DOCUMENT_FIELDS
from shared.parameters import AskedSystem, load_checks
from shared.privacy.sealing import DataClass

CheckName = Literal[
    "identity", "meeting", "bureau", "watchlist", "fraud", "plausibility", "telephone"
]


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

    def about(self, fields: Mapping[str, str]) -> dict[str, str]:
        """What of a party's fields is opened for the question, sealed as they are."""
        also = (*DOCUMENT_FIELDS, *self.also)
        return {name: str(fields[name]) for name in (*self.needs, *also) if name in fields}

    def digest(self, fields: Mapping[str, str]) -> str:
        """By which an answer is known to be about these very fields: SHA-256 of their seals, of
        which a field keeps its own as long as it says the same."""
        return hashlib.sha256(json.dumps(self.about(fields), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What lies open where review looks by itself.

    person: opened fields of the applicant.
    warnings: codes that the pre-check left; papers: items that were handed over.
    shared: how many applications of this person, or persons with such a phone or address, there
    are within the term, this one included: {trace: count}.
    """

    person: Mapping[str, str]
    applicant_type: str
    region: str
    warnings: Sequence[str] = ()
    papers: Collection[str] = ()
    shared: Mapping[str, int] = field(default_factory=dict)


class RuleHit(BaseModel):
    """A rule that fired, by the code of its reason. `count`: of whatever it counts; None where it
    counts nothing."""

    model_config = ConfigDict(hide_input_in_errors=True, frozen=True)

    code: str
    count: Annotated[int, Field(ge=0)] | None = None


class OwnReport(BaseModel):
    """What review found by itself; `without`: fields that it would have looked at and that the
    hand-over has not, so that their rules say nothing."""

    model_config = ConfigDict(hide_input_in_errors=True, frozen=True)

    hits: list[RuleHit]
    without: list[str] = []


@dataclass(frozen=True, slots=True)
class LookedAt:
    """What review looks at by itself as soon as the evidence lies open, anew with every scoring.

    needs: fields of the party without which there is no answer; needs_of: of which applicants, None
    for all; also: others that are opened where the party has them.
    look: pure; a hit makes a person look and declines nobody.
    """

    look: Callable[[Evidence], OwnReport]
    needs: tuple[str, ...] = ()
    needs_of: frozenset[str] | None = None
    also: tuple[str, ...] = ()

    def report(self, evidence: Evidence) -> OwnReport | None:
        """What it finds; None where a field that it needs is missing."""
        needed = self.needs_of is None or evidence.applicant_type in self.needs_of
        if needed and not all(evidence.person.get(field) for field in self.needs):
            return None
        return self.look(evidence)


@dataclass(frozen=True, slots=True)
class CheckKind:
    """One check: what it asks, on which ground it is made, what its absence means.

    title: as pages call it (a message id).
    basis: legal ground, as the case's history keeps it.
    absence: the finding where there is no answer; it never lets an approval pass.
    system: whom it asks; None where review looks at the hand-over itself, each time anew.
    own: what it looks at with the evidence open; None where no field has to be opened for it.
    """

    name: CheckName
    title: str
    basis: str
    absence: str
    system: AskedOf | None = None
    own: LookedAt | None = None

    @property
    def terms(self) -> AskedSystem:
        """The bank's terms for asking its system."""
        return load_checks().systems.of(self.name)

    @property
    def valid(self) -> timedelta:
        """How long an answer may be used again."""
        return timedelta(days=self.terms.valid_days)
