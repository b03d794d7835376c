"""`banka policy list|test|show|diff|replay|shadow|drift`: read a credit policy, run its own cases,
see what changed, ask it about all past decisions, see what it says beside the one in force, and
who was approved over time."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table

from deploy.operating import Database, Name, with_service
from services.review import portfolio_runs, replay
from services.review.drift import BASE, Drift, Figure, Line, figure_of
from services.review.policy import TABLES
from services.review.policy_cases import run_cases
from services.review.policy_folder import Change, Held, compare, read_policies, tables_of
from services.review.policy_store import PolicyShelf
from services.review.portfolio import GROUPS, Comparison, Index
from services.review.portfolio_desk import compare_shadow, drift_between
from services.review.portfolio_runs import OtherQuestionError, Question, Report
from services.review.replay import Replay
from shared.clock import open_clock
from shared.parameters import EarlyArrears, ParametersError, load_figures
from shared.parameters.load import default_folder
from shared.settings import Settings

policy = typer.Typer(no_args_is_help=True, help="The credit policy and its versions.")

Folder = Annotated[
    Path | None,
    typer.Option(
        help="folder with a folder per version; default: `policies` in BANKA_PARAMETERS, else those"
        " that ship"
    ),
]
_AT_MOST = f"default, and at most: {portfolio_runs.SETTLED.seconds} seconds ago"
_SAYS_NOTHING = ("_id", "_description")
_console = Console()
Asked = TypeVar("Asked", bound=Question)


@policy.command("list")
def list_versions(folder: Folder = None) -> None:
    """The versions of the folder, with digest and what each changed. Which one decides, and who
    approved it, stands on review's page of policies."""
    for version, held in _read(folder).items():
        typer.echo(f"{version}  {held.policy.digest[:12]}  {held.manifest.changes.en}")


@policy.command("test")
def run_own_cases(
    version: Annotated[str | None, typer.Argument(help="default: every version")] = None,
    folder: Folder = None,
) -> None:
    """Run the cases beside each version. Exit code 1 where one comes otherwise than expected, or a
    row of a table is reached by none."""
    held = _read(folder)
    failed = False
    for one in [_version(held, version)] if version else held.values():
        report = run_cases(one)
        bad = [result for result in report.results if result.faults]
        for result in bad:
            typer.echo(f"{report.version}: {result.name}")
            for fault in result.faults:
                typer.echo(f"  {fault}")
        for row in report.unreached:
            typer.echo(f"{report.version}: no case reaches {row}")
        held_up = len(report.results) - len(bad)
        typer.echo(f"{report.version}: {held_up} of {len(report.results)} cases hold")
        failed |= not report.holds
    if failed:
        raise typer.Exit(1)


@policy.command("show")
def show(version: Annotated[str, typer.Argument()], folder: Folder = None) -> None:
    """The tables of a version, row by row."""
    held = _version(_read(folder), version)
    typer.echo(f"{held.manifest.title.zh} / {held.manifest.title.en} {version}")
    typer.echo(f"digest {held.policy.digest}")
    for table, rows in tables_of(held.policy).items():
        cells = [name for name in rows[0] if name not in _SAYS_NOTHING]
        shown = Table("row", *cells, title=table)
        for row in rows:
            shown.add_row(row["_id"], *(str(row[name]) for name in cells))
        _console.print(shown)


@policy.command("diff")
def diff(
    before: Annotated[str, typer.Argument(help="a version")],
    after: Annotated[str, typer.Argument(help="another one")],
    folder: Folder = None,
) -> None:
    """What the second version says otherwise than the first, row by row."""
    held = _read(folder)
    changes = compare(_version(held, before).policy, _version(held, after).policy)
    for table in TABLES:
        mine = [one for one in changes if one.table == table]
        if mine:
            typer.echo(table)
        for one in mine:
            for line in _told(one):
                typer.echo(f"  {line}")
    if not changes:
        typer.echo("the tables say the same")


