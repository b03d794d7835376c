"""The contracts hold: examples, schemas, catalogue and AsyncAPI agree, and a break is refused."""

import json
import re
import shutil
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import jsonschema
import pytest
from pydantic import Field, ValidationError, create_model

from deploy import contracts
from shared.events import asyncapi, catalog, envelope, intake, lifecycle, partners, schemas
from shared.events.payload import FIELD_CLASSES, ApplicationEvent, Part, Payload
from shared.privacy.sealing import DataClass

PAYLOADS = list(catalog.EVENTS.values())
PUBLISHED = sorted(schemas.FOLDER.glob("*.json"))


def _example(payload: type[Payload]) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(schemas.example_file(payload.type).read_text("utf-8"))
    return loaded


def _topic(payload: type[Payload]) -> catalog.Topic:
    return next(topic for topic in catalog.TOPICS if payload in topic.payloads)


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.type)
def test_the_golden_example_is_read_back_unchanged(payload: type[Payload]) -> None:
    event = _example(payload)
    head, body = envelope.decode(
        [("content-type", envelope.STRUCTURED_TYPE.encode())], json.dumps(event).encode()
    )
    assert head.type == payload.type
    assert payload.model_validate_json(body).model_dump(mode="json") == event["data"]

    again, _ = envelope.decode(envelope.encode(head), body)
    assert again == head


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.type)
def test_the_golden_example_fits_the_published_schema(payload: type[Payload]) -> None:
    published = json.loads(schemas.schema_file(payload.type).read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.validate(_example(payload)["data"], published)


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.type)
def test_the_golden_example_names_its_publisher(payload: type[Payload]) -> None:
    event, topic = _example(payload), _topic(payload)
    if topic.publisher == "partner":
        partner = next(partner for partner in catalog.PARTNERS if payload in partner.sends)
        assert event["source"] == catalog.partner_source(partner.name)
        assert "sequence" not in event
    else:
        assert event["source"].removeprefix("/banka/") in topic.publisher.split(", ")
        assert payload.__module__.rpartition(".")[2] == event["source"].rpartition("/")[2]
        assert int(event["sequence"]) >= 1


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.type)
def test_a_type_is_named_after_a_past_fact_and_has_a_meaning(payload: type[Payload]) -> None:
    assert re.fullmatch(r"banka(\.[a-z]+(-[a-z]+)*){2}\.v[1-9]\d*", payload.type)
    assert payload.__doc__
    assert payload.__doc__ != Payload.__doc__


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.type)
def test_readers_tolerate_a_field_that_they_do_not_know(payload: type[Payload]) -> None:
    data = {**_example(payload)["data"], "added_next_year": "anything"}
    if issubclass(payload, partners.PartnerEvent):
        with pytest.raises(ValidationError):
            payload.model_validate(data)
    else:
        assert payload.model_validate(data).model_dump(mode="json") == _example(payload)["data"]


def test_what_is_generated_is_up_to_date() -> None:
    stale = [
        path.relative_to(contracts.ROOT)
        for path, text in contracts.generated()
        if not path.exists() or path.read_text("utf-8") != text
    ]
    assert stale == [], "run `make docs`"


def test_no_published_schema_is_broken() -> None:
    assert contracts.breaking_changes() == [], "make a new version of the type instead"


def test_every_published_schema_has_a_type_and_every_example_too() -> None:
    assert {file.stem for file in PUBLISHED} == set(catalog.EVENTS)
    assert set(schemas.EXAMPLES.glob("*/*/*.json")) == {
        schemas.example_file(event_type) for event_type in catalog.EVENTS
    }


class _Part(Part):
    name: str


class _Promise(Payload):
    """Made up: something of every kind that a payload may hold."""

    type: ClassVar[str] = "banka.promise.made.v1"
    must: str
    may: str = ""
    perhaps: int | None = None
    kind: Literal["a", "b"] = "a"
    only: Literal["a"] = "a"
    count: int = Field(default=1, ge=1, le=9)
    word: str = Field(default="x", min_length=1, max_length=9, pattern="^x")
    parts: list[_Part] = Field(default=[], max_length=3)
    whole: _Part
    texts: dict[str, str] = Field(default={})


