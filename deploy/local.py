"""A broker and a database of one's own, without Docker: `banka stack up`.

A stack has a name (`BANKA_STACK`, else `default`) and a folder `.banka/state/<name>`: data, logs,
secrets, the ports it took and `stack.env`. Stacks of different names run side by side. Servers of
your own (`BANKA_KAFKA_BOOTSTRAP`, `BANKA_POSTGRES_DSN`) are used instead where they are set.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import asyncpg
import psutil
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.runtime import (
    CHECKOUT,
    NOBODY,
    RUNTIME_BUSY,
    RUNTIMES,
    Runtime,
    as_nobody,
    exclusive,
    postgres_home,
    prepare,
)
from deploy.secret_files import ADMIN, SUPERUSER, make_secrets, read_secret

DEFAULT = "default"
HOST = "127.0.0.1"
START_SECONDS = 180.0
STOP_SECONDS = 30.0
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_PORTS = ("kafka", "controller", "postgres")


class StackProblem(RuntimeError):
    """The stack cannot do what was asked; the message is one line that says how to correct it."""


class ToldToStop(StackProblem):
    """Somebody wants no stack any more while it still starts."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Where a running broker and database are, and whose secrets open them."""

    name: str
    folder: Path
    kafka_bootstrap: str
    kafka_security: str  # SASL_PLAINTEXT | PLAINTEXT (a broker of your own may have no users)
    postgres_dsn: str  # postgresql://host:port
    secrets_dir: Path
    partitions: int

    @property
    def documents_url(self) -> str:
        return (self.folder / "documents").as_uri()

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def environment(self) -> dict[str, str]:
        """The variables under which a service finds this stack (`shared.settings`)."""
        return {
            "BANKA_STACK": self.name,
            "BANKA_ENVIRONMENT": os.environ.get("BANKA_ENVIRONMENT", "demo"),
            "BANKA_KAFKA_BOOTSTRAP": self.kafka_bootstrap,
            "BANKA_KAFKA_SECURITY": self.kafka_security,
            "BANKA_POSTGRES_DSN": self.postgres_dsn,
            "BANKA_SECRETS_DIR": str(self.secrets_dir),
            "BANKA_DOCUMENTS_URL": self.documents_url,
            "BANKA_PARTITIONS": str(self.partitions),
        }

    def secret(self, name: str) -> str:
        return read_secret(self.secrets_dir, name)

    def kafka_admin(self, user: str = ADMIN) -> dict[str, str | int]:
        """librdkafka's settings to reach the broker as `user`."""
        settings: dict[str, str | int] = {
            "bootstrap.servers": self.kafka_bootstrap,
            "security.protocol": self.kafka_security,
            "log_level": 0,
        }
        if self.kafka_security != "PLAINTEXT":
            settings |= {
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": user,
                "sasl.password": self.secret(f"kafka-{user}"),
            }
        return settings

    def superuser_url(self, database: str = "postgres") -> str:
        """The database's superuser: for provisioning and scratch databases, never for a service."""
        password = self.secret(f"postgres-{SUPERUSER}")
        address = self.postgres_dsn.split("://", 1)[1].rstrip("/")
        return f"postgresql://postgres:{password}@{address}/{database}"


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One line of `banka stack status`. `state`: running, stopped, died (its record is stale), or
    given (a server of your own)."""

    server: str
    state: str
    address: str
    pid: int | None


def stack_name(name: str | None = None) -> str:
    """The name asked for, else `BANKA_STACK`, else `default`."""
    chosen = name or os.environ.get("BANKA_STACK") or DEFAULT
    if not _NAME.fullmatch(chosen):
        raise StackProblem(f"a stack's name is of a-z, 0-9 and -, at most 41 long, not {chosen!r}")
    return chosen


def folder_of(name: str) -> Path:
    return CHECKOUT / ".banka" / "state" / name


def up(
    name: str | None = None,
    *,
    partitions: int | None = None,
    durable: bool = True,
    told: threading.Event | None = None,
) -> Stack:
    """Start what is not running and wait until it answers. Safe to call again, and after a crash.
    Where it fails, nothing runs that did not run before.

    `partitions` (else `BANKA_PARTITIONS`, else the catalogue's 24) is kept for the topics that
    provisioning makes. `durable`: False is for a stack that is thrown away soon: its database does
    not wait for the disk, so that a killed process costs it nothing and a machine that fails
    everything, and its broker is compiled in haste. `told` is set, from a signal's handler or
    another thread, to give up: then ToldToStop is raised.
    """

    def check() -> None:
        if told is not None and told.is_set():
            raise ToldToStop(f"stack {name}: told to stop while starting")

    name = stack_name(name)
    folder = folder_of(name)
    with exclusive(folder.parent / f"{name}.busy", check=check), _undone(folder):
        for part in (folder, folder / "logs", folder / "documents"):
            part.mkdir(parents=True, exist_ok=True)
        given = _given(folder)
        secrets_dir = _secrets_dir(folder, given)
        if secrets_dir == folder / "secrets" or not secrets_dir.exists():
            make_secrets(secrets_dir)
        ports = _ports(folder)
        stack = Stack(
            name=name,
            folder=folder,
            kafka_bootstrap=given.get("kafka", f"{HOST}:{ports['kafka']}"),
            kafka_security=os.environ.get("BANKA_KAFKA_SECURITY", "SASL_PLAINTEXT"),
            postgres_dsn=given.get("postgres", f"postgresql://{HOST}:{ports['postgres']}"),
            secrets_dir=secrets_dir,
            partitions=_partitions(folder, partitions),
        )
        database = broker = None
        if len(given) < 2:  # both servers given: no programs needed
            runtime = prepare(check)
            # the database is up while the broker still starts
            if "postgres" not in given:
                database = _start_postgres(stack, runtime, ports, durable=durable)
            if "kafka" not in given:
                broker = _start_kafka(stack, runtime, ports, check, durable=durable)
        _await_postgres(stack, database, check)
        _await_kafka(stack, broker, check)
        _write_environment(stack)
        (folder / "given").write_text("".join(f"{server}\n" for server in given))
    return stack


def await_servers(stack: Stack) -> None:
    """Wait until servers that somebody else started answer; raises StackProblem."""
    _await_postgres(stack, None, _go_on)
    _await_kafka(stack, None, _go_on)


def when_told_to_stop(do: Callable[[], object]) -> None:
    """Call `do` on Ctrl-C, SIGTERM and a terminal that closes, but for what is ignored already
    (`nohup`). It raises nothing: an exception between a process's start and its record would lose
    the process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: do())


