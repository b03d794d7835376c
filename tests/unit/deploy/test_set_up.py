"""The set-up on a machine that lacks something: one line that says what, and no exit code 0."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.runtime import CHECKOUT

_TOOLS = ("sh", "dirname", "id", "sed", "cut", "rm", "env")
_DEBIAN = "apt install python3-venv"


class Machine:
    """A checkout and a PATH with nothing on it but what a test lays there."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.bin = folder / "checkout", folder / "bin"
        (self.checkout / "deploy").mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(CHECKOUT / "deploy" / "setup.sh", self.checkout / "deploy")
        for tool in _TOOLS:
            found = shutil.which(tool)
            assert found
            (self.bin / tool).symlink_to(found)

    def has(self, name: str, script: str) -> None:
        """A program of that name, anywhere below the machine's folder."""
        path = self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # a link to the real one, which is not ours to write
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def set_up(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "deploy/setup.sh"],
            cwd=self.checkout,
            env={"PATH": str(self.bin), "HOME": str(self.checkout)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    # as on Debian: a Python whose venv module comes with a package of its own
    machine.has(
        "python3",
        f'case "$2" in *ensurepip*) [ -e "{tmp_path}/has-venv" ]; exit;; esac\n'
        f'exec {sys.executable} "$@"',
    )
    return machine


def test_without_python_one_line_says_so(tmp_path: Path) -> None:
    done = Machine(tmp_path).set_up()
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("banka: needs Python 3.11 or later")


def test_a_missing_venv_module_is_installed_where_root_may(
    machine: Machine, tmp_path: Path
) -> None:
    machine.has("id", "echo 0")
    machine.has("apt-get", f'echo "$@" >>"{tmp_path}/asked"; case "$*" in *python3-venv*) ;; esac')
    done = machine.set_up()

    assert "install --yes --no-install-recommends python3-venv" in (tmp_path / "asked").read_text()
    # this apt-get gave nothing
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(_DEBIAN)


def test_a_missing_venv_module_is_named_to_everybody_else(machine: Machine) -> None:
    machine.has("id", "echo 1000")
    machine.has("apt-get", "exit 99")
    done = machine.set_up()
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.endswith(_DEBIAN)


def test_a_checkout_that_cannot_be_installed_ends_with_a_line_of_ours(
    machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "has-venv").touch()
    (machine.checkout / "requirements-dev.lock").write_text("uv==1.0 \\\n")
    for name, script in {
        "python": "exit 0",
        "uv": 'case "$*" in --version) echo uv 1.0;; *--editable*) exit 2;; esac',
        "pip": 'case "$*" in *--editable*) echo broken >&2; exit 3;; esac',
    }.items():
        machine.has(f"../checkout/.venv/bin/{name}", script)
    done = machine.set_up()

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("banka: the checkout itself could not be")
    assert os.access(machine.checkout / ".venv", os.W_OK)
