"""The description of an API (OpenAPI 3.1): who may call each route, and with what it may answer.

FastAPI writes what it can see: paths, parameters, bodies, good answers. Routes say the rest by
`about`: which problems they know, and an example of what is sent to them. What every route may
answer (nobody signed in, a body too large) is added from what the route declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.web.problems import MEDIA_TYPE, FieldError, Problem
from shared.web.session import COOKIE

_KINDS = "x-problems"
_REVISED = "x-revised"
_UNSAID = "Successful Response"
_METHODS = ("get", "put", "post", "patch", "delete")
_GENERATED = ("HTTPValidationError", "ValidationError")  # FastAPI's own errors, which we never send


@dataclass(frozen=True, slots=True)
class Kind:
    """A problem that routes may answer with: its status, and when it comes. `errors`: the fields
    that it may name, as an example."""

    status: int
    when: str
    errors: tuple[FieldError, ...] = ()


COMMON: Mapping[str, Kind] = {
    "sign-in-needed": Kind(401, "Nobody is signed in, and no token was sent"),
    "bad-credentials": Kind(401, "The client's token is not accepted"),
    "not-permitted": Kind(403, "Whoever calls may not do this"),
    "form-expired": Kind(403, "A change under a session without the session's form token"),
    "cross-site": Kind(403, "A browser says that another site makes the change"),
    "bad-request": Kind(400, "The body cannot be read"),
    "too-large": Kind(413, "The body, or the file in it, is larger than is taken"),
    "invalid-request": Kind(
        422, "Fields are missing or wrong", (FieldError("/product", "missing", "Field required"),)
    ),
    "too-many-requests": Kind(429, "The client calls more often than was agreed"),
    "parameters-missing": Kind(503, "The rules that the application began with are not held"),
    "parameters-changed": Kind(503, "The rules that the application began with were changed"),
    "altered": Kind(500, "What is kept of the application was changed since it was sealed"),
    "unavailable": Kind(503, "Something that is needed for it does not answer; try again later"),
    "internal": Kind(500, "Something went wrong on our side"),
}


def about(
    *kinds: str,
    example: Any = None,
    media_type: str = "application/json",
    answer: Any = None,
    revised: bool = False,
) -> dict[str, Any]:
    """What a route says of itself, for its `openapi_extra`: the problems that it knows beyond those
    of every route, an example of its body and of its good `answer`, and whether its good answers
    carry the revision."""
    said: dict[str, Any] = {_KINDS: list(kinds), _REVISED: revised}
    if example is not None:
        said["requestBody"] = {"content": {media_type: {"example": example}}}
    if answer is not None:
        said["responses"] = {"200": {"content": {"application/json": {"example": answer}}}}
    return said


def complete(
    document: dict[str, Any], access: Mapping[str, str], kinds: Mapping[str, Kind]
) -> dict[str, Any]:
    """FastAPI's document with everything that it does not know; the same object. `access` is what
    each route demands (`declared_access`). Raises KeyError for a problem that nobody described."""
    known = {**COMMON, **kinds}
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _GENERATED:
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    components["securitySchemes"] = _SECURITY
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                demand = access[f"{method.upper()} {path}"]
                _complete_route(methods[method], demand, known, changes=method != "get")
                for answer in methods[method]["responses"].values():
                    _say_what(answer, schemas)
    return document


def _complete_route(
    route: dict[str, Any], demand: str, known: Mapping[str, Kind], *, changes: bool
) -> None:
    own: list[str] = route.pop(_KINDS, [])
    revised = route.pop(_REVISED, False)
    restricted = not demand.startswith("public:")
    route["security"] = [{"client": []}, {"session": []}] if restricted else []
    if restricted:
        route["x-permission"] = demand
    names = [*_of_every_route(route, restricted=restricted, changes=changes), *own]
    answers = route["responses"]
    answers.pop("422", None)
    for answer in answers.values():
        _head(answer, restricted=restricted, revised=revised)
    by_status: dict[int, list[str]] = {}
    for name in names:
        by_status.setdefault(known[name].status, []).append(name)
    for status in sorted(by_status):
        answer = _answer(status, by_status[status], known)
        said = answers.setdefault(str(status), answer)
        if said is not answer:  # what the route answers itself, and what every route may
            said["description"] += "; " + answer["description"]
            said["content"].update(answer["content"])


def _of_every_route(route: dict[str, Any], *, restricted: bool, changes: bool) -> Iterable[str]:
    if restricted:
        yield from ("sign-in-needed", "bad-credentials", "not-permitted", "too-many-requests")
    if changes:
        yield from ("form-expired", "cross-site") if restricted else ("cross-site",)
    if "requestBody" in route:
        yield from ("bad-request", "too-large")
    if "requestBody" in route or route.get("parameters"):
        yield "invalid-request"
    if any(one["name"] == "application_id" for one in route.get("parameters", ())):
        yield from ("parameters-missing", "parameters-changed", "altered")
    yield "internal"


def _head(answer: dict[str, Any], *, restricted: bool, revised: bool) -> None:
    headers = answer.setdefault("headers", {})
    if revised:
        headers["ETag"] = {
            "description": "The revision of the application, to be sent back in If-Match",
            "schema": {"type": "string", "examples": ['"3"']},
        }
    if restricted:
        headers.update(_RATE)
    if not headers:
        del answer["headers"]


def _say_what(answer: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    """In place of FastAPI's words for every good answer: what is answered."""
    if answer["description"] != _UNSAID:
        return
    found = [content.get("schema", {}) for content in answer.get("content", {}).values()]
    names = [(one.get("items") or one).get("$ref", "").rpartition("/")[2] for one in found]
    said = [schemas[name].get("description", name) for name in names if name in schemas]
    answer["description"] = " ".join(said) or "As the route says"


