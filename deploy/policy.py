"""`banka policy list|test|show|diff`: read a credit policy, run its own cases, see what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.review.policy import TABLES
from services.review.policy_cases import run_cases
from services.review.policy_folder import Change, Held, compare, read_policies, tables_of
from services.review.policy_store import PolicyShelf
from shared.parameters import ParametersError
from shared.parameters.load import default_folder

policy = typer.Typer(no_args_is_help=True, help="The credit policy and its versions.")

Folder = Annotated[
    Path | None,
    typer.Option(
        help="folder with a folder per version; default: `policies` in BANKA_PARAMETERS, else those"
        " that ship"
    ),
]
_SAYS_NOTHING = ("_id", "_description")
_console = Console()


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
