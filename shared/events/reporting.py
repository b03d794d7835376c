"""What reporting publishes: cases that nobody has moved for too long."""

from typing import ClassVar

from shared.events.payload import ApplicationEvent, Instant


class CaseStalled(ApplicationEvent):
    """An application has been silent for longer than its state allows; the desk named has to move
    it."""

    type: ClassVar[str] = "banka.case.stalled.v1"
    topic: ClassVar[str] = "banka.cases"

    state: str
    state_version: int
    desk: str
    waiting_on: str
    silent_since: Instant
    due_at: Instant


class CaseResumed(ApplicationEvent):
    """A stalled application moved again."""

    type: ClassVar[str] = "banka.case.resumed.v1"
    topic: ClassVar[str] = "banka.cases"

    state: str
    state_version: int
