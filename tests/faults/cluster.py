"""Three nodes on loopback, each broker and controller, beside one PostgreSQL: for the faults that
one node cannot show.

To everybody else it is a stack that was given its brokers, found by its name as any other.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from unittest.mock import patch

import psutil
from confluent_kafka import ElectionType, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from deploy import local
from deploy.runtime import prepare
from deploy.secret_files import ADMIN, make_secrets, read_secret
from tests.faults.running import NotRun, server_process

NODES = (1, 2, 3)
NAME = "faults-cluster"
_LEAST_MEMORY = 2_500_000_000  # bytes: three brokers, PostgreSQL and the office
_USES = ("kafka", "controller", "followers")
_LISTENERS = ("CLIENT", "CONTROLLER", "FOLLOWERS")
_SECONDS = 20.0
_SYNC_SECONDS = 60.0


@contextmanager
def running_cluster(name: str = NAME) -> Iterator[local.Stack]:
    """A fresh cluster while the block runs; what a killed run left is removed first. Raises NotRun
    where the machine has too little memory for it."""
    free = psutil.virtual_memory().available
    if free < _LEAST_MEMORY:
        raise NotRun(
            f"three brokers want {_LEAST_MEMORY / 1e9:.1f} GB of memory, {free / 1e9:.1f} are free"
        )
    _remove(name)
    try:
        yield _start(name)
    finally:
        _remove(name)


def _remove(name: str) -> None:
    """Stopped in order, the last of three would wait for the others: there is nothing to keep."""
    for node in NODES:
        local.stop(local.folder_of(name), _server(node), ask=signal.SIGKILL)
    local.purge(name)


def _start(name: str) -> local.Stack:
    folder = local.folder_of(name)
    (folder / "logs").mkdir(parents=True)
    make_secrets(folder / "secrets")
    local._train(prepare(), lambda: None)
    ports = {node: {use: local.free_port() for use in _USES} for node in NODES}
    password = read_secret(folder / "secrets", f"kafka-{ADMIN}")
    known, cluster = _in_common(ports), local.cluster_id()

    def make(node: int) -> None:
        broker = _files(name, node)
        broker.write(password, ports[node])
        with broker.properties.open("a") as file:  # what is said last counts
            own = _by_itself(ports[node], broker.properties.read_text())
            file.writelines(f"{key}={value}\n" for key, value in (known | own).items())
            file.write(f"node.id={node}\n")
        broker.format(password, cluster)

    with ThreadPoolExecutor(len(NODES)) as side_by_side:
        list(side_by_side.map(make, NODES))
    for node in NODES:
        _spawn(name, node)
    brokers = ",".join(f"{local.HOST}:{ports[node]['kafka']}" for node in NODES)
    with patch.dict(os.environ, BANKA_KAFKA_BOOTSTRAP=brokers):  # as if they were the user's own
        stack = local.up(name)
    cluster_ = Cluster(stack)
    _await("three brokers know each other", lambda: len(cluster_.brokers()) == len(NODES))
    return stack


def _in_common(ports: Mapping[int, Mapping[str, int]]) -> dict[str, str]:
    """What makes one cluster of three nodes. Kafka's own topics lie on all of them; the office's
    topics do because whoever makes them says so, for Kafka's default is one copy."""
    voters = ",".join(f"{node}@{local.HOST}:{ports[node]['controller']}" for node in NODES)
    return {
        "controller.quorum.voters": voters,
        "offsets.topic.replication.factor": "3",
        "transaction.state.log.replication.factor": "3",
        "transaction.state.log.min.isr": "2",
        "share.coordinator.state.topic.replication.factor": "3",
        "share.coordinator.state.topic.min.isr": "2",
        # three JVMs on a small machine pause each other: two seconds would be taken for a death
        "broker.session.timeout.ms": "4000",
        # who does not follow so long is not in sync; Kafka's thirty seconds make a long fault
        "replica.lag.time.max.ms": "6000",
        "listener.security.protocol.map": ",".join(f"{name}:SASL_PLAINTEXT" for name in _LISTENERS),
        "inter.broker.listener.name": "FOLLOWERS",
    }


