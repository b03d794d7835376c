"""What a clear answer is: to a program, to a browser, to a partner."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator

from shared.web.problems import MEDIA_TYPE
from tests.fuzz.hostile import CANARY, MARKS

_TELLING = (
    "Traceback (most recent call last)",
    "asyncpg.",
    "pydantic",
    "psycopg",
    "/site-packages/",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer over HTTP; header names in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def kind(self) -> str:
        """How it is counted: by its status, and a problem's code."""
        code = self.problem.get("code", "")
        return f"{self.status} {code}".strip()

    @property
    def problem(self) -> dict[str, Any]:
        if not self.headers.get("content-type", "").startswith(MEDIA_TYPE):
            return {}
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def of_any(answer: Answer) -> list[str]:
    """What may be wrong with every answer."""
    found = []
    if answer.status >= 500:
        found.append(f"answered {answer.status}")
    if any(CANARY in value for name, value in answer.headers.items() if name != "content-type"):
        found.append("a header repeats what was sent")
    if any(word in answer.text for word in _TELLING):
        found.append("tells of its inside")
    return found


def of_program(
    answer: Answer, route: Mapping[str, Any] | None, described: Mapping[str, Any]
) -> list[str]:
    """What is wrong with an answer of the API. route: what the description says of it, if it is one
    of those; described: the whole description."""
    found = of_any(answer)
    refused = answer.status >= 400
    kind = answer.headers.get("content-type", "")
    if refused:
        problem = answer.problem
        oauth = route is not None and "x-www-form-urlencoded" in str(route.get("requestBody", ""))
        if not problem and not oauth:
            found.append(f"refused as {kind or 'nothing'}, not as a problem")
        if problem and not {"type", "title", "status", "code"} <= problem.keys():
            found.append("the problem lacks members")
        if problem.get("code") == "invalid-request" and not all(
            "pointer" in one or "parameter" in one for one in problem.get("errors", [{}])
        ):
            found.append("the problem does not point to what is wrong")
        if CANARY in answer.text:
            found.append("the refusal repeats what was sent")
    if route is not None and answer.status not in {404, 405}:
        said = route["responses"].get(str(answer.status))
        if said is None:
            return [*found, f"{answer.status} is not described"]
        if kind not in said.get("content", {kind: {}}):
            found.append(f"{answer.status} as {kind} is not described")
        elif kind in {"application/json", MEDIA_TYPE}:
            found += _unlike(answer, said["content"][kind], described)
    return found


def _unlike(answer: Answer, said: Mapping[str, Any], described: Mapping[str, Any]) -> list[str]:
    try:
        body = json.loads(answer.body)
    except ValueError:
        return ["says it is JSON and is not"]
    known = said.get("examples", {})
    if isinstance(body, dict) and known and "code" in body and body["code"] not in known:
        return [f"{body['code']} is not described"]
    schema = {**said.get("schema", {}), "components": described.get("components", {})}
    faults = Draft202012Validator(schema).iter_errors(body)
    return [f"unlike its description at {fault.json_path}" for fault in faults][:3]


def of_page(answer: Answer) -> list[str]:
    """What is wrong with an answer to a browser."""
    found = of_any(answer)
    html = answer.headers.get("content-type", "").startswith("text/html")
    lower = answer.text.lower()
    if html and any(mark.lower() in lower for mark in MARKS):
        found.append("shows markup that was sent as markup")
    if answer.status >= 400:
        words = re.sub(r"<[^>]*>|\s", "", answer.text)
        if not html or len(words) < 20:
            found.append(f"refused without words, as {answer.headers.get('content-type')}")
    return found


def of_event(kind: str, body: bytes) -> list[str]:
    """What is wrong with the answer to a partner's event."""
    found = []
    if CANARY.encode() in body:
        found.append("the answer repeats what was sent")
    if kind == "rejected":
        said = json.loads(body)
        if not said["problems"]:
            found.append("rejected without a reason")
        if not all(one["detail"].strip() and one["code"] for one in said["problems"]):
            found.append("a reason without words")
    return found
