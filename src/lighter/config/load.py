"""YAML text to patches: what a source says, with operators and path keys not yet applied."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any, TypeAlias

import yaml
import yaml.cyaml

from lighter.config import slips
from lighter.config.tree import MAX_DEPTH, MAX_NODES, SEPARATOR, Key, Path, Scalar, join
from lighter.errors import ConfigError, Place, Problem, did_you_mean

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_PLAIN = "plain"
_FROM_START = ("could not find expected ':'", "found unexpected end of stream")  # told where the key or quote begins
_MENDS = {  # of what the parser says
    "could not find expected ':'": slips.SPACE,
    "found unexpected end of stream": "this quote is not closed",
    "mapping values are not allowed in this context": "indent a key like those beside it; quote a text that holds ': '",
    "did not find expected key": "indent a key like those beside it; nothing follows a closing quote or bracket",
    "did not find expected ',' or ']'": "a ',' is missing, or the '[' of line {line} is not closed",
    "did not find expected ',' or '}'": "a ',' is missing, or the '{{' of line {line} is not closed",
}
_TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep"
_TOO_MANY = f"holds more than {MAX_NODES} values"
_MAX_BYTES = 20_000_000  # of a file
_MAX_DIGITS = 1000  # of a whole number: Python refuses to write those of more than 4300
_TYPES: dict[str, Any] = {
    _TAG + "int": int,
    _TAG + "float": (int, float),
    _TAG + "bool": bool,
    _TAG + "null": type(None),
}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_BOOL = re.compile(r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF")
_NULL = re.compile(r"~|null|Null|NULL|")


@dataclass(frozen=True)
class Patch:
    """A value as written: a scalar, a tuple (a list of the source) or a list of entries (a mapping of it)."""

    value: Scalar | tuple[Patch, ...] | list[Entry]
    place: Place


@dataclass(frozen=True)
class Entry:
    """One key of a mapping as written: an operator, the path that it acts on, and the value."""

    operator: Operator
    path: Path
    patch: Patch
    place: Place


Operator: TypeAlias = str  # "" merges, "=" replaces, "~" deletes, "+" appends


class PartlyReadError(ConfigError):
    """Text that is YAML, but holds what a config cannot; `patch` is the rest of it."""

    def __init__(self, patch: Patch, problems: Sequence[Problem]) -> None:
        super().__init__(problems=problems)
        self.patch = patch


def is_text(text: str) -> bool:
    """Tell whether plain (unquoted) YAML text means itself."""
    return not any(pattern.fullmatch(text) for pattern in (_INT, _FLOAT, _BOOL, _NULL))


def resolve_scalar(text: str) -> Scalar:
    """Return what plain (unquoted) YAML text means: numbers as YAML 1.2, booleans as PyYAML, the rest text.

    A whole number that is too long to be one stays text.
    """
    if _INT.fullmatch(text):
        if len(text) > _MAX_DIGITS:
            return text
        digits = text.lstrip("+-")
        return int(text, 8) if digits.startswith("0o") else int(text, 16) if digits.startswith("0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
    if _BOOL.fullmatch(text):
        return text.lower() in ("yes", "true", "on")
    return None if _NULL.fullmatch(text) else text


class _Loader(yaml.cyaml.CParser):  # type: ignore[misc,name-defined]
    """Compose nodes with C's speed; what a plain scalar means is left to `resolve_scalar`."""

    depth = 0
    count = 0

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
        if kind is not yaml.ScalarNode:
            return _TAG + ("seq" if kind is yaml.SequenceNode else "map")
        if not implicit[0]:
            return _TAG + "str"
        return _MERGE if value == "<<" else _PLAIN

    def descend_resolver(self, parent: yaml.Node | None, _index: object) -> None:
        """Stop at a depth that the parser's own recursion, which is in C, would not survive, and at a size."""
        self.depth += 1
        self.count += 1
        if self.depth > MAX_DEPTH and parent is not None:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=parent.start_mark)
        if self.count > 2 * MAX_NODES and parent is not None:  # a key is a node too
            raise yaml.MarkedYAMLError(problem=_TOO_MANY, problem_mark=parent.start_mark)

    def ascend_resolver(self) -> None:
        self.depth -= 1


