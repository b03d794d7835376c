"""`make test-compose`: the deployment brought up as the README says, looked at as an auditor would,
taken down; then as a demo: played in, scaled while it works, stopped, and taken down again. It is a
project of its own: what runs under another name stays."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import httpx

from deploy.demo.staff import PASSWORD
from deploy.local import free_port
from deploy.runtime import CHECKOUT
from shared.web import gateway_pages
from shared.web.gateway_pages import HTML
from shared.web.limits import MULTIPART_MOST
from shared.web.problems import MEDIA_TYPE

PROJECT = "banka-check"
DEPLOY = CHECKOUT / "deploy"
ORGANISATION = DEPLOY / "demo" / "organisation.yaml"
SERVICES = ("intake", "review", "notify", "reporting")
REPLICAS = 3
UP_SECONDS, PLAY_SECONDS, READ_SECONDS, DOWN_SECONDS = 600, 900, 180, 180
PLAY = ("--no-keep", "--url", "http://gateway:8080", "--days", "2", "--per-day", "30")


class CheckFailed(RuntimeError):
    """The deployment is not what it has to be; the message is one line that says where."""


class Deployment:
    """One project of `docker compose`. `env_file`: settings; None for the defaults, which are a
    bank's production. `profiles`: what runs besides."""

    def __init__(
        self, port: int, env_file: Path | None = None, profiles: Sequence[str] = ("reading",)
    ) -> None:
        self.port = port
        self._compose = (
            *("docker", "compose", "--project-name", PROJECT),
            *("--file", str(DEPLOY / "compose.yaml")),
            *(("--env-file", str(env_file)) if env_file else ()),
            *(word for profile in profiles for word in ("--profile", profile)),
        )
        # an operator's BANKA_… settings are for another deployment
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("BANKA_")
        } | {"BANKA_PORT": str(port)}

    def set(self, **settings: str) -> None:
        """Settings for the commands that follow."""
        self._environment |= settings

    def run(self, *arguments: str, seconds: float = 120, says: str = "") -> str:
        """A command of compose, with `says` on its standard input; its output. Raises CheckFailed
        with what it said last."""
        done = subprocess.run(
            [*self._compose, *arguments],
            env=self._environment,
            input=says,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        if done.returncode:
            last = " | ".join((done.stderr or done.stdout).strip().splitlines()[-5:])
            raise CheckFailed(f"docker compose {' '.join(arguments)}: {last}")
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command of compose that goes on; its output can be read line by line."""
        return subprocess.Popen(
            [*self._compose, *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def containers(self) -> list[dict[str, Any]]:
        """What `docker inspect` tells of every container of the project."""
        found = _docker(
            "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}"
        ).split()
        return list(json.loads(_docker("inspect", *found))) if found else []

    def replicas(self, service: str) -> list[dict[str, Any]]:
        return [one for one in self.containers() if _service(one) == service]


def _docker(*arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        raise CheckFailed(f"docker {arguments[0]}: {done.stderr.strip()[-300:]}")
    return done.stdout


def _service(container: Mapping[str, Any]) -> str:
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


def check_defaults(deployment: Deployment) -> None:
    """What the README's command brings up: no demo, and nobody's password known."""
    up = ("up", "--build", "--detach", "--wait")
    _part("as the README says: healthy", lambda: deployment.run(*up, seconds=UP_SECONDS))
    _part("contained", lambda: _look_contained(deployment))
    _part("one way in", lambda: _look_from_outside(deployment.port))
    _part("a service that is down is said to be", lambda: _look_unanswered(deployment))
    _part("nobody enters but by a password of their own", lambda: _look_locked(deployment))
    _part("each customer has a pace of their own", lambda: _look_paced(deployment))


def check_played(deployment: Deployment) -> None:
    """The demo's office, a line for each part. Raises CheckFailed."""
    _part("every container healthy", lambda: _up(deployment))
    _part("contained", lambda: _look_contained(deployment))
    _part("one way in", lambda: _look_from_outside(deployment.port))
    _part(f"two days played, review scaled to {REPLICAS} on the way", lambda: _play(deployment))
    _part("every review had its share", lambda: _look_shared(deployment))
    _part("the reader has read cards", lambda: _look_read(deployment))
    _part("the broker's data lost, and given back", lambda: _lose_broker(deployment))
    _part("an older database read into again", lambda: _read_again(deployment))
    _part("everything stops when told", lambda: _stop(deployment))


def _part(name: str, do: Callable[[], object]) -> None:
    began = time.monotonic()
    do()
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)


