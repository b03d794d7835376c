"""Policies as files: a folder per version, read whole and right or not at all.

`policies/<version>/` has `policy.yaml` (its name, what changed, the words of its score card), the
four decision tables, and `cases.yaml`, the tests that an author wrote for it. Whatever is wrong is
said with file, line and column, and how to correct it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import zen
from pydantic import BaseModel, ConfigDict, Field

from services.review.policy import (
    FIRST_LIMITS,
    FIRST_RULES,
    LIMITS,
    MANIFEST,
    PRICING,
    RULES,
    SCORE_CARD,
    TABLES,
    Policy,
    canonical,
    rows_of,
)
from services.review.reason_codes import REASONS
from shared.parameters.models import Version, Words
from shared.parameters.reading import (
    Fault,
    ParametersError,
    Text,
    did_you_mean,
    read_model,
    read_text,
)

SHIPPED: Final = Path(__file__).with_name("policies")
_MANIFEST_FILE, CASES_FILE = "policy.yaml", "cases.yaml"
_MOST_ROWS = 1_000  # of a table; a longer one is a mistake
# what a row has to say besides its condition
_SAYS: Final[Mapping[str, tuple[str, ...]]] = {
    SCORE_CARD: ("factor", "band", "points"),
    LIMITS: ("rule", "income_share", "cap_share"),
    RULES: ("code", "effect"),
    PRICING: ("pricing_class",),
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Manifest(_Part):
    """What a policy says about itself. `follows`: the version that it was made from."""

    version: Version
    digest: str  # of this file alone
    follows: Version | None = None
    title: Words
    changes: Words
    factors: Annotated[dict[str, Words], Field(min_length=1)]
    bands: dict[str, Words]
    pricing: Annotated[dict[str, Words], Field(min_length=1)]
    notes: dict[str, Words]  # of every row that is no band


class Expected(_Part):
    """What a case expects; what it leaves out may be anything. `findings` are all of them in any
    order, `finds` and `spares` some that fired and some that did not. Amounts in fen."""

    outcome: Literal["approve", "decline", "refer", "hold"] | None = None
    advice: Literal["approve", "decline", "examine"] | None = None
    findings: list[str] | None = None
    finds: list[str] = []
    spares: list[str] = []
    limit: int | None = None
    ceiling: int | None = None
    points: int | None = None
    strategy: str | None = None
    pricing_class: str | None = None


class PolicyCase(_Part):
    """One case: what of the base inputs is different, as `bureau.score: 499`, and what follows."""

    name: Annotated[str, Field(min_length=1, max_length=120)]
    given: dict[str, Any] = {}
    expect: Expected


class Cases(_Part):
    """A policy's own tests: base inputs as a decision freezes them, and cases."""

    digest: str
    base: dict[str, Any]
    cases: Annotated[list[PolicyCase], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Held:
    """One version as it lies in the folder."""

    policy: Policy
    manifest: Manifest
    cases: Cases


def read_policies(folder: Path = SHIPPED) -> dict[str, Held]:
    """{version: the policy} of a folder, oldest first. Raises ParametersError with every fault of
    every version."""
    found: dict[str, Held] = {}
    faults: list[Fault] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir():
            try:
                found[path.name] = read_policy(path)
            except ParametersError as error:
                faults += error.faults
    if not found and not faults:
        mend = "put a version there"
        faults.append(Fault(str(folder), 0, 0, "", "holds no policy", mend))
    if faults:
        raise ParametersError(faults)
    return dict(sorted(found.items(), key=lambda one: version_key(one[0])))


def read_policy(folder: Path) -> Held:
    """A version from its folder. Raises ParametersError with all that is wrong with it."""

    def named(name: str) -> Text:
        return read_text(folder / name, f"{folder.name}/{name}")

    texts: dict[str, Text] = {}
    faults: list[Fault] = []
    for name in (_MANIFEST_FILE, *TABLES, CASES_FILE):
        try:
            texts[name] = named(name)
        except ParametersError as error:
            faults += error.faults
    if faults:
        raise ParametersError(faults)
    for name, model in ((_MANIFEST_FILE, Manifest), (CASES_FILE, Cases)):
        try:
            read_model(texts[name], model)
        except ParametersError as error:
            faults += error.faults
    if faults:
        raise ParametersError(faults)
    manifest = read_model(texts[_MANIFEST_FILE], Manifest)
    if manifest.version != folder.name:
        said = f"is {manifest.version!r} in the folder {folder.name!r}"
        faults.append(texts[_MANIFEST_FILE].fault(("version",), said, "give both the same version"))
    for name in TABLES:
        faults += _faults_of_table(texts[name], name)
    if not faults:
        faults += _faults_together(texts, manifest)
    if faults:
        raise ParametersError(faults)
    content = {MANIFEST: texts[_MANIFEST_FILE].content} | {
        name: texts[name].content for name in TABLES
    }
    return Held(Policy(canonical(content)), manifest, read_model(texts[CASES_FILE], Cases))


def version_key(version: str) -> tuple[int, ...]:
    """By which versions are ordered: 2026.10 comes after 2026.9."""
    return tuple(int(part) for part in version.split("."))


def newest(folder: Path = SHIPPED) -> Held:
    """The newest version of a folder."""
    return list(read_policies(folder).values())[-1]


# --- what may be wrong with the tables --------------------------------------------------------


def _faults_of_table(text: Text, name: str) -> Iterator[Fault]:
    """The file as a graph with one table whose rows say all that they have to, in expressions that
    can be read."""
    try:
        rows = rows_of(text.content)
        at = _table_place(text.content)
    except (KeyError, TypeError, ValueError):
        yield text.fault((), "is no graph with one decision table", "save it as JDM, a table in it")
        return
    if not 0 < len(rows) <= _MOST_ROWS:
        yield text.fault(at, f"has {len(rows)} rows", f"it may have 1 to {_MOST_ROWS}")
        return
    try:
        zen.ZenDecisionContent(json.dumps(text.content))
    except (RuntimeError, ValueError):
        yield text.fault((), "is no decision that the engine reads", "save it as JDM")
        return
    names: dict[str, int] = {}
    for number, row in enumerate(rows):
        place = (*at, number)
        identity = row.get("_id")
        if not identity or not isinstance(identity, str):
            yield text.fault((*place, "_id"), "is missing", "give each row a name of its own")
        elif names.setdefault(identity, number) != number:
            yield text.fault(
                (*place, "_id"), f"{identity!r} is another row's, too", "give it another name"
            )
        for column in ("when", *_SAYS[name]):
            cell = row.get(column)
            if cell is None or (not cell and column != "when"):
                yield text.fault((*place, column), "is missing", "fill the cell in")
            elif cell and (problem := zen.validate_expression(str(cell))):
                said = f"cannot be read as an expression ({_kind_of(problem)})"
                yield text.fault((*place, column), said, "look at quotes, brackets and operators")
        yield from _faults_of_row(text, name, place, row)
    if name not in (RULES, SCORE_CARD) and rows[-1].get("when"):
        said = "the last row has a condition, so that it can be that no row fits"
        yield text.fault((*at, len(rows) - 1, "when"), said, "end with a row for all others")


def _faults_of_row(
    text: Text, name: str, place: Sequence[str | int], row: Mapping[str, Any]
) -> Iterator[Fault]:
    if name == RULES:
        code, effect = _literal(row.get("code")), _literal(row.get("effect"))
        if code is not None and code not in REASONS:
            said = f"{code} is in no catalogue of reasons"
            yield text.fault((*place, "code"), said, did_you_mean(code, REASONS))
        elif code is not None and effect != REASONS[code].effect.value:
            said = f"{code} leads to {REASONS[code].effect.value}, not to {effect}"
            yield text.fault((*place, "effect"), said, "say what the catalogue says")
    if name == LIMITS:
        for column in ("income_share", "cap_share"):
            share = _literal(row.get(column))
            try:
                fits = share is not None and 0 <= Decimal(share) <= 1
            except InvalidOperation:
                fits = False
            if not fits:
                said = f"is {row.get(column)}"
                yield text.fault((*place, column), said, "write a share from '0' to '1', quoted")
        if (counts := row.get("counts_income", "true")) not in ("true", "false"):
            mend = "write true or false, not quoted"
            yield text.fault((*place, "counts_income"), f"is {counts}", mend)
    if name == SCORE_CARD:
        points = str(row.get("points") or "")
        if not points.lstrip("-").isdigit() or len(points) > 5:
            yield text.fault((*place, "points"), f"is {points!r}", "write whole points")


def _faults_together(texts: Mapping[str, Text], manifest: Manifest) -> Iterator[Fault]:
    """What fits in each file alone, and not with the others."""
    yield from _faults_of_factors(texts[SCORE_CARD])
    words = texts[_MANIFEST_FILE]
    card = rows_of(texts[SCORE_CARD].content)
    needed: dict[str, list[str | None]] = {
        "factors": [_literal(row["factor"]) for row in card],
        "bands": [f"{_literal(row['factor'])}.{_literal(row['band'])}" for row in card],
        "pricing": [_literal(row["pricing_class"]) for row in rows_of(texts[PRICING].content)],
        "notes": [
            row["_id"] for name in (LIMITS, RULES, PRICING) for row in rows_of(texts[name].content)
        ],
    }
    for part, names in needed.items():
        there = getattr(manifest, part)
        for missing in sorted({str(name) for name in names} - there.keys()):
            yield words.fault((part, missing), "has no words", "say it in both languages")
        for left in sorted(there.keys() - set(names)):
            yield words.fault((part, left), "stands in no table", "take it away")


def _faults_of_factors(text: Text) -> Iterator[Fault]:
    """The bands of a factor stand together, each once, and the last is for all others."""
    at, rows = _table_place(text.content), rows_of(text.content)
    last: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    for number, row in enumerate(rows):
        factor, band = str(_literal(row["factor"])), str(_literal(row["band"]))
        if factor in last and last[factor] != number - 1:
            said = f"{factor!r} has rows in another place, too"
            yield text.fault((*at, number, "factor"), said, "put a factor's bands together")
        if (factor, band) in seen:
            said = f"{factor} has a band {band!r} before"
            yield text.fault((*at, number, "band"), said, "give each band a name of its own")
        seen.add((factor, band))
        last[factor] = number
    for factor, number in last.items():
        if rows[number]["when"]:
            said = f"the last band of {factor!r} has a condition, so that it can be that none fits"
            yield text.fault((*at, number, "when"), said, "end with a band for all others")


def _table_place(graph: Mapping[str, Any]) -> tuple[str | int, ...]:
    (number,) = (
        number for number, node in enumerate(graph["nodes"]) if node["type"] == "decisionTableNode"
    )
    return ("nodes", number, "content", "rules")


def _literal(cell: Any) -> str | None:
    """The text of a quoted cell."""
    if not isinstance(cell, str) or len(cell) < 2 or cell[0] != cell[-1] or cell[0] not in "'\"":
        return None
    return cell[1:-1]


def _kind_of(problem: Any) -> str:
    """What the engine calls it, without the source that it repeats."""
    kind = problem.get("type") if isinstance(problem, dict) else None
    return str(kind or "syntax")


# --- what a change is -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """One row that is in one of two versions alone, says something else in the other, or has
    another turn there. `before`, `after`: its cells, None where it is not there."""

    table: str
    row: str
    before: Mapping[str, str] | None
    after: Mapping[str, str] | None

    @property
    def kind(self) -> Literal["added", "removed", "changed", "moved"]:
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        return "moved" if self.before == self.after else "changed"


def tables_of(policy: Policy) -> dict[str, list[Mapping[str, str]]]:
    """{table: its rows}, by the names of the second form for both."""
    texts = json.loads(policy.source)
    if MANIFEST in texts:
        return {name: rows_of(texts[name]) for name in TABLES}
    return {
        SCORE_CARD: [],
        LIMITS: rows_of(texts[FIRST_LIMITS]),
        RULES: rows_of(texts[FIRST_RULES]),
        PRICING: [],
    }


def compare(before: Policy, after: Policy) -> list[Change]:
    """What the second of two policies says otherwise than the first, table by table. That a row has
    another turn matters wherever the first row that fits counts."""
    changes = []
    old, new = tables_of(before), tables_of(after)
    for table in TABLES:
        left = {row["_id"]: _cells(row) for row in old[table]}
        right = {row["_id"]: _cells(row) for row in new[table]}
        both = [name for name in left if name in right]
        turns = [name for name in right if name in left]
        moved = {
            name for name, other in zip(both, turns, strict=True) if name != other
        } if table != RULES else set()  # fmt: skip
        for name in [*left, *(name for name in right if name not in left)]:
            if left.get(name) != right.get(name) or name in moved:
                changes.append(Change(table, name, left.get(name), right.get(name)))
    return changes


def _cells(row: Mapping[str, str]) -> dict[str, str]:
    return {name: str(cell) for name, cell in row.items() if name != "_id"}
