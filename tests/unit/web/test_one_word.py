"""One word for one thing, wherever a text is shown, sent, printed or handed out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from babel.messages.pofile import read_po

from services.notify.messages import Template

ROOT = Path(__file__).parents[3]

# {what is not said: (as a pattern, the word for it)}; longer words that hold it mean another thing
WORDS = {
    "a term that has passed": (
        r"超期|逾期(?!\d+[期天]|期数|天数|/不良)(?<!征信逾期)(?<![期有]逾期)",
        "超时",
    ),
    "who runs the software": (r"(?<!卡片)(?<!虚拟)运营(?!商)", "运维"),
    "an application is counted": (
        r"(?:[\ds)每一二三几第多]) ?[件份个条项宗] ?(?:待补件|已审批|超时)?申请(?![表人编时])",
        "笔",
    ),
    "signing in": (r"登陆|签入", "登录"),
    "the customer's code": (r"访问码|取件码", "查询码"),
    "the service that decides": (r"信用评估", "审批"),
}


# The same in English, of what is shown or sent; documents call more things so than the screens.
ENGLISH = {
    "a person's data that is gone": (r"\b[Ee]rased\b", "deleted"),
    "until when the customer has time": (r"\b[Tt]erm (?:has passed|would end)", "deadline"),
    "what is wrong is made right": (
        r"(?<!poison, )\b[Mm]end(?:s|ed|ing)?\b",  # a fault's name is what its report says
        "correct (of a program: fix)",
    ),
    "what somebody typed or chose stays": (
        r"\b[Kk](?:eeps?|ept) (?:as a draft|(?:this |or remove )?views?\b)|\b[Nn]othing was kept\b",
        "save",
    ),
}
IN_DOCUMENTS_TOO = {"what is wrong is made right", "what somebody typed or chose stays"}


def texts() -> Iterator[tuple[str, int, str]]:
    """(file, line, text) of everything that holds Chinese for people."""
    files = [
        *ROOT.glob("services/*/locale/*.po"),
        *ROOT.glob("shared/**/locale/*.po"),
        *ROOT.glob("shared/parameters/**/*.yaml"),
        *(newest(template) for template in Template),
        *ROOT.glob("services/**/*.py"),
        *ROOT.glob("services/**/*.html"),
        *ROOT.glob("shared/**/*.py"),
        *ROOT.glob("deploy/*.py"),
        *ROOT.glob("docs/**/*zh-CN.md"),
    ]
    for file in files:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if re.search(r"[\u4e00-\u9fff]", line):
                yield str(file.relative_to(ROOT)), number, line


def newest(template: Template) -> Path:
    """The version of a message that is sent; those before it stay as they were."""
    folder = ROOT / "services" / "notify" / "templates_messages" / template.value
    return max(folder.glob("*.yaml"), key=lambda path: int(path.stem))


@pytest.mark.parametrize("thing", WORDS)
def test_one_thing_has_one_word(thing: str) -> None:
    pattern, word = WORDS[thing]
    found = [
        f"{file}:{number}: {line.strip()}"
        for file, number, line in texts()
        if re.search(pattern, line)
    ]
    assert not found, f"the word is {word}:\n" + "\n".join(found)


@pytest.mark.parametrize("thing", ENGLISH)
def test_one_thing_has_one_word_in_english(thing: str) -> None:
    pattern, word = ENGLISH[thing]
    where = chain(english(), documents() if thing in IN_DOCUMENTS_TOO else ())
    found = [f"{file}: {text}" for file, text in where if re.search(pattern, text)]
    assert not found, f"the word is {word}:\n" + "\n".join(found)


def english() -> Iterator[tuple[Path, str]]:
    """(file, text) of the catalogues, messages and parameters in English."""
    for file in (*ROOT.glob("services/*/locale/*.po"), *ROOT.glob("shared/**/locale/*.po")):
        for text in sources(file):
            yield file.relative_to(ROOT), text
    words = (*ROOT.glob("shared/parameters/**/*.yaml"), *(newest(one) for one in Template))
    for file in words:
        for text in under(yaml.safe_load(file.read_text(encoding="utf-8"))):
            yield file.relative_to(ROOT), text


def documents() -> Iterator[tuple[Path, str]]:
    """(file, line) of what is handed out about the software."""
    files = (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("docs/*.yaml"),
        *ROOT.glob("docs/*.json"),
        *ROOT.glob("services/*/README.md"),
        *ROOT.glob("deploy/README.md"),
    )
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            yield file.relative_to(ROOT), line


def under(value: Any) -> Iterator[str]:
    """Every text below `en` keys."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner) if key == "en" else under(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from under(inner)


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)


def sources(file: Path) -> Iterator[str]:
    """The English texts of a catalogue."""
    with file.open("rb") as opened:
        for message in read_po(opened):
            forms = message.id if isinstance(message.id, (list, tuple)) else [message.id]
            yield from (str(one) for one in forms)


@pytest.mark.parametrize(
    ("thing", "wrong", "right"),
    [
        ("a term that has passed", "已逾期", "近24个月有1至5期逾期"),
        ("a term that has passed", "已超期 3 天", "近24个月逾期6期及以上，或逾期90天及以上"),
        ("a term that has passed", "逾期申请将关闭", "征信逾期/不良"),
        ("who runs the software", "请联系运营。", "卡片运营与虚拟运营商"),
        ("an application is counted", "%(n)s 件申请", "%(n)s 份申请表"),
        ("an application is counted", "录入第一份申请", "每笔申请"),
        ("what is wrong is made right", "Mend these first", "poison, mended"),
        ("what somebody typed or chose stays", "Kept views", "Keep this slip to yourself."),
        (
            "what somebody typed or chose stays",
            "Nothing was kept: fill",
            "a draft keeps its branch",
        ),
        ("an application is counted", "另有 3 件超时申请", "重试的申请：%(count)s 笔"),
    ],
)
def test_the_patterns_find_the_other_word_and_no_other_thing(
    thing: str, wrong: str, right: str
) -> None:
    pattern, _ = (WORDS | ENGLISH)[thing]
    assert re.search(pattern, wrong)
    assert not re.search(pattern, right)