def _up(deployment: Deployment, *services: str, scale: Sequence[str] = ("demo=0",)) -> None:
    wanted = [word for one in scale for word in ("--scale", one)]
    deployment.run("up", "--detach", "--no-build", "--wait", *wanted, *services, seconds=UP_SECONDS)


def _look_contained(deployment: Deployment) -> None:
    known = _secrets(deployment)
    containers = deployment.containers()
    if len(containers) < len(SERVICES) + 3:
        raise CheckFailed(f"only {len(containers)} containers")
    for one in containers:
        found = faults(one, known)
        if found:
            raise CheckFailed(f"{_service(one)} {', '.join(found)}")


def faults(container: Mapping[str, Any], known: Iterable[str]) -> list[str]:
    """What `docker inspect` tells of a container that should not be so: root, something to write
    to, rights, a missing limit, one of the `known` secrets."""
    name, host = _service(container), container["HostConfig"]
    ports = [
        binding["HostIp"] for bound in (host["PortBindings"] or {}).values() for binding in bound
    ]
    added = {capability.removeprefix("CAP_") for capability in host["CapAdd"] or ()}
    user = container["Config"]["User"].split(":")[0]
    shown = json.dumps(container)
    looked_for = {
        "runs as root": user in ("", "0", "root"),
        "may write to its file system": not host["ReadonlyRootfs"],
        "is privileged": host["Privileged"],
        "keeps capabilities": host["CapDrop"] != ["ALL"],
        # Caddy carries this one in its file and does not start without
        "is given capabilities": added - ({"NET_BIND_SERVICE"} if name == "gateway" else set()),
        "may gain rights": "no-new-privileges:true" not in (host["SecurityOpt"] or []),
        "shares the host's processes or network": "host" in (host["PidMode"], host["NetworkMode"]),
        "has no limit of memory": not host["Memory"],
        "has no limit of processes": not host["PidsLimit"],
        "has no limit of processors": not host["NanoCpus"],
        "is reached from outside": any(address != "127.0.0.1" for address in ports),
        "publishes a port": ports and name != "gateway",
        "shows a secret": any(secret in shown for secret in known),
        "has no health check": container["State"]["Status"] == "running"
        and "Health" not in container["State"],
    }
    return [fault for fault, is_so in looked_for.items() if is_so]


def _secrets(deployment: Deployment) -> list[str]:
    """Every secret of the deployment, from the volume on which they lie."""
    text = deployment.run(
        *("run", "--rm", "--no-deps", "-T", "provision", "python", "-c"),
        "import json, pathlib; print(json.dumps([f.read_text().strip()"
        " for f in pathlib.Path('/run/secrets').iterdir() if f.is_file()]))",
    )
    found = [secret for secret in json.loads(text) if secret]
    if len(found) < 10:
        raise CheckFailed(f"only {len(found)} secrets were made")
    return found


def _look_from_outside(port: int) -> None:
    wanted = {
        "/healthz": 200,
        "/sign-in": 200,
        "/static/banka.css": 200,
        "/intake/healthz": 404,
        "/review/metrics": 404,
        "/internal/quiet": 404,
        "/reporting/internal/quiet": 404,
        "/metrics": 404,
    }
    for path, status in wanted.items():
        found = _status(f"http://127.0.0.1:{port}{path}")
        if found != status:
            raise CheckFailed(f"the gateway answers {path} with {found}, not {status}")


