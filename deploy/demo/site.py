"""Where the demo's office is to be found, and the one who moves its business clock."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from deploy.local import Stack
from shared.clock import parse_instant, step_clock

POLL_SECONDS = (0.02, 0.1)  # from, to: the questions cost time, too
STUCK_SECONDS = 90.0  # nothing gets done for so long although something is due
_COUNTS = ("outbox", "unapplied", "open_calls", "due_deadlines")


@dataclass(frozen=True, slots=True)
class Site:
    """A running deployment. `gateway`: what people and channels call; `machines`: {process: where
    it answers `/internal/quiet`}, services and partners alike; `pids`: {service: process id} where
    they run on this machine."""

    stack: Stack
    gateway: str
    machines: Mapping[str, str]
    credit_systems: str
    message_gateways: str
    clock_file: Path
    pids: Mapping[str, int] = field(default_factory=dict)


class NeverQuietError(RuntimeError):
    """Something that is due does not get done; the text says what."""


@dataclass(slots=True)
class Clockwork:
    """Moves the business clock, and only when nothing is on its way any more."""

    site: Site
    client: httpx.AsyncClient
    now: datetime
    next_due: datetime | None = None
    steps: int = 0
    polls: int = 0
    parked: dict[str, int] = field(default_factory=dict)

    def step(self, to: datetime) -> None:
        """Make it `to` for everybody."""
        assert to >= self.now
        self.now = to
        self.steps += 1
        step_clock(self.site.clock_file, to)

    async def settle(self) -> None:
        """Wait until every service and partner has nothing left to do at this moment.

        Two rounds have to agree: between the questions of one round an event may pass from a
        service that was asked later to one that was asked before. Raises NeverQuietError.
        """
        loop = asyncio.get_running_loop()
        changed, agreed = loop.time(), 0
        before: dict[str, int] = {}
        asked = tuple(self.site.machines)
        pause = POLL_SECONDS[0]
        while agreed < 2:
            found = await self._ask(asked)
            busy = {
                f"{name}.{what}": count
                for name, answer in found.items()
                for what in _COUNTS
                if (count := answer.get(what, 0))
            }
            # whoever is busy is asked alone until it no longer is: the questions cost time, too
            agreed = agreed + 1 if not busy and len(asked) == len(self.site.machines) else 0
            asked = tuple(
                name
                for name in self.site.machines
                if not busy or any(what.startswith(f"{name}.") for what in busy)
            )
            if busy != before:
                changed, before = loop.time(), busy
            elif busy and loop.time() - changed > STUCK_SECONDS:
                raise NeverQuietError(
                    f"at {self.now:%Y-%m-%d %H:%M} UTC nothing moves any more: "
                    + ", ".join(f"{what} {count}" for what, count in sorted(busy.items()))
                )
            if busy:
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, POLL_SECONDS[1])
        self.parked = {name: answer.get("parked", 0) for name, answer in found.items()}
        due = [
            parse_instant(answer["next_due"]) for answer in found.values() if answer.get("next_due")
        ]
        self.next_due = min(due, default=None)

    async def _ask(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        self.polls += 1

        async def one(url: str) -> dict[str, Any]:
            # a service that is being restarted is not quiet
            with suppress(httpx.TransportError):
                answer = await self.client.get(f"{url}/internal/quiet")
                if answer.status_code == httpx.codes.OK:
                    return dict(answer.json())
            return {"outbox": -1}

        async def all_of(url: str) -> dict[str, Any]:
            return _together(await asyncio.gather(*map(one, await _replicas(url))))

        answers = await asyncio.gather(*(all_of(self.site.machines[name]) for name in names))
        return dict(zip(names, answers, strict=True))


async def _replicas(url: str) -> list[str]:
    """Every process behind a service's address: in a deployment one name stands for all of them,
    and each knows only of its own share."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    with suppress(ValueError):
        ip_address(parts.hostname)
        return [url]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            parts.hostname, parts.port, family=socket.AF_INET, type=socket.SOCK_STREAM
        )
    except OSError:
        return [url]  # not there at the moment: asking it will say so
    hosts = sorted({str(address[0]) for *_, address in found})
    return [urlunsplit(parts._replace(netloc=f"{host}:{parts.port}")) for host in hosts]


def _together(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What replicas say, as one: counts at their largest, for they share a database, and the
    earliest of what is due."""
    due = [answer["next_due"] for answer in answers if answer.get("next_due")]
    whole: dict[str, Any] = {
        what: max((answer.get(what, 0) for answer in answers), key=abs)
        for what in (*_COUNTS, "parked")
    }
    return {**whole, "next_due": min(due, key=parse_instant, default=None)}
