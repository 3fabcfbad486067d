"""The syntax of references and expressions: `@path`, `%path`, `$expression`, `@::relative`."""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from lighter.config.tree import (
    MAX_DEPTH,
    MAX_NODES,
    SEPARATOR,
    Key,
    Node,
    Path,
    PathError,
    is_reference,
    join,
    lost,
    split,
    step,
)
from lighter.errors import ConfigError, Place

MANY = 100  # references that name nothing: more are not told of
MAX_HOPS = 100  # references behind references
KNOWN_NAMES = "an expression knows builtins, references (@path) and the names in `_imports_`"
SYSTEM_IS_LIVE = "'@system' is the live System, which exists only in what is built late: optimizer and scheduler"

_REFERENCE = re.compile(r"@(?:::)*-?\w+(?:::-?\w+)*")
_COPY = re.compile(r"%(?:::)*\w+::\w")
_ARITHMETIC = re.compile(r"\s+(?:[-+/%]|\*\*?|//)\s")
_PATH = re.compile(r"[\w:./-]+")
_QUOTE = re.compile(r"(?P<prefix>(?i:[bfru]|[bf]r|r[bf])?)(?P<quote>\"\"\"|'''|\"|')")
_NAME = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"\d[\w.]*")
_IMPORT = re.compile(r"\$\s*(?:import|from)\s")


@dataclass(frozen=True)
class Expression:
    """A `$` expression: Python in which each reference became a name."""

    code: str
    references: dict[str, str]  # name -> path as written, relative ones too


def absolute(text: str, at: Sequence[Key]) -> Path:
    """Return the path that a reference's text (without its mark) names from `at`; each leading `::` is a level up.

    Raises:
        ConfigError: it climbs above the top.
    """
    up = 0
    while text.startswith(SEPARATOR):
        text, up = text[len(SEPARATOR) :], up + 1
    if up > len(at):
        raise ConfigError(f"{SEPARATOR * up!r} climbs above the top of the config", value=text)
    if text.count(SEPARATOR) > MAX_DEPTH:
        raise ConfigError(f"no config is more than {MAX_DEPTH} levels deep", value=text)
    return (*(tuple(at)[: len(at) - up] if up else ()), *split(text))


def is_import(text: object) -> bool:
    """Tell whether an expression is an import statement."""
    return isinstance(text, str) and _IMPORT.match(text) is not None


def unescape(text: str) -> str:
    r"""Drop the backslash of a leading escape: `\@`, `\%`, `\$`."""
    return text[1:] if text[:2] in ("\\@", "\\%", "\\$") else text


def parse_expression(text: str) -> Expression:
    """Split the references out of an expression's text (without the `$`).

    Strings are left alone, but for the replacement fields of f-strings; `a @ b` stays a matrix product.

    Raises:
        ConfigError: strings stand in strings too deeply.
    """
    scanner = _Scanner(text)
    try:
        scanner.code(0, "")
    except RecursionError:
        raise ConfigError("the expression is nested too deeply", value=text) from None
    return Expression("".join(scanner.out).strip(), {name: path for path, name in scanner.names.items()})


def syntax_tree(expression: Expression, node: Node, path: Path) -> ast.Expression:
    """Return an expression's syntax tree.

    Raises:
        ConfigError: it does not parse.
    """
    try:
        tree = ast.parse(expression.code, mode="eval")
        if _is_deep(tree):
            raise RecursionError("it is nested too deeply")
        return tree
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        message = f"the expression {node.value!r} does not parse: {reason}"
        named = _COPY.search(str(node.value)) or re.search(r"\w::\w", str(node.value))
        suggestion = "references in an expression are written with '@'" if named else None
        where = join(path)
        raise ConfigError(message, place=node.place, path=where, value=node.value, suggestion=suggestion) from error


def _is_deep(tree: ast.AST) -> bool:
    """Tell whether a tree has more levels than a recursion over it should take on."""
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return bool(level)