def _go_on() -> None:
    """Nobody can want us to stop."""


def attach(name: str | None = None) -> Stack:
    """The stack of that name as it runs now; raises StackProblem where it does not."""
    name = stack_name(name)
    folder = folder_of(name)
    stopped = [line for line in status(name) if line.state not in ("running", "given")]
    if stopped:
        raise StackProblem(
            f"stack {name}: {stopped[0].server} is {stopped[0].state}; banka stack up"
        )
    given = _known_given(folder)
    kept = _read_environment(folder)
    variables = kept | {_GIVEN_BY[server]: address for server, address in given.items()}
    return Stack(
        name=name,
        folder=folder,
        kafka_bootstrap=variables["BANKA_KAFKA_BOOTSTRAP"],
        kafka_security=os.environ.get("BANKA_KAFKA_SECURITY")
        or kept.get("BANKA_KAFKA_SECURITY", "SASL_PLAINTEXT"),
        postgres_dsn=variables["BANKA_POSTGRES_DSN"],
        secrets_dir=_secrets_dir(folder, given),
        partitions=_partitions(folder, None),
    )


def down(name: str | None = None) -> list[str]:
    """Stop broker and database in order, and whatever an earlier crash left; the state stays.

    Returns the names of what was running.
    """
    return _down(stack_name(name), _ASK)


def _down(name: str, ask: Mapping[str, signal.Signals]) -> list[str]:
    folder = folder_of(name)
    with exclusive(folder.parent / f"{name}.busy"):
        stopped = _stop_all(folder, ask)
    return stopped + _stop_training()


