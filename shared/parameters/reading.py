"""Reads one parameter file; whatever is wrong in it is said with file, line and column, and how to
mend it."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.reader import Reader

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where it was built in
_DEEPEST = 20  # levels of parts within parts
_LONGEST_VALUE = 60  # characters of a value that a message repeats; parameters are nobody's data

Model = TypeVar("Model", bound=BaseModel)
Place = Sequence[str | int]  # keys and positions that lead to a value


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong with the parameters. line and column count from 1; 0: the whole file.
    `where` is the way of keys to the value, `says` what is wrong, `mend` what to do about it."""

    file: str
    line: int
    column: int
    where: str
    says: str
    mend: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        where = f" {self.where}:" if self.where else ""
        return f"{place}:{where} {self.says}; {self.mend}"


class ParametersError(ValueError):
    """The parameters are missing or wrong; one line per fault."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults))
        super().__init__("\n".join(map(str, self.faults)))


@dataclass(frozen=True, slots=True)
class Text:
    """A file's content and where each part of it stands."""

    name: str
    content: Any
    root: Any  # yaml.Node, or None for an empty file

    def fault(self, place: Place, says: str, mend: str) -> Fault:
        """Something wrong with what stands at `place`, or would stand there."""
        mark = _mark(self.root, place)
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        where = ".".join(str(part) for part in place)
        return Fault(self.name, line, column, where, says, mend)


def read_text(path: Path, name: str | None = None) -> Text:
    """A YAML file with its places; raises ParametersError. `name`: as messages call it."""
    name = name or path.name
    loader = _LOADER(_characters(path, name))
    try:
        root = loader.get_single_node()
        unclear = Text(name, None, root)
        faults = [unclear.fault(place, *said) for place, said in _unclear(root)]
        content = None if root is None or faults else loader.construct_document(root)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        says = f"is not YAML: {getattr(problem, 'problem', None) or 'it cannot be read'}"
        mend = "look at the indentation, the colons and the brackets of this line and the one above"
        raise ParametersError([Fault(name, line, column, "", says, mend)]) from None
    finally:
        loader.dispose()
    if faults:
        raise ParametersError(faults)
    text = Text(name, content, root)
    if not isinstance(content, dict):
        raise ParametersError([text.fault((), "is no mapping", "begin it with `version: …`")])
    return text


def _characters(path: Path, name: str) -> str:
    """The file as text, raises ParametersError where a byte or character of it cannot be one."""
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise ParametersError(
            [Fault(name, 0, 0, "", problem.strerror or "cannot be read", "put the file there")]
        ) from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise ParametersError(
            [Fault(name, line, 1, "", "is no text in UTF-8", "save it as UTF-8")]
        ) from None
    if found := Reader.NON_PRINTABLE.search(text):
        before = text[: found.start()]
        line, column = before.count("\n") + 1, found.start() - before.rfind("\n")
        says = f"holds a character that nobody sees (U+{ord(found[0]):04X})"
        raise ParametersError([Fault(name, line, column, "", says, "take it away")])
    return text


def read_model(text: Text, model: type[Model]) -> Model:
    """A file as its model; raises ParametersError with every fault."""
    if "digest" in text.content:
        raise ParametersError(
            [text.fault(("digest",), "is computed, not written", "take the line away")]
        )
    try:
        return model.model_validate({**text.content, "digest": digest_of(text.content)})
    except ValidationError as problem:
        raise ParametersError(
            _from_validation(text, problem.errors(include_url=False), _names_in(model))
        ) from None


def read(path: Path, model: type[Model], name: str | None = None) -> Model:
    """A parameter file as its model; raises ParametersError."""
    return read_model(read_text(path, name), model)