class _Scanner:
    """Copy an expression's text to `out`, with a name in place of each reference."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.out: list[str] = []
        self.names: dict[str, str] = {}

    def code(self, at: int, stop: str) -> int:
        """Copy code up to an unnested character of `stop`; return where it stands."""
        depth = 0
        operand = False  # did the last token end an operand, so that `@` is a product?
        while at < len(self.text):
            character = self.text[at]
            if not depth and character in stop and self.text[at : at + 2] != "!=":
                return at
            if quote := _QUOTE.match(self.text, at):
                at = self.string(quote)
                operand = True
            elif not operand and (reference := _REFERENCE.match(self.text, at)):
                path = reference[0][1:]
                self.out.append(self.names.setdefault(path, f"_reference_{len(self.names)}"))
                at, operand = reference.end(), True
            elif token := _NAME.match(self.text, at) or _NUMBER.match(self.text, at):
                self.out.append(token[0])
                at, operand = token.end(), not keyword.iskeyword(token[0]) or token[0] in ("None", "True", "False")
            else:
                depth += (character in "([{") - (character in ")]}")
                operand = operand if character.isspace() else character in ")]}"
                self.out.append(character)
                at += 1
        return at

    def string(self, quote: re.Match[str]) -> int:
        """Copy a string literal; return where it ends."""
        mark, formatted = quote["quote"], "f" in quote["prefix"].lower()
        raw = "r" in quote["prefix"].lower()
        at = quote.end()
        self.out.append(quote[0])
        while at < len(self.text):
            pair = self.text[at : at + 2]
            escape = pair[0] == "\\" and not (raw and formatted and pair == "\\{")
            if self.text.startswith(mark, at):
                self.out.append(mark)
                return at + len(mark)
            if formatted and pair[0] == "{" and pair != "{{":
                at = self.field(at)
            else:
                length = 2 if escape or (formatted and pair in ("{{", "}}")) else 1
                self.out.append(pair[:length])
                at += length
        return at

    def field(self, at: int) -> int:
        """Copy an f-string's replacement field `{…!r:…}`; return where it ends."""
        self.out.append("{")
        at = self.code(at + 1, "}:!")
        while at < len(self.text) and self.text[at] != "}":
            if self.text[at] == "{":
                at = self.field(at)
            else:
                self.out.append(self.text[at])
                at += 1
        self.out.append("}" if at < len(self.text) else "")
        return at + 1


def follow(root: Node, path: Sequence[Key]) -> tuple[Path, Node]:
    """Return the node that a path leads to and its canonical path, going on behind references along the way.

    Raises:
        PathError: a part leads nowhere.
        ConfigError: the references on the way lead in a circle, or above the top.
    """
    for _ in range(MAX_HOPS):
        node = root
        here: Path = ()
        for depth, part in enumerate(path):
            if is_reference(node.value):
                break
            found = step(node, part)
            if found is None:
                raise lost(root, node, path, depth)
            node, here = found[1], (*here, found[0])
        else:
            return here, node
        path = (*absolute(str(node.value)[1:], here), *path[depth:])
    raise ConfigError("it leads in a circle", value=join(path))


def expand(root: Node, node: Node, path: Path = ()) -> Node:
    """Return `node`, which stands at `path`, with copies of what its raw references name in their place.

    A copy reads as if it were written where it lands: relative references in it count from there.

    Raises:
        ConfigError: with every raw reference that names nothing, or leads back to itself.
    """
    expansion = _Expansion(root)
    expanded = expansion.expand(node, path, ())
    if expansion.failures:
        raise ConfigError(problems=[problem for failure in expansion.failures[:MANY] for problem in failure().problems])
    return expanded


def expand_what_can_be(root: Node) -> Node:
    """Return a tree expanded like `expand` does, but leave each raw reference that cannot be as it is."""
    return _Expansion(root).expand(root, (), ())


