"""What a report was made of, so that it can be made again, byte for byte.

The cut is a position in every partition of the topics that were read; events that waited there
(parked) are named, because they may be applied later and must not appear in the same report.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shared.clock import format_instant, parse_instant
from shared.parameters import load_calendar, load_phrases

# All that decides what stands in a report: rules and words of this service, the lifecycle, the
# calendar that says which day an instant is in.
_SERVICE = Path(__file__).parents[1]
_SHARED = _SERVICE.parents[1] / "shared"
_CODE = (
    _SERVICE / "kpis.py",
    _SERVICE / "projections.py",
    _SERVICE / "outside.py",
    _SHARED / "events" / "lifecycle.py",
    _SHARED / "calendar.py",
)
_TEMPLATE = (
    _SERVICE / "reports" / "daily.py",
    _SERVICE / "reports" / "excel.py",
    _SERVICE / "words.py",
    _SERVICE / "locale" / "zh_CN.po",
    _SHARED / "web" / "locale" / "zh_CN.po",
    _SHARED / "web" / "states.py",
)


@dataclass(frozen=True, slots=True)
class Position:
    """All events of a partition below `next` were read."""

    topic: str
    partition: int
    next: int


@dataclass(frozen=True, slots=True)
class Parked:
    """An event below the cut that was not applied when the report was made."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Up to where the event log was read."""

    positions: tuple[Position, ...]
    parked: tuple[Parked, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The recipe of one report.

    branches: those that it covers, None for the whole bank. knows_holds: whether it tells of held
    cases. code, template, libraries: digests and
    versions of what made it; another build refuses to say whether the bytes are right.
    """

    kind: str
    day: date
    as_of: datetime
    zone: str
    language: str
    branches: tuple[str, ...] | None
    knows_holds: bool
    cut: Cut
    parameters: dict[str, str]
    code: str
    template: str
    libraries: dict[str, str]

    def to_json(self) -> str:
        """The manifest as canonical JSON: equal manifests are equal texts."""
        return json.dumps(
            {**asdict(self), "day": self.day.isoformat(), "as_of": format_instant(self.as_of)},
            sort_keys=True,
            separators=(",", ":"),
        )

    @property
    def id(self) -> str:
        """Names the manifest by its content."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:32]

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        raw: dict[str, Any] = json.loads(text)
        cut = raw.pop("cut")
        branches = raw.pop("branches")
        return cls(
            **{
                **raw,
                "day": date.fromisoformat(raw["day"]),
                "as_of": parse_instant(raw["as_of"]),
                "branches": None if branches is None else tuple(branches),
                "cut": Cut(
                    tuple(Position(**position) for position in cut["positions"]),
                    tuple(Parked(**parked) for parked in cut["parked"]),
                ),
            }
        )


def make_manifest(
    *,
    kind: str,
    day: date,
    as_of: datetime,
    zone: str,
    language: str,
    branches: Sequence[str] | None,
    knows_holds: bool,
    cut: Cut,
) -> Manifest:
    """The manifest of a report that this build makes now."""
    return Manifest(
        kind=kind,
        day=day,
        as_of=as_of,
        zone=zone,
        language=language,
        branches=None if branches is None else tuple(sorted(branches)),
        knows_holds=knows_holds,
        cut=cut,
        parameters=_parameters(),
        code=_digest(_CODE),
        template=_digest(_TEMPLATE),
        libraries=_libraries(),
    )


def changed_since(manifest: Manifest) -> list[str]:
    """What of this build differs from the one that made the report; empty if nothing does."""
    found = []
    if manifest.code != _digest(_CODE):
        found.append("code")
    if manifest.template != _digest(_TEMPLATE):
        found.append("template")
    if manifest.parameters != _parameters():
        found.append("parameters")
    if manifest.libraries != _libraries():
        found.append("libraries")
    return found


@cache
def _digest(files: tuple[Path, ...]) -> str:
    total = hashlib.sha256()
    for path in files:
        body = path.read_bytes() if path.exists() else b""
        total.update(path.name.encode() + b"\0" + hashlib.sha256(body).digest())
    return total.hexdigest()[:16]


def _parameters() -> dict[str, str]:
    files = {
        "phrases": load_phrases(),
        "calendar": load_calendar(),
    }
    return {name: f"{file.version}+{file.digest[:12]}" for name, file in files.items()}


def _libraries() -> dict[str, str]:
    # compressed bytes depend on the compressor, not only on what is compressed
    return {"xlsxwriter": version("xlsxwriter"), "zlib": zlib.ZLIB_RUNTIME_VERSION}
