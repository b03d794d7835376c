"""A candidate policy run over all past decisions, with the inputs that they rested on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar, Self

from services.review.accounts import early_arrears
from services.review.policy import Policy, PolicyInputs
from services.review.portfolio import Past, Tally
from services.review.portfolio_runs import Ask, count
from shared.calendar import business_day
from shared.parameters import EarlyArrears, load_accounts


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay is about. `source`: the candidate's whole text, which its digest stands for.

    facts_until: what was heard of cards and accounts before then is known. early_arrears: when one
    counts as in arrears early.
    """

    opens: ClassVar[tuple[str, ...]] = ("inputs", "verdict")

    candidate_version: str
    candidate_digest: str
    since: datetime
    until: datetime
    facts_until: datetime
    early_arrears: EarlyArrears
    decisions: int
    source: str = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        return {
            "candidate_version": self.candidate_version,
            "candidate_digest": self.candidate_digest,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "facts_until": self.facts_until.isoformat(),
            "early_arrears": self.early_arrears.model_dump(),
            "decisions": self.decisions,
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any], source: str) -> Self:
        return cls(
            told["candidate_version"],
            told["candidate_digest"],
            datetime.fromisoformat(told["since"]),
            datetime.fromisoformat(told["until"]),
            datetime.fromisoformat(told["facts_until"]),
            EarlyArrears.model_validate(told["early_arrears"]),
            told["decisions"],
            source,
        )

    def tally(self, told: Mapping[str, Any] | None = None) -> Tally:
        return Tally() if told is None else Tally.from_json(told)

    def asker(self) -> Ask:
        candidate = Policy(self.source)

        def ask(tally: Tally, row: Any, opened: Mapping[str, str]) -> dict[str, Any] | None:
            found = tally.add(_past(row, opened, self), candidate)
            return found.as_json() if found is not None else None

        return ask


async def ask(
    conn: Any, candidate: Policy, since: datetime, until: datetime, facts_until: datetime
) -> Replay:
    """What a replay of this candidate would be about."""
    decisions, terms = await count(conn, since, until), load_accounts().early_arrears
    return Replay(
        *(candidate.version, candidate.digest, since, until, facts_until, terms, decisions),
        candidate.source,
    )


def _past(row: Any, opened: Mapping[str, str], asked: Replay) -> Past:
    months = {
        month["month"]: month  # of several statements on it the last correction
        for month in json.loads(row["months"] or "[]")
        if datetime.fromisoformat(month["known_at"]) < asked.facts_until
    }
    told = list(months.values())
    return Past(
        application_id=row["application_id"],
        region=row["region"],
        age_band=row["age_band"],
        product=row["product"],
        applicant_type=row["applicant_type"],
        month=f"{business_day(row['decided_at']):%Y-%m}",
        outcome=row["outcome"],
        granted=row["granted_limit"],
        inputs=PolicyInputs.thaw(opened["inputs"]),
        verdict=json.loads(opened["verdict"]),
        arrears=early_arrears(
            {name: month["days_past_due"] for name, month in months.items()},
            date.fromisoformat(told[-1]["opened_on"]) if told else None,
            asked.early_arrears,
        ),
        activated=(row["activated_at"] is not None and row["activated_at"] < asked.facts_until)
        or any(month["last_transaction"] is not None for month in told),
    )