def digest_of(content: dict[str, Any]) -> str:
    """SHA-256 of the content in canonical JSON: comments and order of keys do not change it."""
    canonical = json.dumps(
        content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """How to mend a name that is not known."""
    names = sorted(known)
    close = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known are {', '.join(names)}" if names else "take it away"


def _from_validation(text: Text, errors: Sequence[Any], names: frozenset[str]) -> Iterator[Fault]:
    close_to = {
        error["loc"]: difflib.get_close_matches(str(error["loc"][-1]), sorted(names), n=1)
        for error in errors
        if error["type"] == "extra_forbidden"
    }
    misspelt = {(*loc[:-1], name) for loc, close in close_to.items() for name in close}
    for error in errors:
        if error["type"] != "missing" or error["loc"] not in misspelt:
            yield _fault_of(text, error, close_to.get(error["loc"], []))


def _fault_of(text: Text, error: Any, close: Sequence[str]) -> Fault:
    place = [part for part in error["loc"] if part != "[key]"]
    said = error["msg"].removeprefix("Value error, ")
    match error["type"]:
        case "missing":
            return text.fault(place, "is missing", "add it")
        case "extra_forbidden":
            mend = f"did you mean {close[0]!r}?" if close else "take it away"
            return text.fault(place, "is not known here", mend)
        case "wrong":  # of our own models, which say where and how
            told = error["ctx"]
            return text.fault([*place, *told["place"]], told["says"], told["mend"])
        case "literal_error" | "enum":
            expected = str(error["ctx"]["expected"]).replace(" or ", ", ")
            known = [one.strip(" '") for one in expected.split(",")]
            return text.fault(
                place, f"{_shown(error)} is not known", did_you_mean(str(error["input"]), known)
            )
        case _:
            return text.fault(place, f"is {_shown(error)}", said[:1].lower() + said[1:])


def _shown(error: Any) -> str:
    shown = repr(error["input"])
    return shown if len(shown) <= _LONGEST_VALUE else f"{shown[:_LONGEST_VALUE]}…"


def _names_in(model: type[BaseModel]) -> frozenset[str]:
    """Every name that a file of this kind may use."""
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return frozenset(name for part in parts for name in part.get("properties", {})) - {"digest"}


def _mark(root: Any, place: Place) -> Any:
    """Where the deepest part of `place` that is there begins: a key rather than its value."""
    if root is None:
        return None
    node, mark = root, root.start_mark
    for part in place:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if found is not None:
                mark = found[0].start_mark
        elif isinstance(node, yaml.SequenceNode) and part in range(len(node.value)):
            value = node.value[int(part)]
            found, mark = (value, value), value.start_mark
        if found is None:
            break
        node = found[1]
    return mark


def _unclear(root: Any) -> Iterator[tuple[tuple[str | int, ...], tuple[str, str]]]:
    """What YAML allows and nobody means: a key that stands twice in one mapping, of which the last
    would count, a part that is repeated by reference, which hides what a line says, parts within
    parts without end; and what looks like a day or a number and is none."""
    reading = yaml.SafeLoader("")
    seen: set[int] = set()
    waiting: list[tuple[Any, tuple[str | int, ...]]] = [] if root is None else [(root, ())]
    while waiting:
        node, place = waiting.pop()
        if isinstance(node, yaml.ScalarNode):
            try:
                reading.construct_object(node)
            except yaml.YAMLError:
                pass  # said when the whole is read
            except ValueError:  # 2026-02-30, or digits without end
                yield place, ("is a day or a number that cannot be", "correct it")
            continue
        if len(place) > _DEEPEST:
            yield place, ("lies too deep", "nothing here has so many levels")
            continue
        if id(node) in seen:
            yield place, ("is repeated by reference (*…)", "write it out")
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            parts = [(value, (*place, number)) for number, value in enumerate(node.value)]
            waiting += reversed(parts)  # in the order of the file
            continue
        names = [str(key.value) for key, _ in node.value]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield (*place, name), ("stands here twice", "keep one of them")
        named = zip(names, node.value, strict=True)
        waiting += reversed([(value, (*place, name)) for name, (_, value) in named])
