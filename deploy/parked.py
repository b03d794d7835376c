"""`banka parked list|show|retry|skip`: what an operator does about what waits."""

from __future__ import annotations

import getpass
import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deploy.operating import Database, Name, Service, Who, Why, with_service
from shared.messaging import redrive

app = typer.Typer(no_args_is_help=True, help="What waits for you: look, try again, skip.")

Number = Annotated[
    str,
    typer.Argument(help="as `list` shows it: 17, call:17 or deadline:<name>:<application>"),
]

_console = Console()


def _is_event(number: str) -> bool:
    if number.isdecimal():
        return True
    if number.startswith(("call:", "deadline:")):
        return False
    raise redrive.CannotRedrive(f"{number} is not a number that `banka parked list` shows")


@app.command("list")
def list_(
    service: Service,
    consumer: Annotated[str | None, typer.Option(help="events of one consumer group only")] = None,
    subject: Annotated[str | None, typer.Option(help="one application only")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    name: Name = None,
    database: Database = None,
) -> None:
    """Show everything that does not go on by itself, and why.

    Applications whose events wait; results of calls and deadlines that failed too often.
    """

    async def look(conn: Any, _: Any) -> tuple[list[redrive.ParkedKey], list[redrive.FailedWork]]:
        keys = await redrive.list_parked(conn, consumer=consumer, subject=subject)
        works = [] if consumer else await redrive.list_failed(conn, subject=subject)
        return keys, works

    keys, works = with_service(service, name, database, look)
    if as_json:
        rows = [{"kind": "event"} | _fields(key) for key in keys] + [_fields(w) for w in works]
        typer.echo(json.dumps(rows, default=str, ensure_ascii=False, indent=2))
        return
    table = Table(title=f"{service}: {len(keys) + len(works)} parked")
    for column in ("number", "of", "subject", "what", "state", "tries", "waiting", "reason"):
        table.add_column(column, overflow="fold")
    for key in keys:
        table.add_row(
            str(key.id), key.consumer, key.subject, key.type, key.state, str(key.attempts),
            str(key.waiting), key.reason,
        )  # fmt: skip
    for work in works:
        table.add_row(
            work.reference, work.kind, work.subject, work.name, "parked", str(work.tries), "1",
            work.reason,
        )  # fmt: skip
    _console.print(table)


def _fields(item: Any) -> dict[str, Any]:
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


@app.command()
def show(service: Service, number: Number, name: Name = None, database: Database = None) -> None:
    """Show what waits, its texts masked, and what waits behind it."""

    async def look(conn: Any, _: Any) -> redrive.ParkedDetail | redrive.FailedWork:
        if _is_event(number):
            return await redrive.show_parked(conn, int(number))
        return await redrive.show_failed(conn, number)

    found = with_service(service, name, database, look)
    if isinstance(found, redrive.FailedWork):
        _print_fields(
            {
                found.kind: found.name,
                "subject": found.subject,
                "reason": found.reason,
                "tries": found.tries,
                "since": found.since.isoformat(),
            }
        )
        if found.payload is not None:
            _console.print_json(json.dumps(found.payload, ensure_ascii=False, default=str))
        return
    key = found.key
    _print_fields(
        {
            "consumer": key.consumer,
            "subject": key.subject,
            "event": f"{key.type} {found.event_id}",
            "number": f"{found.sequence} of {found.source}",
            "place": f"{key.topic}/{found.partition} offset {found.offset}",
            "state": key.state,
            "reason": key.reason,
            "tries": key.attempts,
            "since": key.since.isoformat(),
            "last tried": key.last_tried.isoformat(),
        }
    )
    if key.state == "gap":
        cure = redrive.cure_of_gap(key.topic, key.subject, found.source)
        _print_fields({"cure": cure})
    _console.print_json(json.dumps(found.payload, ensure_ascii=False, default=str))
    for number_, type_, sequence in found.behind:
        _console.print(f"   behind  {number_} {type_} number {sequence}", markup=False)


def _print_fields(fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        _console.print(f"{name:>10}  {value}", markup=False, soft_wrap=True)


@app.command()
def retry(
    service: Service,
    number: Number,
    why: Why,
    who: Who = "",
    name: Name = None,
    database: Database = None,
) -> None:
    """Have the running service try it again. A call is not made again: its answer is kept."""
    by = who or getpass.getuser()

    async def again(conn: Any, _: Any) -> None:
        if _is_event(number):
            await redrive.retry_parked(conn, int(number), who=by, why=why)
        else:
            await redrive.retry_failed(conn, number, who=by, why=why)

    with_service(service, name, database, again)
    typer.echo(f"{number} is tried again by the running service")


@app.command()
def skip(
    service: Service,
    number: Number,
    why: Why,
    who: Who = "",
    name: Name = None,
    database: Database = None,
) -> None:
    """Never apply an event; what waits behind it goes on. Kept for ever."""
    by = who or getpass.getuser()

    async def leave_out(conn: Any, _: Any) -> None:
        if not _is_event(number):
            raise redrive.CannotRedrive("only an event can be skipped: mend what fails, then retry")
        await redrive.skip_parked(conn, int(number), who=by, why=why)

    with_service(service, name, database, leave_out)
    typer.echo(f"{number} is skipped")
