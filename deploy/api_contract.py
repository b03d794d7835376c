"""The published description of intake's API, and what may change in it without breaking a channel.

A channel's program sends what was described and reads what was described: a path, a good answer or
a field of one may not go, nothing may be demanded that was not, what was taken is taken still.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.secret_files import make_secrets
from services.intake.app import build
from shared.events import schemas
from shared.settings import Environment, Settings

Document = dict[str, Any]

_METHODS = ("get", "put", "post", "patch", "delete")


def document() -> Document:
    """The description as the service gives it today; nothing is connected for it."""
    described: Document = json.loads(_described())
    return described


@functools.cache
def _described() -> str:
    """It is made once a process, for it depends on the sources alone."""
    with tempfile.TemporaryDirectory() as folder:
        secrets = Path(folder) / "secrets"
        make_secrets(secrets)
        settings = Settings(
            service="intake",
            environment=Environment.PRODUCTION,
            kafka_bootstrap="127.0.0.1:1",
            postgres_dsn="postgresql://127.0.0.1:1",
            secrets_dir=secrets,
            documents_url=Path(folder).as_uri(),
        )
        return json.dumps(build(settings).openapi())


def text() -> str:
    """The description as it is kept in the repository."""
    return json.dumps(document(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def breaks(published: Document, now: Document) -> list[str]:
    """Everything in `now` that breaks the promise of `published`, one line each."""
    published, now = _moved(published), _moved(now)
    lines = []
    for path, methods in published["paths"].items():
        for method in _METHODS:
            if method not in methods:
                continue
            route = now["paths"].get(path, {}).get(method)
            name = f"{method.upper()} {path}"
            if route is None:
                lines.append(f"{name} is gone")
                continue
            lines += [f"{name}: {line}" for line in _asked(methods[method], route, published, now)]
            lines += [f"{name}: {line}" for line in _told(methods[method], route, published, now)]
    return lines


def _asked(before: Document, after: Document, published: Document, now: Document) -> Iterator[str]:
    old, new = _parameters(before), _parameters(after)
    for place, name in old.keys() - new.keys():
        yield f"{place} parameter {name} is gone"
    for key, parameter in new.items():
        if parameter.get("required") and not old.get(key, {}).get("required"):
            yield f"{key[0]} parameter {key[1]} is demanded now"
        if key in old:
            was, is_now = (
                _schema(one["schema"], root)
                for one, root in ((old[key], published), (parameter, now))
            )
            for line in schemas.breaks(was, is_now, inbound=True):
                yield f"{key[0]} parameter {key[1]} {line}"
    taken, takes = before.get("requestBody", {}), after.get("requestBody", {})
    if takes.get("required") and not taken.get("required"):
        yield "a body is demanded now"
    for media_type, content in taken.get("content", {}).items():
        if media_type not in takes.get("content", {}):
            yield f"a body of {media_type} is no longer taken"
            continue
        was = _schema(content["schema"], published)
        is_now = _schema(takes["content"][media_type]["schema"], now)
        for line in schemas.breaks(was, is_now, inbound=True):
            yield f"body {line}"


def _told(before: Document, after: Document, published: Document, now: Document) -> Iterator[str]:
    for status, answer in before["responses"].items():
        if not status.startswith("2"):
            continue
        if status not in after["responses"]:
            yield f"the answer {status} is gone"
            continue
        for media_type, content in answer.get("content", {}).items():
            today = after["responses"][status].get("content", {}).get(media_type)
            if today is None:
                yield f"{status} is no longer answered as {media_type}"
                continue
            was, is_now = (
                _schema(content.get("schema", {}), published),
                _schema(today.get("schema", {}), now),
            )
            for line in schemas.breaks_readers(was, is_now):
                yield f"answer {status} {line}"


def _parameters(route: Document) -> Mapping[tuple[str, str], Document]:
    return {(one["in"], one["name"]): one for one in route.get("parameters", [])}


def _moved(document: Document) -> Document:
    """The document with every reference as a schema of its own has it."""
    moved: Document = json.loads(
        json.dumps(document).replace('"#/components/schemas/', '"#/$defs/')
    )
    return moved


def _schema(node: Document, root: Document) -> Document:
    """A place of the document as a schema of its own, with everything that it refers to."""
    return {**node, "$defs": root.get("components", {}).get("schemas", {})}
