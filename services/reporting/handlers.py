"""What each event and each silence does in reporting; the kernel calls these."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from services.reporting.projections import (
    LATE_READING_GRACE,
    ApplicationRow,
    Seen,
    apply_case,
    apply_lifecycle,
    apply_message,
    find_silence,
    resumed,
)
from shared.events import notify, reporting
from shared.events.lifecycle import IllegalTransition
from shared.events.payload import ApplicationEvent
from shared.messaging import ClearDeadline, Deadline, Effect, Fact, Received
from shared.messaging.errors import Permanent

SILENCE = "silence"


def on_lifecycle_event(
    event: Received[ApplicationEvent], row: ApplicationRow, now: datetime
) -> Iterable[Effect]:
    """The application moved, or something happened to it: it is written into its row and timeline,
    its silence clock starts anew, and a stalled case that moved is no longer stalled."""
    was_stalled = row.stalled
    try:
        kept = apply_lifecycle(row, seen_of(event), event.data)
    except IllegalTransition as wrong:
        raise Permanent(str(wrong)) from None
    effects: list[Effect] = []
    if was_stalled and kept.moves:
        effects.append(Fact(resumed(row), time=event.time, state_version=row.state_version))
    if row.silence_due is None or row.stalled:
        effects.append(ClearDeadline(SILENCE))
    else:
        late = row.silence_due <= now
        effects.append(Deadline(SILENCE, now + LATE_READING_GRACE if late else row.silence_due))
    return effects


def on_message_event(
    event: Received[notify.MessageEvent], row: ApplicationRow, _now: datetime
) -> Iterable[Effect]:
    """A message was asked for, sent, delivered, failed, or nobody knows."""
    apply_message(row, seen_of(event), event.data)
    return ()


def on_case_event(
    event: Received[reporting.CaseStalled | reporting.CaseResumed],
    row: ApplicationRow,
    _now: datetime,
) -> Iterable[Effect]:
    """Our own report about a silent case comes back from its topic, for the timeline."""
    apply_case(row, seen_of(event), event.data)
    return ()


def on_silence(row: ApplicationRow, now: datetime) -> Iterable[Effect]:
    """The silence clock ran out: report the case unless it has moved meanwhile."""
    stalled = find_silence(row, now)
    return () if stalled is None else (Fact(stalled, state_version=row.state_version),)


def seen_of(event: Received[Any]) -> Seen:
    """The envelope as the projections know it."""
    return Seen(
        topic=event.topic,
        partition=event.partition,
        offset=event.offset,
        id=event.id,
        type=event.type,
        source=event.source,
        application_id=event.subject,
        time=event.time,
        recorded_time=event.recorded_time,
        origin=event.origin,
        state_version=event.state_version,
    )