def _answer(status: int, names: list[str], known: Mapping[str, Kind]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": "; ".join(f"`{name}`: {known[name].when}" for name in names),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {name: {"value": _example(name, known[name])} for name in names},
            }
        },
    }
    if status in {429, 503}:
        answer["headers"] = {
            **(_RATE if status == 429 else {}),
            "Retry-After": {
                "description": "Seconds until a request is taken again",
                "schema": {"type": "integer", "examples": [1]},
            },
        }
    return answer


def _example(name: str, kind: Kind) -> dict[str, Any]:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    return Problem(kind.status, name, kind.when, errors=kind.errors).as_json(trace)


_RATE = {
    "RateLimit-Policy": {
        "description": "What the client may do: `q` requests within `w` seconds",
        "schema": {"type": "string", "examples": ['"client";q=100;w=5']},
    },
    "RateLimit": {
        "description": "What is left: `r` requests, all of them again in `t` seconds. Clients only",
        "schema": {"type": "string", "examples": ['"client";r=99;t=1']},
    },
}

_SECURITY = {
    "client": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of a channel as the office hands it out, or one that a secret of"
        " it bought at `token`",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "Somebody of the office who is signed in; changes need the header"
        " `X-CSRF-Token` besides",
    },
}

_PROBLEM = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457): a code for machines, a sentence for people, each"
    " field that is wrong, and never a value that was sent.",
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string", "description": "`urn:banka:problem:` and the code"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; described with each route"},
        "detail": {"type": "string"},
        "trace_id": {"type": "string", "description": "To be named when asking the office"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "Where in the body (JSON pointer, RFC 6901)",
                    },
                    "parameter": {"type": "string", "description": "Or which parameter"},
                    "in": {"type": "string", "enum": ["query", "path", "header", "cookie"]},
                    "code": {"type": "string"},
                    "detail": {"type": "string", "description": "How to correct it"},
                },
            },
        },
    },
    "additionalProperties": True,
}