def _like_promise(**changes: Any) -> type[Payload]:
    """The promise with fields changed, `(type, default or Field)`, added, or taken away by None."""
    fields: dict[str, Any] = {
        name: (field.rebuild_annotation(), field)
        for name, field in _Promise.model_fields.items()
        if changes.get(name, field) is not None
    }
    fields |= {name: change for name, change in changes.items() if change is not None}
    return create_model("_Promise", __base__=Payload, **fields)


class _NewPart(_Part):
    more: str


class _WiderPart(_Part):
    more: str = ""


class _LoosePart(Part):
    name: str = ""


class _EmptyPart(Part):
    pass


def _breaks(now: type[Payload], *, inbound: bool) -> list[str]:
    now.type = _Promise.type
    return schemas.breaks(schemas.schema(_Promise), schemas.schema(now), inbound=inbound)


HARMLESS = {
    "a field that may be absent": {"added": (str, "")},
    "a field that may be null": {"added": (int | None, None)},
    "a part's field that may be absent": {"whole": (_WiderPart, ...)},
    "other words": {"must": (str, Field(description="said differently"))},
}
# what partners may still send as they did, but what our readers would not understand
WIDER = {
    "required to optional": ({"must": (str, "")}, "/must presence"),
    "to nullable": ({"must": (str | None, ...)}, "/must type"),
    "a part to nullable": ({"whole": (_Part | None, ...)}, "/whole type"),
    "a part's field to optional": ({"whole": (_LoosePart, ...)}, "/whole/name presence"),
    "one value more": ({"kind": (Literal["a", "b", "c"], "a")}, "/kind value"),
    "a second value": ({"only": (Literal["a", "b"], "a")}, "/only value"),
    "any value": ({"kind": (str, "a")}, "/kind value"),
    "a lower minimum": ({"count": (int, Field(default=1, ge=0, le=9))}, "/count minimum"),
    "a higher maximum": ({"count": (int, Field(default=1, ge=1, le=10))}, "/count maximum"),
    "no maximum": ({"count": (int, Field(default=1, ge=1))}, "/count maximum"),
    "integer to number": ({"count": (float, Field(default=1, ge=1, le=9))}, "/count type"),
    "no pattern": (
        {"word": (str, Field(default="x", min_length=1, max_length=9))}, "/word pattern",
    ),
    "longer lists": ({"parts": (list[_Part], Field(default=[], max_length=4))}, "/parts maxItems"),
    "an item's field to optional": (
        {"parts": (list[_LoosePart], Field(default=[], max_length=3))}, "/parts/*/name presence",
    ),
    "values of a map to nullable": ({"texts": (dict[str, str | None], {})}, "/texts/* type"),
}  # fmt: skip
# what nobody may meet: a partner's event is refused, a stored event cannot be read
NARROWER = {
    "removed": ({"must": None}, "/must field is now removed"),
    "removed, though it could be absent": ({"may": None}, "/may field is now removed"),
    "a part's field removed": ({"whole": (_EmptyPart, ...)}, "/whole/name field is now removed"),
    "a new field that is required": ({"added": (str, ...)}, "/added presence is now required"),
    "optional to required": ({"may": (str, ...)}, "/may presence is now required"),
    "a part's new field": ({"whole": (_NewPart, ...)}, "/whole/more presence is now required"),
    "another kind": ({"must": (int, ...)}, "/must type is now integer, was string"),
    "never null": ({"perhaps": (int, 0)}, "/perhaps type is now integer, was integer or null"),
    "one value less": ({"kind": (Literal["a"], "a")}, "/kind value"),
    "listed values": ({"must": (Literal["a"], ...)}, "/must value"),
    "another value": ({"only": (Literal["b"], "b")}, "/only value"),
    "a higher minimum": (
        {"count": (int, Field(default=2, ge=2, le=9))}, "/count minimum is now 2, was 1",
    ),
    "a lower maximum": ({"count": (int, Field(default=1, ge=1, le=8))}, "/count maximum"),
    "a step": ({"count": (int, Field(default=1, ge=1, le=9, multiple_of=1))}, "/count multipleOf"),
    "a bound within an alternative": (
        {"perhaps": (Annotated[int, Field(ge=1)] | None, None)}, "/perhaps minimum is now 1",
    ),
    "shorter words": (
        {"word": (str, Field(default="x", min_length=1, max_length=8, pattern="^x"))},
        "/word maxLength",
    ),
    "another pattern": (
        {"word": (str, Field(default="x", min_length=1, max_length=9, pattern="^xy?"))},
        "/word pattern",
    ),
    "a format": ({"must": (date, ...)}, "/must format"),
    "shorter lists": ({"parts": (list[_Part], Field(default=[], max_length=2))}, "/parts maxItems"),
    "an item's new field": (
        {"parts": (list[_NewPart], Field(default=[], max_length=3))}, "/parts/*/more presence",
    ),
    "other values of a map": ({"texts": (dict[str, int], {})}, "/texts/* type"),
    "another meaning of absence": ({"may": (str, "y")}, "/may default is now y, was "),
}  # fmt: skip


