"""A service that cannot run says why in words, and does not start."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from shared.parameters.held import SHIPPED
from shared.parameters.load import held, take
from shared.settings import Settings
from shared.web.service import run


def never(_settings: Settings) -> Any:
    raise AssertionError("nothing is built on wrong parameters")


def test_wrong_parameters_are_said_with_every_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "parameters"
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    clocks = folder / "clocks.yaml"
    text = clocks.read_text(encoding="utf-8")
    text = text.replace("draft_days: 30", "draft_days: soon").replace("interview_days", "interview")
    clocks.write_text(text, encoding="utf-8")
    before = take(SHIPPED)
    monkeypatch.setattr("sys.argv", ["services.intake"])
    monkeypatch.setenv("BANKA_PARAMETERS", str(folder))
    with pytest.raises(SystemExit) as stopped:
        run("intake", never)
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["draft_days", "interview"]
    assert held() is before
