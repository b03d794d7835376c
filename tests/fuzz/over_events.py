"""Partners' records: events of the published schemas, events in good order with something wrong,
and records that are none. Every one has to be answered, and none may hold up another."""

from __future__ import annotations

import copy
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import schemathesis
from confluent_kafka import Consumer, TopicPartition
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from deploy.demo.handed_in import party_form
from deploy.demo.people import Crowd, Person
from shared.events.catalog import PARTNERS, partner_source
from shared.events.envelope import Envelope, encode
from shared.events.partners import PartnerEvent
from shared.identifiers import new_id
from shared.privacy.jwe import encrypt
from tests.end_to_end.town import BRANCHES, MORNING
from tests.end_to_end.town import PAPERS as ITEMS
from tests.fuzz.hostile import CANARY, PAPERS, made, spoilt, texts, written
from tests.fuzz.judging import of_event
from tests.fuzz.over_http import each
from tests.fuzz.world import BRANCH, World

_SCHEMAS = Path(__file__).parents[2] / "shared" / "events" / "schemas"
_SECONDS = 240.0  # for all answers to one lot; a hostile paper alone may take ten
_ANSWERS = tuple(f"banka.inbound.{one}.v1" for one in ("accepted", "noted", "rejected", "kept"))
# kept although refused: that a card's partner reported what cannot be
_KEPT = ("banka.card.fact-refused.v1",)
_LARGEST = 900_000  # bytes that the broker takes of a partner


@dataclass(frozen=True)
class Record:
    """What a partner writes. again: the same event once more."""

    partner: str
    kind: str
    event_id: str
    key: bytes | None
    headers: list[tuple[str, bytes | None]]
    body: bytes | None
    again: bool = False


def fuzz_events(examples: int, seed: int | None = None) -> Callable[[World], None]:
    """Every type of every partner; `examples` of each of three kinds."""

    def run(world: World) -> None:
        for partner in PARTNERS:
            for payload in partner.sends:
                sent: list[Record] = []
                for bodies in _bodies(world, payload):
                    each(_records(partner.name, payload, bodies), examples, seed, sent.append)
                _exchange(world, partner.name, payload, sent)

    return run


def _bodies(world: World, payload: type[PartnerEvent]) -> list[st.SearchStrategy[Any]]:
    """What fits the schema, what does not, and what nearly does."""
    schema = json.loads((_SCHEMAS / f"{payload.type}.json").read_text(encoding="utf-8"))
    return [
        *(
            _of_schema(schema, mode).flatmap(_encrypted(world))
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        ),
        _good(world, payload).flatmap(spoilt),
    ]


def _of_schema(schema: Mapping[str, Any], mode: GenerationMode) -> st.SearchStrategy[Any]:
    """Documents as schemathesis makes them of a request's body."""
    body = {"required": True, "content": {"application/json": {"schema": dict(schema)}}}
    told = {"200": {"description": "taken"}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "event", "version": "1"},
        "paths": {"/": {"post": {"requestBody": body, "responses": told}}},
    }
    (found,) = schemathesis.openapi.from_dict(document).get_all_operations()
    assert isinstance(found, Ok)
    return found.ok().as_strategy(generation_mode=mode).map(lambda case: _as_json(case.body))


def _as_json(body: Any) -> Any:
    """The body, where it is none a text or nothing."""
    if isinstance(body, bytes):
        return body.decode("latin-1")
    try:
        json.dumps(body)
    except TypeError:
        return None
    return body


def _encrypted(world: World) -> Callable[[Any], st.SearchStrategy[Any]]:
    """The document, with real JWEs of hostile content where the schema wants one."""

    @st.composite
    def filled(draw: st.DrawFn, value: Any) -> Any:
        value = copy.deepcopy(value)  # what was drawn stays as it is
        if isinstance(value, dict):
            for party in value.get("parties") or ():
                if isinstance(party, dict) and draw(st.booleans()):
                    party["personal"] = draw(_personal(world))
            for document in value.get("documents") or ():
                if isinstance(document, dict) and draw(st.booleans()):
                    document["content"] = draw(_paper(world))
        return value

    return filled


def _somebody(number: int) -> Person:
    """The same one for the same number: hypothesis draws anew, and has to come to the same."""
    region = BRANCHES[BRANCH]
    return Crowd(Random(number), MORNING.date()).make(region, work_region=region)


@st.composite
def people(draw: st.DrawFn) -> bytes:
    """A person as JSON: in good order, spoilt, or not a person at all."""
    person = party_form("applicant", _somebody(draw(st.integers(0, 2**32 - 1))))
    person.pop("role")
    return draw(
        st.one_of(
            st.just(json.dumps(person).encode()),
            spoilt(person).flatmap(written),
            texts.map(lambda text: text.encode("utf-8", "surrogatepass")),
        )
    )