def purge(name: str) -> None:
    """Stop a stack and remove its state: data, secrets and logs."""
    _down(stack_name(name), _ASK_AT_ONCE)
    shutil.rmtree(folder_of(name), ignore_errors=True)
    shutil.rmtree(_postgres_folder(name), ignore_errors=True)
    folder_of(name).with_name(f"{name}.busy").unlink(missing_ok=True)


def names() -> list[str]:
    """Every stack that has state in this checkout."""
    return sorted(path.name for path in folder_of("x").parent.glob("*") if path.is_dir())


def status(name: str | None = None) -> list[ServerStatus]:
    """What runs where; asks the operating system, not the servers."""
    folder = folder_of(stack_name(name))
    given = _known_given(folder)
    variables = _read_environment(folder)
    lines = []
    for server, variable in _GIVEN_BY.items():
        if server in given:
            lines.append(ServerStatus(server, "given", given[server], None))
            continue
        record = _record(folder, server)
        process = _alive(record)
        state = "running" if process else "died" if record else "stopped"
        address = variables.get(variable, "")
        lines.append(ServerStatus(server, state, address, process.pid if process else None))
    return lines


_GIVEN_BY = {"kafka": "BANKA_KAFKA_BOOTSTRAP", "postgres": "BANKA_POSTGRES_DSN"}


def _given(folder: Path) -> dict[str, str]:
    """Servers of the user's own, as the variables name them now. A shell that sourced a stack's
    `stack.env` names what that stack uses: its own servers, unless they were given to it."""
    ours, earlier = _read_environment(folder), _given_earlier(folder)
    return {
        server: os.environ[variable]
        for server, variable in _GIVEN_BY.items()
        if os.environ.get(variable)
        and (server in earlier or os.environ[variable] != ours.get(variable))
    }


def _known_given(folder: Path) -> dict[str, str]:
    """The same for a stack that is up: what it was given counts without the variables, too."""
    ours = _read_environment(folder)
    return {server: ours[_GIVEN_BY[server]] for server in _given_earlier(folder)} | _given(folder)


def _given_earlier(folder: Path) -> list[str]:
    """The servers, `kafka` and `postgres`, that were given when the stack came up last."""
    try:
        return (folder / "given").read_text().split()
    except FileNotFoundError:
        return []


def _secrets_dir(folder: Path, given: Mapping[str, str]) -> Path:
    if not given:
        return folder / "secrets"
    kept = _read_environment(folder).get("BANKA_SECRETS_DIR")
    return Path(os.environ.get("BANKA_SECRETS_DIR") or kept or folder / "secrets")


def _partitions(folder: Path, asked: int | None) -> int:
    """The number is fixed once topics exist, so the first answer is kept."""
    from shared.events.catalog import PARTITIONS

    kept = folder / "partitions"
    if kept.exists():
        return int(kept.read_text())
    number = asked or int(os.environ.get("BANKA_PARTITIONS") or PARTITIONS)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(f"{number}\n")
    return number


def _read_environment(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / "stack.env").read_text().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.removeprefix("export ").split("=", 1) for line in lines if "=" in line)
    return {key: shlex.split(value)[0] if value else "" for key, value in pairs}


def _write_environment(stack: Stack) -> None:
    text = "".join(
        f"export {key}={shlex.quote(value)}\n" for key, value in stack.environment().items()
    )
    paths = [stack.folder / "stack.env"]
    if stack.name == DEFAULT:
        paths.append(CHECKOUT / ".banka" / "stack.env")
    for path in paths:
        incoming = path.with_suffix(".incoming")
        incoming.write_text(text)
        incoming.replace(path)


# Ports and processes


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _ports(folder: Path) -> dict[str, int]:
    """The ports of last time where they are free or our own servers hold them, else others."""
    kept = folder / "ports.json"
    try:
        ports: dict[str, int] = json.loads(kept.read_text())
    except (FileNotFoundError, ValueError):
        ports = {}
    holder = {"kafka": "kafka", "controller": "kafka", "postgres": "postgres"}
    for use in _PORTS:
        if _alive(_record(folder, holder[use])):
            continue
        while (
            use not in ports
            or not is_free(ports[use])
            or list(ports.values()).count(ports[use]) > 1
        ):
            ports[use] = free_port()
    kept.write_text(json.dumps(ports))
    return ports


