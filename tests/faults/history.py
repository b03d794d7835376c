"""What was asked of the office and what it answered: the only thing that the checker believes
besides what it reads itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """How a command ended for who sent it."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # no answer, or none that says whether it was done


@dataclass(slots=True)
class Command:
    """One command. `way`: http or partner; `kind`: submit or withdraw. A command that was sent
    again keeps its id; its outcome is the last certain one."""

    command_id: str
    application_id: str
    way: str
    kind: str
    outcome: Outcome = Outcome.UNKNOWN
    times: int = 0

    def ended(self, outcome: Outcome) -> None:
        """Whoever once heard that it was done knows it for ever."""
        self.times += 1
        if self.outcome is Outcome.UNKNOWN or outcome is Outcome.ACKNOWLEDGED:
            self.outcome = outcome


@dataclass(slots=True)
class Outside:
    """What the world outside counted of the messages that it was to send. It does what comes under
    one idempotency key once: a message goes out twice if it comes under two.

    arrivals: {key: how often it came}; about: {key that it took: (application, cause)}; effects:
    {message: how often it went out}.
    """

    arrivals: Counter[str] = field(default_factory=Counter)
    about: dict[str, tuple[str, str]] = field(default_factory=dict)
    effects: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class History:
    """Everything that was done to the office. `planted`: (topic, partition, offset) of records that
    nobody of the office wrote. `lost`: applications of which somebody took a fact out of an outbox,
    so that it came onto the topic late."""

    commands: dict[str, Command] = field(default_factory=dict)
    outside: Outside = field(default_factory=Outside)
    planted: set[tuple[str, int, int]] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
