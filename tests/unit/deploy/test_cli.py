"""What the command says where a server is away: one line, never a traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deploy import cli, provision
from deploy.secret_files import make_secrets


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["parked", "list", "review"], "Connect call failed"),
        (["provision", "--name", "away-test"], "the broker: "),
    ],
)
def test_a_server_that_is_away_is_one_line(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_secrets(tmp_path / "secrets")
    monkeypatch.setattr(provision, "_TIMEOUT", 0.5)
    monkeypatch.setattr("deploy.local.CHECKOUT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["banka", *words])
    for name, value in {
        "BANKA_ENVIRONMENT": "test",
        "BANKA_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "BANKA_POSTGRES_DSN": "postgresql://127.0.0.1:1",
        "BANKA_SECRETS_DIR": str(tmp_path / "secrets"),
    }.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("banka: ")
    assert said in line
