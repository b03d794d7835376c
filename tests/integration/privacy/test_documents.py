"""Papers in a real folder, encrypted under the vault's keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.documents import (
    DocumentDamagedError,
    DocumentMissingError,
    DocumentRefusedError,
    DocumentStore,
)
from shared.identifiers import new_id
from shared.privacy.vault import KeyUnavailableError
from tests.integration.privacy.conftest import VaultWorld
from tests.integration.privacy.test_vault import NOW

PAPER = b"%PDF-1.7\nincome of somebody\n%%EOF\n"


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_paper_comes_back_as_it_was_for_who_may_see_it(
    world: VaultWorld, tmp_path: Path
) -> None:
    intake = await world.vault_of("intake")
    keys = await intake.new_party(new_id())
    url = (tmp_path / "documents").as_uri()
    stored = await DocumentStore(url, intake).put(keys, PAPER)
    assert stored.media_type == "application/pdf"
    assert stored.size == len(PAPER)
    assert await DocumentStore(url, intake).put(keys, PAPER) == stored
    review = DocumentStore(url, await world.vault_of("review"))
    assert await review.get(keys.application_id, stored.sha256) == PAPER
    notify = DocumentStore(url, await world.vault_of("notify"))
    with pytest.raises(KeyUnavailableError):
        await notify.get(keys.application_id, stored.sha256)

    files = _files(tmp_path)
    assert [path.name for path in files] == [stored.sha256]
    assert b"income" not in files[0].read_bytes()

    with pytest.raises(DocumentMissingError):
        await review.get(new_id(), stored.sha256)
    with pytest.raises(DocumentMissingError):
        await review.get(keys.application_id, "../../etc/passwd")
    content = files[0].read_bytes()
    files[0].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DocumentDamagedError):
        await review.get(keys.application_id, stored.sha256)
    files[0].write_bytes(content)

    await intake.destroy(keys.person, NOW)
    fresh = DocumentStore(url, await world.vault_of("review"))
    with pytest.raises(KeyUnavailableError):
        await fresh.get(keys.application_id, stored.sha256)
    await fresh.delete(keys.application_id, stored.sha256)
    await fresh.delete(keys.application_id, stored.sha256)
    with pytest.raises(DocumentMissingError):
        await fresh.get(keys.application_id, stored.sha256)


async def test_a_refused_paper_is_not_kept(world: VaultWorld, tmp_path: Path) -> None:
    intake = await world.vault_of("intake")
    keys = await intake.new_party(new_id())
    with pytest.raises(DocumentRefusedError, match="unknown_type"):
        await DocumentStore(tmp_path.as_uri(), intake).put(keys, b"MZ a program")
    assert _files(tmp_path) == []