def _look_unanswered(deployment: Deployment) -> None:
    """What the gateway says itself: files of `make docs`, in the reader's language, and nothing in
    its log of what was typed into an address."""
    deployment.run("stop", "notify", seconds=DOWN_SECONDS)
    cases: tuple[tuple[str, dict[str, str], int, str], ...] = (
        ("/notify/messages?q=typed", {"Accept": "text/html"}, 503, "503.zh-CN.html"),
        ("/notify/x", {"Accept": "text/html", "Accept-Language": "en-GB"}, 503, "503.en.html"),
        ("/notify/api/v1/x", {"Accept": "text/html"}, 503, "503.json"),
        ("/nobody", {"Accept": "text/html", "Cookie": "banka_language=en"}, 404, "404.en.html"),
        (
            "/nobody?lang=zh-CN",
            {"Accept": "text/html", "Accept-Language": "en"},
            404,
            "404.zh-CN.html",
        ),
        ("/nobody", {}, 404, "404.json"),
    )
    with httpx.Client(
        base_url=f"http://127.0.0.1:{deployment.port}", timeout=30, trust_env=False
    ) as client:
        for path, says, status, name in cases:
            for method in ("GET", "POST"):
                answer = client.request(method, path, headers=says)
                _look_told(f"{method} {path}", answer, status, name)
        sent = bytes(MULTIPART_MOST + 1)
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        # the gateway's answer or the service's own, whoever is first
        for said, answered in (("text/html", HTML), ("application/json", MEDIA_TYPE)):
            answer = client.post("/sign-in", content=sent, headers={**kind, "Accept": said})
            found = answer.status_code, answer.headers["content-type"]
            if found != (413, answered):
                raise CheckFailed(f"a large upload is answered {found}")
    told = deployment.run("logs", "--no-color", "gateway")
    if "/notify/messages" not in told or "typed" in told:
        raise CheckFailed("the gateway's log lacks the failure, or has what was typed")
    _up(deployment, "notify", scale=())


def _look_told(what: str, answer: httpx.Response, status: int, name: str) -> None:
    file = (DEPLOY / "caddy" / "pages" / name).read_bytes()
    language = name.split(".")[1]
    kind, spoken = (MEDIA_TYPE, None) if language == "json" else (HTML, language)
    wanted = gateway_pages.headers(status, kind, spoken)
    found = {one: answer.headers.get(one) for one in wanted}
    if (answer.status_code, answer.content, found) != (status, file, wanted):
        raise CheckFailed(f"{what} is answered {answer.status_code} {found}, not as {name}")


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - ours, by HTTP
            return int(answer.status)
    except urllib.error.HTTPError as problem:
        return problem.code


def _look_locked(deployment: Deployment) -> None:
    """The staff are loaded and have no password, the demo's least of all; one gets one, and is in.
    The operator's commands are those of deploy/README.md."""
    intake = ("exec", "-T", "intake", "python", "-m", "services.intake")
    deployment.run(*intake, "organisation", "-", says=ORGANISATION.read_text(encoding="utf-8"))
    for username in ("reviewer", "ops"):
        status = _sign_in(deployment.port, username, PASSWORD)
        if status != httpx.codes.UNAUTHORIZED:
            raise CheckFailed(f"the demo's password is answered {status} for {username}")
    password = secrets.token_urlsafe(16)
    deployment.run(*intake, "password", "reviewer", says=password + "\n")
    status = _sign_in(deployment.port, "reviewer", password)
    if status != httpx.codes.SEE_OTHER:
        raise CheckFailed(f"the password that was set is answered {status}")


def _sign_in(port: int, username: str, password: str) -> int:
    """As a person does: the page, then the form. The cookies go by hand: they are for HTTPS alone,
    and TLS would stand in front of this gateway."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
        page = client.get("/sign-in")
        open_to_all = [
            cookie
            for cookie in page.headers.get_list("set-cookie")
            if "secure" not in cookie.lower()
        ]
        token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
        if open_to_all or token is None:
            raise CheckFailed(f"the sign-in page sets {open_to_all or 'no token'}")
        return client.post(
            "/sign-in",
            data={"username": username, "password": password, "csrf_token": token.group(1)},
            headers={"Cookie": "; ".join(f"{one.name}={one.value}" for one in client.cookies.jar)},
        ).status_code


def _look_paced(deployment: Deployment) -> None:
    """Tries to enter a customer's own page are counted for whoever tries them. Who that is, only a
    trusted proxy says in front of the gateway: here this machine, as the containers see it."""
    call = partial(_try_to_enter, deployment.port)
    if _paced_after(call(f"203.0.113.{n}") for n in range(_TRIES)) is None:
        raise CheckFailed("who calls directly chooses an address by a header")
    network = json.loads(_docker("network", "inspect", f"{PROJECT}_default"))[0]
    deployment.set(BANKA_TRUSTED_PROXIES=network["IPAM"]["Config"][0]["Gateway"])
    _up(deployment, "gateway", scale=())
    if _paced_after(call("198.51.100.1") for _ in range(_TRIES)) is None:
        raise CheckFailed("a customer behind the proxy has no pace")
    # what stands before the proxy's own word, the customer made up
    if call("198.51.100.77, 198.51.100.1") != httpx.codes.TOO_MANY_REQUESTS:
        raise CheckFailed("a customer behind the proxy chooses an address by a header")
    if call("198.51.100.2") != httpx.codes.OK:
        raise CheckFailed("two customers behind the proxy have one pace")
    # a neighbour of the gateway that is no proxy of the bank's
    told = deployment.run("exec", "-T", "notify", "python", "-c", _TRY_FROM_WITHIN, str(_TRIES))
    if _paced_after(map(int, told.split())) is None:
        raise CheckFailed("who is not trusted chooses an address by a header")


_TRIES = 100  # far more than one address has at once
_TRY_FROM_WITHIN = """
import http.client, sys
for n in range(int(sys.argv[1])):
    conn = http.client.HTTPConnection("gateway", 8080)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    conn.request("POST", "/progress", "", {**form, "X-Forwarded-For": f"192.0.2.{n}"})
    print(conn.getresponse().status)
