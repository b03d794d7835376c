"""What an operator reads of what waits: the same words on the pages and in `banka parked`."""

from __future__ import annotations

from collections.abc import Mapping

from shared.redrive import Cause
from shared.web.i18n import mark
from shared.web.states import Badge

CAUSES: Mapping[Cause, str] = {
    "missing": mark("An earlier event of this application has not come."),
    "killer": mark("The process stopped each time while it applied this event."),
    "unreadable": mark("This is no event that the service can read."),
    "impossible": mark("The service says that this event can never be applied as it is."),
    "failing": mark("The service failed while it applied this event."),
}
SHORT_CAUSES: Mapping[Cause, str] = {
    "missing": mark("Earlier event missing"),
    "killer": mark("Stops the process"),
    "unreadable": mark("Not readable"),
    "impossible": mark("Cannot be applied"),
    "failing": mark("Service failed"),
}
ADVICE: Mapping[Cause, str] = {
    "missing": mark(
        "It goes on by itself when the missing event comes. Have its publisher send it once more."
    ),
    "killer": mark("Skip it to bring the service back, or fix the service and then retry."),
    "unreadable": mark(
        "Its publisher has to send a right one. Skip this one, with the reason; the publisher's"
        " next event counts."
    ),
    "impossible": mark(
        "Find out which of the two is wrong: fix the service and retry, or skip the event and have"
        " its publisher correct the fact."
    ),
    "failing": mark("Fix the service, or whatever it needs, and then retry."),
}
WAITS: Mapping[str, Badge] = {
    "gap": Badge(mark("Gap"), "waiting", "hourglass"),
    "retry": Badge(mark("Tried again by itself"), "progress", "refresh"),
    "parked": Badge(mark("Waits for you"), "bad", "player-pause"),
}
ACTIONS: Mapping[str, str] = {
    "retry": mark("Retry"),
    "skip": mark("Skip"),
    "repair": mark("Repair"),
    "resume": mark("Resume"),
    "republish": mark("Republish"),
    "accept-start": mark("Begin anew"),
    "read-again": mark("Read again from the start"),
    "restore": mark("Restore from the event log"),
}
KINDS: Mapping[str, str] = {
    "event": mark("Events"),
    "call": mark("Answers of calls"),
    "deadline": mark("Deadlines"),
}
SERVICE_NAMES: Mapping[str, str] = {
    "intake": mark("Intake"),
    "review": mark("Review"),
    "notify": mark("Messages"),
    "reporting": mark("Reporting"),
}
AGES: Mapping[str, str] = {
    "15m": mark("15 minutes"),
    "2h": mark("2 hours"),
    "1d": mark("1 day"),
    "7d": mark("7 days"),
}
REFUSALS: Mapping[str, str] = {
    "gone": mark("It no longer waits: it was applied, or somebody decided on it."),
    "busy": mark("Somebody was quicker: it is being tried again already."),
    "changed": mark("It was tried again meanwhile. Look at it anew before you decide."),
    "order": mark("Something before it has to come first; it cannot be skipped out of order."),
    "reason": mark("Please give a reason."),
    "other": mark("That is not possible with what waits now."),
}