def _personal(world: World) -> st.SearchStrategy[str]:
    return people().map(lambda clear: encrypt(clear, world.keys)[:20_000])


def _paper(world: World) -> st.SearchStrategy[str]:
    small = [name for name in PAPERS if len(made(name)) < 200_000]
    return st.sampled_from(small).map(lambda name: encrypt(made(name), world.keys))


@st.composite
def _good(draw: st.DrawFn, world: World, payload: type[PartnerEvent]) -> Any:
    """An event in good order, about something that is there."""
    reference = draw(st.sampled_from(world.references + world.ids["card_id"]))
    kind = payload.type.removeprefix("banka.partner-")
    if kind == "application.submitted.v1":
        form = world.town.form(BRANCH, _somebody(0))  # nothing of the person is taken from it
        return {
            "reference": f"FUZZ-{new_id()}",
            **{name: form[name] for name in ("branch", "product", "applicant_type", "consent")},
            "parties": [{"role": "applicant", "personal": draw(_personal(world))}],
            "documents": draw(st.lists(_document(world), max_size=2)),
        }
    event: dict[str, Any] = {"reference": reference}
    if kind == "document.supplied.v1":
        event["documents"] = draw(st.lists(_document(world), min_size=1, max_size=2))
    elif kind == "fields.corrected.v1":
        event["parties"] = [{"role": "applicant", "personal": draw(_personal(world))}]
    elif kind == "withdrawal.requested.v1" and draw(st.integers(0, 3)):
        event["reference"] = f"FUZZ-{new_id()}"  # who withdraws takes nothing else any more
    elif kind == "account.performance-reported.v1":
        month = f"{date.fromisoformat(world.now()[:10]).replace(day=1) - timedelta(days=1):%Y-%m}"
        event |= {"month": month, "revision": draw(st.integers(1, 9)), "balance": "zero"}
        event |= {"opened_on": f"{month}-01", "days_past_due": draw(st.integers(0, 90))}
    elif kind == "account.holding-reported.v1":
        held = {"card": reference, "limit": {"minor": draw(st.integers(0, 9))}, "dormant": False}
        event |= {"as_of": world.now()[:10], "revision": draw(st.integers(1, 9)), "cards": [held]}
    elif kind == "watchlist.changed.v1":
        event |= {"version": draw(st.sampled_from(["1", "2"])), "changed_at": world.now()}
    return event


def _document(world: World) -> st.SearchStrategy[dict[str, Any]]:
    day = world.now()[:10]
    return st.fixed_dictionaries({
        "item": st.sampled_from(ITEMS),
        "content": _paper(world),
        "issued_on": st.just(day),
    })  # fmt: skip


@st.composite
def _records(
    draw: st.DrawFn, partner: str, payload: type[PartnerEvent], bodies: st.SearchStrategy[Any]
) -> Record:
    """The event as a record: binary or structured, in order or not."""
    data = draw(bodies)
    event_id = new_id()
    reference = data.get("reference") if isinstance(data, dict) else None
    own = reference.replace(CANARY, "") if isinstance(reference, str) else ""
    key = own or f"FUZZ-{event_id}"
    envelope = Envelope(
        id=event_id,
        type=payload.type,
        source=partner_source(partner),
        subject=f"FUZZ-{event_id}",
        time=datetime(2026, 10, 12, 1, 30, tzinfo=UTC),
    )
    headers: list[tuple[str, bytes | None]] = list(encode(envelope))
    body: bytes | None = draw(written(data))
    match draw(st.integers(0, 29)):
        case 0 | 1 | 2:  # structured
            attributes = {
                name.removeprefix("ce_"): (value or b"").decode() for name, value in headers
            }
            attributes["datacontenttype"] = attributes.pop("content-type")
            event = {**attributes, "data": data}
            body = draw(spoilt(event, 2).flatmap(written)) if draw(st.booleans()) else (
                json.dumps(event).encode()
            )  # fmt: skip
            headers = [("content-type", b"application/cloudevents+json")]
        case 3 | 4:
            place = draw(st.integers(0, len(headers) - 1))
            odd = _own(draw(texts))
            headers[place] = (
                headers[place][0],
                draw(st.sampled_from((None, b"", b"\xff\xfe", odd))),
            )
        case 5:
            del headers[draw(st.integers(0, len(headers) - 1))]
        case 6:
            headers.append(draw(st.sampled_from(headers)))
        case 7:
            headers += [("ce_origin", b"imported"), ("ce_sequence", b"-1"), ("", b"x")]
        case 8:
            headers = [(_own(draw(texts)).decode("utf-8", "replace"), b"x")] * 40
        case 9:
            headers, body = [], None
        case _:
            pass
    name = _as_key(draw, key)
    again = draw(st.integers(0, 9)) == 0
    return Record(partner, payload.type, event_id, name, headers, (body or b"")[:_LARGEST], again)


