"""All parameters of a folder as they hold together: read whole, checked whole, never changed.

A version of a product is **published** once `products/published.sha256` lists it with the digest of
its content. From then on it is fixed: applications have begun with it. A file that is not listed
is a draft, which no service looks at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final, TypeVar, get_args

from pydantic import BaseModel

from shared.events.payload import FIELD_CLASSES
from shared.events.review import DeclineCategory
from shared.formats import FormatCode
from shared.paper_messages import Refusal
from shared.parameters import models
from shared.parameters.reading import (
    Fault,
    ParametersError,
    Text,
    did_you_mean,
    read_model,
    read_text,
)

SHIPPED: Final = Path(__file__).parent
PRODUCTS: Final = "products"
PUBLISHED: Final = "published.sha256"

FILES: Final[dict[str, type[BaseModel]]] = {
    "clocks": models.Clocks,
    "attention": models.Attention,
    "phrases": models.Phrases,
    "checklist_items": models.ChecklistItems,
    "return_codes": models.ReturnCodes,
    "calendar": models.Calendar,
    "papers": models.Papers,
    "customer_page": models.CustomerPage,
    "sign_in": models.SignIn,
    "checks": models.Checks,
    "telephone": models.Telephoning,
    "internal_list": models.InternalList,
    "accounts": models.Accounts,
    "limit_changes": models.LimitChanges,
    "figures": models.Figures,
}
"""The files of which there is one each: name without `.yaml` -> what it must fit."""

_LISTED = re.compile(r"([0-9a-f]{64})  ([a-z_]+)/([0-9]{4}\.[0-9]+)")
_EARLIER = re.compile(r"([0-9]{4})\.([0-9]+)")

_File = TypeVar("_File", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Version:
    """One file of a product. `published`: whether the list names it."""

    product: models.Product
    text: Text = field(repr=False)
    published: bool


@dataclass(frozen=True, slots=True)
class Held:
    """The parameters of a folder. products: by code and version, the older ones first; every
    version that is published, and drafts only where they were asked for."""

    folder: Path
    products: Mapping[str, Mapping[str, Version]]
    files: Mapping[str, BaseModel]

    def file(self, name: str, model: type[_File]) -> _File:
        """One of the files of which there is one each."""
        found = self.files[name]
        assert isinstance(found, model)
        return found

    def newest(self, code: str) -> models.Product | None:
        """The newest version of a product, whether or not it holds yet."""
        versions = self.products.get(code)
        return list(versions.values())[-1].product if versions else None

    def on(self, code: str, day: date) -> models.Product | None:
        """The version with which an application begins on a business day; None before the first."""
        holding = [
            one.product
            for one in self.products.get(code, {}).values()
            if one.product.valid_from <= day
        ]
        return holding[-1] if holding else None

    def digests(self) -> dict[tuple[str, str], str]:
        """{(product, version): digest of its content}."""
        return {
            (code, version): one.product.digest
            for code, versions in self.products.items()
            for version, one in versions.items()
        }


def read_held(folder: Path, *, drafts: bool = False) -> Held:
    """The parameters of a folder; raises ParametersError with every fault of every file.

    drafts: product files that are not published yet are read and checked too.
    """
    faults: list[Fault] = []
    texts: dict[str, Text] = {}
    files: dict[str, BaseModel] = {}
    for name, model in FILES.items():
        try:
            texts[name] = read_text(folder / f"{name}.yaml")
            files[name] = read_model(texts[name], model)
        except ParametersError as error:
            faults += error.faults
    listed = _read_list(folder, faults)
    versions = _read_versions(folder, listed, faults, drafts=drafts)
    if faults:
        # what does not fit its model cannot be held against the rest
        raise ParametersError(faults)
    held = Held(folder, versions, files)
    faults += _faults_between(held, texts)
    if faults:
        raise ParametersError(faults)
    return held


def changed(before: Held, after: Held) -> list[Fault]:
    """Published versions of `before` that `after` lacks or has with another content: nothing of
    that may come into a running service, for applications have begun with them."""
    now = after.digests()
    faults = []
    for (code, version), digest in before.digests().items():
        name = f"{PRODUCTS}/{code}/{version}.yaml"
        found = now.get((code, version))
        if found is None:
            faults.append(Fault(name, 0, 0, "", "was published and is gone", "put it back"))
        elif found != digest:
            faults.append(_altered(Fault(name, 1, 1, "", "", ""), digest, found))
    return faults


def published_list(held: Held) -> str:
    """The list as it stands in the file once everything that is held is published."""
    lines = (f"{digest}  {code}/{version}\n" for (code, version), digest in held.digests().items())
    return "".join(sorted(lines, key=lambda line: line[66:]))


def _altered(place: Fault, listed: str, found: str) -> Fault:
    return Fault(
        place.file,
        place.line,
        place.column,
        "",
        f"was published with the digest {listed[:12]}… and says something else now ({found[:12]}…)",
        "undo the change, and make it in a new version",
    )


def _read_list(folder: Path, faults: list[Fault]) -> dict[tuple[str, str], str]:
    name = f"{PRODUCTS}/{PUBLISHED}"
    try:
        lines = (folder / PRODUCTS / PUBLISHED).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError):
        faults.append(Fault(name, 0, 0, "", "cannot be read", "restore it"))
        return {}
    listed: dict[tuple[str, str], str] = {}
    for number, line in enumerate(lines, start=1):
        match = _LISTED.fullmatch(line)
        if match is None or (match[2], match[3]) in listed:
            says = "is no line of this list" if match is None else "is listed twice"
            faults.append(Fault(name, number, 1, "", says, "restore it"))
            continue
        listed[match[2], match[3]] = match[1]
    return listed


def _read_versions(
    folder: Path,
    listed: Mapping[tuple[str, str], str],
    faults: list[Fault],
    *,
    drafts: bool,
) -> dict[str, dict[str, Version]]:
    found: dict[tuple[str, str], Version] = {}
    there = {(path.parent.name, path.stem) for path in folder.glob(f"{PRODUCTS}/*/*.yaml")}
    for code, version in sorted(listed.keys() - there):
        name = f"{PRODUCTS}/{code}/{version}.yaml"
        faults.append(Fault(name, 0, 0, "", "was published and is gone", "put it back"))
    for code, version in sorted(there if drafts else there & listed.keys()):
        name = f"{PRODUCTS}/{code}/{version}.yaml"
        try:
            text = read_text(folder / name, name)
            product = read_model(text, models.Product)
        except ParametersError as error:
            faults += error.faults
            continue
        for key, stands, path in (
            ("product", product.product, code),
            ("version", product.version, version),
        ):
            if stands != path:
                mend = f"name it {path!r}, or move the file"
                faults.append(text.fault((key,), f"is {stands!r}, not the file's", mend))
        digest = listed.get((code, version))
        if digest not in (None, product.digest):
            faults.append(_altered(text.fault((), "", ""), str(digest), product.digest))
        found[code, version] = Version(product, text, digest is not None)
    if drafts:
        for stray in sorted((folder / PRODUCTS).glob("*.yaml")):
            name = f"{PRODUCTS}/{stray.name}"
            mend = f"move it to {PRODUCTS}/{stray.stem}/<version>.yaml"
            faults.append(Fault(name, 0, 0, "", "lies where nobody looks for it", mend))
    by_code: dict[str, dict[str, Version]] = {}
    for (code, version), one in sorted(found.items(), key=lambda item: _in_order(*item[0])):
        by_code.setdefault(code, {})[version] = one
    if not by_code:
        says, mend = "no product is published", "add one and run `banka products publish`"
        faults.append(Fault(f"{PRODUCTS}/{PUBLISHED}", 0, 0, "", says, mend))
    return by_code


def _in_order(code: str, version: str) -> tuple[str, int, int]:
    match = _EARLIER.fullmatch(version)
    return (code, int(match[1]), int(match[2])) if match else (code, 0, 0)


# -- what holds between the files ------------------------------------------------------------------


def _faults_between(held: Held, texts: Mapping[str, Text]) -> Iterator[Fault]:
    clocks = held.file("clocks", models.Clocks)
    yield from _faults_of_words(held, texts)
    items = held.file("checklist_items", models.ChecklistItems).items
    for item in sorted(held.file("attention", models.Attention).short_months.keys() - items.keys()):
        yield texts["attention"].fault(
            ("short_months", item), "is no checklist item", did_you_mean(item, items)
        )
    yield from _silences_too_short(clocks, clocks, texts["clocks"], ())
    for versions in held.products.values():
        before: models.Product | None = None
        for one in versions.values():
            yield from _faults_of_product(held, one, clocks)
            if before is not None and one.product.valid_from <= before.valid_from:
                yield one.text.fault(
                    ("valid_from",),
                    f"is not after that of version {before.version}",
                    "a newer version holds from a later day",
                )
            before = one.product


def _faults_of_words(held: Held, texts: Mapping[str, Text]) -> Iterator[Fault]:
    """Every code that a program uses needs words for people."""
    codes = held.file("return_codes", models.ReturnCodes).codes
    for code in sorted(set(FormatCode) - codes.keys()):
        yield texts["return_codes"].fault(("codes",), f"has no words for {code}", "add them")
    known, refusals = get_args(Refusal), held.file("papers", models.Papers).refusals
    for reason in sorted(set(known) - refusals.keys()):
        yield texts["papers"].fault(("refusals",), f"has no words for {reason}", "add them")
    for reason in sorted(refusals.keys() - set(known)):
        yield texts["papers"].fault(
            ("refusals", reason), "is no reason to refuse a file", did_you_mean(reason, known)
        )
    declines = held.file("phrases", models.Phrases).declines
    categories = {one.value for one in DeclineCategory}
    for category in sorted(categories - declines.keys()):
        yield texts["phrases"].fault(("declines",), f"has no words for {category}", "add them")
    for category in sorted(declines.keys() - categories):
        yield texts["phrases"].fault(
            ("declines", category),
            "is no category of a decline",
            did_you_mean(category, categories),
        )


def _faults_of_product(held: Held, one: Version, clocks: models.Clocks) -> Iterator[Fault]:
    product, text = one.product, one.text
    yield from _faults_of_materials(held, product, text)
    yield from _faults_of_form(product, text)
    items = held.file("checklist_items", models.ChecklistItems).items
    longest = product.validity.longest_days
    for part in ("longest_days", "warn_days", "shortest_months"):
        for item in sorted(getattr(product.validity, part).keys() - items.keys()):
            yield text.fault(
                ("validity", part, item), "is no checklist item", did_you_mean(item, items)
            )
    for item, days in product.validity.warn_days.items():
        if days >= longest.get(item, 0):
            yield text.fault(
                ("validity", "warn_days", item),
                "warns when the paper no longer counts",
                f"let longest_days of {item} be longer",
            )
    categories = held.file("phrases", models.Phrases).declines
    for number, category in enumerate(product.cool_down.waived_for):
        if category not in categories:
            yield text.fault(
                ("cool_down", "waived_for", number),
                f"{category!r} is no category of a decline",
                did_you_mean(category, categories),
            )
    yield from _silences_too_short(product.terms.over(clocks), clocks, text, ("terms",))


def _faults_of_materials(held: Held, product: models.Product, text: Text) -> Iterator[Fault]:
    items = held.file("checklist_items", models.ChecklistItems).items
    for applicant, requirements in product.materials.items():
        groups: set[str] = set()
        asked: dict[tuple[str, models.Condition], int] = {}
        for number, line in enumerate(requirements):
            place = ("materials", applicant, number)
            for position, item in enumerate(line.items):
                if item not in items:
                    yield text.fault(
                        (*place, "items", position),
                        f"{item!r} is no checklist item",
                        did_you_mean(item, items),
                    )
                if line.need != "optional" and (item, line.when) in asked:
                    yield text.fault(
                        (*place, "items", position),
                        f"{item!r} is asked for twice",
                        "keep one of the lines",
                    )
                if line.need != "optional":
                    asked[item, line.when] = number
            if line.group is not None and line.need != "one_of":
                yield text.fault(
                    (*place, "group"), f"is none: the line is {line.need}", "take it away"
                )
            elif line.group is not None and line.group in groups:
                yield text.fault(
                    (*place, "group"), f"{line.group!r} is another choice's", "name it otherwise"
                )
            groups |= {line.group} if line.group else set()
            yield from _faults_of_condition(product, applicant, line, text, place)


def _faults_of_condition(
    product: models.Product,
    applicant: models.ApplicantTypeName,
    line: models.Requirement,
    text: Text,
    place: tuple[str | int, ...],
) -> Iterator[Fault]:
    if line.when is models.Condition.ALWAYS:
        return
    if line.need == "optional":
        yield text.fault(
            (*place, "when"), "is a condition of what is never asked for", "take it away"
        )
    if line.when is models.Condition.HOLDER_HAS_PASSPORT and product.identity.passport is None:
        yield text.fault(
            (*place, "when"),
            "never holds: nobody applies for this product with a passport",
            "take the line away, or say under identity what a passport has to be",
        )
    ages, minor_under = product.applicants[applicant], product.identity.minor_under
    if line.when is models.Condition.HOLDER_IS_MINOR and ages.youngest >= minor_under:
        yield text.fault(
            (*place, "when"),
            f"never holds: the youngest holder is {ages.youngest}, a minor is under {minor_under}",
            "take the line away, or correct the ages",
        )


def _faults_of_form(product: models.Product, text: Text) -> Iterator[Fault]:
    for part in ("needed", "needed_of"):
        for whose, names in getattr(product.form, part).items():
            for number, name in enumerate(names):
                if name not in FIELD_CLASSES:
                    yield text.fault(
                        ("form", part, whose, number),
                        f"{name!r} is no field of the form",
                        did_you_mean(name, FIELD_CLASSES),
                    )
    for role in ("supplementary_holder", "guardian", "contact"):
        if role not in product.form.needed_of:
            yield text.fault(("form", "needed_of"), f"says nothing of {role}", "add it")
    holders: dict[tuple[str, ...], list[str]] = {
        ("form", "needed", applicant): names
        for applicant, names in product.form.needed.items()
        if applicant != "supplementary"
    }
    if "supplementary" in product.applicants:
        needed = product.form.needed_of.get("supplementary_holder", [])
        holders["form", "needed_of", "supplementary_holder"] = needed
    for place, names in holders.items():
        for name in ("name", "id_number", "mobile"):
            if name not in names:
                yield text.fault(
                    place, f"{name} is missing", "add it: nobody can be checked without it"
                )


def _silences_too_short(
    terms: models.Terms, clocks: models.Clocks, text: Text, place: tuple[str, ...]
) -> Iterator[Fault]:
    """A case that waits for its customer must not count as stuck while the term still runs."""
    for state, key, days, unit in (
        ("draft", "draft_days", terms.draft_days, "days"),
        ("pre_check", "pre_check_working_days", terms.pre_check_working_days, "working_days"),
        ("awaiting_material", "material", terms.material.working_days, "working_days"),
        ("delivered", "activation_days", terms.activation_days, "days"),
    ):
        limit = clocks.longest_silence.of(state)
        least = days if state == "pre_check" else days + 1
        if place and getattr(terms, key) == getattr(clocks, key):
            continue  # said of the clocks already
        if limit.unit == unit and limit.days < least:
            yield text.fault(
                (*place, key),
                f"runs {days} {unit.replace('_', ' ')}, but the state {state} counts as stuck"
                f" after {limit.days}",
                f"let longest_silence.{state} in clocks.yaml be {least} at least",
            )
