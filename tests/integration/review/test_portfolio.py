"""All past decisions: a candidate is asked about them in the background, with the command line's
report; a version without effect is held against the one in force; figures by group over time."""

from __future__ import annotations

import asyncio
import html
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from deploy.cli import app as cli
from deploy.local import Stack
from services.review import portfolio_runs, replay
from services.review.drift import Drift
from services.review.policy import Policy
from services.review.policy_folder import read_policy
from services.review.portfolio_store import Wanted, list_differences
from shared.calendar import BUSINESS_ZONE
from shared.identifiers import new_id
from tests.eventually import eventually
from tests.integration.review.bank import NAME, Bank, Colleague
from tests.integration.review.conftest import Desks
from tests.integration.review.figures import DRIFT_PAGES, PAGES
from tests.integration.review.test_policies import (
    act,
    desks,
    folder,
    late_payer,
    limit_of,
    new_version,
    put_cases_right,
)
from tests.integration.review.test_service import handed
from tests.unit.review.test_drift import of_two_regions
from tests.weighing import MOST_BYTES, copy_row, weight_of

__all__ = ["desks", "folder"]  # fixtures

pytestmark = pytest.mark.asyncio(loop_scope="module")


def seen(text: str) -> str:
    """A page as it is read."""
    return " ".join(re.sub("<[^>]*>", " ", html.unescape(text)).split())


async def ask(who: Colleague, digest: str, since: str, run_id: str, **more: str) -> Any:
    fields = {"since": since, "run_id": run_id, **more}
    return await who.client.post(f"/review/policies/{digest}/replays?lang=en", data=fields)


async def ended(bank: Bank, run_id: str) -> dict[str, Any]:
    """The run, once it has ended."""
    found: list[Any] = []

    async def there() -> bool:
        found[:] = await bank.fetch(
            "SELECT * FROM portfolio_run WHERE run_id = $1 AND ended_at IS NOT NULL", run_id
        )
        return bool(found)

    await eventually(there)
    return dict(found[0])


async def candidate(
    bank: Bank, desks: Desks, folder: Path, version: str, share: str = "0.1"
) -> Policy:
    """Some decisions of a minute ago, and a version that would give another share of the income."""
    for _ in range(3):
        await limit_of(bank, desks)
    await handed(bank, "application.declined", sequence=915)
    bank.step(bank.now + timedelta(minutes=5))
    new_version(folder, version, strong=share, sound=share)
    return read_policy(folder / "policies" / version).policy


async def by_command_line(
    bank: Bank, question: portfolio_runs.Question, journal: Path
) -> portfolio_runs.Report:
    """What the command line makes of a question, two decisions at a time."""
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        begins = await portfolio_runs.batches(conn, question, 2)
    finally:
        await conn.close()
    return await asyncio.to_thread(
        lambda: portfolio_runs.run(
            bank.settings,
            None,
            question,
            begins,
            journal,
            processes=1,
            told=lambda _count: None,
        )
    )


async def test_a_replay_by_page_has_the_bytes_of_the_command_line_and_leads_to_its_cases(
    bank: Bank, desks: Desks, folder: Path, tmp_path: Path
) -> None:
    await late_payer(bank, await handed(bank, "application.approved"))
    policy = await candidate(bank, desks, folder, "2026.21")
    today, run_id = f"{bank.now.astimezone(BUSINESS_ZONE):%Y-%m-%d}", new_id()
    assert (await ask(desks.first, policy.digest, today, run_id)).status_code == 303
    run = await ended(bank, run_id)
    assert run["fault"] is None
    here = f"/review/policies/{policy.digest}/replays/{run_id}"
    told = (await desks.first.get(f"{here}/report")).content

    question = replay.Replay.from_json(json.loads(run["asked"]), policy.source)
    whole = await by_command_line(bank, question, tmp_path / "journal")
    assert told == whole.text()
    assert (json.loads(told)["sha256"], NAME in told.decode()) == (run["sha256"], False)
    assert whole.tally.otherwise > 0

    page = seen((await desks.first.get(here, lang="en")).text)
    assert f"Would be decided otherwise {whole.tally.otherwise}" in page
    assert "Shanghai" in page
    ways = {way: whole.tally.arrears[f"approve>approve:{way}"] for way in ("yes", "unknown")}
    assert ways["yes"] == 1
    assert f"approve → approve 1 0 0 {ways['unknown']} " in page.casefold()
    cases = (await desks.first.get(f"{here}/cases", lang="en")).text
    for one in whole.differences[:25]:
        assert f"/review/cases/{one['application_id']}" in cases
    elsewhere = await desks.first.get(f"{here}/cases", lang="en", group="region", value="44")
    assert "No case fits that you may see." in elsewhere.text
    listed = await desks.first.get(f"/review/policies/{policy.digest}/replays", lang="en")
    assert run_id in listed.text


