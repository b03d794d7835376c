"""The bank's credit systems, played: identity registry, credit bureau, watchlists.

One process, three systems under `/identity`, `/bureau` and `/watchlist`. What they answer depends
on the ID number alone, so that a seed gives the same results twice: the three digits of its
sequence choose a scenario, a digest of the number the figures in it. Outages are counted in calls.

    python -m deploy.demo.credit_systems [--host 127.0.0.1] [--port 8701] [--latency 0.005]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Literal, Self

import uvicorn
from fastapi import FastAPI, Header
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, BaseModel, Field, model_validator

from shared.formats import normalise_resident_id

System = Literal["identity", "bureau", "watchlist"]
SYSTEMS: tuple[System, ...] = ("identity", "bureau", "watchlist")
PURPOSE = "信用卡审批"
HANGS = 4.0  # seconds without an answer: longer than any caller waits
LATENCY = 0.005  # seconds that every answer takes
_YUAN = 100  # fen

# Sequence digits of the resident ID -> what happens to their holder.
SCENARIOS: dict[range, str] = {
    range(900, 910): "identity-mismatch",
    range(910, 920): "adverse",
    range(920, 930): "queries",
    range(930, 940): "debts",
    range(940, 950): "watchlist",
    range(950, 960): "no-record",
    range(960, 970): "middling",
    range(970, 980): "bureau-times-out",
    range(980, 990): "cards",
}


def scenario_of(id_number: str) -> str:
    """The scenario that an ID number stands for; `good` for any that is not listed."""
    digits = normalise_resident_id(id_number)[14:17]
    if len(digits) < 3 or not digits.isdigit():  # an old residence card, or a passport
        return "good"
    sequence = int(digits)
    return next((name for span, name in SCENARIOS.items() if sequence in span), "good")


class Chance:
    """Figures that look like chance and are always the same for a number."""

    def __init__(self, id_number: str) -> None:
        self._seed = normalise_resident_id(id_number)

    def between(self, what: str, lowest: int, highest: int) -> int:
        """A whole number from `lowest` to `highest`, both included."""
        digest = hashlib.sha256(f"{self._seed}|{what}".encode()).digest()
        return lowest + int.from_bytes(digest[:8], "big") % (highest - lowest + 1)


def identity_answer(id_number: str) -> dict[str, Any]:
    """What the registry says about an ID number."""
    if scenario_of(id_number) != "identity-mismatch":
        return {"match": True, "status": "normal"}
    cancelled = normalise_resident_id(id_number)[16] in "89"
    return {"match": cancelled, "status": "cancelled" if cancelled else "normal"}


def bureau_answer(id_number: str) -> dict[str, Any]:
    """What the bureau knows about an ID number; amounts in fen."""
    chance, scenario = Chance(id_number), scenario_of(id_number)
    # whoever was born in this century has no cards elsewhere yet, so that students can be granted
    young = normalise_resident_id(id_number)[6:10] >= "2000"
    report: dict[str, Any] = {
        "score": chance.between("score", 640, 820),
        "overdue_24m": 0,
        "max_overdue_days_24m": 0,
        "queries_3m": chance.between("queries", 0, 4),
        "lenders_6m": chance.between("lenders", 0, 3),
        "open_cards": 0 if young else chance.between("cards", 0, 4),
        "other_bank_limits": 0 if young else chance.between("limits", 0, 3) * 2_000 * _YUAN,
        "monthly_debt": chance.between("debt", 0, 8) * 100 * _YUAN,
        "adverse": False,
    }
    if scenario == "adverse":
        adverse = normalise_resident_id(id_number)[16] in "02468"
        report |= {
            "score": chance.between("score", 410, 490),
            "overdue_24m": chance.between("overdue", 6, 12),
            "max_overdue_days_24m": chance.between("days", 91, 180),
            "adverse": adverse,
        }
    elif scenario == "queries":
        report |= {
            "queries_3m": chance.between("queries", 11, 20),
            "lenders_6m": chance.between("lenders", 9, 14),
        }
    elif scenario == "debts":
        report |= {
            "monthly_debt": chance.between("debt", 60, 90) * 1_000 * _YUAN,
            "other_bank_limits": chance.between("limits", 60, 90) * 10_000 * _YUAN,
            "open_cards": chance.between("cards", 6, 8),
        }
    elif scenario == "cards":
        report["open_cards"] = chance.between("cards", 16, 22)
    elif scenario == "no-record":
        report |= {
            "score": None,
            "queries_3m": 0,
            "lenders_6m": 0,
            "open_cards": 0,
            "other_bank_limits": 0,
            "monthly_debt": 0,
        }
    elif scenario == "middling":
        report["score"] = chance.between("score", 505, 615)
    return report


def watchlist_answer(id_number: str) -> dict[str, Any]:
    """What the search finds; about half of the harmless have a faint resemblance."""
    chance = Chance(id_number)
    if scenario_of(id_number) == "watchlist":
        likeness = chance.between("likeness", 90, 99) / 100
        return {"hits": [{"list": "sanctions", "score": likeness}]}
    if chance.between("faint", 0, 1):
        return {"hits": [{"list": "pep", "score": chance.between("likeness", 30, 60) / 100}]}
    return {"hits": []}


ANSWERS = {"identity": identity_answer, "bureau": bureau_answer, "watchlist": watchlist_answer}
NOUNS: dict[System, str] = {"identity": "verify", "bureau": "reports", "watchlist": "screen"}


class Question(BaseModel):
    """What the systems are asked."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    id_number: Annotated[str, Field(pattern=r"^(\d{17}[\dXx]|[A-Z]{3}\d{12}|[A-Z0-9]{5,12})$")]
    id_type: Literal["id_card", "passport"] = "id_card"
    nationality: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    birth_date: date | None = None
    request_id: Annotated[str, Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _a_passport_is_a_country_s(self) -> Self:
        if self.id_type == "passport" and (self.nationality is None or self.birth_date is None):
            raise ValueError("the number of a passport needs nationality and birth_date")
        return self


class CreditQuestion(Question):
    """What the bureau is asked: never without consent and purpose."""

    consent_signed_at: AwareDatetime
    purpose: str


class Outage(BaseModel):
    """The next `calls` questions to a system are answered with 503."""

    system: System
    calls: Annotated[int, Field(ge=0, le=1_000_000)]


@dataclass
class Ledger:
    """What was asked: answers by request, calls by idempotency key, outages still to come."""

    answers: dict[tuple[System, str], dict[str, Any]] = field(default_factory=dict)
    calls: dict[System, Counter[str]] = field(
        default_factory=lambda: {system: Counter() for system in SYSTEMS}
    )
    outages: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


def make_app(latency: float = LATENCY, hangs: float = HANGS) -> FastAPI:
    """The three systems; `hangs`: seconds for which a question that times out is kept waiting."""
    app = FastAPI(title="credit systems", docs_url=None, redoc_url=None)
    ledger = Ledger()
    app.state.ledger = ledger

    async def answer(system: System, question: Question, key: str | None) -> Response:
        if key != question.request_id:
            return JSONResponse({"error": "Idempotency-Key must be the request_id"}, 422)
        ledger.calls[system][key] += 1
        if ledger.outages[system] > 0:
            ledger.outages[system] -= 1
            ledger.refused[system] += 1
            return JSONResponse({"error": "unavailable"}, 503)
        first = ledger.calls[system][key] == 1
        found = ANSWERS[system](question.id_number)
        if system == "bureau" and first and scenario_of(question.id_number) == "bureau-times-out":
            # half of them did the work although the caller never heard of it
            if normalise_resident_id(question.id_number)[16] in "02468":
                ledger.answers[(system, key)] = found
            await asyncio.sleep(hangs)
            return Response(status_code=504)
        await asyncio.sleep(latency)
        ledger.answers.setdefault((system, key), found)
        return JSONResponse(ledger.answers[(system, key)])

    @app.post("/identity/verify")
    async def verify(
        question: Question, idempotency_key: Annotated[str | None, Header()] = None
    ) -> Response:
        return await answer("identity", question, idempotency_key)

    @app.post("/bureau/reports")
    async def report(
        question: CreditQuestion, idempotency_key: Annotated[str | None, Header()] = None
    ) -> Response:
        if question.purpose != PURPOSE:
            return JSONResponse({"error": "no consent for this purpose"}, 403)
        return await answer("bureau", question, idempotency_key)

    @app.post("/watchlist/screen")
    async def screen(
        question: Question, idempotency_key: Annotated[str | None, Header()] = None
    ) -> Response:
        return await answer("watchlist", question, idempotency_key)

    _add_control(app, ledger)
    return app


def _add_control(app: FastAPI, ledger: Ledger) -> None:
    @app.get("/{system}/{noun}/{request_id}")
    async def became(system: str, noun: str, request_id: str) -> Response:
        """What became of a request; 404 where it never arrived."""
        for known in SYSTEMS:
            if system == known and noun == NOUNS[known]:
                found = ledger.answers.get((known, request_id))
                if found is not None:
                    return JSONResponse(found)
        return JSONResponse({"error": "unknown request"}, 404)

    @app.post("/control/outage")
    async def outage(wanted: Outage) -> dict[str, int]:
        """Plant an outage of so many calls, in place of one that is not used up."""
        ledger.outages[wanted.system] = wanted.calls
        return {system: ledger.outages[system] for system in SYSTEMS}

    @app.get("/receipts")
    async def receipts() -> dict[str, Any]:
        """Calls by system and idempotency key, answers given, and what was refused in outages."""
        return {
            system: {
                "keys": len(ledger.calls[system]),
                "calls": sum(ledger.calls[system].values()),
                "answered": sum(1 for known, _key in ledger.answers if known == system),
                "refused": ledger.refused[system],
                "outage_left": ledger.outages[system],
                "by_key": dict(ledger.calls[system]),
            }
            for system in SYSTEMS
        }

    @app.get("/healthz")
    async def healthz() -> Response:
        return Response("ok\n", media_type="text/plain")


def main() -> None:
    """Serve until stopped."""
    arguments = argparse.ArgumentParser(description="The bank's credit systems, played")
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=8701)
    arguments.add_argument("--latency", type=float, default=LATENCY, help="seconds per answer")
    given = arguments.parse_args()
    uvicorn.run(
        make_app(given.latency),
        host=given.host,
        port=given.port,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
