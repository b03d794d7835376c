"""`make bench`: lifecycles per second, latencies and cost, the naive baseline in the same run.

Pipelines, one after the other on one stack: `plain`, the thin workload as FastStream's manual would
have it; `thin`, the same on banka's kernel; `whole`, banka itself, which seals, examines, asks and
tells besides, some fifty events for the thin workload's six.

    python -m tests.bench --help
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy import local
from tests.bench.driving import FELL_BEHIND, Measured, Pipeline, drive
from tests.bench.kernel import kernel_alone
from tests.bench.plain import Plain
from tests.bench.profiling import profiled
from tests.bench.stored import fill
from tests.bench.thin import Thin
from tests.bench.whole import Whole
from tests.stack import running

PIPELINES: dict[str, Any] = {"plain": Plain, "thin": Thin, "whole": Whole}
LOADS = (20, 50, 100, 200)  # applications a second
ALL_AT_ONCE = {"plain": 400, "thin": 5_000, "whole": 150}  # lifecycles of the backlog
WARM_UP = {"plain": 50, "thin": 1_000, "whole": 20}


class Charged:
    """A pipeline whose account holds the driver and the servers, too."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._servers = {
            line.server: line.pid for line in local.status("bench") if line.pid is not None
        }

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    def processes(self) -> Mapping[str, int]:
        """The pipeline's own, the servers that run here, and the driver."""
        return {**self._pipeline.processes(), **self._servers, "driver": os.getpid()}


async def runs(pipeline: Pipeline, options: argparse.Namespace, short: str) -> dict[str, Any]:
    """One pipeline: warmed up, then all at once, then under every load that it can carry."""
    await drive(pipeline, 0, WARM_UP[short])
    count = options.lifecycles or ALL_AT_ONCE[short]
    found: dict[str, list[Measured]] = {"all at once": []}
    first = 100_000
    for _ in range(options.rounds):
        found["all at once"].append(await drive(pipeline, first, count))
        first += count
    capacity = statistics.median(run.rate for run in found["all at once"])
    for load in options.loads:
        name = f"{load}/s"
        if capacity < FELL_BEHIND * load:
            found[name] = []  # the backlog would only grow
            continue
        found[name] = []
        for _ in range(options.rounds):
            lifecycles = round(load * options.seconds)
            found[name].append(await drive(pipeline, first, lifecycles, per_second=load))
            first += lifecycles
    return {load: middle(measured) for load, measured in found.items()}


