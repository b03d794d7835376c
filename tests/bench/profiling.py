"""What processes spend their time on: py-spy beside them, one flame graph for each."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

RATE = 200  # samples a second


@contextmanager
def profiled(processes: Mapping[str, int], folder: Path) -> Iterator[None]:
    """Sample the processes while the block runs; `<process>.txt` holds collapsed stacks, the form
    that flame graphs are drawn from."""
    folder.mkdir(parents=True, exist_ok=True)
    program = Path(sys.executable).with_name("py-spy")
    samplers = [
        subprocess.Popen(
            [
                str(program), "record", "--pid", str(pid), "--rate", str(RATE), "--nonblocking",
                "--format", "raw", "--output", str(folder / f"{name}.txt"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, pid in processes.items()
    ]  # fmt: skip
    try:
        yield
    finally:
        for sampler in samplers:
            sampler.send_signal(signal.SIGINT)
        for sampler in samplers:
            sampler.wait(30)
