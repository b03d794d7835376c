"""How heavy a page is: its bytes and those of what it loads of ours. The vendored kit is kept for a
year and does not count."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin

import httpx
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

MOST_BYTES = 100_000  # not packed
_LOADED = re.compile(r'<(?:script|link|img|object)\b[^>]*?\s(?:src|href|data)="([^"]+)"')
_NO_PAGES = frozenset({"/healthz", "/readyz", "/metrics", "/internal/quiet"})


def pages_of(app: FastAPI) -> set[str]:
    """The addresses of a service that are for people: every GET that no description of an API
    names."""
    return {
        route.path
        for route in iter_route_contexts(app.routes)
        if "GET" in (getattr(route, "methods", None) or ())
        and not getattr(route, "include_in_schema", True)
        and route.path is not None
        and route.path not in _NO_PAGES
        and not route.path.endswith("/openapi.json")
    }


async def weight_of(
    client: httpx.AsyncClient, answer: httpx.Response, *, as_sent: bool = False
) -> int:
    """Bytes of a page and of the styles, scripts and pictures that it names, once each; as_sent: as
    they go over the line, to a browser that takes them packed."""
    assert answer.status_code == 200, (answer.url, answer.status_code)
    assert answer.headers["content-type"].startswith("text/html"), answer.url
    loaded = {urljoin(str(answer.url), one) for one in _LOADED.findall(answer.text)}
    weight = answer.num_bytes_downloaded if as_sent else len(answer.content)
    for address in sorted(loaded):
        if "/static/vendor/" in address:
            continue
        part = await client.get(address)
        assert part.status_code == 200, address
        weight += part.num_bytes_downloaded if as_sent else len(part.content)
    return weight


OPERATIONS = ("parked", "parked/many", "parked/failed", "parked/{number}")


def common_pages(service: str) -> set[str]:
    """The pages that every service has, for its operators and auditors; the browser's tests weigh
    them where there is something to show."""
    operations = {f"/{service}/operations/{page}" for page in OPERATIONS}
    audit = ("audit", "audit/table", "audit/{source}/{number}/values")
    return operations | {f"/{service}/{page}" for page in audit}


async def copy_row(conn: Any, table: str, row: str, rows: int, *keys: str) -> None:
    """Fill a table with copies of the row whose first key is `row`, each under keys of its own; as
    the superuser."""
    own = ", ".join(f"'{key}', t.{key} || '-' || n" for key in keys)
    await conn.execute(
        f"INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object({own}))).*"
        f" FROM {table} t, generate_series(1, $1::int) n WHERE t.{keys[0]} = $2",
        rows,
        row,
    )
