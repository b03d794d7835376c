"""A policy's folder: what is wrong in it is said with file and line, and what a change is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.review.policy import TABLES
from services.review.policy_cases import run_cases
from services.review.policy_folder import SHIPPED, compare, newest, read_policies, read_policy
from services.review.policy_store import PolicyShelf
from shared.parameters.reading import ParametersError

VERSION = newest().policy.version


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the newest version."""
    shutil.copytree(SHIPPED / VERSION, tmp_path / VERSION)
    return tmp_path / VERSION


def rows(folder: Path, table: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    graph: dict[str, Any] = json.loads((folder / table).read_text(encoding="utf-8"))
    (node,) = (one for one in graph["nodes"] if one["type"] == "decisionTableNode")
    return graph, node["content"]["rules"]


def change(folder: Path, table: str, do: Callable[[list[dict[str, Any]]], Any]) -> None:
    graph, found = rows(folder, table)
    do(found)
    (folder / table).write_text(json.dumps(graph, indent=2, ensure_ascii=False), encoding="utf-8")


def faults(folder: Path) -> list[str]:
    with pytest.raises(ParametersError) as caught:
        read_policy(folder)
    return [str(one) for one in caught.value.faults]


def row(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(one for one in found if one["_id"] == name)


def test_what_ships_is_right_and_its_cases_hold_and_reach_every_row() -> None:
    for version, held in read_policies().items():
        report = run_cases(held)
        assert report.holds, (
            version,
            report.unreached,
            [one for one in report.results if one.faults],
        )


@pytest.mark.parametrize(
    ("table", "spoil", "said"),
    [
        (
            "rules.json",
            lambda found: row(found, "age_outside").update(code="'AGE_OUTSIDES'"),
            "AGE_OUTSIDES is in no catalogue of reasons; did you mean 'AGE_OUTSIDE'?",
        ),
        (
            "rules.json",
            lambda found: row(found, "age_outside").update(effect="'refer'"),
            "AGE_OUTSIDE leads to decline, not to refer; say what the catalogue says",
        ),
        (
            "rules.json",
            lambda found: row(found, "age_outside").update(when="age < "),
            "cannot be read as an expression (parserError); look at quotes, brackets and operators",
        ),
        (
            "rules.json",
            lambda found: row(found, "age_outside").update(_id="new_to_bank"),
            "'new_to_bank' is another row's, too; give it another name",
        ),
        ("limits.json", lambda found: found.pop(), "the last row has a condition"),
        (
            "limits.json",
            lambda found: found[-1].update(income_share="'1.5'"),
            "is '1.5'; write a share from '0' to '1', quoted",
        ),
        ("limits.json", lambda found: found[0].pop("rule"), "is missing; fill the cell in"),
        (
            "limits.json",
            lambda found: found[0].update(counts_income="'no'"),
            "is 'no'; write true or false, not quoted",
        ),
        ("pricing.json", lambda found: found.pop(), "the last row has a condition"),
        ("pricing.json", lambda found: found.clear(), "has 0 rows; it may have 1 to 1000"),
        (
            "scorecard.json",
            lambda found: row(found, "debt.low").update(points="'many'"),
            "is \"'many'\"; write whole points",
        ),
        (
            "scorecard.json",
            lambda found: found.append(found.pop(1)),
            "'bureau_score' has rows in another place, too; put a factor's bands together",
        ),
        (
            "scorecard.json",
            lambda found: found.remove(row(found, "debt.excessive")),
            "the last band of 'debt' has a condition",
        ),
        (
            "scorecard.json",
            lambda found: row(found, "debt.moderate").update(band="'low'"),
            "debt has a band 'low' before; give each band a name of its own",
        ),
    ],
)
def test_a_fault_in_a_table_is_said_where_it_stands(
    folder: Path, table: str, spoil: Callable[[list[dict[str, Any]]], Any], said: str
) -> None:
    change(folder, table, spoil)
    found = faults(folder)
    assert any(said in line for line in found), found
    assert all(line.startswith(f"{VERSION}/") for line in found)
    assert any(line.split(":")[1].isdigit() for line in found)


def test_words_and_tables_have_to_name_the_same(folder: Path) -> None:
    path = folder / "policy.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("  debt.low:", "  debt.lowest:"), encoding="utf-8")
    found = faults(folder)
    assert len(found) == 2
    assert any("bands.debt.low: has no words; say it in both languages" in line for line in found)
    assert any("bands.debt.lowest: stands in no table; take it away" in line for line in found)


@pytest.mark.parametrize("name", ["policy.yaml", "cases.yaml", *TABLES])
def test_a_file_that_is_missing_or_no_text_is_said(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\xff\xfe")
    assert f"{VERSION}/{name}:1:1: is no text in UTF-8; save it as UTF-8" in faults(folder)
    (folder / name).unlink()
    assert any(line.startswith(f"{VERSION}/{name}: ") for line in faults(folder))


@pytest.mark.parametrize("name", TABLES)
def test_a_file_that_is_no_decision_is_said(folder: Path, name: str) -> None:
    (folder / name).write_text("{}", encoding="utf-8")
    assert any("is no graph with one decision table" in line for line in faults(folder))


def test_the_folder_has_the_name_of_the_version(folder: Path) -> None:
    moved = folder.rename(folder.with_name("2030.1"))
    assert any("give both the same version" in line for line in faults(moved))


def test_versions_stand_in_the_order_of_their_numbers(folder: Path) -> None:
    for version in ("2026.10", "2026.9"):
        other = shutil.copytree(folder, folder.with_name(version))
        text = (other / "policy.yaml").read_text(encoding="utf-8")
        (other / "policy.yaml").write_text(
            text.replace(f'version: "{VERSION}"', f'version: "{version}"'), encoding="utf-8"
        )
    assert list(read_policies(folder.parent)) == [VERSION, "2026.9", "2026.10"]


def test_an_empty_folder_is_no_shelf(tmp_path: Path) -> None:
    with pytest.raises(ParametersError, match="holds no policy"):
        read_policies(tmp_path)


def test_a_change_is_told_row_by_row(folder: Path) -> None:
    before = read_policy(folder).policy
    change(folder, "rules.json", lambda found: row(found, "age_outside").update(when="age < 20"))
    change(folder, "rules.json", lambda found: found.remove(row(found, "queries_many")))
    change(folder, "limits.json", lambda found: found.insert(0, found.pop(1)))
    change(folder, "pricing.json", lambda found: found.insert(0, {**found[0], "_id": "better"}))
    manifest = (folder / "policy.yaml").read_text(encoding="utf-8")
    manifest = manifest.replace(
        "  queries_many: {zh: 3 个月内的信贷机构查询", "  better: {zh: 更好"
    )
    (folder / "policy.yaml").write_text(manifest, encoding="utf-8")
    told = {(one.table, one.row): one for one in compare(before, read_policy(folder).policy)}
    assert {place: one.kind for place, one in told.items()} == {
        ("rules.json", "age_outside"): "changed",
        ("rules.json", "queries_many"): "removed",
        ("limits.json", "supplementary"): "moved",
        ("limits.json", "student"): "moved",
        ("pricing.json", "better"): "added",
    }
    changed = told["rules.json", "age_outside"]
    assert changed.before
    assert changed.after
    assert changed.after["when"] == "age < 20" != changed.before["when"]


def test_a_text_is_the_same_whatever_its_white_space(folder: Path) -> None:
    before = read_policy(folder).policy.digest
    graph, _ = rows(folder, "rules.json")
    (folder / "rules.json").write_text(json.dumps(graph), encoding="utf-8")
    assert read_policy(folder).policy.digest == before


def test_a_folder_is_read_anew_only_once_something_in_it_is_another(folder: Path) -> None:
    shelf = PolicyShelf(folder.parent)
    before = shelf.read()
    report = shelf.reports(before.values())[before[VERSION].policy.digest]
    assert shelf.read() is before
    assert shelf.reports(before.values())[before[VERSION].policy.digest] is report

    path = folder / "cases.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n# looked through\n", encoding="utf-8")
    after = shelf.read()
    assert after is not before
    (same,) = shelf.reports(after.values()).values()
    assert same is report  # its cases say what they said
    path.write_text(text.replace('- name: "', '- name: "again ', 1), encoding="utf-8")
    (anew,) = shelf.reports(shelf.read().values()).values()
    assert anew.results[0].name.startswith("again ")

    (folder.parent / "2026.9").mkdir()
    with pytest.raises(ParametersError):
        shelf.read()
