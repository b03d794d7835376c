"""Files: every hostile paper by both ways in, and every hostile sheet by both, to its last step:
what a branch takes away has nothing in it that a spreadsheet computes."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from openpyxl import load_workbook

from shared.events.catalog import partner_source
from shared.events.envelope import Envelope, encode
from shared.events.partners import PartnerDocumentSupplied
from shared.identifiers import new_id
from shared.privacy.jwe import encrypt
from shared.web.csv_table import COMPUTED
from tests.end_to_end.town import PAPERS as ITEMS
from tests.fuzz.hostile import FILE_NAMES, PAPERS, SHEETS, made
from tests.fuzz.judging import Answer, of_page, of_program
from tests.fuzz.over_events import Record, _exchange
from tests.fuzz.over_http import KEEPS
from tests.fuzz.over_pages import multipart
from tests.fuzz.world import BRANCH, World

_LARGEST_BY_EVENT = 500_000  # bytes of a paper that fit into a partner's event
_OUR_SUM = re.compile(r"=SUM\([A-Z]+\d+:[A-Z]+\d+\)")
_UNTIL_LOOKED_AT = 180.0  # seconds


def fuzz_papers(most: int, seed: int | None = None) -> Callable[[World], None]:
    """The first `most` papers, from a place in the list that the seed chooses."""

    def run(world: World) -> None:
        document = world.described("intake")
        path = "/intake/api/v1/applications/{application_id}/documents"
        route = document["paths"][path]["post"]
        ids = world.ids["application_id"]
        by_event = []
        for place, name in enumerate(_some(PAPERS, most, seed)):
            content, file = made(name), FILE_NAMES[place % len(FILE_NAMES)]
            body, kind = multipart([("item", b"id_front")], [("file", file, content)])
            url = f"{world.url('intake')}{path}".format(application_id=ids[place % len(ids)])
            headers = {**world.token(), "Content-Type": kind}
            _api(world, f"paper: {name}", "POST", url, headers, body, route, document)
            if len(content) < _LARGEST_BY_EVENT:
                by_event.append(_event(world, content, world.references[-1]))
        _exchange(world, "mobile-app", PartnerDocumentSupplied, by_event)

    return run


def _some(named: dict[str, Any], most: int, seed: int | None) -> Sequence[str]:
    names = list(named)
    start = (seed or 0) % len(names)
    return list(islice([*names[start:], *names[:start]], most))


def _event(world: World, content: bytes, reference: str) -> Record:
    event_id = new_id()
    envelope = Envelope(
        id=event_id,
        type=PartnerDocumentSupplied.type,
        source=partner_source("mobile-app"),
        subject=reference,
        time=datetime(2026, 10, 12, 1, 30, tzinfo=UTC),
    )
    paper = {"item": ITEMS[0], "content": encrypt(content, world.keys)}
    body = json.dumps({"reference": reference, "documents": [paper]}).encode()
    return Record(
        "mobile-app", PartnerDocumentSupplied.type, event_id, reference.encode(),
        list(encode(envelope)), body,
    )  # fmt: skip


def _api(
    world: World,
    where: str,
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes,
    route: dict[str, Any],
    document: dict[str, Any],
) -> Answer:
    def send() -> Answer:
        return world.send(method, url, headers=headers, content=body)

    answer, faults = world.unchanged_by_refusal("intake", send, may_keep=KEEPS)
    faults += of_program(answer, route, document)
    world.tally.saw("file", where, answer.kind)
    world.tally.found("file", where, faults, answer.text[:400])
    world.refused(answer, "file", where, where)
    return answer


def fuzz_sheets(most: int, seed: int | None = None) -> Callable[[World], None]:
    """The first `most` sheets: by the API, and by the page, where they are looked at and taken."""

    def run(world: World) -> None:
        document = world.described("intake")
        route = document["paths"]["/intake/api/v1/batches"]["post"]
        for place, name in enumerate(_some(SHEETS, most, seed)):
            content, file = made(name), FILE_NAMES[place % len(FILE_NAMES)]
            body, kind = multipart([("branch", BRANCH.encode())], [("file", file, content)])
            url = f"{world.url('intake')}/intake/api/v1/batches"
            headers = {**world.token(), "Content-Type": kind}
            _api(world, f"sheet: {name}", "POST", url, headers, body, route, document)
            _by_page(world, name, body, kind)
        _day_report(world)

    return run


def _day_report(world: World) -> None:
    """What reporting hands out of all that came in."""
    (day,) = world.ids["day"]
    where = "GET /reporting/reports/daily/{day}/excel"
    url = f"{world.url('reporting')}/reporting/reports/daily/{day}/excel"
    answer = world.send("GET", url, headers=world.session("assistant"))
    world.tally.saw("file", where, answer.kind)
    computed = _computed("xlsx", answer.body) if answer.status == 200 else ["no file"]
    world.tally.found("file", where, ["the workbook computes"] * bool(computed), computed)


def _by_page(world: World, name: str, body: bytes, kind: str) -> None:
    where = f"sheet: {name}, by page"
    base = world.url("intake")
    headers = {**world.session("assistant"), "Accept": "text/html"}

    def ask(method: str, path: str, **more: Any) -> Answer:
        answer = world.send(
            method, base + path, headers={**headers, **more.pop("also", {})}, **more
        )
        if not path.endswith((".csv", ".xlsx")):
            world.tally.found("file", where, of_page(answer), answer.text[-400:])
        world.tally.saw("file", where, answer.kind)
        return answer

    answer = ask("POST", "/intake/batches", content=body, also={"Content-Type": kind})
    if answer.status != 303:
        return
    here = answer.headers["location"]
    until = time.monotonic() + _UNTIL_LOOKED_AT
    while ask("GET", f"{here}/progress").status == 200:
        if time.monotonic() > until:
            world.tally.found("file", where, ["is not looked at to its end"], here)
            return
        time.sleep(0.2)
    ask("GET", here)
    ask("POST", f"{here}/take")
    for end in ("csv", "xlsx"):
        file = ask("GET", f"{here}/rejected.{end}")
        computed = _computed(end, file.body) if file.status == 200 else ["no file"]
        if computed:
            world.tally.found("file", where, [f"to-correct.{end} computes"], computed)


def _computed(kind: str, content: bytes) -> list[str]:
    """Cells that a spreadsheet would compute, but for sums of our own."""
    if kind == "csv":
        rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        return [
            cell for row in rows for cell in row
            if cell.startswith(tuple(one for one in COMPUTED if one != "'"))
        ]  # fmt: skip
    book = load_workbook(io.BytesIO(content))
    return [
        str(cell.value)
        for sheet in book.worksheets
        for row in sheet.iter_rows()
        for cell in row
        if cell.data_type == "f" and not _OUR_SUM.fullmatch(str(cell.value))
    ]