def load_file(file: str, said_by: str = "") -> Patch:
    """Read a YAML file, which the file `said_by` names.

    Raises:
        ConfigError: it cannot be read, is not YAML, or does not hold a mapping.
        PartlyReadError: with every duplicate key and unusable tag.
    """
    try:
        text = _bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        place = Place(file, before.count(b"\n") + 1, column)
        raise ConfigError(f"is not UTF-8 text: {error.reason}", place=place, suggestion="save it as UTF-8") from error
    except FileNotFoundError as error:
        own = FilePath(said_by).resolve()
        others = (item.name for item in FilePath(file).parent.glob("*.y*ml") if item.resolve() != own)
        suggestion = did_you_mean(FilePath(file).name, others, 0.75)
        raise ConfigError(f"there is no file {file!r}", value=file, suggestion=suggestion) from error
    except (OSError, ValueError) as error:  # ValueError: no file name at all, or no file
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot read {file!r}: {reason}", value=file) from error
    patch = load_text(text, Place(file, 1, 1))
    if patch.value is None:
        return Patch([], patch.place)
    if not isinstance(patch.value, list):
        raise ConfigError("a config is a mapping of sections (trainer:, system:, …)", place=patch.place)
    return patch


def _bytes(file: str) -> bytes:
    """Return what is in a file. A device or a pipe may have no end, and cannot be read again by other processes."""
    path = FilePath(file)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ValueError("it is a device or a pipe, not a file")
    with path.open("rb") as opened:
        content = opened.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"it holds more than {_MAX_BYTES // 1_000_000} MB")
    return content


def load_text(text: str, origin: Place) -> Patch:
    """Read one YAML document; places are positions in `origin`'s file, or `origin` itself for an override.

    Raises:
        ConfigError: with the one syntax error.
        PartlyReadError: with every duplicate key and unusable tag.
    """
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise _syntax_error(error, text, origin) from error
    except ValueError as error:
        raise ConfigError(f"cannot be read as YAML: {error}", place=origin) from error
    if root is None:
        return Patch(None, origin)
    reader = _Reader(origin)
    patch = reader.patch(root)
    if reader.problems:
        raise PartlyReadError(patch, reader.problems)
    return patch


def split_key(text: str) -> tuple[Operator, tuple[str, ...]]:
    """Split a mapping's key into operator and path; an empty part is the caller's to refuse."""
    operator = text[0] if text[:1] in ("=", "~") else ""
    return operator, tuple(text[len(operator) :].split(SEPARATOR))


def misplaced_operator(operator: Operator, path: Sequence[str]) -> str | None:
    """Suggest how to write a path that has an operator inside; None where it has none."""
    inside = next((part[0] for part in path if part[:1] in ("=", "~") and len(part) > 1), None)
    if inside is None:
        return None
    return f"an operator stands in front: {(operator or inside) + join([part.lstrip('=~') for part in path])!r}"


