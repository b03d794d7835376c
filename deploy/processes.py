"""The services, the gateway and the systems of the bank around them, as processes on a local stack.

    async with running(stack) as office:
        await office.kill("review")          # as a crash would
        await office.start("review")

Each has its log at `.banka/state/<stack>/logs/<process>.log`, its own session, and a port that it
keeps. What was started is stopped in order, also after an exception or Ctrl-C.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.local import HOST, Stack, StackProblem, free_port, is_free, spawn, stop
from deploy.runtime import CHECKOUT
from shared.events.catalog import SERVICES

SIMULATORS = ("credit-systems", "message-gateways", "partners")
GATEWAY = "gateway"
ALL = (*SIMULATORS, *SERVICES, GATEWAY)
READY_SECONDS = 180.0
STOP_SECONDS = 30.0  # a service drains its open requests for 20


@dataclass
class Office:
    """The processes of one stack. Ports are known before anything runs, so that each process can
    be told where the others are."""

    stack: Stack
    extra_env: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0  # of what the played systems get wrong
    _ports: dict[str, int] = field(default_factory=dict)
    _started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ports = _kept_ports(self.stack.folder / "http.json")

    def url(self, name: str) -> str:
        """Where a process answers HTTP: `http://127.0.0.1:port`."""
        return f"http://{HOST}:{self._ports[name]}"

    @property
    def smtp_port(self) -> int:
        """The mail server that the message gateways play."""
        return self._ports["smtp"]

    @property
    def running(self) -> list[str]:
        return [name for name, process in self._started.items() if process.poll() is None]

    @property
    def pids(self) -> dict[str, int]:
        """{name: process id} of what runs."""
        return {name: self._started[name].pid for name in self.running}

    def log(self, name: str) -> Path:
        return self.stack.logs / f"{name}.log"

    def environment(self, name: str) -> dict[str, str]:
        """All that a process is told: the machine's environment without anybody else's `BANKA_…`,
        the stack, its neighbours, and what the caller adds."""
        machine = {k: v for k, v in os.environ.items() if not k.startswith("BANKA_")}
        # compiled sources are kept: a dozen processes start from them
        machine.pop("PYTHONDONTWRITEBYTECODE", None)
        return {
            **machine,
            **self.stack.environment(),
            "BANKA_HTTP_HOST": HOST,
            "BANKA_HTTP_PORT": str(self._ports[name]),
            "BANKA_IDENTITY_URL": f"{self.url('credit-systems')}/identity",
            "BANKA_BUREAU_URL": f"{self.url('credit-systems')}/bureau",
            "BANKA_WATCHLIST_URL": f"{self.url('credit-systems')}/watchlist",
            "BANKA_SMS_URL": self.url("message-gateways"),
            "BANKA_APP_MESSAGE_URL": self.url("message-gateways"),
            "BANKA_SMTP_HOST": HOST,
            "BANKA_SMTP_PORT": str(self.smtp_port),
            **{f"BANKA_{service.upper()}_URL": self.url(service) for service in SERVICES},
            **self.extra_env,
        }

    def _command(self, name: str) -> list[str]:
        arguments = {
            "credit-systems": ["deploy.demo.credit_systems", "--port", str(self._ports[name])],
            "message-gateways": [
                "deploy.demo.message_gateways",
                "--port",
                str(self._ports[name]),
                "--smtp-port",
                str(self.smtp_port),
                "--seed",
                str(self.seed),
            ],
            "partners": [
                "deploy.demo.partners",
                "--port",
                str(self._ports[name]),
                "--seed",
                str(self.seed),
            ],
            GATEWAY: ["deploy.gateway"],
        }
        return [sys.executable, "-m", *arguments.get(name, [f"services.{name}"])]

    async def migrate(self, services: Iterable[str]) -> None:
        """Bring the databases up to date, as each service's owner; raises StackProblem."""

        async with asyncio.TaskGroup() as together:
            for service in services:
                together.create_task(
                    to_its_end(f"services.{service}", "migrate", env=self.environment(service))
                )

    async def start(self, name: str, *, wait: bool = True) -> None:
        """Start a process and, unless told otherwise, wait until it is ready."""
        # one that an earlier run left behind would hold the port
        await asyncio.to_thread(stop, self.stack.folder, name, ask=signal.SIGTERM)
        self.stack.logs.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            self._started[name] = spawn(
                self._command(name),
                log=log,
                pid_file=self.stack.folder / f"{name}.pid",
                env=self.environment(name),
                cwd=CHECKOUT,
            )
        if wait:
            await self.ready(name)

    async def ready(self, name: str, *, seconds: float = READY_SECONDS) -> None:
        """Wait until a process says it is ready; raises StackProblem with what it last said."""
        path = "/readyz" if name in SERVICES else "/healthz"
        said = "no answer"
        end = asyncio.get_running_loop().time() + seconds
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            while asyncio.get_running_loop().time() < end:
                code = self._started[name].poll()
                if code is not None:
                    raise StackProblem(
                        f"{name} ended with code {code}: {self._last_line(name)};"
                        f" see {self.log(name)}"
                    )
                try:
                    answer = await client.get(self.url(name) + path)
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
                    continue
                if answer.status_code == httpx.codes.OK:
                    return
                said = answer.text
                await asyncio.sleep(0.1)
        raise StackProblem(f"{name} was not ready within {seconds:.0f} s: {said}")

    def _last_line(self, name: str) -> str:
        lines = self.log(name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"

    async def stop(self, name: str) -> None:
        """Ask a process to end (SIGTERM), wait, and end it where it does not."""
        process = self._started.pop(name, None)
        await asyncio.to_thread(
            stop, self.stack.folder, name, ask=signal.SIGTERM, seconds=STOP_SECONDS
        )
        if process is not None:
            await asyncio.to_thread(process.wait)

    async def kill(self, name: str) -> None:
        """End a process as a crash would: kill -9, nothing is tidied up."""
        process = self._started.pop(name)
        process.kill()
        await asyncio.to_thread(process.wait)

    async def stop_all(self) -> None:
        """Stop everything, the way in first and the systems around us last."""
        for name in sorted(self._started, key=ALL.index, reverse=True):
            await self.stop(name)


@asynccontextmanager
async def running(
    stack: Stack,
    *,
    names: Iterable[str] = ALL,
    extra_env: Mapping[str, str] | None = None,
    migrate: bool = True,
    seed: int = 0,
) -> AsyncIterator[Office]:
    """Processes of `names` on a provisioned stack, ready; stopped in order at the end.

    `extra_env` wins over everything else (`BANKA_CLOCK_FILE`, `BANKA_ENVIRONMENT`). `seed` decides
    what the played systems get wrong.
    """
    office = Office(stack, dict(extra_env or {}), seed)
    wanted = [name for name in ALL if name in set(names)]
    try:
        if migrate:
            await office.migrate(name for name in wanted if name in SERVICES)
        for name in wanted:
            await office.start(name, wait=False)
        for name in wanted:
            await office.ready(name)
        yield office
    finally:
        # stopped even where the task that runs us is being cancelled
        await asyncio.shield(asyncio.ensure_future(office.stop_all()))


async def to_its_end(module: str, *arguments: str, env: Mapping[str, str]) -> None:
    """Run `python -m module` and wait for it; it ends with the task that waits. Raises
    StackProblem with the last that it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=CHECKOUT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        last = output.decode(errors="replace").strip().splitlines()[-1:]
        raise StackProblem(f"{module} {arguments[0]} failed: {''.join(last)}")


def _kept_ports(path: Path) -> dict[str, int]:
    """The ports of last time where they are free, so that a bookmark stays good."""
    try:
        ports: dict[str, int] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        ports = {}
    for use in (*ALL, "smtp"):
        while use not in ports or not is_free(ports[use]) or _twice(ports, use):
            ports[use] = free_port()
    path.write_text(json.dumps(ports))
    return ports


def _twice(ports: Mapping[str, int], use: str) -> bool:
    return list(ports.values()).count(ports[use]) > 1
