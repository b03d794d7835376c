"""One word for one thing, wherever a text is shown, sent, printed or handed out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from services.notify.messages import Template

ROOT = Path(__file__).parents[3]

# {what is not said: (as a pattern, the word for it)}; longer words that hold it mean another thing
WORDS = {
    "a term that has passed": (
        r"超期|逾期(?!\d+[期天]|期数|/不良)(?<!征信逾期)(?<![期有]逾期)",
        "超时",
    ),
    "who runs the software": (r"(?<!卡片)(?<!虚拟)运营(?!商)", "运维"),
    "an application is counted": (
        r"(?:[\ds)每一二三几第多]) ?[件份个条项宗] ?(?:待补件|已审批|超时)?申请(?![表人编时])",
        "笔",
    ),
    "signing in": (r"登陆|签入", "登录"),
    "the customer's code": (r"访问码|取件码", "查询码"),
}


# The same in English, of what stands in the catalogues.
ENGLISH = {
    "a person's data that is gone": (r"\b[Ee]rased\b", "deleted"),
    "until when the customer has time": (r"\b[Tt]erm (?:has passed|would end)", "deadline"),
}


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
    found = [
        f"{file.relative_to(ROOT)}: {message}"
        for file in (*ROOT.glob("services/*/locale/*.po"), *ROOT.glob("shared/**/locale/*.po"))
        for message in sources(file)
        if re.search(pattern, message)
    ]
    assert not found, f"the word is {word}:\n" + "\n".join(found)


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
        ("an application is counted", "另有 3 件超时申请", "重试的申请：%(count)s 笔"),
    ],
)
def test_the_patterns_find_the_other_word_and_no_other_thing(
    thing: str, wrong: str, right: str
) -> None:
    pattern, _ = WORDS[thing]
    assert re.search(pattern, wrong)
    assert not re.search(pattern, right)
