"""The tables at the end: what became of the plan, and whether everything agrees.

Nothing here depends on how fast the machine is: two runs of one seed print the same results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from deploy.demo.plan import Application, Final, Plan
from deploy.demo.reconcile import Line, Outcome
from shared.calendar import BUSINESS_ZONE
from shared.events.lifecycle import OWNERS, State

_DAY = 86_400.0
_ENDS = tuple(final.value for final in Final)


def results(plan: Plan, outcome: Outcome, imported: int) -> list[Table]:
    """The result tables."""
    ends = outcome.ends
    days = _ends_table("Applications by day", "day", _by_day(plan), ends)
    channels = _ends_table("by channel", "channel", _by(plan, lambda one: one.channel), ends)
    products = _ends_table("by product", "product", _by(plan, lambda one: one.product), ends)
    tables = [days, channels, products, _declines(plan, outcome), _stages(outcome)]
    if imported:
        days.caption = f"and {imported} customers of long standing, brought over with cards in use"
    return tables


def _by_day(plan: Plan) -> dict[str, list[Application]]:
    return _by(plan, lambda one: f"{one.applied_at.astimezone(BUSINESS_ZONE):%m-%d}")


def _by(plan: Plan, key: object) -> dict[str, list[Application]]:
    assert callable(key)
    found: dict[str, list[Application]] = {}
    for one in plan.applications:
        found.setdefault(str(key(one)), []).append(one)
    return dict(sorted(found.items()))


def _ends_table(
    title: str, what: str, groups: Mapping[str, Sequence[Application]], ends: Mapping[str, str]
) -> Table:
    seen = [ends.get(one.key, "nothing") for group in groups.values() for one in group]
    columns = [*_ends(seen)]
    table = Table(title=title, title_justify="left")
    table.add_column(what)
    for name in ("all", *columns):
        table.add_column(name.replace("_", " "), justify="right")
    for name, group in groups.items():
        counted = Counter(ends.get(one.key, "nothing") for one in group)
        table.add_row(name, str(len(group)), *(str(counted[column] or "·") for column in columns))
    table.add_section()
    total = Counter(seen)
    table.add_row("all", str(len(seen)), *(str(total[column]) for column in columns))
    return table


def _ends(seen: Iterable[str]) -> list[str]:
    """The planned endings first, then whatever else there is."""
    present = set(seen)
    return [end for end in _ENDS if end in present] + sorted(present - set(_ENDS))


def _declines(plan: Plan, outcome: Outcome) -> Table:
    """Planned and real, by the category that may be told."""
    planned = Counter(one.category for one in plan.applications if one.category)
    declined = [one for one, state in outcome.replayed.items() if state == "declined"]
    real = Counter(outcome.categories.get(one, "none") for one in declined)
    table = Table("reason", "planned", "declined", title="Declines", title_justify="left")
    for name in sorted({*planned, *real}):
        table.add_row(name.replace("_", " "), str(planned[name]), str(real[name]))
    table.add_section()
    table.add_row("all", str(sum(planned.values())), str(sum(real.values())))
    return table


def _stages(outcome: Outcome) -> Table:
    table = Table(title="Days per stage", title_justify="left")
    for name in ("stage", "waiting on", "times"):
        table.add_column(name, justify="right" if name == "times" else "left")
    for name in ("median", "longest"):
        table.add_column(name, justify="right")
    for state in State:
        spent = outcome.stages.get(state.value)
        owner = OWNERS.get(state)
        if spent and owner:
            table.add_row(
                state.value.replace("_", " "),
                owner.waiting_on,
                str(len(spent)),
                f"{median(spent) / _DAY:.2f}",
                f"{max(spent) / _DAY:.2f}",
            )
    return table


def reconciliation(lines: Sequence[Line]) -> Table:
    """Line by line, with what speaks against those that do not hold."""
    table = Table(title="Reconciliation", title_justify="left", show_lines=False)
    table.add_column("")
    table.add_column("statement")
    table.add_column("found")
    for line in lines:
        table.add_row("✓" if line.holds else "✗", line.statement, line.found)
    return table


def say_differences(console: Console, lines: Sequence[Line]) -> None:
    """What does not hold, or has to be looked at, in full."""
    for line in lines:
        if line.differences:
            console.print(f"{'✓' if line.holds else '✗'} {line.statement}:", markup=False)
            for difference in line.differences:
                console.print(f"    {difference}", markup=False, highlight=False)
