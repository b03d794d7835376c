"""How much memory a process needed at the most."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil


def peaks(processes: Mapping[str, int]) -> dict[str, list[int]]:
    """{name: most bytes that the process held at once, then its children} of {name: process id}, as
    the kernel kept account of it. Raises psutil.NoSuchProcess where one of the processes has ended;
    a child may end at any time."""
    found = {}
    for name, pid in processes.items():
        found[name] = [_peak(pid)]
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                found[name].append(_peak(child.pid))
    return found


def _peak(pid: int) -> int:
    """The process's high-water mark of resident memory, which psutil does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise psutil.NoSuchProcess(pid)