def _told(change: Change) -> list[str]:
    if change.kind == "moved":
        return [f"~ {change.row}: has another turn"]
    if change.before is None or change.after is None:
        cells = change.before or change.after or {}
        said = ", ".join(f"{name} {cell or '(all others)'}" for name, cell in cells.items())
        return [f"{'+' if change.kind == 'added' else '-'} {change.row}: {said}"]
    names = [name for name in change.after if change.before.get(name) != change.after[name]]
    return [
        f"~ {change.row}: {name} {change.before.get(name) or '(nothing)'} → {change.after[name]}"
        for name in names
    ]


def _read(folder: Path | None) -> dict[str, Held]:
    try:
        return read_policies(folder or PolicyShelf.beside(default_folder()).folder)
    except ParametersError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _version(held: dict[str, Held], version: str) -> Held:
    if version not in held:
        typer.echo(f"there is no policy {version}: {', '.join(held)}", err=True)
        raise typer.Exit(1)
    return held[version]


@policy.command("replay")
def replay_portfolio(
    version: Annotated[str, typer.Argument(help="the candidate, a version of the folder")],
    since: Annotated[datetime, typer.Option(help="first day (or instant, UTC)")],
    until: Annotated[
        datetime | None, typer.Option(help=f"before this day (or instant, UTC); {_AT_MOST}")
    ] = None,
    facts_until: Annotated[
        datetime | None,
        typer.Option(
            help="what was heard of cards and accounts before this day (or instant, UTC) counts;"
            f" {_AT_MOST}"
        ),
    ] = None,
    folder: Folder = None,
    journal: Annotated[
        Path | None,
        typer.Option(help="what was done, to go on from; default: beside you, one a question"),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="the whole report, as JSON")] = None,
    processes: Annotated[int, typer.Option(min=1, max=64)] = os.cpu_count() or 1,
    name: Name = None,
    database: Database = None,
) -> None:
    """Ask a candidate about all past decisions, with the inputs that they rested on, and say who
    would have been decided otherwise. Stopped, it goes on where it was."""
    candidate = _version(_read(folder), version).policy

    async def prepare(conn: Any, settings: Settings) -> Any:
        async def ask(*, until: datetime, facts_until: datetime) -> Replay:
            return await replay.ask(conn, candidate, _instant(since), until, facts_until)

        given = {"until": until, "facts_until": facts_until}
        settled, kind = portfolio_runs.settled(open_clock(settings).now()), f"replay-{version}"
        asked, path = await go_on(kind, journal, given, settled, ask)
        return settings, asked, await portfolio_runs.batches(conn, asked), path

    settings, asked, starts, path = with_service("review", name, database, prepare)
    whole = _ask(settings, database, asked, starts, path, processes, f"policy {version}")
    _say_span(asked, f", cards and accounts as known before {asked.facts_until.isoformat()}")
    _say(whole, asked.early_arrears)
    _write(whole, report)


async def go_on(
    kind: str,
    journal: Path | None,
    given: Mapping[str, datetime | None],
    settled: datetime,
    ask: Callable[..., Awaitable[Asked]],
) -> tuple[Asked, Path]:
    """The question that `ask` makes of these times, and its journal. A time that is not given, or
    later than what is settled, is that of a run of the very same question which was stopped and has
    parts left, or else `settled`."""
    times = {
        name: _instant(one) if one is not None and _instant(one) <= settled else None
        for name, one in given.items()
    }
    for path in [journal] if journal else portfolio_runs.journals(kind):
        before = portfolio_runs.stopped(path)
        if before is not None and times.keys() <= before.keys():
            kept = {
                name: one or datetime.fromisoformat(before[name]) for name, one in times.items()
            }
            question = await ask(**kept)
            if question.as_json() == before:
                return question, path
    question = await ask(**{name: one or settled for name, one in times.items()})
    return question, journal or portfolio_runs.journal_of(kind, question)


def _instant(told: datetime) -> datetime:
    return told.replace(tzinfo=told.tzinfo or UTC)


def _ask(
    settings: Settings,
    database: str | None,
    question: Question,
    begins: list[tuple[datetime, str]],
    journal: Path,
    processes: int,
    title: str,
) -> Report:
    """Ask about every decision, and show how far it is."""
    with Progress(
        *Progress.get_default_columns(), MofNCompleteColumn(), console=Console(stderr=True)
    ) as shown:
        line = shown.add_task(title, total=question.decisions)
        try:
            return portfolio_runs.run(
                settings,
                database,
                question,
                begins,
                journal,
                processes=processes,
                told=lambda count: shown.advance(line, count),
            )
        except OtherQuestionError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None


