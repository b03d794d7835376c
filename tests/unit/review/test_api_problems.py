"""Every refusal of a case is described where the API is, with the status of its answer."""

from __future__ import annotations

import inspect
import re

import pytest

from services.review import (
    api,
    app,
    appeals,
    case,
    desk,
    disputes,
    examination,
    limit_changes,
    officer_desk,
    telephoning,
)
from services.review.api_problems import KINDS
from services.review.case import CaseError
from services.review.desk import _problem

_RAISED = re.compile(r'CaseError\(\s*"([a-z-]+)"')


def raised() -> set[str]:
    """Codes as they stand in the sources."""
    sources = "".join(
        inspect.getsource(one)
        for one in (appeals, case, desk, disputes, examination, limit_changes, telephoning)
    )
    return set(_RAISED.findall(sources))


@pytest.mark.parametrize("code", sorted(raised()))
def test_a_refusal_is_described_with_its_status(code: str) -> None:
    assert KINDS[code].status == _problem(CaseError(code, "words")).status


def test_nothing_is_described_that_is_not_said() -> None:
    said = set(re.findall(r'Problem\(\s*\d{3}, "([a-z-]+)"', inspect.getsource(api)))
    for one in (desk, officer_desk, app):
        said |= set(re.findall(r'Problem\(\s*\d{3}, "([a-z-]+)"', inspect.getsource(one)))
    assert KINDS.keys() == raised() | said - {"not-permitted"}


def test_every_change_of_a_case_says_how_it_is_refused() -> None:
    source = inspect.getsource(api)
    assert source.count("@routes.post(") == source.count("openapi_extra=about(") - 3
