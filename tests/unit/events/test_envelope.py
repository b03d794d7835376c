"""Records in and out of CloudEvents form, and records that are none."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.envelope import (
    STRUCTURED_TYPE,
    Envelope,
    EnvelopeError,
    decode,
    encode,
    is_attribute,
)

BODY = b'{"a":1}'
HEAD = Envelope(
    id="e-1",
    type="banka.application.submitted.v1",
    source="/banka/intake",
    subject="s-1",
    time=datetime(2026, 10, 12, 1, 30, tzinfo=UTC),
)
MINIMUM = encode(HEAD)

text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=60)
instants = st.datetimes(timezones=st.just(UTC)).filter(lambda at: 1900 <= at.year < 2200)


@given(
    st.builds(
        Envelope,
        id=text,
        type=text,
        source=text,
        subject=text,
        time=instants,
        recorded_time=st.none() | instants,
        sequence=st.none() | st.integers(1, 10**18 - 1),
        state_version=st.none() | st.integers(0, 10**18 - 1),
        causation_id=st.none() | text,
        correlation_id=st.none() | text,
        traceparent=st.none() | text,
        origin=st.sampled_from(["live", "imported"]),
    )
)
def test_binary_mode_brings_everything_back(head: Envelope) -> None:
    assert decode(encode(head), BODY) == (head, BODY)


def test_structured_mode_says_the_same() -> None:
    event = {
        "specversion": "1.0",
        "id": HEAD.id,
        "type": HEAD.type,
        "source": HEAD.source,
        "subject": HEAD.subject,
        "time": "2026-10-12T09:30:00+08:00",
        "data": {"a": 1},
    }
    head, body = decode(
        [("Content-Type", f"{STRUCTURED_TYPE}; charset=utf-8".encode())],
        json.dumps(event).encode(),
    )
    assert head.time == HEAD.time
    assert head.time.utcoffset() == timedelta(hours=8)
    assert head.id == HEAD.id
    assert body == BODY


def _structured(**attributes: object) -> tuple[list[tuple[str, bytes]], bytes]:
    event = {
        "specversion": "1.0",
        "id": HEAD.id,
        "type": HEAD.type,
        "source": HEAD.source,
        "subject": HEAD.subject,
        "time": "2026-10-12T01:30:00Z",
        "data": {"a": 1},
        **attributes,
    }
    return [("content-type", STRUCTURED_TYPE.encode())], json.dumps(event).encode()


@pytest.mark.parametrize(
    "name", ["id", "type", "source", "subject", "correlationid", "traceparent"]
)
@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "a\x00b", "a\x1fb", "a\x7fb"])
def test_an_attribute_that_could_not_be_sent_on_is_refused(name: str, text: str) -> None:
    with pytest.raises(EnvelopeError) as caught:
        decode(*_structured(**{name: text}))
    assert (caught.value.code, caught.value.attribute) == ("wrong-characters", name)


def test_a_payload_with_a_lone_surrogate_is_handed_on_as_it_was_written() -> None:
    head, body = decode(*_structured(data={"a": "\ud800 号"}))
    assert head.id == HEAD.id
    assert json.loads(body.decode()) == {"a": "\ud800 号"}


@given(st.text(st.characters(codec=None)))
def test_what_is_taken_as_an_attribute_can_be_sent_on(text: str) -> None:
    try:
        head, body = decode(*_structured(correlationid=text))
    except EnvelopeError:
        assert not is_attribute(text)
    else:
        assert decode(encode(head), body) == (head, body)


def test_headers_of_other_tools_are_passed_over() -> None:
    assert decode([*MINIMUM, ("x-tool", b"\xff"), ("b3", None)], BODY)[0] == HEAD


def _with(name: str, value: bytes | None) -> list[tuple[str, bytes | None]]:
    return [(key, value if key == name else old) for key, old in MINIMUM]


def _without(name: str) -> list[tuple[str, bytes]]:
    return [pair for pair in MINIMUM if pair[0] != name]


@pytest.mark.parametrize(
    ("headers", "value", "code", "attribute"),
    [
        ([], BODY, "not-a-cloudevent", "headers"),
        (MINIMUM, b"", "empty", "value"),
        (MINIMUM, None, "empty", "value"),
        (_with("ce_id", None), BODY, "empty-header", "ce_id"),
        (_with("ce_id", b"\xff\xfe"), BODY, "not-utf-8", "ce_id"),
        (_with("ce_id", b""), BODY, "missing", "id"),
        (_with("ce_id", b"a\x00b"), BODY, "wrong-characters", "ce_id"),
        (_with("ce_id", "a\x85b".encode()), BODY, "wrong-characters", "ce_id"),
        (_with("ce_id", b"x" * 1025), BODY, "too-long", "ce_id"),
        (_with("ce_id", "号".encode() * 400), BODY, "too-long", "ce_id"),
        ([*MINIMUM, ("ce_correlationid", b"a\nb")], BODY, "wrong-characters", "ce_correlationid"),
        ([*MINIMUM, ("ce_li\ud800lei", b"\n")], BODY, "wrong-characters", "an attribute"),
        ([*MINIMUM, ("ce_id", b"again")], BODY, "repeated-header", "ce_id"),
        (_without("ce_source"), BODY, "missing", "source"),
        (_with("ce_specversion", b"0.3"), BODY, "wrong-specversion", "specversion"),
        (_with("ce_time", b"yesterday"), BODY, "wrong-value", "time"),
        (_with("ce_time", b"2026-10-12T01:30:00"), BODY, "wrong-value", "time"),
        (_with("ce_time", b"0001-01-01T00:00:00+08:00"), BODY, "wrong-value", "time"),
        (_with("ce_time", b"1900-01-01T00:00:00+14:00"), BODY, "wrong-value", "time"),
        (_with("ce_time", b"2199-12-31T23:00:00-01:00"), BODY, "wrong-value", "time"),
        (_with("content-type", b"text/plain"), BODY, "wrong-content-type", "content-type"),
        ([*MINIMUM, ("ce_sequence", b"0")], BODY, "wrong-value", "sequence"),
        ([*MINIMUM, ("ce_sequence", b"-1")], BODY, "wrong-value", "sequence"),
        ([*MINIMUM, ("ce_sequence", "٣".encode())], BODY, "wrong-value", "sequence"),
        ([*MINIMUM, ("ce_sequence", b"9" * 30)], BODY, "wrong-value", "sequence"),
        (_with("ce_origin", b"elsewhere"), BODY, "wrong-value", "origin"),
        ([("content-type", STRUCTURED_TYPE.encode())], b"{", "broken-json", "value"),
        ([("content-type", STRUCTURED_TYPE.encode())], b"[1]", "broken-json", "value"),
        ([("content-type", STRUCTURED_TYPE.encode())], b"{}", "empty", "data"),
        (
            [("content-type", STRUCTURED_TYPE.encode())],
            b'{"id":[1],"data":{}}',
            "wrong-type",
            "id",
        ),
        ([("content-type", STRUCTURED_TYPE.encode())], b"[" * 100_000, "broken-json", "value"),
    ],
)
def test_a_record_that_is_no_event_says_what_and_where(
    headers: list[tuple[str, bytes | None]], value: bytes | None, code: str, attribute: str
) -> None:
    with pytest.raises(EnvelopeError) as caught:
        decode(headers, value)
    assert (caught.value.code, caught.value.attribute) == (code, attribute)
    assert caught.value.words


@given(
    st.lists(st.tuples(st.text(max_size=12), st.none() | st.binary(max_size=40)), max_size=6),
    st.none() | st.binary(max_size=80),
)
def test_whatever_comes_is_an_event_or_a_clear_error(
    headers: list[tuple[str, bytes | None]], value: bytes | None
) -> None:
    with pytest.raises(EnvelopeError):
        decode(headers, value)
