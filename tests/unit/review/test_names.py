"""Which names count as one of the bank's own list, and what is kept beside them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.review.checks import watchlist
from services.review.checks.names import OwnMatch, readings, search
from services.review.checks.watchlist import WatchlistReport
from shared.parameters import InternalList, load_checks

TERMS = load_checks().screening


def list_of(*entries: dict[str, Any]) -> InternalList:
    digest = hashlib.sha256(repr(entries).encode()).hexdigest()
    return InternalList.model_validate({"version": "2026.1", "digest": digest, "entries": entries})


def listed(*names: str) -> InternalList:
    """A list with one entry, a name and its aliases; without a name one that holds nobody."""
    return list_of(
        *(
            {"entry": "IL-1", "name": one, "aliases": names[1:], "kind": "fraud", "reason": "冒用"}
            for one in names[:1]
        )
    )


def found(name: str, *names: str) -> OwnMatch | None:
    return next(iter(search([name], listed(*names), TERMS)), None)


@pytest.mark.parametrize(
    ("name", "entry", "how"),
    [
        ("端木清扬", "端木清扬", "written"),
        ("欧阳娜娜", "欧阳娜", "written"),
        ("端木清扬", "端木青阳", "sound"),
        ("单雄信", "SHAN XIONGXIN", "sound"),  # a character with three sounds
        ("ZHANG SAN", "张三", "sound"),
        ("SAN ZHANG", "张三", "sound"),  # the family name last
        ("QINGYANG DUANMU", "端木清扬", "sound"),
        ("LYU XIULIAN", "吕秀莲", "sound"),
        ("Anna Müller", "ANNA MULLER", "sound"),
        ("阿卜杜·外力", "阿卜杜•外力", "written"),
        ("ZHANG　SAN", "zhang san", "written"),
    ],
)
def test_the_same_name_is_found_however_it_is_written(name: str, entry: str, how: str) -> None:
    match = found(name, entry)
    assert match is not None
    assert match.counts
    assert match.how == how


@pytest.mark.parametrize(
    ("name", "entry"), [("张三", "李四"), ("王小明", "欧阳娜娜"), ("李娜", "李明")]
)
def test_who_has_another_name_is_not_found(name: str, entry: str) -> None:
    match = found(name, entry)
    assert match is None or not match.counts


def test_what_is_a_little_alike_is_kept_beside_and_does_not_count() -> None:
    match = found("陈建国", "陈建华")
    assert match is not None
    assert (match.counts, match.how) == (False, "sound")
    assert TERMS.alternatives <= match.likeness < TERMS.sound


def test_each_likeness_counts_from_its_own_threshold_on() -> None:
    likeness = found("陈建国", "陈建华")
    assert likeness is not None
    at = TERMS.model_copy(update={"sound": likeness.likeness - 0.0001})
    above = TERMS.model_copy(update={"sound": likeness.likeness + 0.0001})
    assert search(["陈建国"], listed("陈建华"), at)[0].counts
    assert not search(["陈建国"], listed("陈建华"), above)[0].counts


def test_an_alias_is_found_and_said() -> None:
    match = found("王五", "张三", "王五", "WANG WU")
    assert match is not None
    assert (match.entry, match.listed, match.likeness) == ("IL-1", "王五", 1)


def test_what_counts_stands_before_what_does_not() -> None:
    many = list_of(
        {"entry": "A", "name": "陈建华", "kind": "internal", "reason": "x"},
        {"entry": "B", "name": "陈建国", "kind": "pep", "reason": "y"},
    )
    assert [match.entry for match in search(["陈建国"], many, TERMS)] == ["B", "A"]


@given(st.text(max_size=40), st.text(min_size=1, max_size=40))
def test_any_text_can_be_searched(name: str, entry: str) -> None:
    for match in search([name], listed(entry), TERMS):
        assert 0 <= match.likeness <= 1
    assert len(readings(name)) <= 256


def test_a_name_is_found_by_the_rarest_of_its_sounds() -> None:
    ways = readings("佛和差契")  # four, three, five and four
    assert len(ways) == len(set(ways)) == 240
    for last in ("BI HUO JIE JIE", "FO HE CI QI"):
        match = found("佛和差契", last)
        assert match is not None
        assert (match.how, match.likeness) == ("sound", 1)


def test_what_can_be_read_in_too_many_ways_keeps_the_usual_sounds() -> None:
    ways = readings("和" * 20)
    assert 128 < len(ways) <= 256
    assert " ".join(["he"] * 20) in ways


def test_a_match_makes_a_hit_and_an_alternative_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def fact(name: str, entry: str) -> str:
        monkeypatch.setattr(watchlist, "load_internal_list", lambda: listed(entry))
        asked = watchlist.CHECK.system
        assert asked is not None
        report = asked.beside(WatchlistReport(hits=[]), {"name": "ANNA", "chinese_name": name})
        kept = WatchlistReport.model_validate(json.loads(report.model_dump_json(by_alias=True)))
        assert len(kept.own) == 1
        return kept.as_fact

    assert fact("端木清扬", "端木青阳") == "hit"
    assert fact("陈建国", "陈建华") == "clear"


def test_an_entry_has_a_mark_of_its_own_and_an_empty_list_none() -> None:
    twice = [
        {"entry": "A", "name": name, "kind": "fraud", "reason": "x"} for name in ("甲一", "乙二")
    ]
    with pytest.raises(ValueError, match="listed twice"):
        list_of(*twice)
    assert listed().mark == ""
    assert listed("张三").mark == listed("张三").digest
