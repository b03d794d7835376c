"""CloudEvents 1.0 on Kafka: the metadata around a payload, to and from a record's headers and
value.

Binary mode (attributes in `ce_` headers, payload as the value) is what our services write; both
modes are read. Source: CloudEvents 1.0.2 and its Kafka protocol binding.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Headers = Iterable[tuple[str, bytes | None]]

SPEC_VERSION = "1.0"
JSON_TYPE = "application/json"
STRUCTURED_TYPE = "application/cloudevents+json"
_PREFIX = "ce_"
# bytes in UTF-8; longer than any attribute we know by a wide margin, and two of them still fit into
# a key of PostgreSQL's indexes
MAX_ATTRIBUTE = 1024
_SHOWN_NAME = re.compile(r"[a-z0-9_-]{1,40}")
# CloudEvents forbids control characters; a lone surrogate, which JSON may escape, is no character
_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class EnvelopeError(ValueError):
    """The record is not a CloudEvent that we can read. `code` is stable, `attribute` says where,
    the text how to correct it; neither holds a value from the record."""

    def __init__(self, code: str, attribute: str, words: str) -> None:
        super().__init__(f"{code} at {attribute}: {words}")
        self.code = code
        self.attribute = attribute
        self.words = words


@dataclass(frozen=True, slots=True)
class Envelope:
    """The metadata of one event.

    `time` is when it happened in the business, `recorded_time` when its publisher committed it.
    `sequence` counts per (topic, source, subject) from 1 without gaps; partners have none.
    `state_version` counts an application's transitions across services.
    """

    id: str
    type: str
    source: str
    subject: str
    time: datetime
    recorded_time: datetime | None = None
    sequence: int | None = None
    state_version: int | None = None
    causation_id: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    origin: Literal["live", "imported"] = "live"


def is_attribute(text: str) -> bool:
    """True for text that an attribute may hold: it can be stored, sent and read again."""
    if text.isprintable() and len(text) * 4 <= MAX_ATTRIBUTE:
        return bool(text)  # as nearly all are
    return bool(text) and not _NO_TEXT.search(text) and len(text.encode()) <= MAX_ATTRIBUTE


def rfc3339(instant: datetime) -> str:
    """An instant in UTC with a Z and microseconds, always of the same length, so that equal
    instants are equal bytes."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return instant.isoformat(timespec="microseconds")[:-6] + "Z"


def encode(envelope: Envelope) -> list[tuple[str, bytes]]:
    """The record headers of binary mode, in a fixed order."""
    pairs = (
        ("specversion", SPEC_VERSION),
        ("id", envelope.id),
        ("type", envelope.type),
        ("source", envelope.source),
        ("subject", envelope.subject),
        ("time", rfc3339(envelope.time)),
        ("recordedtime", rfc3339(envelope.recorded_time) if envelope.recorded_time else None),
        ("sequence", str(envelope.sequence) if envelope.sequence is not None else None),
        (
            "stateversion",
            str(envelope.state_version) if envelope.state_version is not None else None,
        ),
        ("causationid", envelope.causation_id),
        ("correlationid", envelope.correlation_id),
        ("traceparent", envelope.traceparent),
        ("origin", envelope.origin),
    )
    headers = [(_PREFIX + name, value.encode()) for name, value in pairs if value is not None]
    headers.append(("content-type", JSON_TYPE.encode()))
    return headers


def decode(headers: Headers, value: bytes | None) -> tuple[Envelope, bytes]:
    """The envelope of a record and the bytes of its payload, from either mode.

    Raises EnvelopeError for anything that is not a CloudEvent with JSON data.
    """
    fields = _header_fields(headers)
    content_type = fields.pop("content-type", "").partition(";")[0].strip().lower()
    if content_type == STRUCTURED_TYPE:
        return _decode_structured(value)
    attributes = {
        name[len(_PREFIX) :]: text for name, text in fields.items() if name.startswith(_PREFIX)
    }
    if not attributes:
        raise EnvelopeError(
            "not-a-cloudevent",
            "headers",
            f"send ce_ headers, or the content type {STRUCTURED_TYPE}",
        )
    if content_type and content_type != JSON_TYPE:
        raise EnvelopeError(
            "wrong-content-type", "content-type", f"send the payload as {JSON_TYPE}"
        )
    if not value:
        raise EnvelopeError("empty", "value", "send the payload as a JSON object")
    return _envelope(attributes), value


