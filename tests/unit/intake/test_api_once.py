"""Which revisions a change was decided on, by what the caller says."""

from __future__ import annotations

import pytest

from services.intake.api_once import etag, expected
from shared.web import Problem, Viewer
from shared.web.permissions import WHOLE_BANK


def caller(*, must_match: bool = False) -> Viewer:
    return Viewer("app", "app", frozenset(), {}, WHOLE_BANK, "en", must_match=must_match)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (etag(3), {3}),
        ('"3", "12"', {3, 12}),
        ('W/"3"', set()),
        ('W/"3", "4"', {4}),
        ('"x"', set()),
        ("3", set()),
        ("", set()),
        (f'"{"9" * 19}"', set()),
    ],
)
def test_what_a_tag_names(said: str, found: set[int]) -> None:
    assert expected(caller(), said) == frozenset(found)


@pytest.mark.parametrize("said", [None, "*", " * "])
def test_what_names_no_revision_leaves_it_open(said: str | None) -> None:
    assert expected(caller(), said) is None


def test_whoever_has_to_says_something() -> None:
    careful = caller(must_match=True)
    with pytest.raises(Problem) as refused:
        expected(careful, None)
    assert (refused.value.status, refused.value.code) == (428, "if-match-needed")
    assert expected(careful, '"1"') == frozenset({1})
    assert expected(careful, None, needed=False) is None
