"""What a repeated request gets, and what a change that was decided on an older look gets."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection
from typing import Annotated, Any, TypeVar

from fastapi import Header
from fastapi.responses import JSONResponse

from services.intake.desk import KEY_REUSED, Desk, Remember, Repeated
from shared.web import Problem, Viewer
from shared.web.middleware import current_trace_id
from shared.web.problems import MEDIA_TYPE

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="Of the caller's making, a new one for each change: the same request again gets"
        " the same answer, a refusal included, and is not run again; 422 `key-reused` for another",
    ),
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=400,
        description="The ETag of what the change was decided on: 412 where it has changed since",
    ),
]

# Refusals on the merits. Others say that the request was not looked at (who calls, how often, on
# which revision, a fault of ours): under its key it may come again.
_REMEMBERED = frozenset({409, 413, 415, 422})
# A weak tag never matches (RFC 9110, 13.1.1), nor does one that is not ours.
_REVISION = re.compile(r'(?<!/)"([0-9]{1,18})"')

T = TypeVar("T")


async def once(
    desk: Desk,
    viewer: Viewer,
    key: str | None,
    asked: Collection[str | bytes],
    run: Callable[[Remember | None], Awaitable[T]],
    answer: Callable[[T], tuple[int, Any]],
) -> JSONResponse:
    """Do what was `asked` and answer, or give the answer that the same request got before. An
    answer with a `revision` has it as its ETag."""
    remember = Remember(viewer.actor, key, desk.digest(*asked), answer) if key else None
    try:
        status, body = answer(await run(remember))
    except Repeated as before:
        status, body = before.answer.status, before.answer.body
    except Problem as problem:
        if remember is None or problem.status not in _REMEMBERED or problem.code == KEY_REUSED:
            raise
        refusal = problem.as_json(current_trace_id())
        kept = await desk.keep_refusal(remember, problem.status, refusal)
        status, body = kept.status, kept.body
    media_type = "application/json" if status < 400 else MEDIA_TYPE
    headers = {"ETag": etag(body["revision"])} if "revision" in body else None
    return JSONResponse(body, status_code=status, media_type=media_type, headers=headers)


def etag(revision: int) -> str:
    """The revision as HTTP names it."""
    return f'"{revision}"'


def expected(viewer: Viewer, if_match: str | None, *, needed: bool = True) -> frozenset[int] | None:
    """The revisions that the caller may have decided on; None for any. Raises Problem 428 where it
    is `needed` and the caller, who has to, does not say."""
    if if_match is None and needed and viewer.must_match:
        raise Problem(428, "if-match-needed", "Say by If-Match which revision the change is about")
    return named(if_match)


def named(if_match: IfMatch = None) -> frozenset[int] | None:
    """The revisions that If-Match names; None for any."""
    if if_match is None or if_match.strip() == "*":
        return None
    return frozenset(int(found) for found in _REVISION.findall(if_match))