class _Expansion:
    """One pass over a tree; `size` bounds what references to references can grow to."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.size = 0
        self.failures: list[Callable[[], ConfigError]] = []  # phrased only when someone asks, as that takes a while

    def expand(self, node: Node, path: Path, chain: tuple[Path, ...]) -> Node:
        self.size += 1
        if self.size > MAX_NODES:
            raise ConfigError(f"holds more than {MAX_NODES} values once its references are expanded", place=node.place)
        if len(chain) > MAX_HOPS or len(path) > MAX_DEPTH:
            raise ConfigError("its references lead too deep", place=node.place)
        value = node.value
        if isinstance(value, str) and value.startswith("%"):
            found = self.target(node, value, path, chain)
            if found is None:
                return node
            copy = self.expand(found[1], path, (*chain, found[0]))
            return Node(copy.value, copy.place, node.key_place, copy.replaced)
        if isinstance(value, dict):
            value = {key: self.expand(item, (*path, key), chain) for key, item in value.items()}
        elif isinstance(value, list):
            value = [self.expand(item, (*path, index), chain) for index, item in enumerate(value)]
        return Node(value, node.place, node.key_place, node.replaced)

    def target(self, node: Node, text: str, path: Path, chain: tuple[Path, ...]) -> tuple[Path, Node] | None:
        try:
            target, found = follow(self.root, absolute(text[1:], path))
        except (PathError, ConfigError) as error:
            self.failures.append(partial(reference_error, error, self.root, text, node.place, path))
            return None
        if target in chain or target == path[: len(target)]:
            message = f"{text!r} leads back to itself"
            self.failures.append(partial(ConfigError, message, place=node.place, path=join(path), value=text))
            return None
        return target, found


def reference_error(error: PathError | ConfigError, root: Node, text: str, place: Place, path: Path) -> ConfigError:
    """Say of a reference that it names nothing, and why."""
    message, suggest = (
        (error.message, error.suggestion_at) if isinstance(error, PathError) else (error.problems[0].message, None)
    )
    message = f"{text!r} names nothing: {message}"
    suggestion = _single_colon(text) or _as_expression(root, text, path) or other_level(root, text, path)
    suggestion = suggestion or (suggest and suggest(path)) or _as_attribute(error, text)
    return ConfigError(message, place=place, path=join(path), value=text, suggestion=suggestion)


def other_level(root: Node, text: str, at: Path) -> str | None:
    """Suggest the count of leading `::` nearest to the one written with which a relative reference leads elsewhere."""
    name = text[1:].lstrip(":")
    up = (len(text) - 1 - len(name)) // len(SEPARATOR)
    for count in sorted(range(1, len(at) + 1), key=lambda count: abs(count - up)) if up and name else ():
        written = f"{text[0]}{SEPARATOR * count}{name}"
        try:
            there = follow(root, absolute(written[1:], at))[0]
        except (PathError, ConfigError):
            continue
        if there != at[: len(there)]:
            return f"did you mean {written!r}?"
    return None


def _single_colon(text: str) -> str | None:
    """Suggest `@a::b` for `@a:b`."""
    fixed = re.sub(r"(?<!:):(?!:)", SEPARATOR, text)
    return f"levels are separated by '::': {fixed!r}" if fixed != text and _PATH.fullmatch(text, 1) else None


def _as_expression(root: Node, text: str, at: Path) -> str | None:
    """Suggest `$@a.b()` for `@a.b()` or `%a.b()`: a call, a sum, or an attribute of no plain mapping or list."""
    expression = f"@{text[1:]}"
    path = _REFERENCE.match(expression)
    if "(" not in text:
        node = _found(root, path[0][1:], at) if path else None
        rest = expression[path.end() :] if path else ""
        plain = node is not None and isinstance(node.value, (dict, list)) and not node.is_target
        is_attribute = re.match(r"\.[^\W\d]", rest) and not plain
        if node is None or not (is_attribute or _ARITHMETIC.match(rest)):
            return None
        if _found(root, text[1:].replace(".", SEPARATOR), at):
            return None
    return f"an expression starts with '$': \"${expression}\""


def _as_attribute(error: PathError | ConfigError, text: str) -> str | None:
    """Suggest `$@a.b` for `@a::b`, where `a` is an object that the config says nothing of `b` of."""
    if not isinstance(error, PathError) or not error.node.is_target:
        return None
    head, _, name = text[1:].rpartition(SEPARATOR)
    named = head.strip(":")
    return f"an attribute of the object stands behind a dot, in an expression: $@{head}.{name}" if named else None


def _found(root: Node, text: str, at: Path) -> Node | None:
    try:
        return follow(root, absolute(text, at))[1]
    except (PathError, ConfigError):
        return None
