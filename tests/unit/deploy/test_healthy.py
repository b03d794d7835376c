"""The health check of a container, which also shows an operator what the service says."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deploy.runtime import CHECKOUT

ANSWERS = {"/readyz": (503, '{"database": "away"}'), "/metrics": (200, "first 1\nsecond 2")}


class _Service(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, text = ANSWERS[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["/readyz"], '{"database": "away"}', 1),
        (["/readyz", "show"], '{"database": "away"}\n', 1),
        (["/metrics"], "", 0),
        (["/metrics", "show"], "first 1\nsecond 2\n", 0),
    ],
)
def test_what_a_container_is_asked(port: int, words: list[str], said: str, code: int) -> None:
    done = subprocess.run(
        ["bash", str(CHECKOUT / "deploy" / "healthy.sh"), *words],
        env=os.environ | {"BANKA_HTTP_PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.returncode) == (said, code)