class _Reader:
    """Turn YAML nodes into patches, collecting problems."""

    def __init__(self, origin: Place) -> None:
        self.origin = origin
        self.problems: list[Problem] = []
        self._done: dict[int, tuple[Patch, int]] = {}  # by node: aliases share their anchor's patch
        self._open: set[int] = set()

    def patch(self, node: yaml.Node) -> Patch:
        return self._read(node)[0]

    def _place(self, node: yaml.Node) -> Place:
        if self.origin.override:
            return self.origin
        return Place(self.origin.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def _problem(self, message: str, place: Place, value: object = None, suggestion: str | None = None) -> None:
        self.problems.append(Problem(message, place, None, value, suggestion))

    def _read(self, node: yaml.Node) -> tuple[Patch, int]:
        """Return a node's patch and its size in nodes."""
        if id(node) in self._done:
            return self._done[id(node)]
        place = self._place(node)
        if id(node) in self._open:
            raise ConfigError("an alias stands inside its own anchor", place=place)
        self._open.add(id(node))
        size = 1
        value: Scalar | tuple[Patch, ...] | list[Entry]
        if isinstance(node, yaml.ScalarNode):
            value = self._scalar(node, place)
        elif isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "seq", place)
            children = [self._read(item) for item, _ in self._uncut(node, [(item, item) for item in node.value])]
            value = tuple(patch for patch, _ in children)
            size += sum(length for _, length in children)
        else:
            assert isinstance(node, yaml.MappingNode)
            self._check_tag(node, "map", place)
            value, length = self._entries(node)
            size += length
        if size > MAX_NODES:
            raise ConfigError(f"holds more than {MAX_NODES} values once its aliases are expanded", place=place)
        self._open.discard(id(node))
        self._done[id(node)] = Patch(value, place), size
        return self._done[id(node)]

    def _check_tag(self, node: yaml.Node, kind: str, place: Place) -> None:
        if node.tag != _TAG + kind:
            file = node.value if "include" in node.tag and str(node.value).endswith((".yaml", ".yml")) else None
            mend = f'another file is read by a reference: "%{file}"' if file else None
            self._problem(f"the tag {_tag_text(node.tag)!r} has no meaning in a config", place, node.tag, mend)

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Scalar:
        text: str = node.value
        if node.tag in (_MERGE, _TAG + "str"):
            return text
        meaning = resolve_scalar(text)
        if isinstance(meaning, str) and not is_text(text):
            self._problem("is too long a number", place, text)
            return None
        if node.tag == _PLAIN:
            return meaning
        kind = node.tag.removeprefix(_TAG)
        if node.tag not in _TYPES:
            self._check_tag(node, "str", place)
        elif not isinstance(meaning, _TYPES[node.tag]) or (isinstance(meaning, bool) and kind != "bool"):
            self._problem(f"{text!r} is not a YAML {kind}", place, text)
        elif kind == "float":
            assert isinstance(meaning, (int, float))
            return float(meaning)
        return meaning

    def _entries(self, node: yaml.MappingNode) -> tuple[list[Entry], int]:
        own: list[Entry] = []
        merged: dict[Path, Entry] = {}
        size = 0
        for value_node, key_node in self._uncut(node, [(value, key) for key, value in node.value]):
            if key_node.tag == _MERGE:
                entries, length = self._merge_key(value_node)
                merged = {**{entry.path: entry for entry in entries}, **merged}
            else:
                patch, length = self._read(value_node)
                entry = self._entry(key_node, patch)
                own += [entry] if entry else []
            size += length
        own = self._once(own)
        explicit = {entry.path for entry in own}
        return [entry for path, entry in merged.items() if path not in explicit] + own, size

    def _uncut(
        self, node: yaml.CollectionNode, items: list[tuple[yaml.Node, yaml.Node]]
    ) -> list[tuple[yaml.Node, yaml.Node]]:
        """Refuse unquoted expressions that commas cut into several items, each a value and its key or itself."""
        if not node.flow_style:
            return items
        heads = [_plain_text(value) for value, _ in items]
        tails = [_plain_text(key) if key is value or _plain_text(value) == "" else "" for value, key in items]
        for cut in list(slips.cut_expressions(heads, tails))[::-1]:
            (value, key), whole = items[cut.start], ", ".join([heads[cut.start], *tails[cut.start + 1 : cut.stop]])
            self._problem(
                f"the expression {whole!r} ends at its first comma here", self._place(value), whole, slips.QUOTE
            )
            items[cut] = [(yaml.ScalarNode(_PLAIN, "null", value.start_mark), key)]
        return items

    def _once(self, entries: list[Entry]) -> list[Entry]:
        """Refuse a key that is there already, be it as text (1 and "1") or for Python (1 and true).

        A second `_target_` below a key without a value is taken for the value of that, with all that follows it.
        """
        seen: dict[str | Path, Entry] = {}
        for index, entry in enumerate(entries):
            name = join(entry.path)
            first = seen.get(name) or seen.get(entry.path)
            if first:
                other = join(first.path)
                same = "" if other == name else f": it is the same as {other!r}"
                where = "" if self.origin.override else f" (first in line {first.place.line})"
                above = entries[index - 1]
                is_dedented = name == "_target_" and above.patch.value is None and not above.operator
                mend = f"indent it further to make it the value of {join(above.path)!r}" if is_dedented else None
                self._problem(f"the key {name!r} is written twice{where}{same}", entry.place, name, mend)
                if is_dedented:
                    return [*entries[: index - 1], replace(above, patch=Patch(entries[index:], entry.place))]
            seen[name] = seen[entry.path] = entry
        return entries

    def _merge_key(self, node: yaml.Node) -> tuple[list[Entry], int]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        entries: list[Entry] = []
        size = 0
        for source in sources:
            patch, length = self._read(source)
            size += length
            if isinstance(patch.value, list):
                known = {entry.path for entry in entries}
                entries += [entry for entry in patch.value if entry.path not in known]
            else:
                self._problem("'<<' takes a mapping or a list of mappings", self._place(source))
        return entries, size

    def _entry(self, node: yaml.Node, patch: Patch) -> Entry | None:
        place = self._place(node)
        if not isinstance(node, yaml.ScalarNode):
            self._problem("a key must be text or a number", place)
            return None
        key: Key = self._scalar(node, place)
        if isinstance(key, float) and math.isnan(key):
            self._problem("a key cannot be nan", place)
            return None
        if isinstance(key, bool) and node.value.lower() not in ("true", "false"):
            key = node.value  # on, off, yes, no: names, which a path and an argument must find as written
        if not isinstance(key, str):
            return Entry("", (key,), patch, place)
        operator, path = split_key(key)
        if not all(path) and key != "":
            self._problem(f"the key {key!r} has an empty part", place, key)
            return None
        if mend := misplaced_operator(operator, path):
            self._problem(f"the key {key!r} has an operator inside its path", place, key, mend)
            return None
        return Entry(operator, path, patch, place)


