"""What a process says about itself: logs without personal data, and traces across hops.

A log line is JSON with fields from an allow-list; a field that is not on it is dropped and only its
name is told. Metrics stand next to what they measure (`shared.messaging.metrics`, `shared.web`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import secrets
import sys
import time
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import date, datetime
from types import TracebackType
from typing import Any, Final, TextIO

import structlog
from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from shared.formats import read_resident_id
from shared.places import PROVINCES

# Names of fields that may be logged: ids, codes, counts, durations. Never a person's data.
_ALLOWED: Final = """
event level timestamp logger service trace_id correlation_id causation_id actor event_id type
event_type source subject sequence state state_version version origin topic partition offset
consumer group position key partner shard shards held lag cursor application_id application_number
party_id document_id batch_id card_id case_id message_id campaign_id data_key_id run_id product
branch region channel template language desk role kind attempt attempts count rows size seconds
delay until at due deadline next_due reason code codes error problem detail status status_code
method path route host port database schema scope file migration name_of_file setting url_host
suppressed infrastructure reader expected found started stopped remaining policy_version exception
dropped
"""
ALLOWED_FIELDS: Final = frozenset(_ALLOWED.split())

_LONGEST_TEXT: Final = 500  # characters of one value
_MOBILE: Final = re.compile(r"(?<![0-9A-Za-z.-])1[3-9][0-9]{9}(?![0-9A-Za-z-])")
_CARD: Final = re.compile(r"(?<![0-9A-Za-z.-])(?:[0-9]{16,17}|[0-9]{19})(?![0-9A-Za-z-])")
_ID_NUMBER: Final = re.compile(
    r"(?<![0-9A-Za-z-])(?:[0-9]{17}[0-9Xx]|[A-Za-z]{3}[0-9]{12})(?![0-9A-Za-z-])"
)
_EMAIL: Final = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")

_FLOOD_SECONDS: Final = 10.0  # one line per message and this long, from the libraries below
_FLOODING: Final = ("aiokafka", "kafka", "faststream", "asyncio")


def configure_logging(
    service: str, level: int = logging.INFO, stream: TextIO | None = None
) -> None:
    """Write every log line of this process, libraries' included, as JSON; by default to stderr."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )

    def add_service(
        _logger: object, _method: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        line["service"] = service
        return line

    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            add_service,
            plain_exception,
            keep_allowed,
            structlog.processors.JSONRenderer(ensure_ascii=False, sort_keys=True),
        ],
    )
    handler = _Lines(stream or sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(FloodGate(_FLOODING, _FLOOD_SECONDS))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # every request of an outside call, with its address, at INFO
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.WARNING)


class _Lines(logging.StreamHandler[TextIO]):
    """Nobody fails because a line cannot be written: a disk is full, a pipe is closed, a library's
    text does not fit its arguments. The logging module itself would print those, unmasked."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - as its base
        lost = {
            "event": "log line lost",
            "level": "error",
            "logger": record.name,
            "error": type(sys.exception()).__name__,
        }
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(json.dumps(lost, sort_keys=True) + self.terminator)
            self.flush()


def keep_allowed(
    _logger: object, _method: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A log line with allowed fields only; texts are cut and numbers of people masked."""
    kept: dict[str, Any] = {}
    dropped: list[str] = []
    for name, value in line.items():
        if name.startswith("_"):
            continue
        if name in ALLOWED_FIELDS:
            kept[name] = _safe(value)
        else:
            dropped.append(name)
    if dropped:
        kept["dropped"] = sorted(dropped)
    return kept


def plain_exception(
    _logger: object, _method: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """An exception as its type and places; its message may hold personal data."""
    found = line.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    if isinstance(found, tuple):
        found = found[1]
    if isinstance(found, BaseException):
        line["exception"] = describe_exception(found)
    return line


def describe_exception(error: BaseException) -> list[str]:
    """`[type, place, place, …]`, the innermost place last; then the same of its cause."""
    lines = [f"{type(error).__module__}.{type(error).__qualname__}", *_places(error.__traceback__)]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        lines += ["caused by", *describe_exception(cause)]
    return lines[:60]


class FloodGate(logging.Filter):
    """Lets one of a library's equal messages through per interval, with the count of the others.

    The Kafka client writes about a hundred errors a second while the broker is away.
    """

    def __init__(self, libraries: tuple[str, ...], seconds: float) -> None:
        super().__init__()
        self._libraries = libraries
        self._seconds = seconds
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in self._libraries:
            return True
        key = (record.name, record.lineno, str(record.msg)[:80])
        now = time.monotonic()
        last, suppressed = self._seen.get(key, (-self._seconds, 0))
        if now - last < self._seconds:
            self._seen[key] = (last, suppressed + 1)
            return False
        if len(self._seen) > 1000:
            self._seen.clear()
        self._seen[key] = (now, 0)
        if suppressed:
            record.msg = f"{record.msg} (and {suppressed} more like it)"
        return True


def mask_numbers(text: str) -> str:
    """A text in which mobile, ID and card numbers and e-mail addresses are blotted out."""
    text = _ID_NUMBER.sub(lambda found: "[id]" if _is_a_persons(found[0]) else found[0], text)
    return _EMAIL.sub("[email]", _MOBILE.sub("[mobile]", _CARD.sub("[card]", text)))


_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def new_traceparent() -> str:
    """The W3C trace context that begins a new trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def continue_traceparent(given: str | None) -> str:
    """A further hop of the given trace, or a new trace where none (or nonsense) was given."""
    parent = parse_traceparent(given)
    if parent is None:
        return new_traceparent()
    return f"00-{parent.trace_id:032x}-{secrets.token_hex(8)}-{int(parent.trace_flags):02x}"


def parse_traceparent(given: str | None) -> SpanContext | None:
    """The trace context of a header, or None if it is not one."""
    match = _TRACEPARENT.fullmatch(given or "")
    if match is None:
        return None
    parent = SpanContext(
        int(match[1], 16),
        int(match[2], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(match[3], 16)),
    )
    return parent if parent.is_valid else None


@contextmanager
def in_trace(traceparent: str | None) -> Iterator[None]:
    """Run as part of the given trace: what is published inside carries it on, logs name it."""
    parent = parse_traceparent(traceparent)
    if parent is None:
        yield
        return
    token = context.attach(trace.set_span_in_context(NonRecordingSpan(parent)))
    try:
        with structlog.contextvars.bound_contextvars(trace_id=f"{parent.trace_id:032x}"):
            yield
    finally:
        context.detach(token)


def _safe(value: object) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list | tuple | set | frozenset):
        return [_safe(item) for item in list(value)[:60]]
    if isinstance(value, BaseException):
        # its message may hold a customer's data
        return type(value).__name__
    if isinstance(value, dict):
        return {str(key): _safe(item) for key, item in list(value.items())[:60]}
    return mask_numbers(str(value))[:_LONGEST_TEXT]


def _is_a_persons(number: str) -> bool:
    try:
        read = read_resident_id(number)
    except ValueError:
        return False
    return read.province in PROVINCES and 1900 <= read.birth_date.year <= 2100


def _places(found: TracebackType | None) -> list[str]:
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(found)
    ]
