"""Who gets which secret in the deployment."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.rollout import readers, write_secrets
from deploy.secret_files import ADMIN, OIDC_FILES, OPERATORS_FILES
from shared.events import catalog
from shared.web import oidc


def test_reporting_has_no_key_to_personal_data() -> None:
    assert set(readers()["reporting"]) == {
        "kafka-reporting",
        "postgres-reporting_app",
        "session-key",
        "api-clients.json",
    }
    assert [name for name, may in readers().items() if "bank-key" in may] == [
        "intake",
        "review",
        "notify",
    ]


def test_what_partners_seal_to_us_is_opened_by_intake_alone() -> None:
    assert [name for name, may in readers().items() if "office-key.json" in may] == ["intake"]


@pytest.mark.parametrize("reader", [*catalog.SERVICES, "partners"])
def test_nobody_reads_a_neighbours_password(reader: str) -> None:
    """Nor the administrator's, nor an owner's: those are for the one-shots alone."""
    own = {reader} if reader in catalog.SERVICES else {one.name for one in catalog.PARTNERS}
    for name in readers()[reader]:
        server, _, user = name.partition("-")
        if server == "kafka":
            assert user in own
        elif server == "postgres":
            assert user == f"{reader}_app"


def test_every_reader_gets_a_folder_with_its_own_files(tmp_path: Path) -> None:
    for reader in ("all", *readers(), "kafka"):
        (tmp_path / reader).mkdir()
    write_secrets(tmp_path, demo=False)
    for reader, names in readers().items():
        # who may call the API is the operators' to say
        assert {file.name for file in (tmp_path / reader).iterdir()} == {
            name for name in names if name not in OPERATORS_FILES
        }
    password = (tmp_path / "all" / f"kafka-{ADMIN}").read_text().strip()
    told = [
        file
        for file in tmp_path.rglob("*")
        if file.is_file() and file.parent.name != "all" and password in file.read_text()
    ]
    assert {file.parent.name for file in told} == {"kafka"}


def test_what_operators_lay_down_is_handed_out_and_taken_back(tmp_path: Path) -> None:
    assert OIDC_FILES == (oidc.FILE, oidc.CA_FILE)
    for reader in ("all", *readers(), "kafka"):
        (tmp_path / reader).mkdir()
    theirs = tmp_path / "all" / oidc.FILE
    theirs.write_text("{}")
    write_secrets(tmp_path, demo=False)
    assert {path.parent.name for path in tmp_path.rglob(oidc.FILE)} == {"all", "intake"}
    theirs.unlink()
    write_secrets(tmp_path, demo=False)
    assert list(tmp_path.rglob(oidc.FILE)) == []
