"""Styles, scripts and icons, served by ourselves, kept by the browser until they change."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parent / "static"
_KEPT = "public, max-age=31536000, immutable"  # a year: the address changes with the content
_UNVERSIONED = "public, max-age=300"  # seconds
_COMPRESSED = (".css", ".js", ".svg")


@cache
def url(name: str) -> str:
    """The address of a file with a digest of its content. Raises KeyError for a file we lack."""
    body, _gzipped, _type = _files()[name]
    return f"/static/{name}?v={hashlib.sha256(body).hexdigest()[:10]}"


@cache
def _files() -> dict[str, tuple[bytes, bytes | None, str]]:
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file():
            body = path.read_bytes()
            kind = mimetypes.guess_type(path.name)[0] or "text/plain"
            smaller = gzip.compress(body, 9, mtime=0) if path.suffix in _COMPRESSED else None
            found[path.relative_to(FOLDER).as_posix()] = (body, smaller, kind)
    return found


async def serve(request: Request) -> Response:
    """One file, compressed where the browser takes it; 404 for anything that we do not ship."""
    entry = _files().get(request.path_params["path"])
    if entry is None:
        return Response("not found", status_code=404, media_type="text/plain")
    body, smaller, kind = entry
    headers = {
        "Cache-Control": _KEPT if "v" in request.query_params else _UNVERSIONED,
        "Vary": "Accept-Encoding",
    }
    if smaller is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(smaller, media_type=kind, headers={**headers, "Content-Encoding": "gzip"})
    return Response(body, media_type=kind, headers=headers)