"""


def _try_to_enter(port: int, forwarded_for: str) -> int:
    with httpx.Client(trust_env=False, timeout=10) as client:
        headers = {"X-Forwarded-For": forwarded_for}
        url = f"http://127.0.0.1:{port}/progress"
        return client.post(url, data={"code": ""}, headers=headers).status_code


def _paced_after(answers: Iterable[int]) -> int | None:
    """After how many tries there were too many; None where there never were. Raises CheckFailed
    for any other answer than the page and that."""
    for place, status in enumerate(answers):
        if status == httpx.codes.TOO_MANY_REQUESTS:
            return place
        if status != httpx.codes.OK:
            raise CheckFailed(f"a try to enter is answered {status}")
    return None


def _look_read(deployment: Deployment) -> None:
    """The machine has read a card that came in the played days, and none that it could not."""
    sql = "SELECT state, count(*) FROM card_reading GROUP BY state"
    states: dict[str, int] = {}
    until = time.monotonic() + READ_SECONDS
    while not states.get("read") and time.monotonic() < until:
        rows = _sql(deployment, "banka_intake", sql, "--tuples-only", "--no-align").split()
        states = {state: int(count) for state, _, count in (row.partition("|") for row in rows)}
        time.sleep(1)
    if not states.get("read") or states.get("failed"):
        raise CheckFailed(f"cards by what became of them: {states}")


def _sql(deployment: Deployment, database: str, sql: str, *options: str) -> str:
    words = shlex.join(
        ["psql", "--username", "postgres", "--dbname", database, *options, "-c", sql]
    )
    known = "PGPASSWORD=$(cat /run/secrets/postgres-superuser)"
    return deployment.run("exec", "-T", "postgres", "sh", "-c", f"{known} {words}")


def _play(deployment: Deployment) -> None:
    """The day, in a container; its own reconciliation decides. Scaled after the first day."""
    command = ("run", "--rm", "--no-deps", "-T", "demo", "python", "-m", "deploy.cli", "demo")
    said: list[str] = []
    scaled = False
    process = deployment.start(*command, *PLAY)
    watch = threading.Timer(PLAY_SECONDS, process.kill)
    watch.start()
    try:
        for line in _lines(process):
            said.append(line)
            if " applications  | " in line and not scaled:
                scaled = True
                _up(deployment, "review", scale=(f"review={REPLICAS}",))
    finally:
        watch.cancel()
        process.kill()
        process.wait()
    if process.returncode or not any("The books agree." in line for line in said):
        raise CheckFailed("the played days: " + "\n".join(said[-40:]))
    if not scaled:
        raise CheckFailed("no day was told of, and review was not scaled")


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line.rstrip()
    process.wait()


_METRICS = (
    "import urllib.request as r; print(r.urlopen('http://localhost:8000/metrics').read().decode())"
)


def _look_shared(deployment: Deployment) -> None:
    """Replicas run, and each has applied events of applications: partitions were handed over."""
    replicas = deployment.replicas("review")
    if len(replicas) != REPLICAS:
        raise CheckFailed(f"{len(replicas)} review containers, not {REPLICAS}")
    for number in range(1, REPLICAS + 1):
        text = deployment.run(
            "exec", "-T", "--index", str(number), "review", "python", "-c", _METRICS
        )
        applied = _applied(text.splitlines())
        if not applied:
            raise CheckFailed(f"review {number} has applied no event")


def _applied(lines: Iterable[str]) -> int:
    return sum(
        int(float(line.rsplit(" ", 1)[1]))
        for line in lines
        if line.startswith("banka_events_total{")
        and 'outcome="applied"' in line
        and 'consumer="review.applications"' in line
    )


_CLI = ("python", "-m", "deploy.cli")


def _lose_broker(deployment: Deployment) -> None:
    """The commands of deploy/README.md; afterwards each topic has what its publisher's log has."""
    deployment.run("stop", *SERVICES, seconds=DOWN_SECONDS)
    deployment.run("rm", "--stop", "--force", "kafka")
    _docker("volume", "rm", f"{PROJECT}_kafka-data")
    _up(deployment, "kafka", scale=())
    provision = ("run", "--rm", "-T", "provision")
    deployment.run(*provision)
    why = ("--why", "kafka-data was lost")
    sent = deployment.run(*provision, *_CLI, "events", "restore", *why, seconds=300)
    if not re.search(r"^banka\.applications: [1-9]\d+ are sent$", sent, re.MULTILINE):
        raise CheckFailed(f"restored: {sent.strip()}")
    _up(deployment, scale=("demo=0", f"review={REPLICAS}"))
    for service in SERVICES:
        deployment.run("exec", "-T", service, *_CLI, "events", "verify", service)


