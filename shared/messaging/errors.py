"""What can go wrong while an event is handled, and what the kernel does about it.

"Recoverable" is a type, not a flag: a handler says which by what it raises.
"""

from __future__ import annotations

import asyncio

import asyncpg
from aiokafka.errors import KafkaError


class MessagingError(Exception):
    """Root of everything that the messaging kernel raises."""


class Permanent(MessagingError):
    """This event can never be applied as it is: park it at once, with everything behind it."""


class Transient(MessagingError):
    """Trying again later may help: retry with backoff, count the attempts, then park."""


class Undecodable(Permanent):
    """The record is not an event that we can read (envelope, key or body)."""


class Rejected(MessagingError):
    """A partner's event is refused; raised by an inbound handler, answered to the partner.

    problems: `(field, code)` pairs; names and codes, never values.
    """

    def __init__(self, *problems: tuple[str, str], reason: str = "") -> None:
        super().__init__(reason or ", ".join(f"{field}: {code}" for field, code in problems))
        self.problems = problems


class NotReady(MessagingError):
    """The service has not yet proven that its database and the broker belong together."""


class OlderDatabase(MessagingError):
    """The database is older than the broker (or belongs to another one): refuse to run.

    The message is one line that says what was seen and how to decide.
    """


class Halted(MessagingError):
    """Too many events failed in a row: a bad build must not park everything."""


class ConcurrentApply(MessagingError):
    """Somebody else moved a cursor meanwhile: this process lost its partition; roll back."""


# SQLSTATE classes that say nothing about the event at hand: connection (08), transaction
# rollback such as deadlock (40), a schema that does not fit the build (42), resources (53),
# object state such as lock timeout (55), operator intervention (57), system (58). Not 54: a limit
# of the program, such as the length of an index entry, is passed by a value and never by time.
INFRASTRUCTURE_CLASSES = frozenset({"08", "25", "40", "42", "53", "55", "57", "58", "XX"})


def is_infrastructure(error: BaseException) -> bool:
    """True if the error is the machinery's, not the event's: pause and back off, count nothing."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "XX")[:2] in INFRASTRUCTURE_CLASSES
    if isinstance(error, ValueError):
        return False  # asyncpg's own DataError: a value that does not fit its column
    return isinstance(
        error,
        OSError
        | asyncio.TimeoutError
        | asyncpg.InterfaceError
        | asyncpg.InternalClientError
        | KafkaError
        | ConcurrentApply,
    )


def one_line(error: BaseException) -> str:
    """The error as one line for a table or a log; a database's DETAIL may hold values, so not it.

    pydantic's own text repeats the input, so only its locations and codes are kept.
    """
    # whatever the text repeats, a table must be able to hold it
    line = _line(error).encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    return line[:500]


def _line(error: BaseException) -> str:
    errors = getattr(error, "errors", None)
    if callable(errors) and type(error).__module__.startswith("pydantic"):
        found = [
            f"{'.'.join(str(part) for part in item['loc']) or 'body'}: {item['type']}"
            for item in errors(include_input=False, include_url=False)
        ]
        return f"{type(error).__name__}: " + "; ".join(found[:5])
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}"
