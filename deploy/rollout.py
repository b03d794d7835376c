"""The one-shots of the deployment: `python -m deploy.rollout secrets` and `… provision`.

`secrets` writes what is missing into `/secrets/all` and gives each reader a folder with what that
reader needs and nothing else, so that a service cannot read its neighbour's password. `provision`
makes users, topics, rights, databases, roles and tables; in a demo also the clock and the branches.
Both may run again at any time and change nothing that is there.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import time
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from deploy import local
from deploy.processes import to_its_end
from deploy.provision import provision
from deploy.runtime import CHECKOUT
from deploy.secret_files import (
    ADMIN,
    CLIENTS_FILE,
    OIDC_FILES,
    OPERATORS_FILES,
    SUPERUSER,
    make_channels,
    make_secrets,
    read_secret,
)
from shared.clock import step_clock
from shared.events import catalog
from shared.postgres.pool import app_role

ROOT = Path("/secrets")
ALL = "all"
CLIENT_LISTENER = "kafka:9092"
ADMIN_LISTENER = "kafka:9094"
ORGANISATION = CHECKOUT / "deploy" / "demo" / "organisation.yaml"
# Containers of other images read theirs as users of their own, and the broker writes to the copy
# that it makes of its file, mode and all; nobody else sees these folders.
_FOR_OTHERS = 0o644
_OWN = 0o400


def readers() -> dict[str, tuple[str, ...]]:
    """Who may read which secrets. Reporting has no key to personal data."""
    opening = ("session-key", "bank-key")
    return {
        "intake": (*_of("intake"), *opening, "office-key.json", CLIENTS_FILE, *OIDC_FILES),
        "review": (*_of("review"), *opening, CLIENTS_FILE),
        "notify": (*_of("notify"), *opening, "sms-token", CLIENTS_FILE),
        "reporting": (*_of("reporting"), "session-key", CLIENTS_FILE),
        "partners": tuple(f"kafka-{partner.name}" for partner in catalog.PARTNERS),
        "postgres": (f"postgres-{SUPERUSER}",),
    }


def _of(service: str) -> tuple[str, str]:
    return f"kafka-{service}", f"postgres-{app_role(service)}"


def write_secrets(root: Path, *, demo: bool) -> list[str]:
    """Make what is missing and hand it out; returns the names of what was made."""
    everything = root / ALL
    made = make_secrets(everything)
    if demo:
        make_channels(everything)
    for reader, names in readers().items():
        mode = _FOR_OTHERS if reader == "postgres" else _OWN
        for name in names:
            if (everything / name).exists():
                _hand_out(root / reader / name, (everything / name).read_text(), mode)
            elif name in OPERATORS_FILES:  # not there yet, or taken back
                (root / reader / name).unlink(missing_ok=True)
    password = read_secret(everything, f"kafka-{ADMIN}")
    for name, content in broker_files(password).items():
        _hand_out(root / "kafka" / name, content, _FOR_OTHERS)
    return made


def _hand_out(path: Path, content: str, mode: int) -> None:
    if path.exists() and path.read_text() == content:
        return
    incoming = path.with_name(f".{path.name}")
    incoming.unlink(missing_ok=True)
    with os.fdopen(os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(content)
    incoming.chmod(mode)
    incoming.replace(path)


def broker_files(
    password: str, *, client: str = CLIENT_LISTENER, admin: str = ADMIN_LISTENER
) -> dict[str, str]:
    """What lies in the broker's folder of configuration: `client` and `admin` are the addresses
    under which its two listeners are reached, from itself too. Its log goes to the console alone.
    """
    return {
        "server.properties": broker_properties(password, client=client, admin=admin),
        "log4j2.yaml": _BROKER_LOG,
        "tools-log4j2.yaml": _BROKER_LOG.replace("INFO", "WARN"),
    }


_BROKER_LOG = """\
Configuration:
  Appenders:
    Console:
      name: console
      PatternLayout:
        pattern: "%d{ISO8601} %p %m (%c)%n"
  Loggers:
    Root:
      level: INFO
      AppenderRef:
        - ref: console
