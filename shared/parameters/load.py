"""Reads and checks the parameter files; a wrong file is refused with its name and the place in it.

python -m shared.parameters.load write-schemas   # JSON Schemas for editors and other tools
"""

from __future__ import annotations

import hashlib
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from shared.parameters import models

FOLDER: Final = Path(__file__).parent

_Model = TypeVar("_Model", bound=BaseModel)

# file or pattern: the model that it must fit
_SCHEMAS: Final[dict[str, type[BaseModel]]] = {
    "product": models.Product,
    "clocks": models.Clocks,
    "phrases": models.Phrases,
    "checklist_items": models.ChecklistItems,
    "return_codes": models.ReturnCodes,
    "calendar": models.Calendar,
    "papers": models.Papers,
}


class ParametersError(ValueError):
    """A parameter file is missing or wrong; one line per fault with file and place."""


class UnknownVersionError(LookupError):
    """An event names a product or version that this release does not hold: wait, never guess."""


@cache
def load_products() -> dict[str, models.Product]:
    """The products by code, as they are now."""
    products: dict[str, models.Product] = {}
    items = load_checklist_items().items
    for path in sorted((FOLDER / "products").glob("*.yaml")):
        product = read(path, models.Product)
        if product.product != path.stem:
            raise ParametersError(f"{path.name}: product: is {product.product!r}, not the file's")
        for applicant, requirements in product.materials.items():
            for requirement in requirements:
                unknown = set(requirement.items) - items.keys()
                if unknown:
                    raise ParametersError(
                        f"{path.name}: materials.{applicant}: unknown items {sorted(unknown)}"
                    )
        products[product.product] = product
    return products


def product_of(code: str, version: str | None = None) -> models.Product:
    """One product; raises UnknownVersionError if code or version are not held."""
    product = load_products().get(code)
    if product is None or version not in (None, product.version):
        raise UnknownVersionError(f"product {code} version {version or 'current'} is not known")
    return product


@cache
def load_clocks() -> models.Clocks:
    """Terms, reminders, send window, longest silence."""
    return read(FOLDER / "clocks.yaml", models.Clocks)


@cache
def load_phrases() -> models.Phrases:
    """The words approved for customers."""
    return read(FOLDER / "phrases.yaml", models.Phrases)


@cache
def load_checklist_items() -> models.ChecklistItems:
    """Names and acceptance of every checklist item."""
    return read(FOLDER / "checklist_items.yaml", models.ChecklistItems)


@cache
def load_return_codes() -> models.ReturnCodes:
    """Names and remedies of every return code."""
    return read(FOLDER / "return_codes.yaml", models.ReturnCodes)


@cache
def load_calendar() -> models.Calendar:
    """Years stated by the bank itself."""
    return read(FOLDER / "calendar.yaml", models.Calendar)


@cache
def load_papers() -> models.Papers:
    """What is taken as a paper, its limits, and how long it is kept."""
    return read(FOLDER / "papers.yaml", models.Papers)


def read(path: Path, model: type[_Model]) -> _Model:
    """A parameter file as its model; raises ParametersError."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ParametersError(f"{path.name}: {problem.strerror}") from None
    except yaml.YAMLError as problem:
        place = getattr(problem, "problem_mark", None)
        line = f" line {place.line + 1}" if place is not None else ""
        raise ParametersError(
            f"{path.name}:{line} {getattr(problem, 'problem', 'not YAML')}"
        ) from None
    if not isinstance(content, dict):
        raise ParametersError(f"{path.name}: must be a mapping")
    if "digest" in content:
        raise ParametersError(f"{path.name}: digest: is computed, not written")
    try:
        return model.model_validate({**content, "digest": digest_of(content)})
    except ValidationError as problem:
        faults = (
            f"{path.name}: {'.'.join(map(str, fault['loc'])) or 'file'}:"
            f" {fault['msg'].removeprefix('Value error, ')}"
            for fault in problem.errors(include_url=False)
        )
        raise ParametersError("\n".join(faults)) from None


def digest_of(content: dict[str, Any]) -> str:
    """SHA-256 of the content in canonical JSON: comments and order of keys do not change it."""
    canonical = json.dumps(
        content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def schemas() -> dict[str, str]:
    """`{name: JSON Schema text}` as they stand in `schemas/<name>.json`."""
    written = {}
    for name, model in _SCHEMAS.items():
        schema = model.model_json_schema()
        # the digest is added on load: a file must not bring one
        schema["properties"].pop("digest")
        schema["required"].remove("digest")
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        written[name] = json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    return written


def _main(arguments: list[str]) -> int:
    if arguments != ["write-schemas"]:
        sys.stderr.write("usage: python -m shared.parameters.load write-schemas\n")
        return 2
    for name, text in schemas().items():
        (FOLDER / "schemas" / f"{name}.json").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(_main(sys.argv[1:]))
