"""The contracts hold: examples, schemas, catalogue and AsyncAPI agree, and a break is refused."""

import copy
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from deploy import contracts
from shared.events import asyncapi, catalog, envelope, intake, lifecycle, partners, schemas
from shared.events.payload import FIELD_CLASSES, ApplicationEvent, Payload
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


def _changed(**change: Any) -> dict[str, Any]:
    """The schema of a request for material, with fields or bounds changed."""
    now = copy.deepcopy(schemas.schema(intake.MaterialRequested))
    for name, value in change.items():
        if value is None:
            del now["properties"][name]
        else:
            now["properties"][name] = value
    return now


@pytest.mark.parametrize(
    ("now", "line"),
    [
        (_changed(deadline=None), "/deadline was removed"),
        (_changed(round={"type": "string"}), "/round was integer, is string"),
        (_changed(round={"type": "integer", "minimum": 2}), "/round minimum is now 2, was 1"),
        (_changed(branch={"type": "string", "maxLength": 3}), "/branch maxLength is now 3"),
        (_changed(branch={"type": "string", "enum": ["3101"]}), "/branch no longer allows any"),
        (_changed(branch={"type": "string", "pattern": "^3"}), "/branch pattern changed"),
        (
            {
                **_changed(extra={"type": "string"}),
                "required": [*_changed()["required"], "extra"],
            },
            "/extra is now required",
        ),
        ({**_changed(), "title": "SomethingElse"}, "/ the type name now means SomethingElse"),
        ({**_changed(), "additionalProperties": False}, "/ no longer allows unknown fields"),
    ],
)
def test_an_incompatible_change_is_refused(now: dict[str, Any], line: str) -> None:
    found = schemas.breaks(schemas.schema(intake.MaterialRequested), now)
    assert any(item.startswith(line) for item in found), found


def test_a_narrowed_part_of_a_payload_is_refused() -> None:
    now = copy.deepcopy(schemas.schema(intake.MaterialRequested))
    now["$defs"]["WantedItem"]["required"].append("field")
    assert schemas.breaks(schemas.schema(intake.MaterialRequested), now) == [
        "/items/*/field is now required"
    ]


def test_a_field_that_may_be_absent_can_be_added() -> None:
    now = _changed(extra={"type": "string", "default": ""})
    assert schemas.breaks(schemas.schema(intake.MaterialRequested), now) == []


def test_a_breaking_schema_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "FOLDER", tmp_path)
    promised = copy.deepcopy(schemas.schema(intake.MaterialRequested))
    promised["properties"]["once_promised"] = {"type": "string"}
    file = schemas.schema_file(intake.MaterialRequested.type)
    file.write_text(schemas.text(promised), "utf-8")
    with pytest.raises(contracts.BreakingChangeError, match=r"once_promised was removed"):
        contracts.write()
    assert file.read_text("utf-8") == schemas.text(promised)
    assert list(tmp_path.iterdir()) == [file]


def test_the_asyncapi_parser_approves_of_our_document() -> None:
    assert contracts.validate_asyncapi(contracts.ROOT / ".banka" / "asyncapi") == []


def test_asyncapi_describes_every_event_and_topic() -> None:
    document = asyncapi.document()
    assert {message["name"] for message in document["components"]["messages"].values()} == set(
        catalog.EVENTS
    )
    assert len(document["channels"]) == len(catalog.TOPICS)


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