def _own(text: str) -> bytes:
    """For what is the partner's own and comes back to him: without the canary."""
    return text.replace(CANARY, "").encode("utf-8", "surrogatepass")


def _as_key(draw: st.DrawFn, key: str) -> bytes | None:
    match draw(st.integers(0, 39)):
        case 0:
            return None
        case 1:
            return b""
        case 2:
            return b"\xff\x00\xfe"
        case 3:
            return _own(draw(texts))[:2000]
        case 4:
            return b"k" * 1024
    return key.encode("utf-8", "surrogatepass")


def _exchange(
    world: World, partner: str, payload: type[PartnerEvent], records: list[Record]
) -> None:
    """Send them, wait until all were read, and judge what was said."""
    where = payload.type.removeprefix("banka.partner-")
    topic = f"banka.inbound.{partner}"
    ((before,),) = world.rows(
        "intake", "SELECT coalesce(max(position), 0) FROM messaging.event_log"
    )
    producer = world.producer(partner)
    began = time.monotonic()
    wanted = 0
    for record in records:
        for _ in range(2 if record.again else 1):
            producer.produce(topic, record.body, record.key, headers=record.headers)
            wanted += 1
    assert producer.flush(30) == 0
    if not _read(world, producer, partner, topic):
        world.tally.found("event", where, ["was not read in time: the topic hangs"], len(records))
        return
    seconds = time.monotonic() - began
    told = world.rows(
        "intake",
        "SELECT topic, type, attributes, body FROM messaging.event_log"
        " WHERE position > $1 ORDER BY position",
        before,
    )
    _judge(world, where, records, [dict(row) for row in told], f"banka.outbound.{partner}")
    rate = f"{wanted / max(seconds, 0.001):.0f} a second"
    world.tally.saw("event", f"{where}, speed", rate)


def _read(world: World, producer: Any, partner: str, topic: str) -> bool:
    """Wait until intake has read all that lies on the topic."""
    metadata = producer.list_topics(topic, timeout=30).topics[topic]
    asking = Consumer({**world.stack.kafka_admin(), "group.id": "fuzz"})
    try:
        ends = {
            part: asking.get_watermark_offsets(TopicPartition(topic, part), timeout=30)[1]
            for part in metadata.partitions
        }
    finally:
        asking.close()
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        rows = world.rows(
            "intake", "SELECT part, next FROM messaging.consumer_offset WHERE topic = $1", topic
        )
        stands = {row["part"]: row["next"] for row in rows}
        again = world.rows(
            "intake",
            "SELECT FROM messaging.blocked_key WHERE state = 'retry' AND topic = $1",
            topic,
        )
        if not again and all(stands.get(part, 0) >= high for part, high in ends.items() if high):
            return True
        time.sleep(0.1)
    return False


def _judge(
    world: World,
    where: str,
    records: list[Record],
    told: list[dict[str, Any]],
    outbound: str,
) -> None:
    tally = world.tally
    answered: Counter[str] = Counter()
    refused: dict[str, Record | None] = {}
    by_id = {record.event_id: record for record in records}
    for row in told:
        if row["type"] not in _ANSWERS or row["topic"] != outbound:
            continue
        said = json.loads(row["body"])
        kind = row["type"].split(".")[2]
        event_id = said["partner_event_id"]
        answered[event_id or ""] += 1
        record = by_id.get(event_id or "")
        tally.saw("event", where, f"{kind} {said.get('code', '')}".strip())
        tally.found("event", where, of_event(kind, row["body"]), (record, row["body"]))
        if kind == "rejected":
            refused[event_id or ""] = record
    missing = len(records) - sum(answered.values())
    # the same record again gets its answer again, but one whose id nobody can read is another one
    doubled = sum(record.again for record in records)
    if not -doubled <= missing <= 0:
        unanswered = [one for one in records if not answered[one.event_id]][:3]
        tally.found("event", where, [f"{missing} answers are missing"], unanswered)
    for row in told:
        cause = dict(json.loads(row["attributes"])).get("causationid")
        if cause in refused and row["topic"] != outbound and row["type"] not in _KEPT:
            fault = f"was refused and published {row['type']}"
            tally.found("event", where, [fault], refused[cause])
