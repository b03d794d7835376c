"""The partner guide's commands, run word for word as an engineer of a partner would."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from deploy.local import HOST, free_port
from deploy.runtime import CHECKOUT, console_tools, prepare
from shared.events import intake
from shared.messaging import Fact
from tests.eventually import eventually
from tests.integration.intake.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOLDER = CHECKOUT / "docs" / "partner"
GUIDES = ("README.md", "README.zh-CN.md")
BRANCH = "1101"  # of the guide
_TOOLS = {
    "kafka-console-producer.sh": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
}
# What differs from run to run, and what the guide shows in its place.
_VARIES = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b\d{18,19}\b|\d{4}-\d\d-\d\dT[\d:.]+Z"
)


def block(guide: str, mark: str) -> str:
    """The text between the fences that follow a mark."""
    text = (FOLDER / guide).read_text(encoding="utf-8")
    found = re.findall(rf"<!-- {mark} -->\n```[a-z]*\n(.*?)```\n", text, re.DOTALL)
    assert len(found) == 1, f"{guide} has {len(found)} blocks after {mark}"
    return str(found[0])


@asynccontextmanager
async def served(office: Office) -> AsyncIterator[str]:
    """The office's address for HTTP; the service itself runs already."""
    port = free_port()
    config = uvicorn.Config(office.app, host=HOST, port=port, lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())

    async def up() -> bool:
        return server.started

    try:
        await eventually(up)
        yield f"http://{HOST}:{port}"
    finally:
        server.should_exit = True
        await running


async def open_branch(office: Office) -> None:
    payload = intake.BranchChanged(
        branch=BRANCH, name_zh="北京支行", name_en="Beijing branch", region="11"
    )
    async with office.service.transaction() as tx:
        await tx.append([Fact(payload)], subject=BRANCH)

    async def known() -> bool:
        return bool(
            await office.service.pool.fetchval(
                "SELECT count(*) FROM directory_branch WHERE branch = $1", BRANCH
            )
        )

    await eventually(known)


def on_path(folder: Path) -> str:
    """Kafka's console tools as its own distribution names them, and our Python with the guide's two
    libraries."""
    folder.mkdir()
    java, classes = prepare().java, console_tools()
    for name, main in _TOOLS.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{java}" -Xmx256m -cp "{classes}" {main} "$@"\n')
        script.chmod(0o755)
    return f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"


async def run(office: Office, command: str, folder: Path) -> str:
    """What a block of the guide prints, in a folder with the guide's files alone."""
    await open_branch(office)
    work = folder / "partner"
    shutil.copytree(FOLDER, work)
    secret = office.settings.secrets_dir
    assert secret is not None
    async with served(office) as address:
        environment = {
            "PATH": on_path(folder / "tools"),
            "LC_ALL": "C.UTF-8",
            "no_proxy": HOST,
            "OFFICE_KAFKA": office.settings.kafka_bootstrap,
            "OFFICE_SECURITY": office.settings.kafka_security,
            "OFFICE_URL": address,
            "PARTNER": "mobile-app",
            "PARTNER_PASSWORD": office.settings.secret("kafka-mobile-app"),
        }
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", command),
            cwd=work,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 200)
    assert process.returncode == 0, f"{out.decode()}\n{err.decode()}"
    return out.decode()


def masked(text: str) -> list[str]:
    """The lines with everything that differs each time taken out; papers come in any order."""
    lines = [_VARIES.sub("…", line).strip() for line in text.splitlines()]
    return sorted(line for line in lines if line)


async def test_the_python_example_ends_with_the_reviewers(office: Office, tmp_path: Path) -> None:
    said = await run(office, block("README.md", "tried: python"), tmp_path)
    assert said.splitlines()[-1].split() == ["status", "in-review"]
    assert masked(said) == masked(block("README.md", "shown: python"))


async def test_the_console_example_is_answered(office: Office, tmp_path: Path) -> None:
    said = await run(office, block("README.md", "tried: console"), tmp_path)
    answer, status = [json.loads(line) for line in said.splitlines()]
    assert (answer["state"], answer["applied"]) == ("awaiting_material", True)
    assert status["status"] == "material-wanted"
    shown = [json.loads(line) for line in block("README.md", "shown: console").splitlines()]
    assert [one.keys() for one in shown] == [answer.keys(), status.keys()]
    for name in ("state", "applied", "repaired_by"):
        assert shown[0][name] == answer[name]
    for name in ("status", "wanted", "reapply_from"):
        assert shown[1][name] == status[name]


@pytest.mark.parametrize(
    "mark", ["tried: python", "tried: console", "shown: python", "shown: console"]
)
async def test_both_languages_show_the_same(mark: str) -> None:
    assert block(GUIDES[0], mark) == block(GUIDES[1], mark)
