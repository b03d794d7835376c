"""Counts what was sent and how it was answered, and keeps what was found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from rich.table import Table

_SHOWN = 300  # characters of what was sent


class Tally:
    """kind: `api`, `page`, `event`, `paper`, `sheet`; where: the route, type or file."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.findings: dict[tuple[str, str, str], list[str]] = defaultdict(list)

    def saw(self, kind: str, where: str, answered: str, count: int = 1) -> None:
        """So many were answered so."""
        self.rows[kind, where][answered] += count

    def found(self, kind: str, where: str, faults: Iterable[str], sent: object) -> None:
        """What is wrong with an answer, and to what."""
        for fault in faults:
            self.findings[kind, where, fault].append(repr(sent)[:_SHOWN])

    @property
    def sent(self) -> int:
        return sum(sum(row.values()) for row in self.rows.values())

    def table(self) -> Table:
        """A line for each route, type and file: how many were sent, answers by class, findings."""
        table = Table(title="What came in, and how it was answered")
        for heading in ("way", "where"):
            table.add_column(heading, overflow="fold")
        for heading in ("sent", "findings"):
            table.add_column(heading, justify="right")
        table.add_column("answers", overflow="fold")
        for (kind, where), row in sorted(self.rows.items()):
            wrong = sum(
                len(sent) for one, sent in self.findings.items() if one[:2] == (kind, where)
            )
            answers = ", ".join(f"{name} × {count}" for name, count in sorted(row.items()))
            table.add_row(kind, where, str(sum(row.values())), str(wrong or ""), answers)
        table.add_section()
        total = sum(map(len, self.findings.values()))
        table.add_row("", "all", str(self.sent), str(total), "")
        return table

    def report(self) -> str:
        """Every finding with how often and one that caused it."""
        return "\n".join(
            f"{kind} {where}: {fault} ({len(sent)} times), for example {sent[0]}"
            for (kind, where, fault), sent in sorted(self.findings.items())
        )
