"""One YAML file: read with the line of every value, checked against a model, with all mistakes at once.

Every scalar stays text until the setting that reads it says what it is, so `1.10` is a version and `no` a
name where one is asked for (https://github.com/yaml/pyyaml/issues/49).
"""

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails

from .errors import KmodciError

Mistake = tuple[int, str]
"""the line, and what is wrong there"""

Where = tuple[str | int, ...]
"""the keys and positions that lead to a value"""

NAMED_BY_KEY = "named_by_key"
"""the type of an error that says all by itself: which key of several has to be there"""

_NULLS = ("", "~", "null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a file holds. data: mappings, lists, text and None."""

    name: str
    data: object
    lines: Mapping[Where, int]
    mistakes: tuple[Mistake, ...] = ()
    """what is wrong with the YAML itself"""

    def mistake(self, where: Where, what: str) -> Mistake:
        """With the line of the value, or of what holds it."""
        while where not in self.lines:
            where = where[:-1]
        return self.lines[where], what

    def told(self, mistakes: Iterable[Mistake]) -> list[str]:
        """Each as `file:line: what`, from the top of the file to its end."""
        return [f"{self.name}:{line}: {what}" for line, what in sorted(mistakes, key=lambda mistake: mistake[0])]


class Section(BaseModel):
    """A mapping in a file. Unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _tell_keys(cls, data: object, info: ValidationInfo) -> object:
        """Leaves the keys that could be meant where a message about an unknown one looks for them."""
        if isinstance(info.context, Context) and isinstance(data, dict):
            info.context.keys[id(data)] = [field.alias or name for name, field in cls.model_fields.items()]
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What validators may ask for (pydantic's `info.context`)."""

    folder: Path
    """relative paths in the file start here"""
    keys: dict[int, list[str]] = field(default_factory=dict)
    """the keys that a mapping of the document, by its id(), may have"""


SectionT = TypeVar("SectionT", bound=Section)


def read(path: Path) -> Document:
    """Mistakes in the YAML are in `mistakes`; that the file is not there, or no text, too."""
    name = str(path)
    try:
        text = path.read_text(encoding="utf-8")
        loader = yaml.SafeLoader(text)
        reader = _Reader()
        data = reader.plain(loader.get_single_node(), ())
    except OSError as error:
        return _unreadable(name, 1, (error.strerror or str(error)).lower())
    except UnicodeDecodeError:
        return _unreadable(name, 1, "not UTF-8 text")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        return _unreadable(name, mark.line + 1 if mark else 1, f"not YAML: {what}")
    except yaml.YAMLError as error:
        return _unreadable(name, 1, f"not YAML: {' '.join(str(error).split())}")
    return Document(name=name, data=data, lines=reader.lines, mistakes=tuple(reader.mistakes))


def validate(document: Document, model: type[SectionT]) -> tuple[SectionT | None, list[Mistake]]:
    """The model's instance, and every mistake.

    With mistakes, it is what can be made of the rest, to be looked at for further ones; None if that is nothing.
    An empty file is one that leaves everything at its default.
    """
    context = Context(folder=Path(document.name).parent)
    data = {} if document.data is None else document.data
    try:
        return model.model_validate(data, context=context), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    mistakes = [_mistake(document, context, detail) for detail in details]
    for detail in details:
        # nothing bigger, lest a name that is spelt right, but holds mistakes, seems to be missing
        if detail["type"] == "extra_forbidden" or isinstance(detail["input"], str):
            data = _without(data, _locate(document.data, detail["loc"])[0])
    try:
        return model.model_validate(data, context=context), mistakes
    except ValidationError:
        return None, mistakes


def suggestion(wrong: str, right: Collection[str]) -> str:
    """` (did you mean 'suite'?)`, or nothing if no name is near."""
    near = difflib.get_close_matches(wrong, right, 1, 0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


class _Reader:
    """Turns YAML nodes into plain data, and notes their lines."""

    def __init__(self) -> None:
        self.lines: dict[Where, int] = {(): 1}
        self.mistakes: list[Mistake] = []
        self._seen: set[int] = set()

    def plain(self, node: yaml.Node | None, where: Where) -> object:
        if node is None:
            return None
        self.lines.setdefault(where, node.start_mark.line + 1)
        if id(node) in self._seen:
            # an alias of an alias of an alias ... is how a small file becomes gigabytes
            self._wrong(node, "an alias (*name) elsewhere stands for this: write it out there")
            return None
        self._seen.add(id(node))
        match node:
            case yaml.MappingNode():
                return self._mapping(node.value, where)
            case yaml.SequenceNode():
                return [self.plain(item, (*where, index)) for index, item in enumerate(node.value)]
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return None if plain and node.value in _NULLS else node.value

    def _mapping(self, pairs: Iterable[tuple[yaml.Node, yaml.Node]], where: Where) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value in pairs:
            key = key_node.value
            if not isinstance(key, str):
                self._wrong(key_node, "a key has to be a word")
                continue
            if key in found:
                self._wrong(key_node, f"{key!r} is here a second time (first in line {self.lines[(*where, key)]})")
                continue
            self.lines[(*where, key)] = key_node.start_mark.line + 1
            found[key] = self.plain(value, (*where, key))
        return found

    def _wrong(self, node: yaml.Node, what: str) -> None:
        self.mistakes.append((node.start_mark.line + 1, what))


def _unreadable(name: str, line: int, what: str) -> Document:
    return Document(name=name, data=None, lines={(): 1}, mistakes=((line, what),))


def _mistake(document: Document, context: Context, detail: ErrorDetails) -> Mistake:
    where, holder = _locate(document.data, detail["loc"])
    key = str(detail["loc"][-1]) if detail["loc"] else ""
    match detail["type"]:
        case "missing":
            return document.mistake(where, f"{_dotted((*where, key))} is missing")
        case "extra_forbidden":
            known = context.keys.get(id(holder), [])
            hint = suggestion(key, known) or f" (known here: {', '.join(sorted(known))})"
            return document.mistake(where, f"unknown key {key!r}{hint}")
    return document.mistake(where, f"{_dotted(where)}: {_wording(detail)}")


def _locate(data: object, loc: Where) -> tuple[Where, object]:
    """Where in the file an error is, without the names that pydantic gives to a union's members,
    and the mapping or list that holds it."""
    where: Where = ()
    holder = data
    for step in loc:
        inner = _inner(data, step)
        if inner:
            data, holder = inner[0], data
            where = (*where, step)
    return where, holder


def _without(data: object, where: Where) -> object:
    """The data without what is there, if that is a mapping's: a list keeps its length, or lines would be wrong."""
    if isinstance(data, dict) and where:
        key, *rest = where
        if rest:
            return {name: _without(value, tuple(rest)) if name == key else value for name, value in data.items()}
        return {name: value for name, value in data.items() if name != key}
    if isinstance(data, list) and len(where) > 1:
        return [_without(value, where[1:]) if index == where[0] else value for index, value in enumerate(data)]
    return data


def _inner(data: object, step: str | int) -> tuple[object] | None:
    if isinstance(data, dict) and step in data:
        return (data[step],)
    if isinstance(data, list) and isinstance(step, int) and step < len(data):
        return (data[step],)
    return None


_KINDS = {
    "tuple_type": "should be a list: [one, two]",
    "list_type": "should be a list: [one, two]",
    "dict_type": "should be a mapping: key: value",
    "mapping_type": "should be a mapping: key: value",
    "model_type": "should be a mapping: key: value",
    "string_type": "should be a text",
}


def _wording(detail: ErrorDetails) -> str:
    error = detail.get("ctx", {}).get("error")
    if isinstance(error, KmodciError):
        return f"{error.brief} ({error.hint})" if error.hint else error.brief
    if isinstance(error, ValueError):
        return str(error)
    given = detail["input"]
    what = _KINDS.get(detail["type"]) or detail["msg"].removeprefix("Input ")
    if detail["type"] == NAMED_BY_KEY:
        return what
    if isinstance(given, str):
        return f"{what}, not {given[:80]!r}"
    kind = "nothing" if given is None else "a list" if isinstance(given, list) else "a mapping"
    return f"{what}, but there is {kind}"


def _dotted(where: Where) -> str:
    """`targets[0].repositories[1].suite`"""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
    return text.lstrip(".") or "the file"