@dataclass(frozen=True, slots=True)
class _Record:
    """A process that we started: pids are used again, so its start time goes with it."""

    pid: int
    started: float


def _record(folder: Path, server: str) -> _Record | None:
    try:
        return _Record(**json.loads((folder / f"{server}.pid").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _alive(record: _Record | None) -> psutil.Process | None:
    if record is None:
        return None
    try:
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.started) < 1
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def spawn(
    command: list[str],
    *,
    log: IO[bytes],
    pid_file: Path,
    env: Mapping[str, str],
    unprivileged: bool = False,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own (a Ctrl-C in the terminal does not reach it, so that
    everything stops in order) and remember it."""
    process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=dict(env),
        cwd=cwd or Path("/"),
        start_new_session=True,
        **(as_nobody() if unprivileged else {}),
    )
    try:
        record = {"pid": process.pid, "started": psutil.Process(process.pid).create_time()}
        # all of it or nothing: who is killed in between leaves no record that names nobody
        incoming = pid_file.with_suffix(".incoming")
        incoming.write_text(json.dumps(record))
        incoming.replace(pid_file)
    except BaseException:  # without a record nobody would ever stop it
        process.kill()
        raise
    return process


def stop(folder: Path, name: str, *, ask: signal.Signals, seconds: float = STOP_SECONDS) -> bool:
    """Ask a process of ours to end, and end it where it does not; True where one was running."""
    process = _alive(_record(folder, name))
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            children = process.children(recursive=True)
            process.send_signal(ask)
            _, left = psutil.wait_procs([process], timeout=seconds)
            for survivor in [*left, *(child for child in children if child.is_running())]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    survivor.kill()
            psutil.wait_procs([process, *children], timeout=5)
    (folder / f"{name}.pid").unlink(missing_ok=True)
    return process is not None


# INT is PostgreSQL's fast stop: it does not wait for clients
_ASK = {"kafka": signal.SIGTERM, "postgres": signal.SIGINT}
# Where their data go, too, nothing has to be in order; PostgreSQL alone gives back shared memory.
_ASK_AT_ONCE = {"kafka": signal.SIGKILL, "postgres": signal.SIGQUIT}


def _stop_all(folder: Path, ask: Mapping[str, signal.Signals]) -> list[str]:
    # programs that other parts of banka started on this stack go first, the database last
    recorded = {path.stem for path in folder.glob("*.pid")} - ask.keys()
    return [
        server
        for server in (*sorted(recorded), *ask)
        if stop(folder, server, ask=ask.get(server, signal.SIGTERM))
    ]


@contextlib.contextmanager
def _undone(folder: Path) -> Iterator[None]:
    """A start that fails, or that somebody breaks off, leaves nothing running that it started."""
    before = {server for server in _ASK if _alive(_record(folder, server))}
    try:
        yield
    except BaseException:
        for server, ask in _ASK.items():
            if server not in before:
                stop(folder, server, ask=ask)
        raise


def _await(
    what: str,
    process: subprocess.Popen[bytes] | None,
    log: Path,
    ready: Callable[[], bool],
    check: Callable[[], None],
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        check()
        if process is not None and process.poll() is not None:
            raise StackProblem(
                f"{what} ended with code {process.returncode} while starting; see {log}"
            )
        if time.monotonic() > deadline:
            raise StackProblem(f"{what} did not answer within {START_SECONDS:.0f} s; see {log}")
        time.sleep(0.05)
    check()


# PostgreSQL


def _postgres_folder(name: str) -> Path:
    return postgres_home() / "state" / name / "postgres"


def _start_postgres(
    stack: Stack, runtime: Runtime, ports: Mapping[str, int], *, durable: bool
) -> subprocess.Popen[bytes] | None:
    if _alive(_record(stack.folder, "postgres")):
        return None
    data = _postgres_folder(stack.name)
    data.parent.mkdir(parents=True, exist_ok=True)
    for parent in (data.parent, data.parent.parent):
        parent.chmod(0o755)
    if not (data / "PG_VERSION").exists():
        _init_postgres(stack, runtime, data, durable=durable)
    _clear_stale_postmaster(data)
    options = {
        "listen_addresses": HOST,
        "port": str(ports["postgres"]),
        "unix_socket_directories": "",  # a deep checkout would pass the path's limit of 107 bytes
        "max_connections": "250",
        "shared_buffers": "128MB",
        "jit": "off",
        "log_min_messages": "warning",
        "log_lock_waits": "on",
        "log_parameter_max_length": "0",  # parameters hold sealed values; keep them out of logs
        "log_parameter_max_length_on_error": "0",
        "log_line_prefix": "%m [%p] %u@%d ",
    }
    if not durable:
        options |= {"fsync": "off", "full_page_writes": "off"}
    command = [str(runtime.postgres / "bin" / "postgres"), "-D", str(data)]
    for option, value in options.items():
        command += ["-c", f"{option}={value}"]
    with (stack.logs / "postgres.log").open("ab") as log:
        return spawn(
            command,
            log=log,
            pid_file=stack.folder / "postgres.pid",
            env={"LC_ALL": "C", "PATH": os.environ.get("PATH", ""), "TZ": "UTC"},
            unprivileged=True,
        )


def _init_postgres(stack: Stack, runtime: Runtime, data: Path, *, durable: bool) -> None:
    """Make a cluster beside its place and rename it: a cluster is whole or not there. Text sorts
    by code point (`C.UTF-8`), the same on every machine and in the deployment."""
    work = data.with_name("postgres.incoming")
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(data, ignore_errors=True)
    work.mkdir(mode=0o700)
    password = work / "password"
    password.touch(mode=0o600)
    password.write_text(stack.secret(f"postgres-{SUPERUSER}") + "\n")
    if os.geteuid() == 0:
        os.chown(work, NOBODY, NOBODY)
        os.chown(password, NOBODY, NOBODY)
    made = subprocess.run(  # type: ignore[call-overload]
        [
            str(runtime.postgres / "bin" / "initdb"),
            f"--pgdata={work / 'data'}",
            "--username=postgres",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
            *(() if durable else ("--no-sync",)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"LC_ALL": "C", "PATH": os.environ.get("PATH", ""), "TZ": "UTC"},
        **as_nobody(),
    )
    (stack.logs / "initdb.log").write_text(made.stdout + made.stderr)
    if made.returncode:
        raise StackProblem(f"PostgreSQL's initdb failed; see {stack.logs / 'initdb.log'}")
    (work / "data").rename(data)
    shutil.rmtree(work)


def _clear_stale_postmaster(data: Path) -> None:
    """After kill -9 the pid in `postmaster.pid` may by now be another process of the same user,
    and PostgreSQL would refuse to start; its children may still be leaving."""
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return
    try:
        command = psutil.Process(pid).cmdline()
    except psutil.NoSuchProcess:
        command = []
    if str(data) in command:  # a server on this very folder that we lost sight of
        psutil.Process(pid).send_signal(signal.SIGINT)
        psutil.wait_procs([psutil.Process(pid)], timeout=STOP_SECONDS)
    orphans = [
        process
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == "postgres" and process.info["cwd"] == str(data)
    ]
    psutil.wait_procs(orphans, timeout=STOP_SECONDS)
    pid_file.unlink(missing_ok=True)


def _await_postgres(
    stack: Stack, process: subprocess.Popen[bytes] | None, check: Callable[[], None]
) -> None:
    async def answers() -> bool:
        try:
            connection = await asyncpg.connect(stack.superuser_url(), timeout=5)
        except asyncpg.InvalidPasswordError:
            raise StackProblem(
                f"{stack.postgres_dsn} refuses the password in"
                f" {stack.secrets_dir / f'postgres-{SUPERUSER}'}"
            ) from None
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True

    def ready() -> bool:
        # a thread of its own, because the caller may run an event loop
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, answers()).result()

    _await(f"PostgreSQL ({stack.postgres_dsn})", process, stack.logs / "postgres.log", ready, check)


# Kafka

# Small and quick: one node holds a few hundred partitions. G1 is named because the class cache is
# only good for the collector that it was made with.
_JVM = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseG1GC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)
# A broker that lives for minutes never earns back what the thorough compiler takes of the machine:
# it starts with two thirds of the work.
_QUICK_COMPILER = ("-XX:TieredStopAtLevel=1",)


def _kafka_properties(data: Path, password: str, ports: Mapping[str, int]) -> str:
    """One node that is broker and controller. Clients log in by SCRAM; the controller's own
    listener, on which no SCRAM user can be known yet, by PLAIN with the same administrator."""
    login = f'required username="{ADMIN}" password="{password}"'
    security = "org.apache.kafka.common.security"
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{ports['controller']}",
        "listeners": f"CLIENT://{HOST}:{ports['kafka']},CONTROLLER://{HOST}:{ports['controller']}",
        "advertised.listeners": f"CLIENT://{HOST}:{ports['kafka']}",
        "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
        "inter.broker.listener.name": "CLIENT",
        "controller.listener.names": "CONTROLLER",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.client.scram-sha-512.sasl.jaas.config": (
            f"{security}.scram.ScramLoginModule {login};"
        ),
        "listener.name.controller.plain.sasl.jaas.config": (
            f'{security}.plain.PlainLoginModule {login} user_{ADMIN}="{password}";'
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ADMIN}",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
        # the controller must miss a killed broker soon, or the next start waits for it (11 s)
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "500",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "num.recovery.threads.per.data.dir": "2",
        "log.cleaner.dedupe.buffer.size": "16777216",
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())


_LOG4J = """\
status = warn
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {log}
appender.file.filePattern = {log}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c{{1}}: %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
logger.server.name = kafka.server
logger.server.level = info
"""


@dataclass(frozen=True, slots=True)
class _Broker:
    """The files of one broker; the class path and the properties stand in argument files, so that
    no password shows in the list of processes."""

    folder: Path
    log: Path
    runtime: Runtime
    compiler: tuple[str, ...] = ()  # flags of the virtual machine

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def properties(self) -> Path:
        return self.folder / "server.properties"

    def write(self, password: str, ports: Mapping[str, int]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.properties.write_text(_kafka_properties(self.data, password, ports))
        (self.folder / "log4j2.properties").write_text(_LOG4J.format(log=self.log))

    def format(self, password: str, cluster: str) -> None:
        """Make the data folder, the administrator known to SCRAM; half a folder is made anew."""
        if (self.data / "meta.properties").exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)
        arguments = self._arguments(
            "format",
            "kafka.tools.StorageTool",
            [
                "format",
                "-t",
                cluster,
                "-c",
                str(self.properties),
                "--add-scram",
                f"SCRAM-SHA-512=[name={ADMIN},password={password}]",
            ],
        )
        made = subprocess.run(
            [str(self.runtime.java), arguments], capture_output=True, text=True, check=False
        )
        (self.folder / "format.arguments").unlink()
        if made.returncode:
            raise StackProblem(
                f"Kafka's data folder could not be made: {made.stderr.strip()[-300:]}"
            )

    def command(self, *flags: str) -> list[str]:
        arguments = self._arguments("broker", "kafka.Kafka", [str(self.properties)], flags)
        return [str(self.runtime.java), arguments]

    def _arguments(
        self, name: str, main: str, arguments: list[str], flags: tuple[str, ...] = ()
    ) -> str:
        cache = self.runtime.aot_cache
        if not flags and cache.exists():
            flags = (f"-XX:AOTCache={cache}", "-Xlog:aot=off", "-Xlog:cds=off")
        path = self.folder / f"{name}.arguments"
        path.touch(mode=0o600)
        words = [
            *_JVM,
            *self.compiler,
            *flags,
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            self.runtime.class_path,
            main,
            *arguments,
        ]
        path.write_text("".join(f'"{_escaped(word)}"\n' for word in words))
        return f"@{path}"


def cluster_id() -> str:
    """A new cluster's id as Kafka spells it: 22 characters of URL-safe base64. One in 64 would
    begin with a hyphen, which the storage tool takes for an option; Kafka draws those again, too.
    """
    while True:
        drawn = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not drawn.startswith("-"):
            return drawn


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"')


def _start_kafka(
    stack: Stack,
    runtime: Runtime,
    ports: Mapping[str, int],
    check: Callable[[], None],
    *,
    durable: bool,
) -> subprocess.Popen[bytes] | None:
    if _alive(_record(stack.folder, "kafka")):
        return None
    _train(runtime, check)
    check()
    broker = _Broker(
        stack.folder / "kafka",
        stack.logs / "kafka.log",
        runtime,
        compiler=() if durable else _QUICK_COMPILER,
    )
    password = stack.secret(f"kafka-{ADMIN}")
    broker.write(password, ports)
    broker.format(password, cluster_id())
    with (stack.logs / "kafka.out").open("wb") as log:
        return spawn(
            broker.command(),
            log=log,
            pid_file=stack.folder / "kafka.pid",
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
        )


def _train(runtime: Runtime, check: Callable[[], None]) -> None:
    """Run a throw-away broker once and keep its classes as loaded and linked. Without the cache
    the broker only starts more slowly, so a failure here stops nothing."""
    if runtime.aot_cache.exists():
        return
    with exclusive(RUNTIME_BUSY, check=check):
        failed = runtime.folder / "no-aot"
        if runtime.aot_cache.exists() or failed.exists():
            return
        folder = runtime.folder / "training"
        stop(folder, "kafka", ask=signal.SIGKILL)  # of a set-up that was killed
        shutil.rmtree(folder, ignore_errors=True)
        broker = _Broker(folder, folder / "kafka.log", runtime)
        ports = {use: free_port() for use in _PORTS}
        broker.write("training", ports)
        broker.format("training", cluster_id())
        incoming = runtime.aot_cache.with_suffix(".incoming")
        with (folder / "kafka.out").open("wb") as log:
            process = spawn(
                broker.command(f"-XX:AOTCacheOutput={incoming}"),
                log=log,
                pid_file=folder / "kafka.pid",
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            )
        try:
            settings: dict[str, str | int] = {
                "bootstrap.servers": f"{HOST}:{ports['kafka']}",
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": ADMIN,
                "sasl.password": "training",
                "log_level": 0,
            }
            ready = functools.partial(_answers, settings)
            _await("Kafka (training)", process, folder / "kafka.out", ready, check)
        except ToldToStop:
            raise
        except StackProblem as problem:
            failed.write_text(f"{problem}\n")
            return
        finally:
            stop(folder, "kafka", ask=signal.SIGTERM, seconds=60)
            process.wait()
        if incoming.exists():
            incoming.replace(runtime.aot_cache)
            shutil.rmtree(folder)
        else:
            failed.write_text(f"no cache was written; see {folder}\n")


def _stop_training() -> list[str]:
    """Stop a throw-away broker whose set-up was killed; one that is at work is waited for."""
    stopped = []
    for pid_file in RUNTIMES.glob("*/training/kafka.pid"):
        with exclusive(RUNTIME_BUSY):
            if stop(pid_file.parent, "kafka", ask=signal.SIGKILL):
                stopped.append("kafka (training)")
    return stopped


def _answers(settings: dict[str, str | int]) -> bool:
    client = AdminClient({**settings, "socket.timeout.ms": 3000})
    try:
        return bool(client.list_topics(timeout=1).brokers)
    except KafkaException:
        return False


def _await_kafka(
    stack: Stack, process: subprocess.Popen[bytes] | None, check: Callable[[], None]
) -> None:
    settings = stack.kafka_admin()
    host, port = stack.kafka_bootstrap.split(",")[0].rsplit(":", 1)

    def ready() -> bool:
        # a refused connection is cheaper to find out than a failed log-in
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=3):
            return _answers(settings)
        return False

    _await(f"Kafka ({stack.kafka_bootstrap})", process, stack.logs / "kafka.out", ready, check)


if __name__ == "__main__":
    sys.exit("banka stack up|down|status|logs is the command for this")