def _say_span(asked: Question, more: str = "") -> None:
    typer.echo(
        f"decisions from {asked.since.isoformat()} to before {asked.until.isoformat()}{more}"
    )


def _write(whole: Report, path: Path | None) -> None:
    if path is not None:
        path.write_bytes(whole.text())
        typer.echo(f"report: {path}")


@policy.command("drift")
def drift(
    since: Annotated[datetime, typer.Option(help="first day of the base period (or instant, UTC)")],
    base_until: Annotated[datetime, typer.Option(help="the base period ends before this day")],
    until: Annotated[
        datetime | None, typer.Option(help=f"before this day (or instant, UTC); {_AT_MOST}")
    ] = None,
    step: Annotated[str, typer.Option(help="month or week")] = "month",
    journal: Annotated[
        Path | None,
        typer.Option(help="what was done, to go on from; default: beside you, one a question"),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="the counts, as JSON")] = None,
    processes: Annotated[int, typer.Option(min=1, max=64)] = os.cpu_count() or 1,
    name: Name = None,
    database: Database = None,
) -> None:
    """Who was approved, group by group over time, and how far the scores and each of their factors
    are from the base period's. Stopped, it goes on where it was."""
    if step not in ("month", "week"):
        typer.echo(f"no step {step}: month or week", err=True)
        raise typer.Exit(1)

    async def prepare(conn: Any, settings: Settings) -> Any:
        async def ask(*, until: datetime) -> Drift:
            begins, base = _instant(since), _instant(base_until)
            return await drift_between(conn, begins, base, until, step)  # type: ignore[arg-type]

        settled = portfolio_runs.settled(open_clock(settings).now())
        asked, path = await go_on("drift", journal, {"until": until}, settled, ask)
        return settings, asked, await portfolio_runs.batches(conn, asked), path

    settings, asked, starts, path = with_service("review", name, database, prepare)
    whole = _ask(settings, database, asked, starts, path, processes, "drift")
    _say_span(asked, f", base period before {asked.base_until.isoformat()}")
    _say_drift(figure_of(whole.tally, load_figures(), asked.score_band))
    _write(whole, report)


def _say_drift(figure: Figure) -> None:
    indices = Table(
        "factor",
        *(one for one in figure.periods if one != BASE),
        title="population stability index against the base period",
    )
    later = [one for one in figure.periods if one != BASE]
    for factor, by_period in figure.indices.items():
        indices.add_row(factor, *(_index(by_period.get(period)) for period in later))
    _console.print(indices)
    own = Table("group", "", *later, title="the same of each group's score against its own base")
    rates = Table("group", "", *figure.periods, title="approved of all decided (decisions), scores")
    for (group, value), lines in figure.lines.items():
        rates.add_row(group, value, *(_rate(lines.get(period)) for period in figure.periods))
        found = {period: line.index for period, line in lines.items() if line.index}
        if found:
            own.add_row(group, value, *(_index(found.get(period)) for period in later))
    if own.row_count:
        _console.print(own)
    _console.print(rates)


def _index(one: Index | None) -> str:
    return "too few" if one is None or one.value is None else f"{one.value:.4f} {one.reading}"


def _rate(line: Line | None) -> str:
    if line is None:
        return ""
    if line.rate is None:
        return f"too few ({line.decisions})"
    scores = f" {line.middle[0]}–{line.middle[1]}" if line.middle else ""
    return f"{line.rate:.1%} ({line.decisions:,}){scores}"


