"""Versions of a product: which holds when, what is fixed, how a running service takes a new one."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from shared.parameters import (
    ChangedVersionError,
    Condition,
    ParametersError,
    UnknownVersionError,
    load_products,
    product_of,
    product_on,
    terms_of,
)
from shared.parameters.held import SHIPPED, published_list, read_held
from shared.parameters.load import held, take
from shared.parameters.models import Clocks
from shared.parameters.watch import Watch
from tests.eventually import eventually


def test_who_begins_with_a_business_card_is_looked_at_by_an_officer_since_its_newer_version() -> (
    None
):
    before, since = [product_on("business", date(2026, 10, day)) for day in (7, 8)]
    assert before is not None
    assert since is not None
    assert (before.version, before.pre_check.by) == ("2026.1", "rules")
    assert (since.version, since.pre_check.by) == ("2026.2", "officer")
    assert since.pre_check.other_than_entry
    # nothing else has changed
    same = {"version", "digest", "valid_from", "pre_check"}
    assert before.model_dump(exclude=same) == since.model_dump(exclude=same)


@pytest.mark.parametrize(
    ("code", "taken"),
    [
        ("standard", True),
        ("gold", True),
        ("student", True),
        ("supplementary", True),
        ("business", False),
    ],
)
def test_passports_are_taken_from_october_10_on_but_for_the_business_card(
    code: str, taken: bool
) -> None:
    before, since = [product_on(code, date(2026, 10, day)) for day in (9, 10)]
    assert before is not None
    assert since is not None
    assert before.identity.passport is None
    assert (since.identity.passport is not None) is taken
    for applicant, lines in since.materials.items():
        asked = {line.items[0]: line.when for line in lines if line.when.startswith("holder_has_")}
        assert asked == (
            {
                **dict.fromkeys(("id_front", "id_back"), Condition.HOLDER_HAS_ID_CARD),
                **dict.fromkeys(("passport_page", "stay_permit"), Condition.HOLDER_HAS_PASSPORT),
            }
            if taken
            else {}
        )
        # nothing else of the matrix has changed
        papers = [one.items for one in lines if not one.when.startswith("holder_has_")]
        assert papers == [
            one.items
            for one in before.materials[applicant]
            if not taken or one.items[0] not in ("id_front", "id_back")
        ]
    same = {"version", "digest", "valid_from", "materials", "identity"}
    assert before.model_dump(exclude=same) == since.model_dump(exclude=same)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    copy = tmp_path / "parameters"
    shutil.copytree(SHIPPED, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    yield copy
    take(SHIPPED)


def publish(folder: Path) -> None:
    listed = folder / "products" / "published.sha256"
    listed.write_text(published_list(read_held(folder, drafts=True)), encoding="utf-8")


def write_version(
    folder: Path,
    version: str,
    valid_from: str,
    change: Callable[[str], str] = str,
    *,
    code: str = "standard",
) -> Path:
    """A further version out of the one that ships."""
    text = (folder / "products" / code / "2026.2.yaml").read_text(encoding="utf-8")
    text = text.replace('version: "2026.2"', f'version: "{version}"')
    text = text.replace("valid_from: 2026-10-10", f"valid_from: {valid_from}")
    path = folder / "products" / code / f"{version}.yaml"
    path.write_text(change(text), encoding="utf-8")
    return path


def test_each_day_has_its_version_and_older_ones_stay(folder: Path) -> None:
    # 2026.10 comes after 2026.3
    write_version(folder, "2026.10", "2026-12-01")
    write_version(folder, "2026.3", "2026-11-02")
    publish(folder)
    take(folder)
    for day, version in (
        (date(2025, 12, 31), None),
        (date(2026, 1, 1), "2026.1"),
        (date(2026, 10, 9), "2026.1"),
        (date(2026, 10, 10), "2026.2"),
        (date(2026, 11, 1), "2026.2"),
        (date(2026, 11, 2), "2026.3"),
        (date(2026, 11, 30), "2026.3"),
        (date(2026, 12, 1), "2026.10"),
    ):
        found = product_on("standard", day)
        assert (found.version if found else None) == version
    assert product_of("standard", "2026.1").valid_from == date(2026, 1, 1)
    assert product_of("standard").version == "2026.10"
    assert load_products()["gold"].version == "2026.3"
    assert product_on("platinum", date(2026, 12, 1)) is None


def test_a_version_is_known_by_what_it_said_when_the_application_began(folder: Path) -> None:
    take(folder)
    digest = product_of("standard", "2026.1").digest
    assert product_of("standard", "2026.1", digest).digest == digest
    with pytest.raises(
        ChangedVersionError, match=r"products/standard/2026\.1\.yaml back as it was"
    ):
        product_of("standard", "2026.1", "0" * 64)
    with pytest.raises(
        UnknownVersionError, match=r"version 2026\.7 of the product standard is not"
    ):
        product_of("standard", "2026.7", digest)


def test_a_draft_is_looked_at_by_nobody_until_it_is_published(folder: Path) -> None:
    path = write_version(folder, "2026.3", "2026-11-02", lambda _: "version: [half")
    assert list(take(folder).products["standard"]) == ["2026.1", "2026.2"]
    with pytest.raises(
        ParametersError, match=r"products/standard/2026\.3\.yaml:\d+:\d+: is not YAML"
    ):
        read_held(folder, drafts=True)
    path.unlink()
    write_version(folder, "2026.3", "2026-11-02")
    publish(folder)
    assert list(take(folder).products["standard"]) == ["2026.1", "2026.2", "2026.3"]


@pytest.mark.parametrize("mends_the_list", [False, True])
def test_a_published_version_is_fixed(folder: Path, mends_the_list: bool) -> None:
    before = take(folder)
    path = folder / "products" / "standard" / "2026.1.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text("# a comment is no change\n" + text, encoding="utf-8")
    after = take(folder)
    assert after.digests() == before.digests()
    path.write_text(text.replace("cards_per_customer: 5", "cards_per_customer: 6"), "utf-8")
    listed = folder / "products" / "published.sha256"
    if mends_the_list:
        lines = listed.read_text(encoding="utf-8").splitlines(keepends=True)
        listed.write_text("".join(x for x in lines if "standard" not in x), encoding="utf-8")
        publish(folder)
    with pytest.raises(ParametersError, match="says something else now"):
        take(folder)
    assert held() is after
    assert product_of("standard", "2026.1").cards_per_customer == 5


def test_a_published_version_that_is_gone_is_refused(folder: Path) -> None:
    write_version(folder, "2026.3", "2026-11-02")
    publish(folder)
    before = take(folder)
    (folder / "products" / "standard" / "2026.1.yaml").unlink()
    with pytest.raises(ParametersError, match=r"standard/2026\.1\.yaml: was published and is gone"):
        take(folder)
    (folder / "products" / "published.sha256").unlink()
    publish(folder)
    with pytest.raises(ParametersError, match=r"standard/2026\.1\.yaml: was published and is gone"):
        take(folder)
    assert held() is before


def test_a_version_that_another_process_took_first_is_looked_for(folder: Path) -> None:
    take(folder)
    write_version(folder, "2026.3", "2026-11-02")
    publish(folder)
    assert product_of("standard", "2026.3").version == "2026.3"


def test_the_clocks_hold_where_a_product_says_nothing(folder: Path) -> None:
    own = "terms:\n  draft_days: 14\n  material: {working_days: 5, remind_working_days_before: 0}\n"
    write_version(folder, "2026.3", "2026-11-02", lambda text: own + text)
    publish(folder)
    take(folder)
    clocks = held().file("clocks", Clocks)
    assert terms_of(product_of("standard", "2026.1")).draft_days == clocks.draft_days == 30
    terms = terms_of(product_of("standard", "2026.3"))
    assert (terms.draft_days, terms.material.working_days) == (14, 5)
    assert terms.activation_days == clocks.activation_days


async def test_a_watch_takes_what_is_right_and_keeps_the_old_where_it_is_not(folder: Path) -> None:
    take(folder)
    watch = Watch(folder, seconds=0.01)
    clocks = folder / "clocks.yaml"
    text = clocks.read_text(encoding="utf-8")
    # also what changed between the reading and the first look
    clocks.write_text(text.replace("draft_days: 30", "draft_days: 29"), encoding="utf-8")

    async def changed(content: str | None, until: Callable[[], bool]) -> None:
        task = asyncio.create_task(watch.run())
        if content is not None:
            clocks.write_text(content, encoding="utf-8")

        async def reached() -> bool:
            return until()

        try:
            await eventually(reached)
        finally:
            task.cancel()

    def draft_days() -> int:
        return held().file("clocks", Clocks).draft_days

    await changed(None, lambda: draft_days() == 29)
    await changed(text.replace("draft_days: 30", "draft_days: 21"), lambda: draft_days() == 21)
    assert watch.refused == ""

    def refused() -> bool:  # said last of all
        return REGISTRY.get_sample_value("banka_parameters_refused") == 1

    await changed(text.replace("draft_days: 30", "draft_days: soon"), refused)
    assert re.fullmatch(r"refused: clocks\.yaml:7:1: draft_days: is 'soon'; .*", watch.refused)
    assert draft_days() == 21
    await changed(text, lambda: not refused())
    assert (watch.refused, draft_days()) == ("", 30)