async def test_the_command_says_its_span_and_asks_anew_once_all_is_done(
    bank: Bank,
    desks: Desks,
    folder: Path,
    review_stack: Stack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    policy = await candidate(bank, desks, folder, "2026.28")
    since = f"{bank.now - timedelta(days=1):%Y-%m-%d}"
    env = {
        **review_stack.environment(),
        "BANKA_ENVIRONMENT": bank.settings.environment.value,
        "BANKA_CLOCK_FILE": str(bank.settings.clock_file),
    }
    spans, decisions = [], []
    for _ in "12":
        for words in (
            ["replay", policy.version, "--folder", str(folder / "policies"), "--since", since],
            ["drift", "--since", since, "--base-until", f"{bank.now:%Y-%m-%d}"],
        ):
            report = ["--report", "report.json", "--processes", "1"]
            ran = await asyncio.to_thread(
                CliRunner().invoke, cli, ["policy", *words, *report], env=env
            )
            assert ran.exit_code == 0, ran.output
            until = portfolio_runs.settled(bank.now).isoformat()
            assert f"decisions from {since}T00:00:00+00:00 to before {until}" in ran.output
            asked = json.loads(Path("report.json").read_text(encoding="utf-8"))["asked"]
            spans.append(asked["until"])
            decisions.append(asked["decisions"])
            if words[0] == "replay":
                assert "limits that it recommended to people" in ran.output
                assert "declines by primary reason" in ran.output
        await limit_of(bank, desks)
        bank.step(bank.now + timedelta(minutes=5))
    assert spans[0] == spans[1] < spans[2] == spans[3]
    assert decisions[0] == decisions[1] == decisions[2] - 1 == decisions[3] - 1
    assert len(list(tmp_path.glob("*.jsonl"))) == 4, "one a question, and none is deleted"


async def test_one_request_asks_once_and_whoever_may_not_asks_nothing(
    bank: Bank, desks: Desks, folder: Path
) -> None:
    policy = await candidate(bank, desks, folder, "2026.22")
    today, run_id = f"{bank.now.astimezone(BUSINESS_ZONE):%Y-%m-%d}", new_id()
    for _ in range(2):
        assert (await ask(desks.first, policy.digest, today, run_id)).status_code == 303
    await ended(bank, run_id)
    asked = await bank.fetch(
        "SELECT actor FROM office_change WHERE action = 'portfolio-replay-asked'"
        " AND subject = '2026.22'"
    )
    assert [row["actor"] for row in asked] == [f"staff:{desks.first.staff_id}"]
    reviewer = await bank.colleague(desks.transport, "reviewer")
    assert (await ask(reviewer, policy.digest, today, new_id())).status_code == 403
    here = f"/review/policies/{policy.digest}/replays/{run_id}"
    assert (await reviewer.get(here)).status_code == 200
    assert (await reviewer.get(f"{here}/report")).status_code == 403
    assert (await desks.first.get(f"/review/policies/{'0' * 64}/replays")).status_code == 404
    assert (await desks.first.get(here.replace(run_id, new_id()))).status_code == 404


async def test_days_that_are_none_are_refused_and_nothing_is_asked(
    bank: Bank, desks: Desks, folder: Path
) -> None:
    policy = await candidate(bank, desks, folder, "2026.23")
    tomorrow = f"{(bank.now + timedelta(days=1)).astimezone(BUSINESS_ZONE):%Y-%m-%d}"
    for since, until in ((tomorrow, ""), ("x", ""), ("2026-11-01", "2026-10-01")):
        run_id = new_id()
        answer = await ask(desks.first, policy.digest, since, run_id, until=until)
        shown = await desks.first.get(answer.headers["location"], lang="en")
        assert "Give a first day in the past" in shown.text
        assert not await bank.fetch("SELECT FROM portfolio_run WHERE run_id = $1", run_id)


async def test_a_part_that_somebody_left_undone_is_done_and_counted_once(
    bank: Bank, desks: Desks, folder: Path
) -> None:
    """Whoever holds a part's row does it; when that transaction breaks off, another one does."""
    policy = await candidate(bank, desks, folder, "2026.24")
    today, run_id = f"{bank.now.astimezone(BUSINESS_ZONE):%Y-%m-%d}", new_id()
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        holding = conn.transaction()
        await holding.start()
        # asked while nobody can begin
        await conn.execute("LOCK TABLE portfolio_difference IN ACCESS EXCLUSIVE MODE")
        assert (await ask(desks.first, policy.digest, today, run_id)).status_code == 303
        page = await desks.first.get(
            f"/review/policies/{policy.digest}/replays/{run_id}", lang="en"
        )
        assert "You may leave this page: it goes on." in page.text
        await holding.rollback()
    finally:
        await conn.close()
    run = await ended(bank, run_id)
    tally = json.loads(run["tally"])
    assert tally["decisions"] == json.loads(run["asked"])["decisions"]
    rows = await bank.fetch(
        "SELECT count(*) AS n FROM portfolio_difference WHERE run_id = $1", run_id
    )
    assert rows[0]["n"] == tally["otherwise"]


async def test_a_list_of_differences_has_only_what_belongs_to_the_wanted_branches(
    bank: Bank, desks: Desks, folder: Path
) -> None:
    policy = await candidate(bank, desks, folder, "2026.25")
    today, run_id = f"{bank.now.astimezone(BUSINESS_ZONE):%Y-%m-%d}", new_id()
    await ask(desks.first, policy.digest, today, run_id)
    await ended(bank, run_id)
    conn = await asyncpg.connect(bank.superuser_url)
    try:

        async def listed(**wanted: Any) -> int:
            found = await list_differences(conn, run_id, Wanted(**wanted), page=1, page_size=25)
            return found[1]

        everything = await listed(branches=None)
        assert everything > 0
        assert await listed(branches=[bank.branch]) == everything
        assert await listed(branches=["0001"]) == await listed(branches=[]) == 0
        month = f"{bank.now.astimezone(BUSINESS_ZONE):%Y-%m}"
        for group, value in (("region", "31"), ("age_band", "26-35"), ("month", month)):
            assert await listed(branches=None, group=group, value=value) == everything
            assert await listed(branches=None, group=group, value="none") == 0
    finally:
        await conn.close()


async def test_a_version_without_effect_is_held_against_the_one_in_force(
    bank: Bank, desks: Desks, folder: Path
) -> None:
    digest = new_version(folder, "2026.26", strong="0.6", sound="0.6")
    put_cases_right(folder / "policies" / "2026.26")
    here = f"/review/policies/{digest}/shadow"
    assert "Nothing to compare" in (await desks.first.get(here, lang="en")).text
    await act(desks.first, digest, "shadow", on="yes")
    applicant, _version, limit = await limit_of(bank, desks)
    declined = await handed(bank, "application.declined", sequence=915)
    await act(desks.first, digest, "shadow", on="no")
    (row,) = await bank.fetch(
        "SELECT * FROM shadow_verdict WHERE application_id = $1", applicant.application_id
    )
    assert (row["live_outcome"], row["live_recommended"]) == ("approve", limit)
    page = seen((await desks.first.get(here, lang="en")).text)
    assert "Applications compared 2" in page
    assert "Agreement 50.0%" in page
    cases = (await desks.first.get(f"{here}/cases", lang="en")).text
    assert f"/review/cases/{applicant.application_id}" in cases
    assert f"/review/cases/{declined.application_id}" not in cases
    gone = await desks.first.get(f"{here}/cases", lang="en", old="approve", new="decline")
    assert "No case fits that you may see." in gone.text


async def test_every_page_is_light_with_as_many_rows_as_it_may_have(
    bank: Bank, desks: Desks, folder: Path
) -> None:
    policy = await candidate(bank, desks, folder, "2026.27", "0.6")
    put_cases_right(folder / "policies" / "2026.27")
    await act(desks.first, policy.digest, "shadow", on="yes")
    applicant, _version, _limit = await limit_of(bank, desks)
    await act(desks.first, policy.digest, "shadow", on="no")
    today, run_id = f"{bank.now.astimezone(BUSINESS_ZONE):%Y-%m-%d}", new_id()
    bank.step(bank.now + timedelta(minutes=5))
    await ask(desks.first, policy.digest, today, run_id)
    await ended(bank, run_id)
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        case = applicant.application_id
        for table, keys in (
            ("review_case", ("application_id",)),
            ("case_file", ("application_id",)),
            ("decision", ("application_id", "decision_id")),
            ("shadow_verdict", ("application_id",)),
        ):
            await copy_row(conn, table, case, 60, *keys)
        await conn.execute(
            "INSERT INTO portfolio_difference SELECT $1, 999, row_number() OVER (), application_id,"
            " 'approve', 'decline', 100000, 0, '{NEW_TO_BANK}', '{NO_LIMIT_LEFT}'"
            " FROM review_case WHERE starts_with(application_id, $2 || '-')",
            *(run_id, case),
        )
        await copy_row(conn, "portfolio_run", run_id, 60, "run_id")
        for page, rows in PAGES.items():
            more = 24 if page.endswith(("/cases", "/replays")) else 0
            for language in ("zh-CN", "en"):
                address = page.format(digest=policy.digest, run_id=run_id)
                answer = await desks.first.get(address, lang=language)
                assert answer.text.count("<tr") >= rows + more, address
                assert await weight_of(desks.first.client, answer) <= MOST_BYTES, address
    finally:
        await conn.execute("DELETE FROM portfolio_difference WHERE part = 999")
        for table in ("shadow_verdict", "decision", "case_file", "review_case"):
            await conn.execute(
                f"DELETE FROM {table} WHERE starts_with(application_id, $1 || '-')",
                applicant.application_id,
            )
        await conn.close()


async def test_the_page_says_which_groups_scores_have_become_others(
    bank: Bank, desks: Desks
) -> None:
    """Figures that were worked out by hand: tests/unit/review/test_drift.py."""
    bank.step(bank.now + timedelta(minutes=5))
    before = bank.now.astimezone(BUSINESS_ZONE) - timedelta(days=1)
    fields = {"since": f"{before:%Y-%m-%d}", "base_until": f"{before:%Y-%m-%d}", "step": "month"}
    run_id, here = new_id(), "/review/policies/drift"
    await desks.first.client.post(here, data={**fields, "run_id": run_id})
    await ended(bank, run_id)
    told = json.dumps(of_two_regions().as_json())
    await bank.fetch("UPDATE portfolio_run SET tally = $2 WHERE run_id = $1", run_id, told)
    page = seen((await desks.first.get(f"{here}/{run_id}", lang="en")).text)
    own = page.partition("Stability index of each group")[2].partition("Everybody")[0]
    assert re.search(r"By region 0\.2485 worth a look", own)
    assert re.search(r"By region 0\.0000 little", own)
    assert "middle half 520–579" in page
    assert "Whole score 0.0693 little" in page
    page = seen((await desks.first.get(f"{here}/{run_id}", lang="zh-CN")).text)
    assert "各群体的稳定性指数" in page
    assert "中间半数 520–579" in page


async def test_fairness_and_drift_by_page_have_the_bytes_of_the_command_line(
    bank: Bank, desks: Desks, tmp_path: Path
) -> None:
    """Before and after a day's end, by the page's days and by the command line's instants."""
    before = bank.now.astimezone(BUSINESS_ZONE)
    await limit_of(bank, desks)
    await handed(bank, "application.declined", sequence=915)
    bank.step(bank.now + timedelta(days=1))
    later = await limit_of(bank, desks)
    bank.step(bank.now + timedelta(minutes=5))
    run_id, here = new_id(), "/review/policies/drift"
    fields = {"since": f"{before:%Y-%m-%d}", "base_until": f"{before:%Y-%m-%d}", "step": "week"}
    reviewer = await bank.colleague(desks.transport, "reviewer")
    refused = await reviewer.client.post(here, data={**fields, "run_id": run_id})
    assert refused.status_code == 403
    wrong = {**fields, "base_until": f"{bank.now.astimezone(BUSINESS_ZONE):%Y-%m-%d}"}
    answer = await desks.first.client.post(f"{here}?lang=en", data={**wrong, "run_id": run_id})
    shown = await desks.first.get(answer.headers["location"], lang="en")
    assert "Give a first day in the past" in shown.text
    for _ in range(2):
        await desks.first.client.post(here, data={**fields, "run_id": run_id})
    run = await ended(bank, run_id)
    told = (await desks.first.get(f"{here}/{run_id}/report")).content
    question = Drift.from_json(json.loads(run["asked"]))
    whole = await by_command_line(bank, question, tmp_path / "drift")
    assert told == whole.text()
    assert NAME not in told.decode()
    assert later[0].application_id not in told.decode(), "counts alone, nobody's case"
    counts = whole.tally.counts
    decided = await bank.fetch(
        "SELECT count(*) FILTER (WHERE outcome = 'approve') AS approved,"
        " count(*) FILTER (WHERE outcome = 'decline') AS declined FROM decision"
        " WHERE decided_at >= $1 AND decided_at < $2",
        question.since,
        question.base_until,
    )
    assert counts["base|all|all|approve"] == decided[0]["approved"] > 0
    assert counts["base|all|all|decline"] == decided[0]["declined"] > 0
    week = f"{before:%Y-%m-%d}"  # a Monday
    assert counts[f"{week}|region|31|approve"] == counts[f"{week}|all|all|approve"] == 1
    assert counts[f"{week}|band|score|none"] == 0
    # of so few nothing is said
    page = seen((await desks.first.get(f"{here}/{run_id}", lang="en")).text)
    assert "too few 1 decision" in page
    assert "Stability index of each group" in page
    spread = {key: n for key, n in counts.items() if key.startswith(f"{week}|region|31|band ")}
    assert sum(spread.values()) == counts[f"{week}|region|31|approve"]

    nothing = new_id()
    none = {"since": "2026-01-01", "base_until": "2026-01-02", "until": "2026-01-03"}
    await desks.first.client.post(here, data={**none, "run_id": nothing})
    await ended(bank, nothing)
    empty = await desks.first.get(f"{here}/{nothing}", lang="en")
    assert "Nothing was decided in these days." in empty.text

    conn = await asyncpg.connect(bank.superuser_url)
    try:
        await copy_row(conn, "portfolio_run", run_id, 60, "run_id")
        for path, rows in DRIFT_PAGES.items():
            for language in ("zh-CN", "en"):
                answer = await desks.first.get(path.format(run_id=run_id), lang=language)
                assert answer.text.count("<tr") >= rows, path
                assert await weight_of(desks.first.client, answer) <= MOST_BYTES, path
    finally:
        await conn.close()
