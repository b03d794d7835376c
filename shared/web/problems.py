"""Errors as RFC 9457 problems: a code for machines, a sentence for people, never a value echoed.

A value that a caller sent wrongly may be a name or an ID number, and answers end in logs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import JSONResponse

from shared.parameters import ChangedVersionError, UnknownVersionError

MEDIA_TYPE = "application/problem+json"

# Messages of these kinds name bounds and allowed values only; all others may quote the input.
_QUOTES_NOTHING = frozenset(
    {
        "missing",
        "extra_forbidden",
        "string_type",
        "string_too_short",
        "string_too_long",
        "string_pattern_mismatch",
        "int_type",
        "int_parsing",
        "bool_type",
        "bool_parsing",
        "decimal_parsing",
        "decimal_max_digits",
        "decimal_max_places",
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
        "enum",
        "literal_error",
        "list_type",
        "too_short",
        "too_long",
        "dict_type",
        "model_attributes_type",
        "model_type",
        "date_type",
        "datetime_type",
        "timezone_aware",
    }
)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that is wrong: where (JSON pointer, RFC 6901), why (code), in words."""

    pointer: str
    code: str
    detail: str | None = None
    place: str = "body"  # body, query, path, header or cookie

    def as_json(self) -> dict[str, str]:
        """The entry of the problem's `errors` list; outside the body a parameter's name stands."""
        where = (
            {"pointer": self.pointer}
            if self.place == "body"
            else {"parameter": self.pointer.lstrip("/"), "in": self.place}
        )
        words = {} if self.detail is None else {"detail": self.detail}
        return {**where, "code": self.code, **words}


@dataclass
class Problem(Exception):
    """An error that the caller is told about. `code` is stable and documented; `title` is English.

    `extra` adds members of its own to the problem, such as the state that stands in the way.
    """

    status: int
    code: str
    title: str
    detail: str | None = None
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(self.title)

    def as_json(self, trace_id: str | None = None) -> dict[str, Any]:
        """The problem's members in RFC 9457's words."""
        members: dict[str, Any] = {
            **self.extra,
            "type": f"urn:banka:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
        }
        if self.detail is not None:
            members["detail"] = self.detail
        if self.errors:
            members["errors"] = [error.as_json() for error in self.errors]
        if trace_id is not None:
            members["trace_id"] = trace_id
        return members

    def response(self, trace_id: str | None = None) -> JSONResponse:
        """The problem as an HTTP answer."""
        return JSONResponse(
            self.as_json(trace_id),
            status_code=self.status,
            headers=dict(self.headers),
            media_type=MEDIA_TYPE,
        )


def pointer_of(parts: Sequence[str | int]) -> str:
    """The JSON pointer of a path: ("parties", 0, "name") is /parties/0/name."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def parameters_problem(error: UnknownVersionError) -> Problem:
    """That an application waits until the rules with which it began are held again."""
    code = "parameters-changed" if isinstance(error, ChangedVersionError) else "parameters-missing"
    return Problem(503, code, str(error))


def field_errors(errors: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    """pydantic's errors as field errors, with nothing of what was sent."""
    found = []
    for error in errors:
        place, *path = error["loc"] or ("body",)
        if place not in {"body", "query", "path", "header", "cookie"}:
            place, path = "body", list(error["loc"])
        kind = str(error["type"])
        if kind == "json_invalid":
            path = []  # the position within a broken document tells nothing that can be pointed to
        context = error.get("ctx") or {}
        code = (
            str(context.get("code", kind)) if kind in {"value_error", "assertion_error"} else kind
        )
        found.append(
            FieldError(
                pointer=pointer_of(path),
                code=code,
                # codes in capitals are our own rules', whose words hold nothing of what was sent
                detail=str(error["msg"]) if kind in _QUOTES_NOTHING or kind.isupper() else None,
                place=str(place),
            )
        )
    return found