def middle(runs: Sequence[Measured]) -> dict[str, Any] | None:
    """Medians of several runs, figure by figure; None where there was none."""
    if not runs:
        return None
    whole = [run.as_json() for run in runs]
    found: dict[str, Any] = dict(whole[0])
    for name in ("latency", "hop", "cpu", "memory", "grown"):
        found[name] = {
            key: statistics.median(run[name][key] for run in whole) for key in whole[0][name]
        }
    found["rate"] = statistics.median(run["rate"] for run in whole)
    found["rates"] = [run["rate"] for run in whole]
    found["kept_up"] = all(run["kept_up"] for run in whole)
    return found


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All chosen pipelines on one stack."""
    found: dict[str, Any] = {}
    with running("bench", partitions=options.partitions) as stack:
        # banka itself comes last: a thin stage would take its events for a newer database's
        for short, make in PIPELINES.items():
            if short not in options.pipelines:
                continue
            async with make(stack) as pipeline:
                with ExitStack() as around:
                    if options.profile:
                        around.enter_context(
                            profiled(pipeline.processes(), Path(options.profile) / short)
                        )
                    found[short] = await runs(Charged(pipeline), options, short)
    stored = await with_stored(options) if options.stored else {}
    alone: dict[str, float] = {}
    if options.alone:
        # on a stack of its own: its relay would take the thin stages' events for a newer database's
        with running("bench", partitions=options.partitions) as stack:
            alone = await kernel_alone(stack, options.alone)
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "rounds": options.rounds,
        "seconds": options.seconds,
        "pipelines": found,
        "kernel alone": alone,
        "stored": stored,
    }


async def with_stored(options: argparse.Namespace) -> dict[str, Any]:
    """The thin backlog with so many applications in the databases already, from few to many."""
    found: dict[str, Any] = {}
    first, filled = 100_000, 0
    count = options.lifecycles or ALL_AT_ONCE["thin"]
    with running("bench", partitions=options.partitions) as stack:
        async with Thin(stack) as pipeline:
            charged = Charged(pipeline)
            await drive(charged, 0, WARM_UP["thin"])
            for number in sorted(options.stored):
                await fill(stack, filled + 1, number)
                filled = number
                measured = []
                for _ in range(options.rounds):
                    measured.append(await drive(charged, first, count))
                    first += count
                found[f"{number:,}"] = middle(measured)
    return found


def _commit() -> str:
    asked = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return asked.stdout.strip()


def show(result: Mapping[str, Any], console: Console) -> None:
    """The tables: what it does, and what it costs."""
    table = Table("load", "pipeline", "lifecycles/s", "× plain", title="whole lifecycles")
    for column in ("p50 ms", "p99 ms", "p99.9 ms", "hop p50 ms", "hop p99 ms"):
        table.add_column(column, justify="right")
    costs = Table("load", "pipeline", title="CPU ms a lifecycle · MiB resident, grown by")
    pipelines: Mapping[str, Any] = result["pipelines"]
    processes = list(
        dict.fromkeys(
            name
            for loads in pipelines.values()
            for run in loads.values()
            if run
            for name in run["cpu"]
        )
    )
    for name in [*processes, "all"]:
        costs.add_column(name, justify="right")
    baseline = pipelines.get("plain", {})
    loads = list(dict.fromkeys(load for runs in pipelines.values() for load in runs))
    for load in loads:
        for name, measured in pipelines.items():
            run = measured.get(load)
            if run is None:
                table.add_row(load, name, "skipped: beyond what it completes")
                continue
            plain = baseline.get(load)
            ratio = f"{run['rate'] / plain['rate']:.1f}" if plain else ""
            figures = [
                f"{times[key] * 1000:,.0f}" if times else ""
                for times, keys in (
                    (run["latency"], ("p50", "p99", "p99.9")),
                    (run["hop"], ("p50", "p99")),
                )
                for key in keys
            ]
            if load == "all at once":
                figures = [""] * 5  # how long the backlog was says nothing
            rate = f"{run['rate']:,.1f}" + ("" if run["kept_up"] else " (fell behind)")
            table.add_row(load, name, rate, ratio, *figures)
            cells = [
                f"{run['cpu'][p]:.2f} · {run['memory'][p]:.0f} {run['grown'][p]:+.0f}"
                if p in run["cpu"]
                else ""
                for p in processes
            ]
            costs.add_row(load, name, *cells, f"{sum(run['cpu'].values()):.2f}")
    if pipelines:
        console.print(table)
        console.print(costs)
    if result["stored"]:
        console.print(table_of_stored(result["stored"]))
    alone = result["kernel alone"]
    if alone:
        console.print(
            f"kernel alone: a relay sends {alone['relayed']:,.0f} rows a second, a consumer builds"
            f" a read model from {alone['applied']:,.0f} events a second"
        )


def table_of_stored(stored: Mapping[str, Any]) -> Table:
    """Rate and cost of the thin backlog, by what was stored already."""
    shown = Table(
        "applications stored", "lifecycles/s", "CPU ms a lifecycle", "× the first",
        title="thin, all at once, by what is stored",
    )  # fmt: skip
    costs = {number: sum(run["cpu"].values()) for number, run in stored.items()}
    least = next(iter(costs.values()))
    for number, run in stored.items():
        cost = costs[number]
        shown.add_row(number, f"{run['rate']:,.1f}", f"{cost:.2f}", f"{cost / least:.2f}")
    return shown


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """A quick look: `--pipelines plain,thin --loads 50 --rounds 1`."""
    parser = argparse.ArgumentParser(prog="make bench, or python -m tests.bench")
    parser.add_argument(
        "--pipelines", type=_words, default=list(PIPELINES), help="some of plain,thin,whole"
    )
    parser.add_argument(
        "--loads", type=_numbers, default=list(LOADS), help="applications a second: 20,50; or none"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=1, help="of each measurement: medians")
    parser.add_argument("--lifecycles", type=int, help="in the backlog that is drained")
    parser.add_argument(
        "--alone", type=int, default=200_000, help="events for the kernel alone; 0 leaves it out"
    )
    parser.add_argument(
        "--stored",
        type=_numbers,
        default=[],
        help="measure with so many applications in the databases: 10000,1000000 (takes long)",
    )
    parser.add_argument("--partitions", type=int, default=6, help="of banka's own topics")
    parser.add_argument("--json", type=Path, help="write the result here as well")
    parser.add_argument("--profile", help="folder for what each process spent its time on")
    options = parser.parse_args(words)
    unknown = set(options.pipelines) - set(PIPELINES)
    if unknown:
        parser.error(f"no pipeline {', '.join(sorted(unknown))}: there are {', '.join(PIPELINES)}")
    return options


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _numbers(text: str) -> list[int]:
    return [] if text == "none" else [int(word) for word in _words(text)]


def main(words: Sequence[str]) -> None:
    """Measure, print, write."""
    options = arguments(words)
    result = asyncio.run(measure(options))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    show(result, Console(width=160))


if __name__ == "__main__":
    main(sys.argv[1:])