@policy.command("shadow")
def shadow(
    version: Annotated[str, typer.Argument(help="a version that runs, or ran, without effect")],
    folder: Folder = None,
    name: Name = None,
    database: Database = None,
) -> None:
    """What a version without effect would have decided of new cases, beside the one in force; each
    application counts once, by its last examination."""
    candidate = _version(_read(folder), version).policy

    async def look(conn: Any, settings: Settings) -> Comparison:  # noqa: ARG001
        return await compare_shadow(conn, candidate.digest)

    compared = with_service("review", name, database, look)
    if compared.agreement is None:
        typer.echo(f"policy {version} has run beside the one in force on no case")
        return
    typer.echo(
        f"{compared.compared:,} applications compared with {', '.join(sorted(compared.live))},"
        f" {compared.otherwise:,} otherwise; agreement {compared.agreement:.2%}"
        + (f"; {compared.uncompared:,} left out" if compared.uncompared else "")
    )
    _show_matrix("in force \\ beside it", lambda old, new: compared.matrix[old, new])
    live, beside = compared.limits
    typer.echo(f"limits of their approvals: {live / 100:,.2f} → {beside / 100:,.2f} yuan")
    reasons = Table("reason", "beside it alone", "in force alone", title="reasons of one alone")
    for code, (found, gone) in sorted(compared.reasons.items()):
        reasons.add_row(code, f"{found:,}", f"{gone:,}")
    _console.print(reasons)


def _show_matrix(head: str, counts: Callable[[str, str], int]) -> None:
    outcomes = ("approve", "refer", "decline")
    matrix = Table(head, *outcomes, title="what the policy said")
    for old in outcomes:
        matrix.add_row(old, *(f"{counts(old, new):,}" for new in outcomes))
    _console.print(matrix)


def _say(whole: Report, terms: EarlyArrears) -> None:
    tally = whole.tally
    typer.echo(
        f"{tally.decisions:,} decisions asked about, {tally.otherwise:,} would have been otherwise"
        + (f", {whole.closed:,} cannot be read any more" if whole.closed else "")
    )
    _show_matrix("was \\ would be", lambda old, new: tally.matrix[f"{old}>{new}"])
    typer.echo(
        "limits of what the policy alone approved:"
        f" {tally.limits['old'] / 100:,.2f} → {tally.limits['new'] / 100:,.2f} yuan"
    )
    typer.echo(
        "limits that it recommended to people:"
        f" {tally.limits['old:refer'] / 100:,.2f} → {tally.limits['new:refer'] / 100:,.2f} yuan;"
        f" of those of then people granted {tally.limits['granted'] / 100:,.2f}"
    )
    declined = Table("reason", "then", "by it", title="declines by primary reason")
    for code in sorted({key.partition(":")[2] for key in tally.declined}):
        declined.add_row(code, *(f"{tally.declined[f'{one}:{code}']:,}" for one in ("old", "new")))
    classes = Table("then", "by it", "decisions", title="pricing classes, of whom neither declines")
    for key, count in sorted(tally.classes.items()):
        classes.add_row(*key.split(">"), f"{count:,}")
    for table in (declined, classes):
        if table.row_count:
            _console.print(table)
    _say_found("card activated", "of those otherwise", ("yes", "not yet"), tally.activated)
    title = f"{terms.days_past_due} days past due within {terms.months} months"
    _say_found(title, "cards granted", ("yes", "no", "not yet", "unknown"), tally.arrears)
    index = tally.stability(load_figures())
    typer.echo(
        f"population stability index of the score: {_index(index)}"
        f" ({index.decisions:,} decisions scored by both)"
    )
    for group in GROUPS:
        values = sorted({
            key.split(":")[1] for key in tally.groups if key.startswith(f"{group}:")
        })  # fmt: skip
        table = Table(
            group, "decisions", "approved then", "approved by it", "limits then, yuan", "by it",
            title=f"by {group}",
        )  # fmt: skip
        for value in values:
            counts = [
                tally.groups[f"{group}:{value}:{what}"]
                for what in ("all", "old:approve", "new:approve")
            ]
            limits = [tally.groups[f"{group}:{value}:limit:{which}"] for which in ("old", "new")]
            cells = [f"{count:,}" for count in counts] + [f"{fen / 100:,.0f}" for fen in limits]
            table.add_row(value, *cells)
        _console.print(table)


def _say_found(title: str, what: str, found: tuple[str, ...], counts: Mapping[str, int]) -> None:
    """Counts by `old>new:found`, a row for each way in which decisions would be otherwise."""
    table = Table(what, *found, title=title)
    for way in sorted({key.partition(":")[0] for key in counts}):
        table.add_row(way, *(f"{counts.get(f'{way}:{one}', 0):,}" for one in found))
    if counts:
        _console.print(table)
