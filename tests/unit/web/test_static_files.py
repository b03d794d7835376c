"""Styles and scripts: only what we ship, kept until it changes, small on the wire."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from shared.web import static_files
from tests.unit.web.conftest import Visit

CSS = "banka.css"


def test_an_address_changes_with_the_content() -> None:
    assert re.fullmatch(r"/static/banka\.css\?v=[0-9a-f]{10}", static_files.url(CSS))
    assert static_files.url(CSS) != static_files.url("banka.js")
    with pytest.raises(KeyError):
        static_files.url("no-such-file.css")


async def test_a_versioned_address_is_kept_for_a_year_any_other_for_minutes(visit: Visit) -> None:
    client = visit().client
    kept = await client.get(static_files.url(CSS))
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (await client.get(f"/static/{CSS}")).headers["cache-control"] == "public, max-age=300"


async def test_a_browser_gets_it_compressed_and_others_plain(visit: Visit) -> None:
    client = visit().client
    body = (static_files.FOLDER / CSS).read_bytes()
    packed = await client.get(f"/static/{CSS}", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == body  # the client unpacks it
    assert int(packed.headers["content-length"]) == len(gzip.compress(body, 9, mtime=0))
    plain = await client.get(f"/static/{CSS}", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == body
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("banka.css", "text/css"),
        ("banka.js", "text/javascript"),
        ("favicon.svg", "image/svg+xml"),
        ("vendor/htmx/htmx.min.js", "text/javascript"),
    ],
)
async def test_a_file_has_the_type_that_a_browser_accepts(
    visit: Visit, name: str, kind: str
) -> None:
    answer = await visit().client.get(f"/static/{name}")
    assert answer.headers["content-type"].split(";")[0] == kind
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "../session.py",
        "%2e%2e/session.py",
        "..%2fsession.py",
        "vendor/../../session.py",
        "vendor/%2e%2e/%2e%2e/session.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "banka.css%00",
        "vendor",
        "",
        "no-such-file.css",
    ],
)
async def test_nothing_but_what_we_ship_is_served(visit: Visit, path: str) -> None:
    answer = await visit().client.get(f"http://banka.test/static/{path}")
    assert answer.status_code == 404
    assert "Signer" not in answer.text
    assert "root:" not in answer.text


def test_no_file_that_we_ship_loads_from_another_host() -> None:
    ours = [path for path in static_files.FOLDER.glob("*.*") if path.is_file()]
    templates = [
        *Path("shared/web/templates").glob("*"),
        *Path("services").glob("*/templates/**/*.html"),
    ]
    assert len(templates) > 8
    for path in [*ours, *templates]:
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"""(?:src|href|action)=["']?(?:https?:)?//|url\(["']?https?:""", text)
        assert found == [], path
        assert "@import" not in text, path
    for css in static_files.FOLDER.rglob("*.css"):
        assert not re.search(r"""url\(["']?(?:https?:)?//""", css.read_text("utf-8")), css


def test_no_template_has_a_script_or_a_style_inside() -> None:
    # the browser would refuse to run it: the policy allows none
    for path in [
        *Path("shared/web/templates").glob("*.html"),
        *Path("services").glob("*/templates/**/*.html"),
    ]:
        text = path.read_text(encoding="utf-8")
        scripts = re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", text)
        assert scripts == [], path
        assert not re.search(r"<style|\sstyle=|\son(click|change|submit|load|input)=", text), path
