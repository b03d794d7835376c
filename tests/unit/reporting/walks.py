"""Made-up lives of applications: any legal walk through the lifecycle, from the golden examples."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from services.reporting.projections import (
    ApplicationRow,
    AppliedEvent,
    Seen,
    apply_lifecycle,
    apply_message,
)
from shared.events import lifecycle
from shared.events.catalog import EVENTS
from shared.events.intake import ApplicationImported
from shared.events.payload import Payload

EXAMPLES = Path(__file__).parents[3] / "shared" / "events" / "examples"
MONDAY = datetime(2026, 10, 12, 1, 0, tzinfo=UTC)  # 09:00 in Shanghai
REGIONS = {"1101": "11", "3101": "31", "4401": "44"}


@cache
def example(event_type: str) -> dict[str, Any]:
    """The data of the type's golden example."""
    name, _dot, version = event_type.rpartition(".")
    path = min((EXAMPLES / name / version).glob("*.json"))
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["data"]
    return data


def payload(event_type: str, **changes: Any) -> Any:
    """A payload of the type, from its golden example with some fields changed."""
    return EVENTS[event_type].model_validate({**example(event_type), **changes})


@dataclass
class Office:
    """Applies events as the service does and keeps what it would have stored."""

    rows: dict[str, ApplicationRow] = field(default_factory=dict)
    events: list[AppliedEvent] = field(default_factory=list)
    offset: int = 0

    def row(self, application_id: str) -> ApplicationRow:
        return self.rows.setdefault(application_id, ApplicationRow(application_id))

    def happen(
        self,
        application_id: str,
        what: type[Payload] | str,
        at: datetime,
        *,
        branch: str = "3101",
        origin: str = "live",
        **changes: Any,
    ) -> AppliedEvent:
        """One event of the application's life."""
        event_type = what if isinstance(what, str) else what.type
        data = payload(
            event_type,
            application_id=application_id,
            branch=branch,
            **({"region": REGIONS[branch]} if "region" in example(event_type) else {}),
            **changes,
        )
        seen = Seen(
            topic=data.topic,
            partition=0,
            offset=self.offset,
            id=f"event-{self.offset}",
            type=event_type,
            source="/banka/intake",
            application_id=application_id,
            time=at,
            recorded_time=at,
            origin=origin,
        )
        self.offset += 1
        row = self.row(application_id)
        apply = apply_message if event_type.startswith("banka.message.") else apply_lifecycle
        kept = apply(row, seen, data)
        self.events.append(kept)
        return kept


@dataclass(frozen=True)
class Step:
    """The next event of a walk and how long after the one before it came."""

    payload: type[Payload]
    after: timedelta


def possible(state: str | None) -> list[type[Payload]]:
    """What can happen to an application in this state."""
    found = []
    for what in lifecycle.BY_TYPE.values():
        if what is ApplicationImported:
            continue
        try:
            lifecycle.advance(state, what)
        except lifecycle.IllegalTransition:
            continue
        found.append(what)
    return found


@st.composite
def walks(draw: st.DrawFn, longest: int = 14) -> Sequence[Step]:
    """A legal life of one application."""
    state: str | None = None
    steps = []
    for _ in range(draw(st.integers(1, longest))):
        choices = possible(state)
        if not choices:
            break
        chosen = draw(st.sampled_from(choices))
        after = timedelta(minutes=draw(st.integers(0, 4 * 24 * 60)))
        steps.append(Step(chosen, after))
        state = lifecycle.advance(state, chosen).state
    return steps


def live(office: Office, lives: Sequence[Sequence[Step]], start: datetime = MONDAY) -> None:
    """Lets applications live in an office, one after the other, in branches by turns."""
    for number, steps in enumerate(lives):
        at = start
        branch = sorted(REGIONS)[number % len(REGIONS)]
        for step in steps:
            at += step.after
            office.happen(f"application-{number}", step.payload, at, branch=branch)
