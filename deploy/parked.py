"""`banka parked list|show|retry|skip`: what an operator does about events that wait."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from deploy.local import attach
from shared.messaging import redrive
from shared.postgres.pool import connect
from shared.settings import SettingsError, load_settings

app = typer.Typer(no_args_is_help=True, help="Events that wait: look, try again, skip.")

T = TypeVar("T")

Service = Annotated[str, typer.Argument(help="intake, review, notify or reporting")]
Number = Annotated[int, typer.Argument(help="the number that `list` shows")]
Why = Annotated[str, typer.Option("--why", help="kept in the audit trail")]
Who = Annotated[str, typer.Option("--who", help="who decides; default: the user of this machine")]
Database = Annotated[str | None, typer.Option("--database", hidden=True)]

_console = Console()


def _with(service: str, database: str | None, work: Callable[[Any], Awaitable[T]]) -> T:
    if not os.environ.get("BANKA_POSTGRES_DSN"):
        # without a deployment's variables, the local stack that runs
        os.environ.update(attach().environment())

    async def run() -> T:
        conn = await connect(load_settings(service), service, database=database)
        try:
            return await work(conn)
        finally:
            await conn.close()

    try:
        return asyncio.run(run())
    except (redrive.CannotRedrive, SettingsError) as refusal:
        _console.print(str(refusal), style="red", markup=False)
        raise typer.Exit(1) from None


@app.command("list")
def list_(
    service: Service,
    consumer: Annotated[str | None, typer.Option(help="one consumer group only")] = None,
    subject: Annotated[str | None, typer.Option(help="one application only")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    database: Database = None,
) -> None:
    """Show every application that does not go on, and why."""
    keys = _with(
        service, database, lambda c: redrive.list_parked(c, consumer=consumer, subject=subject)
    )
    if as_json:
        rows = [{name: getattr(key, name) for name in key.__dataclass_fields__} for key in keys]
        typer.echo(json.dumps(rows, default=str, ensure_ascii=False, indent=2))
        return
    table = Table(title=f"{service}: {len(keys)} parked")
    for column in ("number", "consumer", "subject", "event", "state", "tries", "waiting", "reason"):
        table.add_column(column)
    for key in keys:
        table.add_row(
            str(key.id), key.consumer, key.subject, key.type, key.state, str(key.attempts),
            str(key.waiting), key.reason,
        )  # fmt: skip
    _console.print(table)


@app.command()
def show(service: Service, number: Number, database: Database = None) -> None:
    """Show one event, its texts masked, and what waits behind it."""
    detail = _with(service, database, lambda c: redrive.show_parked(c, number))
    key = detail.key
    for name, value in {
        "consumer": key.consumer,
        "subject": key.subject,
        "event": f"{key.type} {detail.event_id}",
        "number": f"{detail.sequence} of {detail.source}",
        "place": f"{key.topic}/{detail.partition} offset {detail.offset}",
        "state": key.state,
        "reason": key.reason,
        "tries": key.attempts,
        "since": key.since.isoformat(),
        "last tried": key.last_tried.isoformat(),
    }.items():
        _console.print(f"{name:>10}  {value}", markup=False)
    _console.print_json(json.dumps(detail.payload, ensure_ascii=False, default=str))
    for number_, type_, sequence in detail.behind:
        _console.print(f"   behind  {number_} {type_} number {sequence}", markup=False)


@app.command()
def retry(
    service: Service, number: Number, why: Why, who: Who = "", database: Database = None
) -> None:
    """Have the running service try the event again."""
    by = who or getpass.getuser()
    _with(service, database, lambda c: redrive.retry_parked(c, number, who=by, why=why))
    _console.print(f"{number} is tried again by the running service")


@app.command()
def skip(
    service: Service, number: Number, why: Why, who: Who = "", database: Database = None
) -> None:
    """Never apply the event; what waits behind it goes on. Kept for ever."""
    by = who or getpass.getuser()
    _with(service, database, lambda c: redrive.skip_parked(c, number, who=by, why=why))
    _console.print(f"{number} is skipped")