def _plain_text(node: yaml.Node) -> str:
    """Return the text of a scalar without quotes; of anything else, none."""
    return node.value if isinstance(node, yaml.ScalarNode) and node.tag == _PLAIN else ""


def _tag_text(tag: str) -> str:
    return tag.replace(_TAG, "!!")


def _syntax_error(error: yaml.YAMLError, text: str, origin: Place) -> ConfigError:
    """Say in our words what the parser refused, and where."""
    problem = getattr(error, "problem", None) or str(error).split("\n")[0]
    context, start = getattr(error, "context", None), getattr(error, "context_mark", None)
    mark = getattr(error, "problem_mark", None)
    mark = start if mark is None or (start is not None and problem in _FROM_START) else mark
    index = getattr(error, "position", None)
    if mark is not None:
        line, column = mark.line + 1, mark.column + 1
    else:
        line, column = (text.count("\n", 0, index) + 1 if isinstance(index, int) else 1), 1
    place = origin if origin.override else Place(origin.file, line, column)
    lines = text.splitlines()
    at = lines[line - 1][column - 1 :] if line <= len(lines) else ""
    suggestion = _MENDS.get(problem, "").format(line=start.line + 1 if start is not None else 1) or None
    suggestion = slips.mend(problem, context or "", lines, line, column) or suggestion
    if "document start" in problem and origin.override:
        suggestion = f"quote a text that starts with {text[:1]!r}, and the quotes for the shell: '\"{text}\"'"
    elif "mapping values" in problem and (glued := slips.glued_key(lines, line - 1)):
        place = origin if origin.override else Place(origin.file, line - 1, glued)
        suggestion = slips.SPACE
    if at.startswith("\t"):
        message = "a tab cannot indent YAML: use spaces"
    elif "another document" in problem:
        message = "a config is one YAML document: '---' begins a second one"
    elif "duplicate anchor" in (context or ""):
        message = "an anchor of this name is there already"
    elif problem in (_TOO_DEEP, _TOO_MANY):
        message = problem
    elif "cannot start any token" in problem and column > 1 and lines[line - 1][column - 2] in "\"'":
        message = f"not valid YAML: this {lines[line - 1][column - 2]} closes a quote"
        suggestion = "a quote that began in a line above is not closed there"
    elif "cannot start any token" in problem:
        message = f"a value cannot start with {at[:1]!r} in YAML"
        suggestion = "put quotes around it"
    else:
        message = f"not valid YAML: {problem}" + (f" {context}" if context else "")
    return ConfigError(message, place=place, suggestion=suggestion)