def _header_fields(headers: Headers) -> dict[str, str]:
    """Headers as text; what is not text, or is there twice, is an error and not a guess."""
    fields: dict[str, str] = {}
    for name, raw in headers:
        key = name.lower()
        if not key.startswith(_PREFIX) and key != "content-type":
            continue  # tools along the way add headers of their own
        if raw is None:
            raise EnvelopeError(
                "empty-header", _shown(key), "give the header a value or leave it out"
            )
        if key in fields:
            raise EnvelopeError("repeated-header", _shown(key), "send the header once")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise EnvelopeError("not-utf-8", _shown(key), "encode the header as UTF-8") from None
        # what cannot be wrong needs no closer look: this runs for every header of every event
        short = len(raw) <= MAX_ATTRIBUTE and text.isprintable()
        fields[key] = text if short else _text(key, text)
    return fields


def _text(name: str, text: str) -> str:
    if not text.isprintable() and _NO_TEXT.search(text):
        raise EnvelopeError(
            "wrong-characters",
            _shown(name),
            "send Unicode text without control characters and lone surrogates",
        )
    if len(text.encode()) > MAX_ATTRIBUTE:
        raise EnvelopeError("too-long", _shown(name), f"at most {MAX_ATTRIBUTE} bytes in UTF-8")
    return text


def _shown(name: str) -> str:
    """The name of an attribute or header if it is one that may be said again: a partner may have
    put anything there."""
    return name if _SHOWN_NAME.fullmatch(name) else "an attribute"


def _decode_structured(value: bytes | None) -> tuple[Envelope, bytes]:
    try:
        document: Any = json.loads(value or b"")
    except (ValueError, RecursionError):
        raise EnvelopeError("broken-json", "value", "send one JSON object in UTF-8") from None
    if not isinstance(document, dict):
        raise EnvelopeError("broken-json", "value", "send one JSON object in UTF-8")
    data = document.pop("data", None)
    if not isinstance(data, dict):
        raise EnvelopeError("empty", "data", "put the payload into `data` as a JSON object")
    attributes: dict[str, str] = {}
    for name, item in document.items():
        if isinstance(item, bool) or not isinstance(item, str | int):
            raise EnvelopeError("wrong-type", _shown(name), "attributes are strings or integers")
        attributes[name] = _text(name, str(item))
    content_type = attributes.pop("datacontenttype", JSON_TYPE).partition(";")[0].strip().lower()
    if content_type != JSON_TYPE:
        raise EnvelopeError(
            "wrong-content-type", "datacontenttype", f"send the payload as {JSON_TYPE}"
        )
    return _envelope(attributes), _written(data)


def _written(data: dict[str, Any]) -> bytes:
    try:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        # lone surrogates stay escaped as they came: whoever reads the payload says what is wrong
        return json.dumps(data, separators=(",", ":")).encode()
    except RecursionError:
        raise EnvelopeError("broken-json", "data", "nest less deeply") from None


def _envelope(attributes: dict[str, str]) -> Envelope:
    if attributes.get("specversion") != SPEC_VERSION:
        raise EnvelopeError("wrong-specversion", "specversion", f"send {SPEC_VERSION}")
    origin = attributes.get("origin", "live")
    if origin not in ("live", "imported"):
        raise EnvelopeError("wrong-value", "origin", "send live or imported, or leave it out")
    recorded = attributes.get("recordedtime")
    return Envelope(
        id=_required(attributes, "id"),
        type=_required(attributes, "type"),
        source=_required(attributes, "source"),
        subject=_required(attributes, "subject"),
        time=_instant("time", _required(attributes, "time")),
        recorded_time=_instant("recordedtime", recorded) if recorded is not None else None,
        sequence=_count(attributes, "sequence", least=1),
        state_version=_count(attributes, "stateversion", least=0),
        causation_id=attributes.get("causationid"),
        correlation_id=attributes.get("correlationid"),
        traceparent=attributes.get("traceparent"),
        origin="imported" if origin == "imported" else "live",
    )


def _required(attributes: dict[str, str], name: str) -> str:
    text = attributes.get(name, "")
    if not text:
        raise EnvelopeError("missing", name, "every event carries it")
    return text


def _instant(name: str, text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise EnvelopeError(
            "wrong-value", name, "send RFC 3339, e.g. 2026-11-02T01:30:00Z"
        ) from None
    if instant.tzinfo is None:
        raise EnvelopeError(
            "wrong-value", name, "give the offset from UTC, e.g. 2026-11-02T01:30:00Z"
        )
    try:
        year = (instant if instant.tzinfo is UTC else instant.astimezone(UTC)).year
    except OverflowError:  # at the ends of the calendar
        year = 0
    if not 1900 <= year < 2200:  # beyond it is a slip
        raise EnvelopeError("wrong-value", name, "give a year from 1900 to 2199 in UTC")
    return instant


def _count(attributes: dict[str, str], name: str, *, least: int) -> int | None:
    text = attributes.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) >= least):
        raise EnvelopeError("wrong-value", name, f"send a whole number from {least}")
    return int(text)
