"""`banka screening`: said by an operator where the screening system cannot say it itself."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from deploy.operating import Database, Name, Who, Why, with_service
from services.intake import watchlists
from shared.clock import open_clock, parse_instant
from shared.events.catalog import source
from shared.events.partners import PartnerWatchlistChanged
from shared.messaging import Fact
from shared.messaging.broker import fetch_cluster
from shared.messaging.errors import one_line
from shared.messaging.outbox import Outbox, Wanted, new_cause
from shared.redrive import CannotRedrive
from shared.redrive.selection import audit
from shared.settings import Settings

screening = typer.Typer(no_args_is_help=True, help="The lists of the bank's screening system.")


@screening.command("changed")
def changed(
    list_name: Annotated[str, typer.Argument(metavar="LIST", help="the list's short name: pep")],
    version: Annotated[str, typer.Option("--version", help="the system's mark for what it holds")],
    why: Why,
    at: Annotated[
        str | None,
        typer.Option("--at", help="since when it answers by it, RFC 3339; default: now"),
    ] = None,
    who: Who = "",
    name: Name = None,
    database: Database = None,
) -> None:
    """Say that a list changed, so that whoever is open is screened again.

    The running intake publishes it, as if the system had said so.
    """
    by = who or getpass.getuser()

    async def say(conn: Any, settings: Settings) -> None:
        now = open_clock(settings).now()
        try:
            statement = PartnerWatchlistChanged(
                reference=list_name,
                version=version,
                changed_at=now if at is None else parse_instant(at),
            )
        except ValidationError as error:
            raise CannotRedrive(one_line(error)) from None
        except ValueError:
            raise CannotRedrive("--at is RFC 3339, e.g. 2026-11-02T01:30:00Z") from None
        for code, (field, *_) in watchlists.faults(statement, now):
            raise CannotRedrive(f"{field}: {code}")
        outbox = Outbox(source("intake"), (await fetch_cluster(settings)).topics)
        fact = Fact(watchlists.published(statement), subject=list_name)
        async with conn.transaction():
            cause = new_cause(actor=f"operator:{by}")
            await outbox.write(conn, [Wanted(fact, list_name, cause)], now)
            await audit(conn, by, "list-changed", f"{list_name} {version}", why)

    with_service("intake", name, database, say)
    typer.echo(f"{list_name} {version}: whoever is open is screened again")