"""


def broker_properties(
    password: str, *, client: str = CLIENT_LISTENER, admin: str = ADMIN_LISTENER
) -> str:
    """The broker's whole configuration: in a file, because the image's other way, variables, shows
    the password to everyone who may inspect a container.

    Clients log in by SCRAM. On a fresh broker nobody is known by SCRAM yet, so the administrator
    has a listener of his own with PLAIN, which the controller and the broker use between them too.
    """
    plain = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required"
        f' username="{ADMIN}" password="{password}" user_{ADMIN}="{password}";'
    )
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": "1@localhost:9093",
        "listeners": (
            f"CLIENT://:{_port(client)},ADMIN://:{_port(admin)},CONTROLLER://localhost:9093"
        ),
        "advertised.listeners": f"CLIENT://{client},ADMIN://{admin}",
        "listener.security.protocol.map": ",".join(
            f"{name}:SASL_PLAINTEXT" for name in ("CLIENT", "ADMIN", "CONTROLLER")
        ),
        "inter.broker.listener.name": "ADMIN",
        "controller.listener.names": "CONTROLLER",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.admin.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.client.scram-sha-512.sasl.jaas.config": scram,
        "listener.name.admin.plain.sasl.jaas.config": plain,
        "listener.name.controller.plain.sasl.jaas.config": plain,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ADMIN}",
        "log.dirs": "/var/lib/kafka/data",
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
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.dedupe.buffer.size": "16777216",
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def admit_administrator(password: str, listener: str = ADMIN_LISTENER) -> None:
    """Let the administrator log in by SCRAM, as everybody else; raises KafkaException, or
    TimeoutError where nothing is said within 30 s."""
    client = AdminClient(
        {
            "bootstrap.servers": listener,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": ADMIN,
            "sasl.password": password,
        }
    )
    credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    change = UserScramCredentialUpsertion(ADMIN, credential, password.encode())
    for answer in client.alter_user_scram_credentials([change]).values():
        answer.result(30)


async def roll_out() -> list[str]:
    """Bring broker and databases to what the sources say; returns what was missing."""
    stack = local.attach()
    if stack.kafka_security != "PLAINTEXT":
        await asyncio.to_thread(admit_administrator, stack.secret(f"kafka-{ADMIN}"))
    lines = await provision(stack)
    for service in catalog.SERVICES:
        await _run(f"services.{service}", "migrate", service=service)
    clock_file = os.environ.get("BANKA_CLOCK_FILE")
    if clock_file:
        _start_clock(Path(clock_file))
        await _run("services.intake", "organisation", str(ORGANISATION), service="intake")
    return lines


def _start_clock(path: Path) -> None:
    """The morning on which the demo begins; a clock that runs already is left alone."""
    from deploy.demo.plan import OPENING, at, working_days

    if not path.exists():
        step_clock(path, at(working_days(OPENING, 1)[0], time(8)))


async def _run(module: str, *arguments: str, service: str) -> None:
    """A command of a service, as that service."""
    await to_its_end(module, *arguments, env={**os.environ, "BANKA_KAFKA_USER": service})


def main(arguments: list[str]) -> int:
    """The command line; a failure is one line and exit code 1."""
    demo = os.environ.get("BANKA_ENVIRONMENT") == "demo"
    try:
        match arguments:
            case ["secrets"]:
                made = [f"secret {name}" for name in write_secrets(ROOT, demo=demo)]
            case ["provision"]:
                made = asyncio.run(roll_out())
            case _:
                sys.stderr.write("usage: python -m deploy.rollout secrets | provision\n")
                return 2
    except (local.StackProblem, KafkaException, OSError) as problem:
        sys.stderr.write(f"{' '.join(arguments)}: {problem}\n")
        return 1
    sys.stdout.write("\n".join(made or ["nothing was missing"]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