def _by_itself(ports: Mapping[str, int], written: str) -> dict[str, str]:
    """A listener for the other nodes alone, so that a line to them can be cut."""
    (login,) = re.findall(r"^listener\.name\.client(\.scram\S+?)=(.*)$", written, re.MULTILINE)
    return {
        "listeners": _addresses(dict(zip(_LISTENERS, map(ports.__getitem__, _USES), strict=True))),
        "advertised.listeners": _advertised(ports["kafka"], ports["followers"]),
        f"listener.name.followers{login[0]}": login[1],
    }


def _advertised(clients: int, followers: int) -> str:
    return _addresses({"CLIENT": clients, "FOLLOWERS": followers})


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{local.HOST}:{port}" for name, port in ports.items())


def _server(node: int) -> str:
    return f"kafka-{node}"


def _files(name: str, node: int) -> Any:
    folder, server = local.folder_of(name), _server(node)
    return local._Broker(folder / server, folder / "logs" / f"{server}.log", prepare())


def _spawn(name: str, node: int) -> None:
    folder = local.folder_of(name)
    with (folder / "logs" / f"{_server(node)}.out").open("ab") as log:
        local.spawn(
            _files(name, node).command(),
            log=log,
            pid_file=folder / f"{_server(node)}.pid",
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
        )


def _await(what: str, ready: Callable[[], bool], seconds: float = _SYNC_SECONDS) -> float:
    """Seconds until it was so; who does not answer is not ready. Raises TimeoutError."""
    begun = time.monotonic()
    while True:
        try:
            if ready():
                return time.monotonic() - begun
        except (KafkaException, OSError, ValueError):
            pass
        if time.monotonic() - begun > seconds:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)