@pytest.mark.parametrize("inbound", [False, True])
@pytest.mark.parametrize("changes", HARMLESS.values(), ids=HARMLESS.keys())
def test_a_harmless_change_is_none_to_anybody(changes: dict[str, Any], inbound: bool) -> None:
    assert _breaks(_like_promise(), inbound=inbound) == []
    assert _breaks(_like_promise(**changes), inbound=inbound) == []


@pytest.mark.parametrize(("changes", "line"), WIDER.values(), ids=WIDER.keys())
def test_we_may_accept_more_of_partners_but_say_nothing_new_to_readers(
    changes: dict[str, Any], line: str
) -> None:
    now = _like_promise(**changes)
    assert _breaks(now, inbound=True) == []
    assert [one for one in _breaks(now, inbound=False) if one.startswith(line)]


@pytest.mark.parametrize("inbound", [False, True])
@pytest.mark.parametrize(("changes", "line"), NARROWER.values(), ids=NARROWER.keys())
def test_a_narrower_promise_is_broken_for_everybody(
    changes: dict[str, Any], line: str, inbound: bool
) -> None:
    found = _breaks(_like_promise(**changes), inbound=inbound)
    assert [one for one in found if one.startswith(line)], found


def test_a_reader_who_refuses_unknown_fields_is_sent_none() -> None:
    strict = {**schemas.schema(_Promise), "additionalProperties": False}
    added = _like_promise(added=(str, ""))
    added.type = _Promise.type
    now = {**schemas.schema(added), "additionalProperties": False}
    assert schemas.breaks(strict, now, inbound=True) == []
    assert schemas.breaks(strict, now) == ["/added presence is now optional, was refused"]
    assert schemas.breaks(schemas.schema(_Promise), strict, inbound=True) == [
        "/ any other field is now refused, was allowed"
    ]


def test_a_type_name_keeps_its_meaning() -> None:
    promised = schemas.schema(_Promise)
    now = {**promised, "title": "SomethingElse"}
    for inbound in (False, True):
        assert schemas.breaks(promised, now, inbound=inbound) == [
            "/ the type name now means SomethingElse, it meant _Promise"
        ]


@pytest.fixture
def promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what is published, and where it lies; nothing else can be written."""
    folder = tmp_path / "schemas"
    shutil.copytree(schemas.FOLDER, folder)
    monkeypatch.setattr(schemas, "FOLDER", folder)
    for name in ("ASYNCAPI", "OPENAPI", "README"):
        copied = shutil.copy(getattr(contracts, name), tmp_path)
        monkeypatch.setattr(contracts, name, Path(copied))
    assert contracts.write() == []
    return folder


def _promise_too_much(folder: Path, event_type: str = intake.MaterialRequested.type) -> None:
    """As if yesterday's model had had one field more."""
    file = schemas.schema_file(event_type)
    promised = json.loads(file.read_text("utf-8"))
    promised["properties"]["once_promised"] = {"type": "string"}
    file.write_text(schemas.text(promised), "utf-8")
    texts = {one.stem: one.read_text("utf-8") for one in folder.glob("*.json")}
    (folder / schemas.LIST).write_text(schemas.published_list(texts), "utf-8")


