"""Which times a question about past decisions has where none were given, and where it is kept."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.policy import go_on
from services.review.drift import Drift, Population
from services.review.portfolio_runs import OtherQuestionError, Part, done_before, first_line

OCTOBER, NOVEMBER = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
THEN, NOW = datetime(2026, 10, 31, 4, tzinfo=UTC), datetime(2026, 11, 28, 4, tzinfo=UTC)
BEGINS = [(datetime(2026, 10, 2, tzinfo=UTC), "a"), (datetime(2026, 10, 9, tzinfo=UTC), "b")]


@pytest.fixture(autouse=True)
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def asked(
    since: datetime, now: datetime, until: datetime | None = None, journal: Path | None = None
) -> tuple[Drift, Path]:
    async def ask(*, until: datetime) -> Drift:
        return Drift(since, since, until, "month", ("region",), 20, 2)

    return asyncio.run(go_on("drift", journal, {"until": until}, now, ask))


def written(question: Drift, path: Path, parts: int) -> None:
    """A journal in which so many of two parts are done."""
    lines = [Part(number, Population(1), []).line() for number in range(parts)]
    path.write_text("\n".join([first_line(question, BEGINS), *lines]) + "\n", encoding="utf-8")


def test_a_run_that_was_stopped_goes_on_with_its_own_times() -> None:
    question, path = asked(OCTOBER, THEN)
    assert question.until == THEN
    for parts in (0, 1):
        written(question, path, parts)
        assert asked(OCTOBER, NOW) == (question, path)
    # a last line that was cut is no part
    path.write_text(path.read_text(encoding="utf-8") + '{"part": 1, "ta', encoding="utf-8")
    assert asked(OCTOBER, NOW) == (question, path)


def test_a_question_whose_parts_are_all_done_is_asked_anew_until_now() -> None:
    before, path = asked(OCTOBER, THEN)
    written(before, path, 2)
    question, other = asked(OCTOBER, NOW)
    assert question.until == NOW
    assert other != path
    # asked for by its own times it is there already
    assert asked(OCTOBER, NOW, until=THEN) == (before, path)


@pytest.mark.parametrize("named", [None, Path("mine.jsonl")])
def test_another_questions_times_are_never_taken_nor_its_journal_deleted(
    named: Path | None,
) -> None:
    before, path = asked(OCTOBER, THEN, journal=named)
    written(before, path, 1)
    text = path.read_text(encoding="utf-8")
    for question, other in (
        asked(NOVEMBER, NOW, journal=named),
        asked(OCTOBER, NOW, until=NOVEMBER, journal=named),
    ):
        assert question.until in (NOW, NOVEMBER)
        if named:
            with pytest.raises(OtherQuestionError, match=r"mine\.jsonl is of another question"):
                list(done_before(other, question, BEGINS))
        else:
            assert other != path
    assert path.read_text(encoding="utf-8") == text


def test_a_file_that_is_no_journal_is_left_alone() -> None:
    path = Path("report.json")
    path.write_text('{"asked": 1}\n', encoding="utf-8")
    question, named = asked(OCTOBER, NOW, journal=path)
    assert (question.until, named) == (NOW, path)
    with pytest.raises(OtherQuestionError):
        list(done_before(named, question, BEGINS))
    assert path.exists()