@dataclass(frozen=True)
class Cluster:
    """The nodes of a stack, to be hurt. Everything here blocks: for a thread of its own."""

    stack: local.Stack

    @cached_property
    def _admin(self) -> AdminClient:
        # a node that is away is not to be waited for: the others know
        return AdminClient({**self.stack.kafka_admin(), "socket.timeout.ms": 3000})

    def brokers(self) -> set[int]:
        """Those that take part, in the controller's eyes."""
        return set(self._admin.list_topics(timeout=3).brokers)

    # --- what is done to a node ------------------------------------------------------------------

    def kill(self, node: int) -> None:
        """As a crash does: no farewell."""
        self._end(node, signal.SIGKILL)

    def stop(self, node: int) -> None:
        """In order: it hands over what it leads."""
        self._end(node, signal.SIGTERM)

    def _end(self, node: int, ask: signal.Signals) -> None:
        if not local.stop(self.stack.folder, _server(node), ask=ask):
            raise RuntimeError(f"node {node} was not running")

    def spawn(self, node: int) -> None:
        """Start it and do not wait."""
        _spawn(self.stack.name, node)

    def start(self, node: int) -> float:
        """Start it and wait until all are in sync again; returns how long that took."""
        self.spawn(node)
        return self.whole()

    def followers_port(self, node: int) -> int:
        """Where it listens for the other nodes."""
        written = _files(self.stack.name, node).properties.read_text()
        (port,) = re.findall(r"^listeners=.*FOLLOWERS://[^:]+:(\d+)$", written, re.MULTILINE)
        return int(port)

    def follow_by(self, node: int, port: int) -> None:
        """The others reach the node at this port from now on; it starts anew for that."""
        properties = _files(self.stack.name, node).properties
        known = re.findall(
            r"^advertised\.listeners=CLIENT://[^:]+:(\d+)", properties.read_text(), re.MULTILINE
        )
        self.stop(node)
        with properties.open("a") as file:  # what is said last counts
            file.write(f"advertised.listeners={_advertised(int(known[-1]), port)}\n")
        self.start(node)

    def process(self, node: int) -> psutil.Process:
        return server_process(self.stack, _server(node))

    def alive(self) -> list[int]:
        """The nodes whose process runs."""
        folder = self.stack.folder
        return [node for node in NODES if local._alive(local._record(folder, _server(node)))]

    # --- who does what ---------------------------------------------------------------------------

    def leaders(self, topic: str) -> dict[int, int]:
        """{partition: the node that leads it, -1 if none does}"""
        found = self._admin.list_topics(topic, timeout=3).topics[topic].partitions
        return {part: one.leader for part, one in found.items()}

    def led_most(self, topic: str) -> tuple[int, list[int]]:
        """The node that leads most partitions, but for the controller, and which it leads."""
        leaders, controller = self.leaders(topic), self.controller()
        led = {
            node: [part for part, leader in leaders.items() if leader == node]
            for node in NODES
            if node != controller
        }
        return max(led.items(), key=lambda one: len(one[1]))

    def led_by_others(self, topic: str, node: int) -> float:
        """Seconds until others than the node lead every partition."""

        def moved() -> bool:
            leaders = set(self.leaders(topic).values())
            return not leaders & {node, -1}

        return _await(f"others than node {node} lead", moved)

    def controller(self) -> int:
        """The node that leads the quorum of controllers, as those that run have last written."""
        told = []
        for node in self.alive():
            path = _files(self.stack.name, node).data / "__cluster_metadata-0" / "quorum-state"
            state = json.loads(path.read_text())
            told.append((state["leaderEpoch"], state["leaderId"]))
        return int(max(told)[1])

    def controlled_by_another(self, node: int) -> float:
        """Seconds until another node is the controller and knows that this one is away."""

        def another() -> bool:
            return self.controller() not in (node, -1) and node not in self.brokers()

        return _await(f"another controller than node {node}", another)

    def coordinators(self, groups: list[str]) -> dict[str, int]:
        """{group: the node that coordinates it}"""
        # a client remembers who coordinated, and asks there
        fresh = AdminClient(self.stack.kafka_admin())
        asked = fresh.describe_consumer_groups(groups, request_timeout=_SECONDS)
        return {name: answer.result(_SECONDS).coordinator.id for name, answer in asked.items()}

    def coordinated_by_others(self, groups: list[str], node: int) -> float:
        """Seconds until others than the node coordinate all of these groups."""

        def moved() -> bool:
            return node not in self.coordinators(groups).values()

        return _await(f"others than node {node} coordinate", moved)

    def coordinated_by(self, groups: list[str], node: int) -> float:
        """Seconds until the node coordinates all of these groups."""

        def moved() -> bool:
            return set(self.coordinators(groups).values()) == {node}

        return _await(f"node {node} coordinates", moved)

    def alone(self, topic: str, part: int) -> float:
        """Seconds until the partition's leader has nobody in sync with it."""

        def without() -> bool:
            found = self._admin.list_topics(topic, timeout=3).topics[topic].partitions[part]
            return bool(found.isrs == [found.leader])

        return _await(f"nobody follows the leader of {topic}/{part}", without)

    # --- rest ------------------------------------------------------------------------------------

    def mend(self) -> None:
        """Start what a fault that failed has left ended, and wait for it."""
        for node in set(NODES) - set(self.alive()):
            self.spawn(node)
        self.whole()

    def whole(self) -> float:
        """Seconds until every partition is in sync on all three nodes; led as it was at first."""

        def in_sync() -> bool:
            found = self._admin.list_topics(timeout=3)
            return len(found.brokers) == len(NODES) and all(
                part.leader > 0 and len(part.isrs) == len(part.replicas) == len(NODES)
                for topic in found.topics.values()
                for part in topic.partitions.values()
            )

        seconds = _await("everything is in sync on three nodes", in_sync)
        self.elect_first_choice()
        return seconds

    def elect_first_choice(self) -> None:
        """Who led at first leads again: consumers' groups are coordinated there, too."""
        # patient by its settings: it takes no time-out as an argument
        patient = AdminClient(self.stack.kafka_admin())
        patient.elect_leaders(ElectionType.PREFERRED).result(_SECONDS)

    def least_in_sync(self, topic: str) -> int:
        """How many nodes must have a record of the topic before it counts as written."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        answer = self._admin.describe_configs([resource])[resource].result(_SECONDS)
        return int(answer["min.insync.replicas"].value)

    def ask_for(self, topic: str, least: int) -> None:
        """So many must have it from now on."""
        entry = ConfigEntry(
            "min.insync.replicas", str(least), incremental_operation=AlterConfigOpType.SET
        )
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        self._admin.incremental_alter_configs([resource])[resource].result(_SECONDS)
