"""What can go wrong while an event is handled, and what the kernel does about it.

"Recoverable" is a type, not a flag: a handler says which by what it raises.
"""

from __future__ import annotations

import asyncio
import re

import asyncpg
from aiokafka.errors import KafkaError

from shared.observability import mask_numbers


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


def never_mends(error: BaseException) -> bool:
    """True if trying again cannot help: a handler says so, or the event holds what no column takes,
    such as a NUL in a text (SQLSTATE class 22, or refused by the driver itself)."""
    if isinstance(error, Permanent | asyncpg.DataError):
        return True
    return isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)


# Classes whose message repeats the value that was refused: data (22) and constraints (23).
_VALUE_CLASSES = frozenset({"22", "23"})
_LONGEST = 500  # characters
_ARGUMENT = re.compile(r"(?:invalid input for )?query argument (\$\d+)(?: in element (#\d+))?")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,60}|\d{1,6}")


def one_line(error: BaseException) -> str:
    """The error as one line for a table or a log: what went wrong and where, never a value.

    A line leaves the database: for logs, and for the dead letters. So of what was refused it says
    the kind of failure and the names of constraint, table and column; all other texts are masked.
    """
    # cut first, for a mask takes its time over a long text; but later again, for it may be longer
    line = mask_numbers(_line(error)[: 4 * _LONGEST])
    # whatever the text repeats, a table must be able to hold it
    return line.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")[:_LONGEST]


def _line(error: BaseException) -> str:
    kind = type(error).__name__
    text = str(error).splitlines()[0] if str(error) else ""
    errors = getattr(error, "errors", None)
    if callable(errors) and type(error).__module__.startswith("pydantic"):
        # its own text repeats the input
        found = [
            f"{'.'.join(_field(part) for part in item['loc']) or 'body'}: {item['type']}"
            for item in errors(include_input=False, include_url=False)
        ]
        return f"{kind}: " + "; ".join(found[:5])
    if isinstance(error, asyncpg.DataError | asyncpg.InterfaceError):
        argument = _ARGUMENT.match(text)
        if argument:
            return f"{kind}: {_argument(error, argument)}"
    if isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "")[:2] in _VALUE_CLASSES:
        return f"{kind}: " + ", ".join(_names(error))
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        return kind  # a setting with which nobody can be reached; its text may hold a password
    return f"{kind}: {text}"


def _field(part: object) -> str:
    """A part of a place in a payload; a name that is none of ours may be anything."""
    return str(part) if _FIELD.fullmatch(str(part)) else "…"


def _names(error: asyncpg.PostgresError) -> list[str]:
    """What PostgreSQL says besides its message."""
    names = {
        "constraint": error.constraint_name,
        "table": error.table_name,
        "column": error.column_name,
        "type": error.data_type_name,
    }
    known = [f"{what} {name}" for what, name in names.items() if name]
    if not known and error.server_source_function:
        known = [f"in {error.server_source_function}"]  # the function tells which type it was
    return [f"SQLSTATE {error.sqlstate}", *known]


def _argument(error: BaseException, found: re.Match[str]) -> str:
    """Which of a query's arguments the driver could not send, and what kind of failure it was."""
    place = f"query argument {found[1]}" + (f" of row {found[2]}" if found[2] else "")
    return f"{place} ({type(error.__cause__).__name__})" if error.__cause__ else place
