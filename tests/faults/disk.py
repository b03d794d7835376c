"""A full disk under the broker or under PostgreSQL: its data, and nothing else, lies on a small
file system in memory, on a stack of its own, and a ballast takes what is left of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import asyncpg

from deploy import local
from tests.faults.running import NotRun, Office

_NAME = "faults-disk"
_MEGABYTES = {"kafka": 96, "postgres": 256}
_FULL_SECONDS = 10.0


def small_disk(server: str) -> Callable[[], AbstractContextManager[local.Stack]]:
    """What opens a stack of which one server, kafka or postgres, has a small disk."""

    @contextmanager
    def opened() -> Iterator[local.Stack]:
        if os.geteuid() != 0:
            raise NotRun("needs root: it mounts a small file system")
        local.down(_NAME)
        for left in _MEGABYTES:
            _unmount(_folder(left))  # of a run that was killed with its guard
        local.purge(_NAME)
        local.up(_NAME, partitions=6)  # makes the folders, which a mount would be in the way of
        local.down(_NAME)
        folder = _folder(server)
        _mount(folder, _MEGABYTES[server])
        with _guarded(folder):
            try:
                yield local.up(_NAME)
            finally:
                local.down(_NAME)
                _unmount(folder)
                local.purge(_NAME)

    return opened


def _folder(server: str) -> Path:
    if server == "kafka":
        return local.folder_of(_NAME) / "kafka" / "data"
    return local._postgres_folder(_NAME)


def _mount(folder: Path, megabytes: int) -> None:
    """A file system of that size in the folder's place, with what was in it."""
    aside = folder.with_name(f"{folder.name}.aside")
    folder.rename(aside)
    folder.mkdir()
    size = f"size={megabytes}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)
    subprocess.run(["cp", "--archive", f"{aside}/.", folder], check=True)  # the owners as well
    shutil.rmtree(aside)


@contextmanager
def _guarded(folder: Path) -> Iterator[None]:
    """However this process ends, the file system is unmounted: a shell waits for the end of its
    input, which comes with ours."""
    guard = subprocess.Popen(
        ["sh", "-c", 'read -r _; umount -l "$0" 2>/dev/null', str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait()


def _unmount(folder: Path) -> None:
    if folder.is_mount():
        subprocess.run(["umount", "-l", folder], check=True)


async def broker_disk_full(office: Office) -> str:
    """The broker gives up its only log folder, and with it itself."""
    with _ballast(office, "kafka") as fill:
        await _until_down(office, "kafka", fill)
        state = _state(office, "kafka")
    await asyncio.to_thread(local.up, office.stack.name)
    return f"no space left for the broker for up to {_FULL_SECONDS:.0f} s ({state}), then started"


async def database_disk_full(office: Office) -> str:
    """Tables cannot grow, then the write-ahead log cannot."""
    with _ballast(office, "postgres") as fill:
        await asyncio.sleep(2.0)
        writing = asyncio.create_task(_use_up_the_log(office))
        await _until_down(office, "postgres", fill)
        writing.cancel()
        state = _state(office, "postgres")
    await asyncio.to_thread(local.up, office.stack.name)
    return f"no space left for PostgreSQL for up to {_FULL_SECONDS:.0f} s ({state}), then started"


@contextmanager
def _ballast(office: Office, server: str) -> Iterator[Callable[[], None]]:
    """All that is left of the disk is taken, and again what becomes free, until the block ends."""
    path = _folder(server) / "ballast"

    def fill() -> None:
        with path.open("ab", buffering=0) as ballast:
            for size in (1 << 20, 1 << 12):
                try:
                    while True:
                        ballast.write(bytes(size))
                except OSError:  # no space for so much
                    continue

    assert office.stack.name == _NAME
    fill()
    try:
        yield fill
    finally:
        path.unlink()


async def _until_down(office: Office, server: str, fill: Callable[[], None]) -> None:
    end = time.monotonic() + _FULL_SECONDS
    while _state(office, server) == "running" and time.monotonic() < end:
        fill()
        await asyncio.sleep(0.2)


def _state(office: Office, server: str) -> str:
    """running or died"""
    return next(one.state for one in local.status(office.stack.name) if one.server == server)


async def _use_up_the_log(office: Office) -> None:
    """Segments that exist already are written full, so that the server wants a new one."""
    while True:
        try:
            conn = await asyncpg.connect(office.stack.superuser_url(), timeout=2)
            while True:
                await conn.execute(
                    "SELECT pg_logical_emit_message(false, 'ballast', repeat('x', 1000000))"
                )
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await asyncio.sleep(0.2)
