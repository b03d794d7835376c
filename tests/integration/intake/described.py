"""Holds what intake answers against the published description of its API."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from deploy.contracts import OPENAPI
from shared.web.problems import MEDIA_TYPE


@cache
def description() -> dict[str, Any]:
    """The description as it is kept in the repository."""
    found: dict[str, Any] = json.loads(OPENAPI.read_text(encoding="utf-8"))
    return found


def route_of(method: str, path: str) -> dict[str, Any] | None:
    """What is said of the route that answers this; None where no route of the API does."""
    for template, methods in description()["paths"].items():
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in methods:
            found: dict[str, Any] = methods[method.lower()]
            return found
    return None


async def as_described(answer: httpx.Response) -> None:
    """Fails where an answer of the API is none that the description knows."""
    request = answer.request
    route = route_of(request.method, request.url.path)
    if route is None:
        return
    await answer.aread()
    where = f"{request.method} {request.url.path} {answer.status_code}"
    said = route["responses"].get(str(answer.status_code))
    assert said is not None, f"{where}: not described, {answer.text[:200]}"
    media_type = answer.headers["content-type"]
    if media_type == MEDIA_TYPE:
        known = said["content"][MEDIA_TYPE]["examples"]
        assert answer.json()["code"] in known, f"{where}: {answer.json()['code']} not described"
    assert media_type in said["content"], f"{where}: {media_type} not described"
    if media_type in {MEDIA_TYPE, "application/json"}:
        schema = {
            **said["content"][media_type]["schema"],
            "components": description()["components"],
        }
        faults = [f"{fault.json_path} {fault.message}" for fault in _faults(schema, answer)]
        assert not faults, f"{where}: {faults}"
    if "ETag" in said.get("headers", {}):
        assert re.fullmatch(r'"\d+"', answer.headers["etag"]), where


def _faults(schema: dict[str, Any], answer: httpx.Response) -> list[Any]:
    return list(Draft202012Validator(schema).iter_errors(answer.json()))
