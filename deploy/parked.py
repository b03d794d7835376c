"""`banka parked list|show|retry|skip|repair|resume`: what an operator does about what waits."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deploy.operating import Database, Name, Service, Who, Why, with_service
from shared import redrive
from shared.redrive import CannotRedrive, FailedWork, ParkedKey, Selection, Waiting
from shared.web.operations_words import CAUSES

app = typer.Typer(no_args_is_help=True, help="What waits for you: look, try again, skip, repair.")

Number = Annotated[
    str,
    typer.Argument(help="as `list` shows it: 17, call:17 or deadline:<name>:<application>"),
]
OrMany = Annotated[
    str | None,
    typer.Argument(help="as `list` shows it; without one, all that the options below choose"),
]
ConsumerName = Annotated[str | None, typer.Option("--consumer", help="consumer group")]
Subject = Annotated[str | None, typer.Option(help="one application")]
Type = Annotated[str | None, typer.Option("--type", help="of the event; a call's, deadline's name")]
State = Annotated[str | None, typer.Option(help="gap, retry or parked")]
Reason = Annotated[str | None, typer.Option(help="part of the error's line, in any case")]
Older = Annotated[str | None, typer.Option("--older-than", help="90s, 15m, 2h or 3d")]
Younger = Annotated[str | None, typer.Option("--younger-than", help="90s, 15m, 2h or 3d")]
Kind = Annotated[str, typer.Option(help="event, call or deadline")]
Everything = Annotated[bool, typer.Option("--all", help="without any choice")]
DryRun = Annotated[
    bool | None,
    typer.Option("--dry-run/--no-dry-run", help="only say what would be done; default for many"),
]
Rate = Annotated[float, typer.Option(min=0.1, max=1000, help="of many, so many a second")]

_AGE = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SHOWN = 20  # of many that are named one by one in a dry run

_console = Console()


def _age(text: str | None) -> timedelta | None:
    if text is None:
        return None
    match = _AGE.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text} is no age: 90s, 15m, 2h or 3d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _is_event(number: str) -> bool:
    if number.isdecimal():
        return True
    if number.startswith(("call:", "deadline:")):
        return False
    raise CannotRedrive(f"{number} is not a number that `banka parked list` shows")


@app.command("list")
def list_(
    service: Service,
    consumer: ConsumerName = None,
    subject: Subject = None,
    type_: Type = None,
    state: State = None,
    reason: Reason = None,
    older: Older = None,
    younger: Younger = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    name: Name = None,
    database: Database = None,
) -> None:
    """Show everything that does not go on by itself, and why.

    Consumers that stopped; applications whose events wait; results of calls and deadlines that
    failed too often.
    """
    which = Selection(consumer, subject, type_, state, reason, _age(older), _age(younger))

    async def look(conn: Any, _: Any) -> tuple[Any, ...]:
        return (
            await redrive.list_halted(conn),
            await redrive.list_parked(conn, which),
            await redrive.count_parked(conn, which),
            await redrive.list_failed(conn, which),
        )

    halted, keys, (total, events), works = with_service(service, name, database, look)
    if as_json:
        rows = [{"kind": "consumer"} | _fields(one) for one in halted]
        rows += [{"kind": "event", "cause": key.cause} | _fields(key) for key in keys]
        rows += [_fields(work) for work in works]
        typer.echo(json.dumps(rows, default=str, ensure_ascii=False, indent=2))
        return
    for one in halted:
        _print_fields(
            {
                "STOPPED": one.consumer,
                "since": one.since.isoformat(timespec="seconds"),
                "reason": one.reason,
                "cure": f"fix it, then: banka parked resume {service} {one.consumer} --why …",
            }
        )
    _console.print(_table(f"{service}: {total + len(works)} parked", [*keys, *works]))
    if total > len(keys):
        typer.echo(f"the oldest {len(keys)} of {total}; {events} events wait in all")


def _table(title: str, items: Sequence[Waiting]) -> Table:
    table = Table(title=title)
    for column in ("number", "of", "subject", "what", "state", "tries", "waiting", "reason"):
        table.add_column(column, overflow="fold")
    for item in items:
        if isinstance(item, ParkedKey):
            table.add_row(
                str(item.id), item.consumer, item.subject, item.type, item.state, str(item.tries),
                str(item.waiting), item.reason,
            )  # fmt: skip
        else:
            table.add_row(
                item.reference, item.kind, item.subject, item.name, "parked", str(item.tries), "1",
                item.reason,
            )  # fmt: skip
    return table


def _fields(item: Any) -> dict[str, Any]:
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


@app.command()
def show(service: Service, number: Number, name: Name = None, database: Database = None) -> None:
    """Show what waits, its texts masked, and what waits behind it."""

    async def look(conn: Any, _: Any) -> redrive.ParkedDetail | FailedWork:
        if _is_event(number):
            return await redrive.show_parked(conn, int(number))
        return await redrive.show_failed(conn, number)

    found = with_service(service, name, database, look)
    if isinstance(found, FailedWork):
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
            "why": CAUSES[key.cause],
            "reason": key.reason,
            "tries": key.tries,
            "first try": key.first_tried.isoformat() if key.first_tried else "none yet",
            "last try": key.last_tried.isoformat() if key.first_tried else "none yet",
            "since": key.since.isoformat(),
        }
    )
    if key.retry_at:
        _print_fields({"next try": key.retry_at.isoformat()})
    if found.repairs:
        _print_fields({"repairs": found.repairs})
    if key.state == "gap":
        cure = redrive.cure_of_gap(key.topic, key.subject, found.source)
        _print_fields({"cure": cure})
    _console.print_json(json.dumps(found.payload, ensure_ascii=False, default=str))
    if found.ahead:
        _console.print(f"   ahead   {found.ahead}, first {key.id}")
    for number_, type_, sequence in found.behind:
        _console.print(f"   behind  {number_} {type_} number {sequence}", markup=False)
    if key.waiting > found.ahead + 1 + len(found.behind):
        _console.print(f"   behind  {key.waiting - found.ahead - 1} in all")


def _print_fields(fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        _console.print(f"{name:>10}  {value}", markup=False, soft_wrap=True)


@app.command()
def retry(
    service: Service,
    why: Why,
    number: OrMany = None,
    kind: Kind = "event",
    consumer: ConsumerName = None,
    subject: Subject = None,
    type_: Type = None,
    state: State = None,
    reason: Reason = None,
    older: Older = None,
    younger: Younger = None,
    everything: Everything = False,
    dry_run: DryRun = None,
    rate: Rate = redrive.PER_SECOND,
    who: Who = "",
    name: Name = None,
    database: Database = None,
) -> None:
    """Have the running service try it again, one or many. A call is not made again: its answer is
    kept."""
    which = Selection(consumer, subject, type_, state, reason, _age(older), _age(younger))
    _decide("retry", service, number, kind, which, everything, dry_run, rate,
            who or getpass.getuser(), why, name, database)  # fmt: skip


@app.command()
def skip(
    service: Service,
    why: Why,
    number: OrMany = None,
    consumer: ConsumerName = None,
    subject: Subject = None,
    type_: Type = None,
    state: State = None,
    reason: Reason = None,
    older: Older = None,
    younger: Younger = None,
    everything: Everything = False,
    dry_run: DryRun = None,
    rate: Rate = redrive.PER_SECOND,
    who: Who = "",
    name: Name = None,
    database: Database = None,
) -> None:
    """Never apply an event, one or many; what waits behind it goes on. Kept for ever."""
    which = Selection(consumer, subject, type_, state, reason, _age(older), _age(younger))
    _decide("skip", service, number, "event", which, everything, dry_run, rate,
            who or getpass.getuser(), why, name, database)  # fmt: skip


def _decide(
    action: redrive.Action,
    service: str,
    number: str | None,
    kind: str,
    which: Selection,
    everything: bool,
    dry_run: bool | None,
    rate: float,
    who: str,
    why: str,
    name: str | None,
    database: str | None,
) -> None:
    _check_choice(number, kind, which.names_something or everything)
    only_say = dry_run if dry_run is not None else number is None

    async def one(conn: Any, _: Any) -> None:
        assert number is not None
        event = _is_event(number)
        if action == "skip" and not event:
            raise CannotRedrive("only an event can be skipped: fix what fails, then retry")
        if only_say:
            await (redrive.show_parked(conn, int(number)) if event
                   else redrive.show_failed(conn, number))  # fmt: skip
        elif not event:
            await redrive.retry_failed(conn, number, who=who, why=why)
        else:
            act = redrive.retry_parked if action == "retry" else redrive.skip_parked
            await act(conn, int(number), who=who, why=why)

    async def many(conn: Any, _: Any) -> bool:
        items = await redrive.select_waiting(conn, which, kind)
        if only_say:
            _preview(action, items)
            return True
        done = 0
        outcomes = redrive.redrive_many(conn, items, action, who=who, why=why, per_second=rate)
        async for outcome in outcomes:
            number = getattr(outcome.item, "reference", None) or getattr(outcome.item, "id", "")
            done += not outcome.refused
            typer.echo(f"{number} {outcome.refused or words}")
        typer.echo(f"{done} of {len(items)} {words}")
        return done == len(items)

    words = "is tried again by the running service" if action == "retry" else "is skipped"
    if number is not None:
        with_service(service, name, database, one)
        typer.echo(f"{number} would be done" if only_say else f"{number} {words}")
    elif not with_service(service, name, database, many):
        raise typer.Exit(1)


def _check_choice(number: str | None, kind: str, chosen: bool) -> None:
    if kind not in ("event", "call", "deadline"):
        raise typer.BadParameter(f"{kind} is no kind: event, call or deadline")
    if number is None and not chosen:
        raise typer.BadParameter("name a number, choose by --consumer and so on, or say --all")
    if number is not None and chosen:
        raise typer.BadParameter("name a number or choose many, not both")


def _preview(action: redrive.Action, items: Sequence[Waiting]) -> None:
    _console.print(_table(f"{action}: {len(items)} chosen", items[:_SHOWN]))
    if len(items) > _SHOWN:
        typer.echo(f"and {len(items) - _SHOWN} more")
    left = sum(bool(redrive.objection(item, action)) for item in items)
    if left:
        typer.echo(f"{left} of them would be left alone: an earlier event is missing")
    typer.echo("nothing was done; the same with --no-dry-run does it")


@app.command()
def repair(
    service: Service,
    number: Number,
    why: Why,
    changes: Annotated[
        list[str], typer.Option("--set", help="pointer=JSON, such as /documents/0/item='\"x\"'")
    ] = [],  # noqa: B006 - typer reads it, nobody writes it
    drops: Annotated[list[str], typer.Option("--drop", help="pointer of what to leave out")] = [],  # noqa: B006
    payload: Annotated[Path | None, typer.Option(help="file with a whole new payload")] = None,
    dry_run: DryRun = None,
    who: Who = "",
    name: Name = None,
    database: Database = None,
) -> None:
    """Put an event of ours, with a corrected payload, in the place of a partner's.

    For partners' events alone, where our own code fails on one. The payload must fit the schema of
    its type. The partner's event is kept and skipped; the answer names it and says by which event
    it was repaired. Parts can be changed without being seen, by JSON pointer.
    """
    by = who or getpass.getuser()
    if (payload is None) == (not changes and not drops):
        raise typer.BadParameter("give --set and --drop, or --payload")

    async def mend(conn: Any, _: Any) -> str:
        if not _is_event(number):
            raise CannotRedrive("only a partner's event can be repaired")
        if payload is not None:
            body = payload.read_bytes()
        else:
            sent = await redrive.body_of(conn, int(number))
            body = redrive.edited(sent, dict(map(_change, changes)), drops)
        return await redrive.repair_parked(
            conn, int(number), body, who=by, why=why, service=service, dry_run=bool(dry_run)
        )

    event_id = with_service(service, name, database, mend)
    typer.echo(f"{number} fits" if dry_run else f"{number} is repaired by {event_id}")


def _change(text: str) -> tuple[str, Any]:
    pointer, equals, value = text.partition("=")
    try:
        return pointer, json.loads(value if equals else "-")
    except ValueError:
        raise typer.BadParameter(f"{pointer} needs a JSON value: --set '{pointer}=…'") from None


@app.command()
def resume(
    service: Service,
    consumer: Annotated[str, typer.Argument(help="as `list` shows it, `review.applications`")],
    why: Why,
    who: Who = "",
    name: Name = None,
    database: Database = None,
) -> None:
    """Have a consumer go on that stopped because too many events failed.

    Every process of the service goes on within seconds, from where it stopped. What was parked
    before is tried again by `retry --consumer …`.
    """
    by = who or getpass.getuser()

    async def go_on(conn: Any, _: Any) -> int:
        await redrive.resume_consumer(conn, consumer, who=by, why=why)
        keys, _ = await redrive.count_parked(conn, Selection(consumer=consumer))
        return keys

    left = with_service(service, name, database, go_on)
    typer.echo(f"{consumer} goes on")
    if left:
        typer.echo(
            f"{left} applications are parked: banka parked retry {service} --consumer {consumer}"
            " --why …"
        )
