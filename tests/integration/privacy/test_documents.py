"""Papers in a real folder, encrypted under the vault's keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.documents import (
    DocumentDamagedError,
    DocumentMissingError,
    DocumentStore,
    DocumentsUnavailableError,
)
from shared.identifiers import new_id
from shared.messaging.errors import is_infrastructure
from shared.paper_images import CheckedPaper
from shared.privacy.vault import KeyUnavailableError
from tests.integration.privacy.conftest import VaultWorld
from tests.integration.privacy.test_vault import NOW

PAPER = b"income of somebody"  # checked by somebody else: here it is only kept
CHECKED = CheckedPaper(PAPER, "application/pdf", 2)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_paper_comes_back_as_it_was_for_who_may_see_it(
    world: VaultWorld, tmp_path: Path
) -> None:
    intake = await world.vault_of("intake")
    keys = await intake.new_party(new_id())
    url = (tmp_path / "documents").as_uri()
    stored = await DocumentStore(url, intake).put(keys, CHECKED)
    assert stored.media_type == "application/pdf"
    assert stored.size == len(PAPER)
    assert await DocumentStore(url, intake).put(keys, CHECKED) == stored
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


async def test_the_pages_lie_beside_the_paper_and_go_with_it(
    world: VaultWorld, tmp_path: Path
) -> None:
    intake = await world.vault_of("intake")
    keys = await intake.new_party(new_id())
    store = DocumentStore((tmp_path / "documents").as_uri(), intake)
    other = CheckedPaper(b"another paper", "image/png", 1)
    stored, kept = [await store.put(keys, one) for one in (CHECKED, other)]
    application = keys.application_id
    for _ in "twice":
        await store.put_pages(application, stored.sha256, [b"first page", b"second page"])
    assert await store.get_page(application, stored.sha256, 2) == b"second page"
    assert all(b"page" not in path.read_bytes() for path in _files(tmp_path))
    with pytest.raises(DocumentMissingError):
        await store.get_page(application, stored.sha256, 3)
    with pytest.raises(DocumentMissingError):
        await store.put_pages(application, "0" * 64, [b"of no paper"])

    first, second = [
        next(path for path in _files(tmp_path) if path.name == f"{stored.sha256}.{number}")
        for number in (1, 2)
    ]
    first.write_bytes(second.read_bytes())
    with pytest.raises(DocumentDamagedError):
        await store.get_page(application, stored.sha256, 1)

    await store.delete(application, stored.sha256)
    assert [path.name for path in _files(tmp_path)] == [kept.sha256]


async def test_a_store_that_does_not_do_its_work_is_no_missing_paper(
    world: VaultWorld, tmp_path: Path
) -> None:
    vault = await world.vault_of("intake")
    keys = await vault.new_party(new_id())
    store = DocumentStore((tmp_path / "documents").as_uri(), vault)
    in_its_way = tmp_path / "documents" / keys.application_id
    in_its_way.write_bytes(b"")
    with pytest.raises(DocumentsUnavailableError, match=r"put of papers: .*os error") as refused:
        await store.put(keys, CHECKED)
    assert "\n" not in str(refused.value)
    assert is_infrastructure(refused.value)  # a worker tries again, and gives up nothing
    assert set(store.failing) == {"put"}
    with pytest.raises(DocumentsUnavailableError):
        await store.get(keys.application_id, "ab" * 32)
    assert set(store.failing) == {"put", "get"}
    in_its_way.unlink()
    stored = await store.put(keys, CHECKED)
    assert await store.get(keys.application_id, stored.sha256) == PAPER
    assert store.failing == {}
