"""The catalogue as an AsyncAPI 3 document: what a partner's or a colleague's engineer reads."""

import json
from collections.abc import Iterator
from typing import Any

from shared.events import catalog, lifecycle, schemas
from shared.events.payload import Payload

Document = dict[str, Any]

_TITLE = "banka"
_BINDING = "0.5.0"  # of Kafka's bindings
_VERSION = "1.0.0"  # of the contracts together; a new version of one type raises the minor number

_HEADERS: Document = {
    "type": "object",
    "description": "CloudEvents 1.0 attributes, binary mode of the Kafka protocol binding.",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time"],
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string", "description": "Unique per source; ours are UUIDv7."},
        "ce_type": {"type": "string", "description": "banka.<thing>.<past tense>.v<n>"},
        "ce_source": {
            "type": "string",
            "description": "/banka/<service>, or /partners/<partner> for a partner.",
        },
        "ce_subject": {"type": "string", "description": "Equal to the record's key."},
        "ce_time": {
            "type": "string",
            "format": "date-time",
            "description": "When it happened in the business.",
        },
        "ce_recordedtime": {
            "type": "string",
            "format": "date-time",
            "description": "When the publisher committed it.",
        },
        "ce_sequence": {
            "type": "string",
            "pattern": "^[1-9][0-9]*$",
            "description": "Per topic, source and subject, from 1, no gaps; partners send none.",
        },
        "ce_stateversion": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "An application's count of transitions, across services.",
        },
        "ce_causationid": {"type": "string", "description": "The event that caused this one."},
        "ce_correlationid": {"type": "string"},
        "ce_traceparent": {"type": "string", "description": "W3C trace context."},
        "ce_origin": {"type": "string", "enum": ["live", "imported"]},
        "content-type": {"type": "string"},
    },
}


def document() -> Document:
    """The whole contract as an AsyncAPI 3.0 document."""
    channels: Document = {}
    operations: Document = {}
    messages: Document = {}
    bodies: Document = {}
    for topic in catalog.TOPICS:
        channel = _name(topic.name)
        channels[channel] = {
            "address": topic.name.replace("<partner>", "{partner}"),
            "description": f"{topic.meaning} The key is the {topic.subject}.",
            "messages": {
                _name(payload.type): {"$ref": f"#/components/messages/{_name(payload.type)}"}
                for payload in topic.payloads
            },
            "bindings": {"kafka": _topic_as_made(topic)},
        }
        if catalog.PARTNER in topic.name:
            channels[channel]["parameters"] = {
                "partner": {
                    "description": "; ".join(
                        f"{partner.name}: {partner.meaning}" for partner in catalog.PARTNERS
                    ),
                    "enum": [partner.name for partner in catalog.PARTNERS],
                }
            }
        for party, action, payloads in _actions(topic):
            operations[f"{_name(party)}_{action}_{channel}"] = {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel}"},
                "summary": f"{party} {action}s {topic.for_partner(party)}",
                "messages": [
                    {"$ref": f"#/channels/{channel}/messages/{_name(payload.type)}"}
                    for payload in payloads
                ],
            }
        for payload in topic.payloads:
            messages[_name(payload.type)] = _message(topic, payload)
            bodies[_name(payload.type)] = _inlined(payload)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": _TITLE,
            "version": _VERSION,
            "description": (
                "Events of the credit card application office. Personal fields travel sealed on "
                "our topics and as JWE from partners; nothing personal is ever in clear."
            ),
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": {"CloudEventHeaders": _HEADERS, **bodies},
        },
    }


def _name(text: str) -> str:
    """A key that AsyncAPI allows."""
    return text.replace("<partner>", "partner").replace(".", "_").replace("-", "_")


def _topic_as_made(topic: catalog.Topic) -> Document:
    """The topic as provisioning makes it, unless a deployment chooses other partitions."""
    return {
        "partitions": topic.partitions or catalog.PARTITIONS,
        "topicConfiguration": {
            "cleanup.policy": ["delete"],
            "retention.ms": topic.retention_ms,
        },
        "bindingVersion": _BINDING,
    }


def _actions(topic: catalog.Topic) -> Iterator[tuple[str, str, tuple[type[Payload], ...]]]:
    """Who sends and who receives what on a topic. A service that reads a topic meets all of it; a
    partner sends and receives what its contract names."""
    for party in topic.publisher.split(", "):
        if party != "partner":
            own = tuple(one for one in topic.payloads if catalog.publisher(one) == party)
            yield party, "send", own
            continue
        for partner in catalog.PARTNERS:
            yield partner.name, "send", partner.sends
    for party in topic.consumers:
        if party != "partner":
            yield party, "receive", topic.payloads
            continue
        for partner in catalog.PARTNERS:
            yield partner.name, "receive", partner.receives


def _message(topic: catalog.Topic, payload: type[Payload]) -> Document:
    example = json.loads(schemas.example_file(payload.type).read_text(encoding="utf-8"))
    data = example.pop("data")
    message: Document = {
        "name": payload.type,
        "title": payload.__name__,
        "summary": " ".join((payload.__doc__ or "").split()),
        "headers": {"$ref": "#/components/schemas/CloudEventHeaders"},
        "payload": {"$ref": f"#/components/schemas/{_name(payload.type)}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"The {topic.subject}, as in ce_subject."},
                "bindingVersion": _BINDING,
            }
        },
        "examples": [
            {
                "headers": {f"ce_{name}": value for name, value in example.items()},
                "payload": data,
            }
        ],
    }
    if payload.type in lifecycle.BY_TYPE:
        message["tags"] = [{"name": "lifecycle"}]
    return message


def _inlined(payload: type[Payload]) -> Document:
    """The payload's schema with its parts in place, because a reference in a component would be
    looked for in the whole document."""
    root = schemas.schema(payload)
    parts = root.pop("$defs", {})

    def inline(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                target = parts[node["$ref"].rpartition("/")[2]]
                rest = {name: value for name, value in node.items() if name != "$ref"}
                return {**inline(target), **rest}
            return {name: inline(value) for name, value in node.items()}
        return [inline(item) for item in node] if isinstance(node, list) else node

    inlined: Document = inline(root)
    return {name: value for name, value in inlined.items() if name not in ("$schema", "$id")}