@pytest.mark.parametrize("payload", [intake.MaterialRequested, partners.PartnerCardPosted])
def test_a_breaking_schema_is_not_written(promises: Path, payload: type[Payload]) -> None:
    _promise_too_much(promises, payload.type)
    before = {file: file.read_bytes() for file in promises.iterdir()}
    with pytest.raises(contracts.BreakingChangeError, match=r"once_promised field is now removed"):
        contracts.write()
    assert {file: file.read_bytes() for file in promises.iterdir()} == before


def test_which_way_a_type_travels_decides_what_breaks_it(promises: Path) -> None:
    for payload, broken in ((intake.MaterialRequested, True), (partners.PartnerCardPosted, False)):
        file = schemas.schema_file(payload.type)
        promised = json.loads(file.read_text("utf-8"))
        name = promised["required"][0]
        promised["properties"][name]["maxLength"] = 8
        file.write_text(schemas.text(promised), "utf-8")
        texts = {one.stem: one.read_text("utf-8") for one in promises.glob("*.json")}
        (promises / schemas.LIST).write_text(schemas.published_list(texts), "utf-8")
        lines = [line for line in contracts.breaking_changes() if line.startswith(payload.type)]
        assert bool(lines) is broken, lines


def test_a_promise_cannot_be_lost(promises: Path) -> None:
    schemas.schema_file(intake.MaterialRequested.type).unlink()
    with pytest.raises(contracts.BreakingChangeError, match="published schema is missing"):
        contracts.write()


def test_a_promise_cannot_be_rewritten_by_hand(promises: Path) -> None:
    file = schemas.schema_file(intake.MaterialRequested.type)
    file.write_text(file.read_text("utf-8").replace("4 digits", "5 digits"), "utf-8")
    with pytest.raises(contracts.BreakingChangeError, match="changed by hand"):
        contracts.write()


def test_the_list_of_promises_cannot_be_lost(promises: Path) -> None:
    (promises / schemas.LIST).unlink()
    with pytest.raises(contracts.BreakingChangeError, match="the list of what was published"):
        contracts.write()


