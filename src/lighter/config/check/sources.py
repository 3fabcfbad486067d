"""The source of a function, parsed, and the names that it assigns."""

from __future__ import annotations

import ast
import functools
import linecache
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import CodeType


@dataclass(frozen=True)
class Source:
    """The definition of a function, and how often its statements assign each name; loops assign too."""

    tree: ast.FunctionDef
    lines: list[str]
    stored: Counter[str]
    attributes: frozenset[str]  # of anything, that are assigned
    marks: dict[tuple[str, ...], list[int]] = field(default_factory=dict)

    def mentions(self, node: ast.stmt, words: tuple[str, ...]) -> bool:
        """Tell whether a statement may have any of these words in it: much faster than to look at its nodes."""
        if words not in self.marks:
            numbered = enumerate(self.lines, 1)
            self.marks[words] = [number for number, line in numbered if any(word in line for word in words)]
        following = bisect_left(self.marks[words], node.lineno)
        return following < len(self.marks[words]) and self.marks[words][following] <= (node.end_lineno or 0)

    @functools.cached_property
    def loops(self) -> list[ast.For | ast.comprehension]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.For | ast.comprehension)]

    @functools.cached_property
    def parameters(self) -> list[str]:
        given = self.tree.args
        return [item.arg for item in (*given.posonlyargs, *given.args, *given.kwonlyargs)]


@functools.cache
def source_of(code: CodeType) -> Source | None:
    """Return the source of a function, or None where it is missing, or not that of a plain function.

    Only its own lines are parsed: `inspect.getsource` tokenizes them in Python, which takes ten times as long.
    """
    lines = linecache.getlines(code.co_filename)
    first = code.co_firstlineno - 1
    end = max((line for *_, line in code.co_lines() if line), default=0)
    if not first < end <= len(lines):
        return None
    indent = _indent(lines[first])
    while end < len(lines) and (_indent(lines[end]) > indent or lines[end].strip()[:1] in ("", ")", "]", "}")):
        end += 1
    lines = ["if 1:\n" if indent else "\n", *lines[first:end]]
    try:
        statement = ast.parse("".join(lines)).body[0]
    except (SyntaxError, ValueError, IndexError):
        return None
    tree = statement.body[0] if isinstance(statement, ast.If) else statement
    if not isinstance(tree, ast.FunctionDef):
        return None
    stores = [node for target in _targets(tree.body) for node in ast.walk(target)]
    if any(":=" in line for line in lines):
        stores += [node.target for node in ast.walk(tree) if isinstance(node, ast.NamedExpr)]
    stores = [node for node in stores if not isinstance(getattr(node, "ctx", None), ast.Load)]
    stored = Counter(node.id for node in stores if isinstance(node, ast.Name))
    attributes = frozenset(node.attr for node in stores if isinstance(node, ast.Attribute))
    source = Source(tree, lines, stored, attributes)
    names = [*source.parameters, *(item.arg for item in (tree.args.vararg, tree.args.kwarg) if item)]
    is_current = names == list(code.co_varnames[: len(names)])  # the file may have changed since it was imported
    return source if is_current else None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _targets(statements: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Yield what the statements of a block and of its inner blocks assign to."""
    for node in statements:
        for name in node._fields:
            value = getattr(node, name)
            if name in ("target", "optional_vars") and value:
                yield value
            elif name == "targets":
                yield from value
            elif name in ("body", "orelse", "finalbody", "handlers", "items", "cases"):
                yield from _targets(value)
