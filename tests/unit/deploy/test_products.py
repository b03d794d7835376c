"""`banka products`: what is wrong is said with file, line and column, and how to mend it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from shared.parameters import product_of
from shared.parameters.held import SHIPPED, published_list, read_held

RUN = CliRunner()
STANDARD = "products/standard/2026.3.yaml"
STANDARD_FOLDER = "products/standard/<version>.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "parameters"
    shutil.copytree(SHIPPED, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    text = (copy / "products/standard/2026.1.yaml").read_text(encoding="utf-8")
    text = text.replace('version: "2026.1"', 'version: "2026.3"')
    text = text.replace("valid_from: 2026-01-01", "valid_from: 2026-12-01")
    (copy / STANDARD).write_text(text, encoding="utf-8")
    return copy


def check(folder: Path) -> tuple[int, list[str]]:
    outcome = RUN.invoke(app, ["products", "check", str(folder)])
    return outcome.exit_code, (outcome.stderr or outcome.stdout).splitlines()


def test_what_ships_is_right() -> None:
    code, lines = check(SHIPPED)
    files = list((SHIPPED / "products").glob("*/*.yaml"))
    assert (code, len(lines)) == (0, len(files))
    assert all(line.endswith(": right") for line in lines)


def test_a_draft_is_checked_too_and_said_to_be_one(folder: Path) -> None:
    code, lines = check(folder)
    assert code == 0
    assert "standard 2026.3: right, not published yet" in lines


GROUP = "{need: one_of, group: income, items: [income_proof, tax_proof, social_security_proof]}"
EXISTING = ("name", "id_number", "id_issued", "mobile", "home_address", "monthly_income")
# what was written instead of what; the text at which the message points, and the message
BROKEN = {
    "not YAML": (
        "names: {zh: 标准信用卡, en: Standard credit card}",
        "names: {zh: 标准信用卡, en: Standard credit card",
        None,
        "is not YAML: .*; look at the indentation, the colons and the brackets",
    ),
    "a key twice": (
        "channels:",
        "channels: [web]\nchannels:",
        "channels: [web]",
        "channels: stands here twice; keep one of them",
    ),
    "an anchor": (
        "  salaried: {youngest: 18, oldest: 65}\n  self_employed: {youngest: 18, oldest: 65}",
        "  salaried: &ages {youngest: 18, oldest: 65}\n  self_employed: *ages",
        "self_employed: *ages",
        r"applicants.self_employed: is repeated by reference \(\*…\); write it out",
    ),
    "a misspelt key": (
        "cool_down:",
        "cooldown:",
        "cooldown:",
        "cooldown: is not known here; did you mean 'cool_down'?",
    ),
    "a missing part": ("valid_from: 2026-12-01", "", None, "valid_from: is missing; add it"),
    "no number": (
        "cards_per_customer: 5",
        "cards_per_customer: many",
        "cards_per_customer",
        "cards_per_customer: is 'many'; input should be a valid integer",
    ),
    "an unknown channel": (
        "[counter, mobile_app, web, batch, partner]",
        "[counter, mobileapp, web, batch, partner]",
        "mobileapp",
        "channels.1: 'mobileapp' is not known; did you mean 'mobile_app'?",
    ),
    "another product's name": (
        "product: standard",
        "product: gold",
        "product: gold",
        "product: is 'gold', not the file's; name it 'standard', or move the file",
    ),
    "an unknown item": (
        "items: [work_proof]}\n    - " + GROUP,
        "items: [workproof]}\n    - " + GROUP,
        "workproof]",
        "materials.salaried.4.items.0: 'workproof' is no checklist item; did you mean 'work_proof",
    ),
    "an item asked for twice": (
        "items: [business_licence]",
        "items: [id_front]",
        None,
        r"materials.self_employed.4.items.0: 'id_front' is asked for twice; keep one of the lines",
    ),
    "a choice of one": (
        GROUP,
        "{need: one_of, group: income, items: [income_proof]}",
        "{need: one_of, group: income, items: [income_proof]}",
        "materials.salaried.5: a choice is a group of two items at least; give it `group: …`",
    ),
    "a choice without a name": (
        GROUP,
        "{need: one_of, items: [income_proof, tax_proof]}",
        "{need: one_of, items: [income_proof, tax_proof]}",
        "materials.salaried.5: a choice is a group of two items at least",
    ),
    "a group that is none": (
        "{need: mandatory, items: [business_licence]}",
        "{need: mandatory, group: licence, items: [business_licence]}",
        "group: licence",
        "materials.self_employed.4.group: is none: the line is mandatory; take it away",
    ),
    "two choices of one name": (
        GROUP,
        GROUP + "\n    - {need: one_of, group: income, items: [asset_proof, bank_statement]}",
        "group: income, items: [asset_proof",
        "materials.salaried.6.group: 'income' is another choice's; name it otherwise",
    ),
    "two mandatory items in a line": (
        "items: [business_licence]",
        "items: [business_licence, bank_statement]",
        "items: [business_licence, ",
        "materials.self_employed.4.items: mandatory names exactly one item; write a line for each",
    ),
    "an unknown condition": (
        "{need: mandatory, items: [business_licence]}",
        "{need: mandatory, items: [business_licence], when: sometimes}",
        "when: sometimes",
        "materials.self_employed.4.when: 'sometimes' is not known; known are always, ",
    ),
    "a condition that never holds": (
        "{need: mandatory, items: [business_licence]}",
        "{need: mandatory, items: [business_licence], when: holder_is_minor}",
        "when: holder_is_minor",
        "self_employed.4.when: never holds: the youngest holder is 18, a minor is under 18; take",
    ),
    "a condition of passports where none is taken": (
        "{need: mandatory, items: [business_licence]}",
        "{need: mandatory, items: [business_licence], when: holder_has_passport}",
        "when: holder_has_passport",
        "self_employed.4.when: never holds: nobody applies for this product with a passport; take",
    ),
    "a condition of what is welcome": (
        "{need: optional, items: [work_proof, income_proof, bank_statement]}",
        "{need: optional, items: [work_proof, income_proof], when: not_on_file}",
        "when: not_on_file",
        "asset_owner.5.when: is a condition of what is never asked for; take it away",
    ),
    "a window of no item": (
        "    income_proof: 93 ",
        "    incomeproof: 93 ",
        "incomeproof: 93",
        "validity.longest_days.incomeproof: is no checklist item; did you mean 'income_proof'?",
    ),
    "a warning too late": (
        "    tax_proof: 186 ",
        "    tax_proof: 366 ",
        "tax_proof: 366   ",
        "validity.warn_days.tax_proof: warns when the paper no longer counts; let longest_days",
    ),
    "a field that is none": (
        "guardian: [name, id_number, mobile]",
        "guardian: [name, idnumber, mobile]",
        "idnumber",
        "form.needed_of.guardian.1: 'idnumber' is no field of the form; did you mean 'id_number'?",
    ),
    "a person who cannot be checked": (
        "asset_owner: [name, id_number, id_issued,",
        "asset_owner: [name, id_issued,",
        "asset_owner: [name, id_issued",
        "form.needed.asset_owner: id_number is missing; add it: nobody can be checked without it",
    ),
    "a role of which nothing is said": (
        "    contact: [name, mobile]\n",
        "",
        "needed_of:",
        "form.needed_of: says nothing of contact; add it",
    ),
    "an applicant of whom nothing is said": (
        "    existing_customer: [" + ", ".join(EXISTING) + "]\n",
        "",
        "needed:",
        "form.needed: says nothing of existing_customer; add it",
    ),
    "lengths the wrong way": (
        "{shortest: 6, longest: 80}",
        "{shortest: 80, longest: 6}",
        "shortest: 80",
        "form.fields.address.shortest: shortest is above longest; exchange them",
    ),
    "a tolerance without bounds": (
        "term_tolerance_days: 1 ",
        "term_tolerance_days: 400 ",
        "term_tolerance_days",
        "identity.term_tolerance_days: is 400; input should be less than or equal to 31",
    ),
    "bands out of order": (
        "age: [18, 26, 36,",
        "age: [18, 36, 26,",
        "age: [18, 36",
        "bands.age: the bands do not ascend; put them in order",
    ),
    "ages the wrong way": (
        "existing_customer: {youngest: 18, oldest: 65}",
        "existing_customer: {youngest: 66, oldest: 65}",
        "youngest: 66",
        "applicants.existing_customer.youngest: youngest is above oldest; exchange them",
    ),
    "a main card for a minor": (
        "existing_customer: {youngest: 18, oldest: 65}",
        "existing_customer: {youngest: 17, oldest: 65}",
        "youngest: 17",
        "applicants.existing_customer.youngest: a main card is for nobody under 18; state 18 or",
    ),
    "limits the wrong way": (
        "smallest: {minor: 300000,",
        "smallest: {minor: 99900000000,",
        "smallest: {minor: 999",
        "limit.smallest: needs smallest ≤ largest ≤ total_cap; correct one of them",
    ),
    "an unknown decline": (
        "waived_for: [material_unsound]",
        "waived_for: [material]",
        "material]    # u",
        "cool_down.waived_for.0: 'material' is no category of a decline; did you mean",
    ),
    "a reminder after the term": (
        "limit:\n",
        "terms:\n  material: {working_days: 5, remind_working_days_before: 5}\nlimit:\n",
        "remind_working_days_before",
        "terms.material.remind_working_days_before: the reminder falls outside the term; remind",
    ),
    "a term longer than its silence": (
        "limit:\n",
        "terms:\n  material: {working_days: 15, remind_working_days_before: 3}\nlimit:\n",
        "material: {working_days: 15",
        "terms.material: runs 15 working days, .*; let longest_silence.awaiting_material .* be 16",
    ),
    "a version that holds too early": (
        "valid_from: 2026-12-01",
        "valid_from: 2026-01-01",
        "valid_from",
        "valid_from: is not after that of version 2026.2; a newer version holds from a later day",
    ),
    "a digest by hand": (
        "product: standard",
        "product: standard\ndigest: abc",
        "digest: abc",
        "digest: is computed, not written; take the line away",
    ),
}


@pytest.mark.parametrize(("old", "new", "points_at", "message"), BROKEN.values(), ids=[*BROKEN])
def test_a_broken_product_is_refused_with_its_place_and_the_remedy(
    folder: Path, old: str, new: str, points_at: str | None, message: str
) -> None:
    path = folder / STANDARD
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    code, lines = check(folder)
    assert code == 1
    assert len(lines) == 1, lines
    found = re.fullmatch(rf"{re.escape(STANDARD)}:(\d+):(\d+): .*{message}.*", lines[0])
    assert found, lines
    if points_at is not None:
        line = path.read_text(encoding="utf-8").splitlines()[int(found[1]) - 1]
        assert line[int(found[2]) - 1 :].startswith(points_at.splitlines()[0])


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("clocks", "draft_days: 30", "draft_days: 31", "draft_days: runs 31 days, but the state"),
        ("clocks", 'opens: "08:00"', 'opens: "22:00"', "send_window.opens: the window closes"),
        ("clocks", '"09:00"', '"07:00"', "reminder_time: lies outside the send window; choose"),
        (
            "clocks",
            "  posted: {days: 15",
            "  lost: {days: 15",
            "longest_silence.lost: is not known",
        ),
        ("return_codes", "  EMAIL_FORM:", "  E_MAIL_FORM:", "codes: has no words for EMAIL_FORM;"),
        ("phrases", "  credit_history:", "  history:", "declines: has no words for credit_history"),
        ("papers", "  two_in_one:", "  two_for_one:", "refusals: has no words for two_in_one"),
        ("papers", "  empty:", "  empti:", "refusals.empti: is no reason to refuse a file;"),
        (
            "checklist_items",
            "  work_proof:",
            "  job_proof:",
            "materials.salaried.4.items.0: 'work_proof' is no checklist item",
        ),
        (
            "attention",
            "  income_proof: 6",
            "  payslip: 6",
            "short_months.payslip: is no checklist item",
        ),
        ("attention", "persons: 3", "persons: 1", "shared_mobile.persons: "),
        ("attention", "always", "never", "retired_place: "),
        ("calendar", "years: {}", "years: {2027: {}}", "years.2027.notice: is missing; add it"),
    ],
)
def test_the_other_files_are_checked_with_the_products(
    folder: Path, name: str, old: str, new: str, message: str
) -> None:
    path = folder / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    code, lines = check(folder)
    assert code == 1
    assert any(re.search(rf"\.yaml:\d+:\d+: {re.escape(message)}", line) for line in lines), lines


def test_everything_that_is_wrong_is_said_at_once(folder: Path) -> None:
    path = folder / STANDARD
    text = path.read_text(encoding="utf-8")
    text = text.replace("[work_proof]", "[workproof]").replace("tax_proof: 186", "tax_proof: 999")
    path.write_text(text, encoding="utf-8")
    code, lines = check(folder)
    assert code == 1
    assert len(lines) == 2 + text.count("[workproof]") - 1
    assert [int(line.split(":")[1]) for line in lines] == sorted(
        int(line.split(":")[1]) for line in lines
    )


def test_a_published_version_that_was_edited_is_refused_and_one_that_is_gone(folder: Path) -> None:
    path = folder / "products/gold/2026.1.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("cards_per_customer: 5", "cards_per_customer: 6"), "utf-8")
    code, (line,) = check(folder)
    assert code == 1
    assert re.fullmatch(
        r"products/gold/2026\.1\.yaml:\d+:1: was published with the digest [0-9a-f]{12}… and says"
        r" something else now \([0-9a-f]{12}…\); undo the change, and make it in a new version",
        line,
    )
    path.unlink()
    code, (line,) = check(folder)
    assert (code, line) == (
        1,
        "products/gold/2026.1.yaml: was published and is gone; put it back",
    )


def test_a_file_in_the_wrong_place_is_pointed_out(folder: Path) -> None:
    (folder / STANDARD).rename(folder / "products/standard.yaml")
    assert check(folder) == (
        1,
        ["products/standard.yaml: lies where nobody looks for it; move it to " + STANDARD_FOLDER],
    )


def test_what_is_published_is_fixed_and_nothing_wrong_is_published(folder: Path) -> None:
    path, listed = folder / STANDARD, folder / "products/published.sha256"
    text, before = path.read_text(encoding="utf-8"), listed.read_text(encoding="utf-8")
    path.write_text(text.replace("[work_proof]", "[workproof]"), encoding="utf-8")
    assert RUN.invoke(app, ["products", "publish", str(folder)]).exit_code == 1
    assert listed.read_text(encoding="utf-8") == before

    path.write_text(text, encoding="utf-8")
    outcome = RUN.invoke(app, ["products", "publish", str(folder)])
    assert (outcome.exit_code, outcome.stdout) == (0, "published standard 2026.3\n")
    assert set(before.splitlines()) < set(listed.read_text(encoding="utf-8").splitlines())
    again = RUN.invoke(app, ["products", "publish", str(folder)])
    assert (again.exit_code, again.stdout) == (0, "everything is published\n")


def test_a_version_is_shown_with_its_digest_and_the_terms_that_hold(folder: Path) -> None:
    shown = RUN.invoke(app, ["products", "show", "standard", "2026.1", "--folder", str(folder)])
    assert shown.exit_code == 0
    assert "标准信用卡 / Standard credit card" in shown.stdout
    assert f"digest      {product_of('standard', '2026.1').digest}" in shown.stdout
    assert "others      2026.2, 2026.3" in shown.stdout
    assert re.search(r"draft_days +30  \(clocks\.yaml\)", shown.stdout)
    assert shown.stdout.endswith(
        (folder / "products/standard/2026.1.yaml").read_text(encoding="utf-8")
    )
    newest = RUN.invoke(app, ["products", "show", "standard", "--folder", str(folder)])
    assert "product     standard 2026.3  (a draft)" in newest.stdout
    for wrong in (["platinum"], ["standard", "1999.1"]):
        assert RUN.invoke(app, ["products", "show", *wrong]).exit_code == 1


def test_a_folder_of_ones_own_begins_with_what_ships_and_keeps_what_it_has(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    clocks = (SHIPPED / "clocks.yaml").read_text(encoding="utf-8")
    (own / "clocks.yaml").write_text(clocks.replace("draft_days: 30", "draft_days: 20"), "utf-8")
    assert RUN.invoke(app, ["products", "copy", str(own)]).exit_code == 0
    assert "draft_days: 20" in (own / "clocks.yaml").read_text(encoding="utf-8")
    assert read_held(own).digests() == read_held(SHIPPED).digests()
    assert (own / "products/published.sha256").read_text(encoding="utf-8") == published_list(
        read_held(SHIPPED)
    )
    assert RUN.invoke(app, ["products", "copy", str(own)]).stdout.startswith("nothing was missing")
