"""The parameters that this process works with, and how new ones come in while it runs.

python -m shared.parameters.load write-schemas   # JSON Schemas for editors and other tools
"""

from __future__ import annotations

import json
import os
import sys
from datetime import date
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from shared.parameters import models
from shared.parameters.held import FILES, PUBLISHED, SHIPPED, Held, changed, read_held
from shared.parameters.reading import ParametersError

# file or pattern: the model that it must fit
_SCHEMAS: Final[dict[str, type[BaseModel]]] = {"product": models.Product, **FILES}


class UnknownVersionError(LookupError):
    """The version of a product with which an application began is not held: wait, never guess."""


class ChangedVersionError(UnknownVersionError):
    """The version is held, but it says something else than when the application began."""


class _Current:
    """What the process holds; replaced as a whole, so that no reader sees two states mixed."""

    held: Held | None = None
    seen: frozenset[tuple[str, int, int]] = frozenset()  # the folder's fingerprint when it was read


def default_folder() -> Path:
    """Where a process looks that was told nothing else: BANKA_PARAMETERS, or what ships."""
    return Path(os.environ.get("BANKA_PARAMETERS") or SHIPPED)


def held() -> Held:
    """The parameters of this process: those that it took, else those of its default folder."""
    return _Current.held or take(default_folder())


def seen() -> frozenset[tuple[str, int, int]]:
    """The folder's fingerprint when what is held was read."""
    held()
    return _Current.seen


def take(folder: Path | None) -> Held:
    """Work with the parameters of a folder (None: those that ship) from now on.

    Raises ParametersError where they are wrong, or where a version that was published is gone or
    was changed; then those from before stay. For the first taking of a process there is no before.
    """
    seen = fingerprint(folder)
    after = read_held(folder or SHIPPED)
    before = _Current.held
    if before is not None and before.folder == after.folder:
        faults = changed(before, after)
        if faults:
            raise ParametersError(faults)
    _Current.held, _Current.seen = after, seen
    return after


def _look_again() -> bool:
    """Whether another process was quicker: it began an application with a version that was
    published a moment ago, and that this one has not taken yet."""
    folder = held().folder
    if fingerprint(folder) == _Current.seen:
        return False
    try:
        take(folder)
    except ParametersError:  # the watch says so
        return False
    return True


def fingerprint(folder: Path | None) -> frozenset[tuple[str, int, int]]:
    """What a look at the folder tells without reading it: names, times and sizes of its files."""
    root = folder or SHIPPED
    paths = [*root.glob("*.yaml"), *root.glob("products/*/*.yaml"), root / "products" / PUBLISHED]
    seen = set()
    for path in paths:
        try:
            status = path.stat()
        except OSError:  # it went away meanwhile: the next look tells
            continue
        seen.add((str(path.relative_to(root)), status.st_mtime_ns, status.st_size))
    return frozenset(seen)


def load_products() -> dict[str, models.Product]:
    """The newest published version of every product by code, for names and choices."""
    return {code: list(versions.values())[-1].product for code, versions in held().products.items()}


def product_on(code: str, day: date) -> models.Product | None:
    """The version with which an application begins on that business day; None where the product
    is not offered then."""
    return held().on(code, day)


def product_of(code: str, version: str | None = None, digest: str | None = None) -> models.Product:
    """One version of a product, without `version` the newest. `digest`: of the version with which
    the application began.

    Raises UnknownVersionError where the version is not held, ChangedVersionError where it has
    another content by now.
    """
    found = _find(code, version)
    if found is None and version is not None and _look_again():
        found = _find(code, version)
    if found is None:
        raise UnknownVersionError(
            f"version {version or 'current'} of the product {code} is not held:"
            f" put products/{code}/{version or '…'}.yaml and its line in {PUBLISHED} back"
        )
    if digest not in (None, found.digest):
        raise ChangedVersionError(
            f"version {found.version} of the product {code} was changed after applications had"
            f" begun with it: put products/{code}/{found.version}.yaml back as it was"
        )
    return found


def _find(code: str, version: str | None) -> models.Product | None:
    if version is None:
        return held().newest(code)
    found = held().products.get(code, {}).get(version)
    return found.product if found is not None else None


def digest_held(code: str, version: str) -> str | None:
    """The digest of a version as this process works with it; None where it is not held."""
    found = _find(code, version)
    return found.digest if found is not None else None


def load_clocks() -> models.Clocks:
    """Terms, reminders, send window, longest silence."""
    return held().file("clocks", models.Clocks)


def terms_of(product: models.Product) -> models.Terms:
    """The terms that hold for a product: its own, else the clocks'."""
    return product.terms.over(load_clocks())


def load_attention() -> models.Attention:
    """What makes a person look."""
    return held().file("attention", models.Attention)


def load_phrases() -> models.Phrases:
    """The words approved for customers."""
    return held().file("phrases", models.Phrases)


def load_checklist_items() -> models.ChecklistItems:
    """Names and acceptance of every checklist item."""
    return held().file("checklist_items", models.ChecklistItems)


def load_return_codes() -> models.ReturnCodes:
    """Names and remedies of every return code."""
    return held().file("return_codes", models.ReturnCodes)


def load_calendar() -> models.Calendar:
    """Years stated by the bank itself."""
    return held().file("calendar", models.Calendar)


def load_papers() -> models.Papers:
    """What is taken as a paper, its limits, and how long it is kept."""
    return held().file("papers", models.Papers)


def load_customer_page() -> models.CustomerPage:
    """How long a customer's code lets in, and how often may be tried."""
    return held().file("customer_page", models.CustomerPage)


def load_sign_in() -> models.SignIn:
    """How often may be tried to sign in, and how long wrong tries are kept."""
    return held().file("sign_in", models.SignIn)


def load_telephone() -> models.Telephoning:
    """When an applicant is called, how often, and what is asked."""
    return held().file("telephone", models.Telephoning)


def load_checks() -> models.Checks:
    """How the bank's systems are asked about an applicant, and what counts as a hit."""
    return held().file("checks", models.Checks)


def load_figures() -> models.Figures:
    """How figures about many decisions are grouped, and when they say nothing."""
    return held().file("figures", models.Figures)


def load_internal_list() -> models.InternalList:
    """Whom the bank itself watches."""
    return held().file("internal_list", models.InternalList)


def load_accounts() -> models.Accounts:
    """When cards count as dormant or in arrears early, and what follows."""
    return held().file("accounts", models.Accounts)


def load_limit_changes() -> models.LimitChanges:
    """How limits are changed after the decision."""
    return held().file("limit_changes", models.LimitChanges)


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
        (SHIPPED / "schemas" / f"{name}.json").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(_main(sys.argv[1:]))
