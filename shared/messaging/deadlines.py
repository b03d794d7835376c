"""Deadlines in business time: come back to a subject, look at its state, decide then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.messaging.effects import DeadlineHandler, Store


@dataclass(slots=True, kw_only=True)
class Deadlines:
    """The deadlines that one store's subjects may have.

    handlers: {deadline name: handler(state, now) -> effects}. A deadline is not a verdict: the
    handler looks at the state and may find that nothing is to be done. Names are unique in a
    service.
    """

    store: Store[Any]
    handlers: Mapping[str, DeadlineHandler]
