"""`banka events verify|republish|accept-start|read-again|restore`: logs, topics, and the cure."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from deploy.operating import Database, Name, Service, Who, Why, with_service, with_services
from deploy.secret_files import ADMIN
from shared.events.catalog import SERVICES, source
from shared.messaging.service import published_topics
from shared.redrive import event_log, places
from shared.redrive.restore import restore as restore_topics
from shared.settings import Settings, load_settings

Topic = Annotated[str | None, typer.Option(help="one topic only; default: all that it publishes")]
Consumer = Annotated[str, typer.Option(help="consumer group, such as `review.applications`")]
Subject = Annotated[str | None, typer.Option(help="one application (Kafka key) only")]

_SHOWN = 20  # differences a topic that are named one by one


def verify(
    service: Service,
    topic: Topic = None,
    subject: Subject = None,
    name: Name = None,
    database: Database = None,
) -> None:
    """Say what a service's event log has and its topics lack, and the reverse.

    Exit code 1 where they differ. May run beside the service.
    """

    async def compare(conn: Any, settings: Any) -> list[event_log.Comparison]:
        topics = [topic] if topic else published_topics(service)
        return await event_log.verify(conn, settings, source(service), topics, subject)

    found = with_service(service, name, database, compare)
    for one in found:
        typer.echo(f"{one.topic}: {one.logged} in the log, {one.published} on the topic")
        for about, number in one.lacking[:_SHOWN]:
            typer.echo(f"  the topic lacks number {number} of {about}")
        for about, unknown in one.unknown[:_SHOWN]:
            typer.echo(f"  the log does not know number {unknown} of {about}")
        more = max(len(one.lacking) - _SHOWN, 0) + max(len(one.unknown) - _SHOWN, 0)
        if more:
            typer.echo(f"  and {more} more")
    if any(one.lacking for one in found):
        typer.echo(f"cure: banka events republish {service} --topic … --subject … --why …")
    if any(one.unknown for one in found):
        typer.echo("the database is older than the broker: restore a newer one")
    if not all(one.agree for one in found):
        raise typer.Exit(1)


def republish(
    service: Service,
    why: Why,
    topic: Topic = None,
    subject: Subject = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count")] = False,
    who: Who = "",
    name: Name = None,
    database: Database = None,
) -> None:
    """Send events of a service once more, same bytes, out of its event log.

    The running service sends them; readers drop what they know, so that too many do no harm.
    """
    by = who or getpass.getuser()

    async def again(conn: Any, _: Any) -> dict[str, int]:
        return await event_log.republish(conn, topic, subject, who=by, why=why, dry_run=dry_run)

    counts = with_service(service, name, database, again)
    for about, count in counts.items():
        typer.echo(f"{about}: {count} {'would be' if dry_run else 'are'} sent once more")
    if not counts:
        typer.echo("banka: nothing in the log fits that is not on its way already", err=True)
        raise typer.Exit(1)


def accept_start(
    service: Service,
    consumer: Consumer,
    topic: Annotated[str, typer.Option(help="the topic whose first events are gone")],
    why: Why,
    who: Who = "",
    name: Name = None,
    database: Database = None,
) -> None:
    """Let a consumer begin where its topic begins now; its publishers have republished the rest.

    Takes effect when the service starts again.
    """
    by = who or getpass.getuser()

    async def accept(conn: Any, settings: Any) -> dict[int, int]:
        return await places.accept_start(conn, settings, consumer, topic, who=by, why=why)

    for part, offset in with_service(service, name, database, accept).items():
        typer.echo(f"{consumer} begins {topic}/{part} at {offset}")


def read_again(
    service: Service,
    consumer: Consumer,
    topic: Annotated[str, typer.Option(help="the topic to be read from its start")],
    why: Why,
    who: Who = "",
    name: Name = None,
    database: Database = None,
) -> None:
    """Have a consumer of a stopped service read its topic again from the start; what was applied is
    not applied again.

    For a database that was restored from a backup, or made anew, and is the one to go on with.
    """
    by = who or getpass.getuser()

    async def again(conn: Any, settings: Any) -> int:
        return await places.read_again(conn, settings, consumer, topic, who=by, why=why)

    parts = with_service(service, name, database, again)
    typer.echo(f"{consumer} reads {topic} from the start, of {parts} partitions: start {service}")


def restore(
    why: Why,
    who: Who = "",
    name: Name = None,
    database: Annotated[list[str], typer.Option(hidden=True)] = [],  # noqa: B006 - typer's way
) -> None:
    """Give a broker that lost its data what the event logs have, in order, and have every service
    read it from the start; what was applied is not applied again.

    Every service is stopped, the topics are made (provisioned) and empty. May be run again where it
    was broken off. Needs the secrets of the administrator and of all services.
    """
    by = who or getpass.getuser()
    databases = dict(one.split("=", 1) for one in database) or dict.fromkeys(SERVICES)

    async def all_of_them(conns: Mapping[str, Any]) -> dict[str, int]:
        settings: Settings = load_settings("restore").model_copy(update={"kafka_user": ADMIN})
        return await restore_topics(conns, settings, who=by, why=why)

    for topic, count in with_services(databases, name, all_of_them).items():
        typer.echo(f"{topic}: {count} are sent")
    typer.echo("every consumer reads them from the start: start the services")
