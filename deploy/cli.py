"""The command `banka`: the stack, the contracts and the lifecycle, from a terminal."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from deploy import event_log
from deploy.decision import decision
from deploy.parked import app as parked
from deploy.partner_cli import partner
from deploy.policy import policy
from deploy.products import products
from deploy.screening import screening

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The card office, on events.")
stack = typer.Typer(no_args_is_help=True, help="A broker and a database of your own.")
events = typer.Typer(
    no_args_is_help=True, help="The contracts between the services; topics and logs."
)
app.add_typer(stack, name="stack")
app.add_typer(events, name="events")
app.add_typer(partner, name="partner")
app.add_typer(parked, name="parked")
app.add_typer(products, name="products")
app.add_typer(policy, name="policy")
app.add_typer(decision, name="decision")
app.add_typer(screening, name="screening")
events.command("verify")(event_log.verify)
events.command("republish")(event_log.republish)
events.command("accept-start")(event_log.accept_start)
events.command("read-again")(event_log.read_again)
events.command("restore")(event_log.restore)

Name = Annotated[str | None, typer.Option(help="BANKA_STACK, else `default`")]


@stack.command("up")
def stack_up(name: Name = None) -> None:
    """Start the broker and the database; says where they are."""
    from deploy import local

    told = threading.Event()
    local.when_told_to_stop(told.set)
    running = local.up(name, told=told)
    for key, value in running.environment().items():
        typer.echo(f"{key}={value}")


@stack.command("down")
def stack_down(name: Name = None) -> None:
    """Stop them; the data stay."""
    from deploy import local

    stopped = local.down(name)
    typer.echo(f"stopped: {', '.join(stopped) if stopped else 'nothing was running'}")


@stack.command("status")
def stack_status(name: Name = None) -> None:
    """What runs, and where. Exit code 1 unless all of it does."""
    from deploy import local

    lines = local.status(name)
    for line in lines:
        pid = f"  pid {line.pid}" if line.pid else ""
        typer.echo(f"{line.server:<10} {line.state:<8} {line.address}{pid}")
    if any(line.state not in ("running", "given") for line in lines):
        raise typer.Exit(1)


@stack.command("logs")
def stack_logs(name: Name = None, lines: int = 40) -> None:
    """The end of every log."""
    from deploy import local

    for path in sorted((local.folder_of(local.stack_name(name)) / "logs").glob("*.log")):
        typer.echo(f"== {path.name}")
        text = path.read_text(encoding="utf-8", errors="replace")
        typer.echo("\n".join(text.splitlines()[-lines:]))


@stack.command("lock")
def stack_lock() -> None:
    """Resolve broker and database anew, for whoever has changed their versions in the sources."""
    from deploy import runtime

    typer.echo(f"{runtime.write_lock()} files in {runtime.LOCK.name}")


@stack.command("purge")
def stack_purge() -> None:
    """Stop every stack of this checkout and remove its data."""
    from deploy import local, runtime

    for name in local.names():
        local.purge(name)
        typer.echo(f"removed {name}")
    runtime.remove_outside()


@app.command()
def provision(name: Name = None) -> None:
    """Make topics, users, rights and databases, where they are missing."""
    from deploy import local
    from deploy.provision import provision as make

    lines = asyncio.run(make(local.attach(name)))
    typer.echo("\n".join(lines) if lines else "nothing was missing")


@app.command()
def lifecycle() -> None:
    """Every state of an application: who moves it, who owns it, how long it may be silent, and by
    which event the customer is reminded before its end."""
    from shared.events.lifecycle import MOVES, OWNERS, State, Unreminded

    table = Table(
        "state",
        "authority",
        "desk",
        "waiting on",
        "clock",
        "longest silence",
        "reminder",
        "leaves by",
    )
    for state in State:
        owner = OWNERS.get(state)
        exits = sorted(
            f"{payload.type.removeprefix('banka.')} -> {moves[state]}"
            for payload, moves in MOVES.items()
            if state in moves
        )
        if owner is None:
            table.add_row(state, "-", "-", "-", "-", "-", "-", "final")
        else:
            table.add_row(
                state,
                owner.authority,
                owner.desk,
                owner.waiting_on,
                owner.clock,
                str(owner.silence),
                f"none: {owner.reminder}"
                if isinstance(owner.reminder, Unreminded)
                else owner.reminder.type.removeprefix("banka."),
                "\n".join(exits),
            )
    _console().print(table)


@app.command()
def rules(
    language: Annotated[Literal["en", "zh-CN"], typer.Option(help="of the words")] = "en",
) -> None:
    """Every rule of the pre-check and of review: why there is one, where it is enforced, and what
    is not enforced. The same as docs/rules.md."""
    from deploy import rule_tables

    for section in rule_tables.sections(language):
        typer.echo(f"== {section.heading}\n")
        for code, *cells in section.rows:
            typer.echo(code.strip("`"))
            for column, cell in zip(section.columns[1:], cells, strict=True):
                if cell:
                    typer.echo(f"  {column}: {cell.replace('`', '')}")
            typer.echo()


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="The same seed tells the same story.")] = 20261012,
    days: Annotated[int, typer.Option(min=1, max=15, help="Working days with customers.")] = 10,
    per_day: Annotated[int, typer.Option(min=1, max=500, help="Applications a day.")] = 60,
    keep: Annotated[
        bool | None,
        typer.Option(help="Stay up afterwards until Ctrl-C; by default only with a terminal."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Gateway of a deployment that runs already.")
    ] = None,
    name: Name = None,
) -> None:
    """Ten working days of an office, and what comes of them; exit code 0 if the books agree."""
    from deploy.demo.run import Wishes, main

    wishes = Wishes(seed=seed, days=days, per_day=per_day, keep=keep, url=url, stack=name)
    raise typer.Exit(main(wishes))


@events.command("catalog")
def events_catalog() -> None:
    """Every topic and event type: who says it, who listens, what it means."""
    from shared.events import catalog

    table = Table("topic", "type", "publisher", "consumers", "meaning")
    for topic in catalog.TOPICS:
        for payload in topic.payloads:
            table.add_row(
                topic.name,
                payload.type,
                catalog.publisher(payload),
                ", ".join(topic.consumers) or "-",
                " ".join((payload.__doc__ or "").split()),
            )
    _console().print(table)


@events.command("write-docs")
def events_write_docs() -> None:
    """Write schemas, AsyncAPI and the README's diagram; refuses to break a published schema."""
    from deploy import contracts

    written = contracts.write()
    for path in written:
        typer.echo(f"wrote {path.relative_to(contracts.ROOT)}")
    if not written:
        typer.echo("everything is up to date")


