"""Identity registry (联网核查): does this name belong to this ID number, and is it in force?

Ground: 反洗钱法 28, no service for unidentified customers. Absence: nobody is approved.

It holds citizens' ID cards alone. Asked about a residence permit (港澳台居民), a foreigner's
permanent residence card or a passport it would say "no match", and the bank would refuse somebody
who is entitled to apply. So it is not asked: a person decides, and approves only where somebody of
the bank saw the customer with the original.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from services.review.checks.kind import AskedOf, CheckKind
from services.review.policy import IdentityAnswer
from shared.formats import read_resident_id
from shared.privacy.sealing import DataClass
from shared.web.i18n import mark


class IdentityReport(BaseModel):
    """What the registry answers."""

    model_config = ConfigDict(hide_input_in_errors=True, frozen=True)

    match: bool
    status: Literal["normal", "cancelled"]

    @property
    def as_fact(self) -> IdentityAnswer:
        """As the policy names it: a cancelled number is not a match, whatever the name."""
        if self.status == "cancelled":
            return "cancelled"
        return "match" if self.match else "mismatch"


def knows(person: Mapping[str, str]) -> bool:
    """Whether the registry holds documents of this kind."""
    if person.get("id_type") == "passport":
        return False
    return read_resident_id(person["id_number"]).kind == "resident"


def question(person: Mapping[str, str], call: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """What is asked: `person` holds the opened fields."""
    return {"name": person["name"], "id_number": person["id_number"]}


CHECK = CheckKind(
    name="identity",
    title=mark("Identity registry"),
    basis="反洗钱法 28",
    absence="IDENTITY_UNAVAILABLE",
    system=AskedOf(
        needs=("name", "id_number"),
        sealed_as=DataClass.IDENTITY,
        resource="verify",
        report=IdentityReport,
        question=question,
        knows=knows,
    ),
)
