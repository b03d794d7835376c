"""What an operator can do about what waits: look, try again, skip, repair, resume, send again; all
audited.

Three kinds wait: an event that could not be applied, with everything behind it; the result of a
call, and a deadline, whose handler failed too often. A fourth is a consumer that stopped because
too many events failed. These functions are behind `banka parked`, `banka events` and the operators'
pages alike. They change rows only; the running service does the work, because it alone has the
handlers.
"""

from shared.redrive.bulk import (
    MOST,
    PER_SECOND,
    Action,
    Outcome,
    Waiting,
    objection,
    redrive_many,
    select_waiting,
)
from shared.redrive.failed import FailedWork, list_failed, retry_failed, show_failed
from shared.redrive.halted import HaltedConsumer, list_halted, resume_consumer
from shared.redrive.parked import (
    Cause,
    ParkedDetail,
    ParkedKey,
    count_parked,
    cure_of_gap,
    kinds_parked,
    list_parked,
    retry_parked,
    show_parked,
    skip_parked,
)
from shared.redrive.repaired import Payloads, body_of, edited, partner_payloads, repair_parked
from shared.redrive.selection import EVERYTHING, CannotRedrive, Decision, Selection, list_decisions

__all__ = [
    "EVERYTHING",
    "MOST",
    "PER_SECOND",
    "Action",
    "CannotRedrive",
    "Cause",
    "Decision",
    "FailedWork",
    "HaltedConsumer",
    "Outcome",
    "ParkedDetail",
    "ParkedKey",
    "Payloads",
    "Selection",
    "Waiting",
    "body_of",
    "count_parked",
    "cure_of_gap",
    "edited",
    "kinds_parked",
    "list_decisions",
    "list_failed",
    "list_halted",
    "list_parked",
    "objection",
    "partner_payloads",
    "redrive_many",
    "repair_parked",
    "resume_consumer",
    "retry_failed",
    "retry_parked",
    "select_waiting",
    "show_failed",
    "show_parked",
    "skip_parked",
]