def _read_again(deployment: Deployment) -> None:
    """reporting's database as a backup has it that knew nothing of an application's events."""
    consumer, topic = "reporting.applications", "banka.applications"
    deployment.run("stop", "reporting", seconds=DOWN_SECONDS)
    sql = f"UPDATE messaging.consumer_offset SET next = 0 WHERE consumer = '{consumer}'"  # noqa: S608
    _sql(deployment, "banka_reporting", sql)
    where = ("--consumer", consumer, "--topic", topic, "--why", "an older backup")
    again = ("run", "--rm", "--no-deps", "-T", "reporting", *_CLI, "events", "read-again")
    deployment.run(*again, "reporting", *where)
    _up(deployment, scale=("demo=0", f"review={REPLICAS}"))


def _stop(deployment: Deployment) -> None:
    deployment.run("stop", seconds=DOWN_SECONDS)
    for one in deployment.containers():
        code = one["State"]["ExitCode"]
        # 143 is SIGTERM's own; 137 would be a process that had to be killed
        if code not in (0, 143) or one["State"]["OOMKilled"]:
            raise CheckFailed(f"{_service(one)} ended with {code}")


@contextmanager
def _taken_down(deployment: Deployment) -> Iterator[None]:
    """Nothing of the project before, and nothing afterwards."""
    # a profile's containers are not seen without it
    down = ("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "20")
    deployment.run(*down, seconds=DOWN_SECONDS)
    try:
        yield
    finally:
        deployment.run(*down, seconds=DOWN_SECONDS)
    kinds = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
    for kind in kinds:
        left = _docker(
            *kind, "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}"
        ).split()
        if left:
            raise CheckFailed(f"docker {kind[0]} still has {len(left)} of the project")


def _no_engine() -> str:
    """Why there is no Docker to try it with; empty when there is."""
    if shutil.which("docker") is None:
        return "docker is not installed; install Docker Engine with Compose 2 and try again"
    for arguments in (["info"], ["compose", "version"]):
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
            return f"docker {' '.join(arguments)} fails ({last}); start the engine and try again"
    return ""


def _interrupted(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    """Exit code 0 when all of it held, 1 with one line otherwise."""
    signal.signal(signal.SIGTERM, _interrupted)
    missing = _no_engine()
    if missing:
        sys.stderr.write(f"test-compose: {missing}\n")
        return 1
    port = free_port()
    parts = (
        (Deployment(port), check_defaults),
        (Deployment(port, DEPLOY / "demo.env", ("demo", "reading")), check_played),
    )
    try:
        for deployment, check in parts:
            with _taken_down(deployment):
                try:
                    check(deployment)
                except (CheckFailed, subprocess.TimeoutExpired):
                    sys.stderr.write(deployment.run("logs", "--no-color", "--tail", "20"))
                    raise
    except (CheckFailed, subprocess.TimeoutExpired) as problem:
        sys.stderr.write(f"test-compose: {problem}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    print("the deployment holds, and is gone again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
