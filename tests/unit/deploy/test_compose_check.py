"""What the look into the deployment's containers finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deploy.compose_check import faults

Change = Callable[[dict[str, Any]], object]


def _container(service: str = "review") -> dict[str, Any]:
    """What `docker inspect` tells of a container as it has to be."""
    return {
        "Config": {"User": "10001:10001", "Labels": {"com.docker.compose.service": service}},
        "HostConfig": {
            "PortBindings": {},
            "ReadonlyRootfs": True,
            "Privileged": False,
            "CapDrop": ["ALL"],
            "CapAdd": None,
            "SecurityOpt": ["no-new-privileges:true"],
            "PidMode": "",
            "NetworkMode": "banka_default",
            "Memory": 1,
            "PidsLimit": 1,
            "NanoCpus": 1,
        },
        "State": {"Status": "running", "Health": {"Status": "healthy"}},
    }


def test_a_contained_container_has_no_fault() -> None:
    assert faults(_container(), ["secret"]) == []
    gateway = _container("gateway")
    gateway["HostConfig"]["CapAdd"] = ["CAP_NET_BIND_SERVICE"]
    gateway["HostConfig"]["PortBindings"] = {"8080/tcp": [{"HostIp": "127.0.0.1"}]}
    assert faults(gateway, ["secret"]) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda one: one["Config"].update(User="0:0"), "runs as root"),
        (lambda one: one["HostConfig"].update(Privileged=True), "is privileged"),
        (lambda one: one["HostConfig"].update(CapDrop=None), "keeps capabilities"),
        (
            lambda one: one["HostConfig"].update(CapAdd=["NET_BIND_SERVICE"]),
            "is given capabilities",
        ),
        (lambda one: one["HostConfig"].update(CapAdd=["SYS_ADMIN"]), "is given capabilities"),
        (
            lambda one: one["HostConfig"].update(NetworkMode="host"),
            "shares the host's processes or network",
        ),
        (lambda one: one["Config"].update(Env=["PASSWORD=secret"]), "shows a secret"),
        (lambda one: one["State"].pop("Health"), "has no health check"),
    ],
)
def test_what_is_not_contained_is_found(change: Change, fault: str) -> None:
    container = _container()
    change(container)
    assert faults(container, ["secret"]) == [fault]