def test_a_type_goes_only_with_its_line_in_the_list(
    promises: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = intake.MaterialRequested.type
    monkeypatch.delitem(catalog.EVENTS, gone)
    with pytest.raises(contracts.BreakingChangeError, match="the type is gone"):
        contracts.write()
    schemas.schema_file(gone).unlink()
    with pytest.raises(contracts.BreakingChangeError, match="the type is gone"):
        contracts.write()
    listed = promises / schemas.LIST
    kept = [line for line in listed.read_text("utf-8").splitlines(True) if gone not in line]
    listed.write_text("".join(kept), "utf-8")
    assert contracts.breaking_changes() == []


def test_a_new_type_is_published_and_listed(
    promises: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(catalog.EVENTS, _Promise.type, _Promise)
    assert contracts.write() == [schemas.schema_file(_Promise.type), promises / schemas.LIST]
    assert _Promise.type in schemas.read_list((promises / schemas.LIST).read_text("utf-8"))


def test_the_diagram_cannot_be_lost(promises: Path) -> None:
    text = contracts.README.read_text("utf-8")
    contracts.README.write_text(text.replace("```mermaid", "```text"), "utf-8")
    with pytest.raises(contracts.MissingDiagramError, match="no Mermaid block"):
        contracts.write()


def test_the_asyncapi_parser_approves_of_our_document() -> None:
    assert contracts.validate_asyncapi(contracts.ROOT / ".banka" / "asyncapi") == []


def test_asyncapi_describes_every_event_and_topic() -> None:
    document = asyncapi.document()
    assert {message["name"] for message in document["components"]["messages"].values()} == set(
        catalog.EVENTS
    )
    assert len(document["channels"]) == len(catalog.TOPICS)


def test_asyncapi_names_partitions_retention_and_key_of_every_topic() -> None:
    document = asyncapi.document()
    for topic in catalog.deployed_topics():
        if topic.holds_dead_letters:
            continue
        channel = next(
            one
            for one in document["channels"].values()
            if re.fullmatch(one["address"].replace("{partner}", "[a-z-]+"), topic.name)
        )
        kafka = channel["bindings"]["kafka"]
        assert kafka["partitions"] == topic.partitions
        assert kafka["topicConfiguration"]["retention.ms"] == topic.retention_ms
    keys = {
        message["name"]: message["bindings"]["kafka"]["key"]["description"]
        for message in document["components"]["messages"].values()
    }
    for payload in PAYLOADS:
        assert keys[payload.type].startswith(f"The {_topic(payload).subject},")


def _said(operation: str) -> set[str]:
    """The types that an operation of the document names, looked up as a reader does."""
    document = asyncapi.document()
    found = document["operations"][operation]
    channel = found["channel"]["$ref"].rpartition("/")[2]
    names = set()
    for message in found["messages"]:
        place, _, name = message["$ref"].rpartition("/")
        assert place == f"#/channels/{channel}/messages"
        target = document["channels"][channel]["messages"][name]["$ref"].rpartition("/")[2]
        names.add(document["components"]["messages"][target]["name"])
    return names


def test_asyncapi_says_who_sends_and_receives_what() -> None:
    applications = {payload.type for payload in catalog.TOPICS[0].payloads}
    decisions = _said("review_send_banka_applications")
    assert {"banka.application.approved.v1", "banka.application.declined.v1"} <= decisions
    assert not decisions & _said("intake_send_banka_applications")
    assert decisions | _said("intake_send_banka_applications") == applications
    assert _said("notify_receive_banka_applications") == applications
    assert _said("card_factory_send_banka_inbound_partner") == {
        "banka.partner-card.produced.v1",
        "banka.partner-card.posted.v1",
        "banka.partner-card.delivered.v1",
    }
    assert _said("mobile_app_receive_banka_outbound_partner") == {
        "banka.inbound.accepted.v1",
        "banka.inbound.rejected.v1",
        "banka.inbound.kept.v1",
        "banka.application-status.changed.v1",
    }
    assert _said("intake_receive_banka_inbound_partner") == {
        payload.type for partner in catalog.PARTNERS for payload in partner.sends
    }


def test_every_event_has_one_topic_and_every_topic_one_kind_of_publisher() -> None:
    for payload in PAYLOADS:
        assert [topic.name for topic in catalog.TOPICS if payload in topic.payloads] == [
            payload.topic
        ]
    known = {*catalog.SERVICES, "partner"}
    for topic in catalog.TOPICS:
        assert topic.payloads
        assert set(topic.publisher.split(", ")) <= known
        assert set(topic.consumers) <= known


def test_every_payload_class_that_names_a_type_is_in_the_catalogue() -> None:
    def subclasses(cls: type[Payload]) -> set[type[Payload]]:
        return {cls}.union(*(subclasses(child) for child in cls.__subclasses__()))

    ours = {
        cls
        for cls in subclasses(Payload)
        if "type" in vars(cls) and cls.__module__.startswith("shared.events.")
    }
    assert ours == set(PAYLOADS)


def test_every_partner_event_is_sent_by_somebody_and_every_answer_is_received() -> None:
    sent = {payload for partner in catalog.PARTNERS for payload in partner.sends}
    received = {payload for partner in catalog.PARTNERS for payload in partner.receives}
    by_name = {topic.name: set(topic.payloads) for topic in catalog.TOPICS}
    assert sent == by_name["banka.inbound.<partner>"]
    assert received == by_name["banka.outbound.<partner>"]


def test_every_event_about_an_application_says_where_and_what_it_is() -> None:
    for payload in catalog.TOPICS[0].payloads:
        assert issubclass(payload, ApplicationEvent)
        assert payload in lifecycle.BY_TYPE.values()


def test_every_personal_field_is_sealed_by_a_known_class() -> None:
    assert set(FIELD_CLASSES.values()) <= set(DataClass)


def test_instants_have_one_written_form() -> None:
    east = datetime.fromisoformat("2026-10-12T09:30:00+08:00")
    assert envelope.rfc3339(east) == "2026-10-12T01:30:00.000000Z"
