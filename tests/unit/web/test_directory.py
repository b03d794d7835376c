"""The copy of staff and branches: each event carries the whole, the last one counts."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from shared.events.intake import BranchChanged, SessionEnded, StaffChanged
from shared.messaging import Received
from shared.web.directory import (
    DirectoryEntry,
    DirectoryStore,
    directory_consumer,
    on_branch_changed,
    on_staff_changed,
)

NOW = datetime(2026, 11, 9, 2, 0, tzinfo=UTC)
ASSISTANT = StaffChanged(
    staff_id="s1",
    username="assistant",
    display_name="林晓岚",
    roles=["assistant"],
    branches=["0101"],
    desk="assistant",
    session_epoch=1,
)
BRANCH = BranchChanged(branch="0101", name_zh="滨江支行", name_en="Riverside", region="31")


def received(data: Any) -> Received[Any]:
    return cast("Received[Any]", SimpleNamespace(data=data))


class Statements:
    """A connection that only notes what it is asked to write."""

    def __init__(self) -> None:
        self.written: list[tuple[str, list[tuple[Any, ...]]]] = []

    async def executemany(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        self.written.append((statement.split()[2], rows))


async def test_the_last_event_of_a_batch_is_what_is_written() -> None:
    store = DirectoryStore()
    conn = cast("Any", Statements())
    entries = await store.load(conn, ["s1", "0101"])
    moved = ASSISTANT.model_copy(update={"branches": ["0102"], "session_epoch": 2})
    assert list(on_staff_changed(received(ASSISTANT), entries["s1"], NOW)) == []
    assert list(on_staff_changed(received(moved), entries["s1"], NOW)) == []
    assert list(on_branch_changed(received(BRANCH), entries["0101"], NOW)) == []
    await store.save(conn, list(entries.values()))
    assert conn.written == [
        ("directory_branch", [("0101", "滨江支行", "Riverside", "31", True)]),
        ("directory_staff", [("s1", "林晓岚", ["assistant"], ["0102"], "assistant", True, 2)]),
    ]


async def test_nothing_is_written_where_nothing_was_told() -> None:
    conn = cast("Any", Statements())
    await DirectoryStore().save(conn, [DirectoryEntry("s1")])
    assert conn.written == []


def test_every_service_reads_the_organisation_under_its_own_name() -> None:
    consumer = directory_consumer("review")
    assert (consumer.name, consumer.topic) == ("review.reference", "banka.reference")
    assert set(consumer.handlers) == {StaffChanged, BranchChanged, SessionEnded}
