"""`banka partner`: talk to the office as a partner does, from a terminal.

A file holds one event: its `type` and `data`, and `id` and `time` where they matter. Whatever is
personal stands in it in clear and leaves encrypted to the office's key: `personal` as an object of
fields, `content` as `{"file": "paper.pdf"}`, relative to the event's file, `words` as
`{"text": "…"}`.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from deploy.local import Stack
    from deploy.partner_link import Heard

partner = typer.Typer(no_args_is_help=True, help="Talk to the office as a partner.")

Stacked = Annotated[str | None, typer.Option("--name", help="BANKA_STACK, else `default`")]
Partner = Annotated[str, typer.Option("--partner", help="whose user and topics")]
Keys = Annotated[
    str | None,
    typer.Option(help="the office's public keys: a file, or its address; default: the running one"),
]


@partner.command("send")
def partner_send(
    file: Annotated[Path, typer.Argument(help="the event as JSON")],
    partner_name: Partner = "mobile-app",
    keys: Keys = None,
    wait: Annotated[float, typer.Option(help="seconds to wait for the answer")] = 20.0,
    name: Stacked = None,
) -> None:
    """Encrypt what is personal, send the event, and print the office's answer.

    Exit code 1 where it was refused.
    """
    from deploy import local

    event = read_event(file)
    stack = local.attach(name)
    heard = asyncio.run(_send(stack, partner_name, event, file.parent, keys, wait))
    typer.echo(_shown(heard))
    if heard.envelope.type == "banka.inbound.rejected.v1":
        raise typer.Exit(1)


@partner.command("listen")
def partner_listen(
    partner_name: Partner = "mobile-app",
    from_now: Annotated[bool, typer.Option(help="only what is said from now on")] = False,
    follow: Annotated[bool, typer.Option(help="go on until Ctrl-C")] = True,
    name: Stacked = None,
) -> None:
    """Print what the office says to a partner, one JSON object to a line."""
    from deploy import local

    stack = local.attach(name)
    try:
        asyncio.run(_listen(stack, partner_name, from_now=from_now, follow=follow))
    except KeyboardInterrupt:
        raise typer.Exit from None


@partner.command("access")
def partner_access(partner_name: Partner = "mobile-app", name: Stacked = None) -> None:
    """Print what a partner is handed, as variables for a shell, its password among them."""
    from deploy import local
    from shared.events.catalog import PARTNERS

    if partner_name not in {one.name for one in PARTNERS}:
        raise local.StackProblem(f"there is no partner {partner_name}")
    stack = local.attach(name)
    variables = {
        "OFFICE_KAFKA": stack.kafka_bootstrap,
        "OFFICE_SECURITY": stack.kafka_security,
        "OFFICE_URL": _office(stack),
        "PARTNER": partner_name,
        "PARTNER_PASSWORD": stack.secret(f"kafka-{partner_name}"),
    }
    for variable, value in variables.items():
        typer.echo(f"export {variable}={shlex.quote(value)}")


def read_event(file: Path) -> dict[str, Any]:
    """The event of a file; raises StackProblem where it is none."""
    from deploy.local import StackProblem

    try:
        event = json.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise StackProblem(f"{file}: {problem.strerror}") from None
    except ValueError:
        raise StackProblem(f"{file}: not JSON in UTF-8") from None
    if not isinstance(event, dict) or not isinstance(event.get("data"), dict):
        raise StackProblem(f'{file}: an event is {{"type": "…", "data": {{…}}}}')
    if not isinstance(event.get("type"), str):
        raise StackProblem(f"{file}: the event has no type")
    return event


def sealed(value: Any, public_jwks: Mapping[str, Any], folder: Path) -> Any:
    """The same data with everything personal encrypted; strings stay as they are, so that a JWE
    that was made elsewhere can be sent, and a clear text refused by the office."""
    from shared.privacy.jwe import encrypt

    if isinstance(value, list):
        return [sealed(item, public_jwks, folder) for item in value]
    if not isinstance(value, dict):
        return value
    done = {}
    for name, item in value.items():
        if name == "personal" and isinstance(item, dict):
            done[name] = encrypt(json.dumps(item, ensure_ascii=False), public_jwks)
        elif name == "content" and isinstance(item, dict) and "file" in item:
            done[name] = encrypt(_read(folder / str(item["file"])), public_jwks)
        elif name == "words" and isinstance(item, dict) and "text" in item:
            done[name] = encrypt(str(item["text"]), public_jwks)
        else:
            done[name] = sealed(item, public_jwks, folder)
    return done


def _read(path: Path) -> bytes:
    from deploy.local import StackProblem

    try:
        return path.read_bytes()
    except OSError as problem:
        raise StackProblem(f"{path}: {problem.strerror}") from None


async def _send(
    stack: Stack,
    partner_name: str,
    event: dict[str, Any],
    folder: Path,
    keys: str | None,
    wait: float,
) -> Heard:
    from aiokafka.errors import KafkaError

    from deploy.local import StackProblem
    from deploy.partner_link import open_link, settings_for
    from shared.clock import SystemClock
    from shared.events.catalog import partner_source
    from shared.events.envelope import Envelope, encode
    from shared.identifiers import new_id

    public = await _public_keys(stack, keys)
    data = sealed(event["data"], public, folder)
    reference = str(data.get("reference", "")) or new_id()
    envelope = Envelope(
        id=str(event.get("id") or new_id()),
        type=event["type"],
        source=str(event.get("source") or partner_source(partner_name)),
        subject=reference,
        time=_instant(event["time"]) if event.get("time") else SystemClock().now(),
    )
    body = json.dumps(data, ensure_ascii=False).encode()
    try:
        async with (
            asyncio.timeout(wait),
            open_link(settings_for(stack, partner_name), partner_name, from_now=True) as link,
        ):
            await link.send(body, key=reference, headers=encode(envelope))
            while True:
                for heard in await link.hear():
                    if heard.data.get("partner_event_id") == envelope.id:
                        return heard
    except TimeoutError:
        raise StackProblem(f"no answer within {wait:.0f} s: is intake running?") from None
    except KafkaError as problem:
        raise StackProblem(f"{partner_name}: {problem}") from None


def _instant(text: object) -> datetime:
    from deploy.local import StackProblem
    from shared.clock import parse_instant

    try:
        return parse_instant(str(text))
    except ValueError:
        raise StackProblem("`time` is RFC 3339, e.g. 2026-11-02T01:30:00Z") from None


async def _public_keys(stack: Stack, given: str | None) -> dict[str, Any]:
    """The keys of a file or an address, else those of the office that runs on the stack."""
    import httpx

    from deploy.demo.mobile_app import fetch_keys
    from deploy.local import StackProblem

    if given is not None and "://" not in given:
        try:
            return dict(json.loads(_read(Path(given))))
        except ValueError:
            raise StackProblem(f"{given}: no JWK set") from None
    given = given or _office(stack)
    try:
        return await fetch_keys(given)
    except (httpx.HTTPError, ValueError) as problem:
        raise StackProblem(
            f"the office's keys at {given}: {type(problem).__name__}; is intake running?"
        ) from None


def _office(stack: Stack) -> str:
    """Where the office of a stack answers HTTP."""
    from deploy.local import HOST, StackProblem

    try:
        ports = json.loads((stack.folder / "http.json").read_text())
        return f"http://{HOST}:{ports['intake']}"
    except (OSError, ValueError, KeyError):
        raise StackProblem("no office has run on this stack yet; give --keys") from None


async def _listen(stack: Stack, partner_name: str, *, from_now: bool, follow: bool) -> None:
    from aiokafka.errors import KafkaError

    from deploy.local import StackProblem
    from deploy.partner_link import open_link, settings_for

    settings = settings_for(stack, partner_name)
    try:
        async with open_link(settings, partner_name, from_now=from_now) as link:
            while follow or await link.lag():
                for heard in await link.hear():
                    typer.echo(_shown(heard))
                    sys.stdout.flush()
    except KafkaError as problem:
        raise StackProblem(f"{partner_name}: {problem}") from None


def _shown(heard: Heard) -> str:
    """An event on one line; nothing in it is personal."""
    from shared.clock import format_instant

    shown = {
        "type": heard.envelope.type,
        "id": heard.envelope.id,
        "time": format_instant(heard.envelope.time),
        "data": heard.data,
    }
    return json.dumps(shown, ensure_ascii=False)
