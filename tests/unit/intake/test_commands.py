"""What an operator tells the service on its command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from deploy.runtime import CHECKOUT


def _told(*arguments: str, says: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.intake", *arguments],
        cwd=CHECKOUT,
        env={
            "BANKA_ENVIRONMENT": "test",
            "BANKA_KAFKA_BOOTSTRAP": "127.0.0.1:1",
            "BANKA_POSTGRES_DSN": "postgresql://127.0.0.1:1",
            "BANKA_SECRETS_DIR": "/nonexistent",
        },
        input=says,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_organisation_is_read_from_the_standard_input(tmp_path: Path) -> None:
    """The deployment's file systems are read-only: no file can be laid into them."""
    wrong = "branches: []\nstaff:\n  - {staff_id: T0001}\n"
    (tmp_path / "wrong.yaml").write_text(wrong)
    by_name = _told("organisation", str(tmp_path / "wrong.yaml"), says="")
    by_input = _told("organisation", "-", says=wrong)

    assert "staff" in by_input.stderr
    assert (by_input.returncode, by_input.stderr) == (2, by_name.stderr)
