"""JSON Schemas of the payloads, and what may change in one without breaking a reader.

A schema that has been published is a promise. `breaks` compares the promise with today's model:
a field may be added if it may be absent; everything else is a new version of the type. Of what
partners send us we may accept more than was promised, never less. `LIST` holds the digest of every
promise, so that none can be rewritten or lost by the way.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.events.payload import Payload

Schema = dict[str, Any]

FOLDER = Path(__file__).parent / "schemas"
EXAMPLES = Path(__file__).parent / "examples"
LIST = "published.sha256"
"""Name of the list of what was published, as `sha256sum --check` reads it."""

_LOWEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_HIGHEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_WORDS = ("$schema", "$id", "$defs", "title", "description", "default", "examples", "deprecated")
_COMPARED = ("type", "anyOf", "const", "enum", "properties", "required", "items",
             "additionalProperties", *_LOWEST, *_HIGHEST, *_WORDS)  # fmt: skip


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


def published_list(texts: Mapping[str, str]) -> str:
    """The list of `texts`, {event type: text of its schema file}."""
    return "".join(
        f"{hashlib.sha256(texts[name].encode()).hexdigest()}  {name}.json\n"
        for name in sorted(texts)
    )


def read_list(text: str) -> dict[str, str]:
    """{event type: digest} of a list of what was published."""
    lines = (line.split("  ", 1) for line in text.splitlines())
    return {name.removesuffix(".json"): digest for digest, name in lines}


def breaks(published: Schema, now: Schema, *, inbound: bool = False) -> list[str]:
    """Everything in `now` that breaks the promise of `published`.

    What we publish is read by readers of the promise, and what was stored under it by ourselves:
    each must fit the other. What a partner sends (`inbound`) by the promise must be accepted still.
    One line each, with a JSON pointer. An empty list means that the change is safe.
    """
    lines = []
    if published.get("title") != now.get("title"):
        before, after = published.get("title"), now.get("title")
        lines.append(f"/ the type name now means {after}, it meant {before}")
    for at, what, before, after in (
        *_removed(_Node(published, published), _Node(now, now), ""),
        *_refused(_Node(published, published), _Node(now, now), ""),
    ):
        lines.append(f"{at or '/'} {what} is now {after}, was {before}")
    if not inbound:
        for at, what, after, before in _refused(_Node(now, now), _Node(published, published), ""):
            lines.append(f"{at or '/'} {what} is now {after}, was {before}")
    return list(dict.fromkeys(lines))


def breaks_readers(published: Schema, now: Schema) -> list[str]:
    """As `breaks`, of what is answered and never stored: readers of the promise alone count, and a
    field that is new may always be there."""
    found = (
        *_removed(_Node(published, published), _Node(now, now), ""),
        *_refused(_Node(now, now), _Node(published, published), ""),
    )
    lines = [f"{at or '/'} {what}: {one} against {other}" for at, what, one, other in found]
    return list(dict.fromkeys(lines))


_Difference = tuple[str, str, object, object]
"""JSON pointer, keyword, and what the sender's and the reader's schema say."""


class _Node:
    """A place in a schema; references into the document are followed."""

    def __init__(self, node: Schema, root: Schema) -> None:
        while "$ref" in node:
            target: Any = root
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = {**target, **{name: value for name, value in node.items() if name != "$ref"}}
        self.schema = node
        self._root = root

    def get(self, keyword: str) -> Any:
        return self.schema.get(keyword)

    def inner(self, node: Schema) -> "_Node":
        return _Node(node, self._root)

    def fields(self) -> dict[str, "_Node"]:
        return {name: self.inner(node) for name, node in self.schema.get("properties", {}).items()}

    def choices(self) -> list["_Node"]:
        """The alternatives; a value that may be anything of one kind is the only one."""
        return [self.inner(node) for node in self.schema.get("anyOf", [self.schema])]

    def values(self) -> list[Any] | None:
        """The values that are allowed, if they are listed; a constant is a list of one."""
        if "const" in self.schema:
            return [self.schema["const"]]
        return self.schema.get("enum")

    def kinds(self) -> str:
        return " or ".join(str(choice.get("type") or "anything") for choice in self.choices())


def _refused(sent: _Node, read: _Node, at: str) -> Iterator[_Difference]:
    """Everything by which a value that fits `sent` may not fit `read`."""
    if "anyOf" in sent.schema or "anyOf" in read.schema:
        for choice in sent.choices():
            found = [(one, list(_refused(choice, one, at))) for one in read.choices()]
            if all(lines for _, lines in found):
                alike = [lines for one, lines in found if one.get("type") == choice.get("type")]
                yield from min(alike, key=len, default=[(at, "type", sent.kinds(), read.kinds())])
        return
    kinds = sent.get("type"), read.get("type")
    if kinds[0] != kinds[1] and read.get("type") and kinds != ("integer", "number"):
        yield at, "type", sent.kinds(), read.kinds()
        return
    yield from _narrower(sent, read, at)
    needed = set(read.get("required") or ()) - set(sent.get("required") or ())
    for name in sorted(needed):
        yield f"{at}/{name}", "presence", "optional", "required"
    known, others = read.fields(), read.get("additionalProperties")
    for name, field in sorted(sent.fields().items()):
        if name in known:
            yield from _refused(field, known[name], f"{at}/{name}")
        elif others is False:
            yield f"{at}/{name}", "presence", "optional", "refused"
        elif isinstance(others, dict):
            yield from _refused(field, read.inner(others), f"{at}/{name}")
    more = sent.get("additionalProperties")
    if sent.get("type") == "object" and more is not False:
        if others is False:
            yield at, "any other field", "allowed", "refused"
        elif isinstance(others, dict):
            inner = more if isinstance(more, dict) else {}
            yield from _refused(sent.inner(inner), read.inner(others), f"{at}/*")
    if isinstance(read.get("items"), dict):
        inner = sent.get("items") or {}
        yield from _refused(sent.inner(inner), read.inner(read.get("items")), f"{at}/*")


def _narrower(sent: _Node, read: _Node, at: str) -> Iterator[_Difference]:
    """The bounds of one value that are tighter, or not comparable, at the reader."""
    allowed, listed = sent.values(), read.values()
    if listed is not None and (allowed is None or any(one not in listed for one in allowed)):
        yield at, "value", allowed or "anything", listed
    for names, sign in ((_LOWEST, 1), (_HIGHEST, -1)):
        for name in names:
            given, bound = sent.get(name), read.get(name)
            if bound is not None and (given is None or (bound - given) * sign > 0):
                yield at, name, given, bound
    for name in sorted(read.schema.keys() - set(_COMPARED)):
        if read.get(name) != sent.get(name):
            yield at, name, sent.get(name), read.get(name)


def _removed(old: _Node, new: _Node, at: str) -> Iterator[_Difference]:
    """What a field says is lost where today's model does not know it any more, and is another thing
    where its absence means another value."""
    for choice in old.choices():
        alike = [one for one in new.choices() if one.get("type") == choice.get("type")]
        yield from min((list(_lost(choice, one, at)) for one in alike), key=len, default=[])


def _lost(old: _Node, new: _Node, at: str) -> Iterator[_Difference]:
    known = new.fields()
    for name, field in sorted(old.fields().items()):
        if name not in known:
            yield f"{at}/{name}", "field", "there", "removed"
            continue
        if "default" in field.schema and field.get("default") != known[name].get("default"):
            yield f"{at}/{name}", "default", field.get("default"), known[name].get("default")
        yield from _removed(field, known[name], f"{at}/{name}")
    for keyword in ("items", "additionalProperties"):
        before, after = old.get(keyword), new.get(keyword)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _removed(old.inner(before), new.inner(after), f"{at}/*")
