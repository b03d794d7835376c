"""How much memory a process needed at the most."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psutil


def peaks(processes: Mapping[str, int]) -> dict[str, int]:
    """{name: most bytes that a process and its children held at once} of {name: process id}, as
    the kernel kept account of it. Raises psutil.NoSuchProcess where one has ended."""
    found = {}
    for name, pid in processes.items():
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        found[name] = sum(_peak(one.pid) for one in family)
    return found


def _peak(pid: int) -> int:
    """The process's high-water mark of resident memory, which psutil does not tell."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise psutil.NoSuchProcess(pid)
