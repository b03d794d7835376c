"""The local stack's own arithmetic: what needs no broker to be seen."""

from __future__ import annotations

import os
import stat
import uuid
from pathlib import Path

import pytest

from deploy import local, runtime


def test_a_cluster_id_never_looks_like_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drawn id that begins with a hyphen stopped one fresh set-up in 64."""
    hyphen = uuid.UUID(bytes=bytes([0b11111000]) + bytes(15))
    letter = uuid.UUID(bytes=bytes(16))
    draws = iter([hyphen, hyphen, letter])
    monkeypatch.setattr(uuid, "uuid4", lambda: next(draws))

    assert local.cluster_id() == "A" * 22


def test_the_database_reaches_its_folder_whatever_the_umask(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Under root the programs lie outside a private home, where `nobody` may go."""
    checkout = tmp_path / "private"
    (checkout / ".banka").mkdir(parents=True)
    tmp_path.chmod(0o700)
    monkeypatch.setattr(runtime, "CHECKOUT", checkout)
    before = os.umask(0o077)
    try:
        home = runtime.postgres_home()
        if os.geteuid() == 0:
            assert home != checkout / ".banka"
            assert stat.S_IMODE(home.stat().st_mode) == 0o755
            (home / "runtime").mkdir()
            runtime.remove_outside()
            assert not home.exists()
        else:
            assert home == checkout / ".banka"
    finally:
        os.umask(before)
