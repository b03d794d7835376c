"""The local stack when somebody breaks it off, when a start fails, and with servers of one's own.

All of it with real processes: what counts is what the machine still runs afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy import local
from deploy.runtime import CHECKOUT, RUNTIMES, prepare
from tests.stack import running_here

NAME = "broken-off-test"
BANKA = [sys.executable, "-m", "deploy.cli"]
_SECONDS = 120.0  # a broker in training takes a minute on a machine that does much else

_TRAIN = """
import dataclasses, pathlib, sys
from deploy import local, runtime
here = dataclasses.replace(runtime.prepare(), folder=pathlib.Path(sys.argv[1]))
local._train(here, lambda: None)
"""


@pytest.fixture
def name() -> Iterator[str]:
    local.purge(NAME)
    yield NAME
    local.purge(NAME)


def _at_work(part: str) -> list[str]:
    """The commands of all processes that have `part` in their command line."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or ())
        if part in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(command)
    return found


def _await_file(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + _SECONDS
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, f"{path.name} did not come"
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("command", "moment"),
    [
        (["stack", "up"], "postgres.pid"),
        (["demo", "--no-keep"], "kafka.pid"),
        (["demo", "--no-keep"], "intake.pid"),
    ],
)
def test_a_start_that_is_told_to_stop_leaves_nothing(
    name: str, command: list[str], moment: str
) -> None:
    folder = local.folder_of(name)
    process = subprocess.Popen(
        [*BANKA, *command, "--name", name],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _await_file(folder / moment, process)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=_SECONDS)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 130, said
    assert not list(folder.glob("*.pid"))
    assert _at_work(f"/state/{name}/") == []
    assert "Traceback" not in said


def test_a_start_that_fails_stops_what_it_started(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "START_SECONDS", 0.0)
    with pytest.raises(local.StackProblem, match="did not answer"):
        local.up(name)

    assert {line.state for line in local.status(name)} == {"stopped"}
    assert _at_work(f"/state/{name}/") == []


def test_a_start_that_fails_leaves_what_ran_before(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.up(name)
    local.stop(local.folder_of(name), "kafka", ask=signal.SIGTERM)
    monkeypatch.setattr(local, "START_SECONDS", 0.0)
    with pytest.raises(local.StackProblem, match="Kafka"):
        local.up(name)

    assert {line.server: line.state for line in local.status(name)} == {
        "kafka": "stopped",
        "postgres": "running",
    }


def test_a_killed_set_up_leaves_no_broker_in_training() -> None:
    prepare()
    folder = RUNTIMES / "killed-test"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", _TRAIN, str(folder)]

    def killed() -> None:
        process = subprocess.Popen(command, cwd=CHECKOUT, text=True)
        try:
            _await_file(folder / "training" / "kafka.pid", process)
        finally:
            process.kill()
            process.wait()

    try:
        killed()
        [orphan] = _at_work(f"{folder}/training/")
        # the next set-up does not forget it
        subprocess.run(command, cwd=CHECKOUT, check=True, timeout=_SECONDS)
        assert _at_work(f"{folder}/training/") == [], orphan
        assert (folder / "broker.aot").exists()

        (folder / "broker.aot").unlink()
        killed()
        assert "kafka (training)" in local.down("killed-test")
        assert _at_work(f"{folder}/training/") == []
    finally:
        local.down("killed-test")
        subprocess.run(["rm", "-rf", str(folder)], check=True)
        local.purge("killed-test")


def test_servers_of_ones_own_are_used_every_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_here("servers-test") as servers:
        monkeypatch.setenv("BANKA_KAFKA_BOOTSTRAP", servers.kafka_bootstrap)
        monkeypatch.setenv("BANKA_POSTGRES_DSN", servers.postgres_dsn)
        monkeypatch.setenv("BANKA_SECRETS_DIR", str(servers.secrets_dir))
        for _ in range(2):
            guest = local.up(name)
            assert guest.kafka_bootstrap == servers.kafka_bootstrap
            assert guest.secrets_dir == servers.secrets_dir
            assert [(line.state, line.address) for line in local.status(name)] == [
                ("given", servers.kafka_bootstrap),
                ("given", servers.postgres_dsn),
            ]
            assert local.attach(name) == guest

        # another shell, which has not these variables, finds the same stack
        for variable in ("BANKA_KAFKA_BOOTSTRAP", "BANKA_POSTGRES_DSN", "BANKA_SECRETS_DIR"):
            monkeypatch.delenv(variable)
        assert local.attach(name) == guest
        assert local.down(name) == []
        assert {line.state for line in local.status(servers.name)} == {"running"}


def test_a_shell_that_knows_a_stack_still_starts_its_servers(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`stack.env` names the stack's own servers, and these are ours to start."""
    stack = local.up(name)
    for variable, value in stack.environment().items():
        monkeypatch.setenv(variable, value)
    local.down(name)
    again = local.up(name)

    assert again == stack
    assert {line.state for line in local.status(name)} == {"running"}
    assert os.environ["BANKA_KAFKA_BOOTSTRAP"] == again.kafka_bootstrap