def _console() -> Console:
    """Wide enough for the tables where nobody looks at a terminal."""
    return Console(width=None if sys.stdout.isatty() else 160)


def main() -> None:
    """Entry point: what goes wrong in a known way is one line and exit code 1."""
    from deploy.contracts import BreakingChangeError, MissingDiagramError
    from deploy.local import StackProblem, ToldToStop
    from deploy.runtime import RuntimeProblem

    try:
        app()
    except ToldToStop as problem:
        typer.echo(f"banka: {problem}", err=True)
        sys.exit(130)
    except (StackProblem, RuntimeProblem, BreakingChangeError, MissingDiagramError) as problem:
        typer.echo(f"banka: {problem}", err=True)
        sys.exit(1)
    except Exception as problem:
        said = _servers_answer(problem)
        if said is None:
            raise
        typer.echo(f"banka: {said}", err=True)
        sys.exit(1)


def _servers_answer(problem: Exception) -> str | None:
    """One line where a server is away or does not let us in; None for anything else."""
    from asyncpg import PostgresError
    from confluent_kafka import KafkaException

    match problem:
        case KafkaException():
            return f"the broker: {problem.args[0].str()}"
        case PostgresError():
            return f"the database: {problem}"
        case OSError():
            return str(problem) or type(problem).__name__
    return None


if __name__ == "__main__":
    main()
