"""A candidate policy run over all past decisions, with the inputs that they rested on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

from services.review.policy import Policy, PolicyInputs
from services.review.portfolio import Past, Tally
from services.review.portfolio_runs import Ask, count
from shared.calendar import business_day


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay is about. `source`: the candidate's whole text, which its digest stands for."""

    opens: ClassVar[tuple[str, ...]] = ("inputs", "verdict")

    candidate_version: str
    candidate_digest: str
    since: datetime
    until: datetime
    decisions: int
    source: str = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        return {
            "candidate_version": self.candidate_version,
            "candidate_digest": self.candidate_digest,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "decisions": self.decisions,
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any], source: str) -> Self:
        return cls(
            told["candidate_version"],
            told["candidate_digest"],
            datetime.fromisoformat(told["since"]),
            datetime.fromisoformat(told["until"]),
            told["decisions"],
            source,
        )

    def tally(self, told: Mapping[str, Any] | None = None) -> Tally:
        return Tally() if told is None else Tally.from_json(told)

    def asker(self) -> Ask:
        candidate = Policy(self.source)

        def ask(tally: Tally, row: Any, opened: Mapping[str, str]) -> dict[str, Any] | None:
            found = tally.add(_past(row, opened), candidate)
            return found.as_json() if found is not None else None

        return ask


async def ask(conn: Any, candidate: Policy, since: datetime, until: datetime) -> Replay:
    """What a replay of this candidate would be about."""
    decisions = await count(conn, since, until)
    return Replay(candidate.version, candidate.digest, since, until, decisions, candidate.source)


def _past(row: Any, opened: Mapping[str, str]) -> Past:
    return Past(
        application_id=row["application_id"],
        region=row["region"],
        age_band=row["age_band"],
        product=row["product"],
        applicant_type=row["applicant_type"],
        month=f"{business_day(row['decided_at']):%Y-%m}",
        outcome=row["outcome"],
        granted=row["granted_limit"],
        state=row["state"],
        inputs=PolicyInputs.thaw(opened["inputs"]),
        verdict=json.loads(opened["verdict"]),
    )
