"""JSON Schemas of the payloads, and what may change in one without breaking a reader.

A schema that has been published is a promise. `breaks` compares the promise with today's model:
a field may be added if it may be absent; everything else is a new version of the type.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.events.payload import Payload

Schema = dict[str, Any]

FOLDER = Path(__file__).parent / "schemas"
EXAMPLES = Path(__file__).parent / "examples"

_BOUNDS_BELOW = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_BOUNDS_ABOVE = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")


def schema(payload: type[Payload]) -> Schema:
    """The JSON Schema (2020-12) of a payload as its publisher writes it; `$id` is the type."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{payload.type.replace('.', ':')}",
        **payload.model_json_schema(mode="validation"),
    }


def text(document: object) -> str:
    """JSON as it is kept in the repository: one form, so that a difference is a difference."""
    return json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def schema_file(event_type: str) -> Path:
    """Where the published schema of a type lies."""
    return FOLDER / f"{event_type}.json"


def example_file(event_type: str) -> Path:
    """Where the golden example of a type lies: a whole CloudEvent in structured mode."""
    name, _, version = event_type.rpartition(".")
    return EXAMPLES / name / version / "example.json"


def breaks(published: Schema, now: Schema) -> list[str]:
    """Everything in `now` that could break a reader or a stored event of `published`.

    One line each, with a JSON pointer. An empty list means that the change is safe.
    """
    return list(_breaks(published, now, published, now, ""))


def _breaks(old: Schema, new: Schema, old_root: Schema, new_root: Schema, at: str) -> Iterator[str]:
    old, new = _resolve(old, old_root), _resolve(new, new_root)
    where = at or "/"
    if at == "" and old.get("title") != new.get("title"):
        yield f"{where} the type name now means {new.get('title')}, it meant {old.get('title')}"
    if "anyOf" in old or "anyOf" in new:
        yield from _alternatives(old, new, old_root, new_root, at)
        return
    if old.get("type") != new.get("type"):
        yield f"{where} was {old.get('type')}, is {new.get('type')}"
        return
    yield from _narrower(old, new, where)
    old_fields, new_fields = old.get("properties", {}), new.get("properties", {})
    for name in sorted(old_fields.keys() - new_fields.keys()):
        yield f"{at}/{name} was removed"
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{at}/{name} is now required"
    for name in sorted(old_fields.keys() & new_fields.keys()):
        yield from _breaks(old_fields[name], new_fields[name], old_root, new_root, f"{at}/{name}")
    for name in ("items", "additionalProperties"):
        inner_old, inner_new = old.get(name), new.get(name)
        if isinstance(inner_old, dict) and isinstance(inner_new, dict):
            yield from _breaks(inner_old, inner_new, old_root, new_root, f"{at}/*")


def _narrower(old: Schema, new: Schema, where: str) -> Iterator[str]:
    """The bounds of one value that are tighter, or not comparable, than they were."""
    for name in ("const", "pattern", "format"):
        if new.get(name) != old.get(name):
            yield f"{where} {name} changed from {old.get(name)} to {new.get(name)}"
    if "enum" in old or "enum" in new:
        gone = set(old.get("enum", ())) - set(new.get("enum", ()))
        if gone or "enum" not in old:
            yield f"{where} no longer allows {sorted(gone) if gone else 'any text'}"
    for names, narrower in ((_BOUNDS_BELOW, 1), (_BOUNDS_ABOVE, -1)):
        for name in names:
            before, after = old.get(name), new.get(name)
            if after is not None and (before is None or (after - before) * narrower > 0):
                yield f"{where} {name} is now {after}, was {before}"
    if new.get("additionalProperties") is False and old.get("additionalProperties") is not False:
        yield f"{where} no longer allows unknown fields"


def _alternatives(
    old: Schema, new: Schema, old_root: Schema, new_root: Schema, at: str
) -> Iterator[str]:
    """Each alternative that was allowed must still be allowed by one of today's."""
    choices = new.get("anyOf", [new])
    for choice in old.get("anyOf", [old]):
        if not any(
            not list(_breaks(choice, candidate, old_root, new_root, at or "/."))
            for candidate in choices
        ):
            kind = _resolve(choice, old_root).get("type", "alternative")
            yield f"{at or '/'} no longer allows {kind} as it did"


def _resolve(node: Schema, root: Schema) -> Schema:
    """The node itself, with a `$ref` into the document followed."""
    while "$ref" in node:
        target: Any = root
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = {**target, **{name: value for name, value in node.items() if name != "$ref"}}
    return node
