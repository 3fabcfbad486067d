"""Expressions that do not parse or use names that they do not know, and imports that fail."""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType, NoneType

from lighter.config.check.subject import Subject, within
from lighter.config.imports import Import, required
from lighter.config.reference import KNOWN_NAMES, absolute, is_import, parse_expression, syntax_tree
from lighter.config.targets import USUAL, TargetError, import_object
from lighter.config.tree import SEPARATOR, Node, Path, is_reference, join, key_text, nodes, split
from lighter.errors import ConfigError, did_you_mean

_BUILTINS = frozenset(dir(builtins))
_INTERPOLATION = re.compile(r"\$\{(?P<path>[^\W\d][\w-]*(?:(?:\.|:{1,2})[\w-]+)+)\}")
_LOOKS_FIRST = {"hasattr", "getattr"}  # an expression that asks whether an attribute is there may do without it


def check_expressions(subject: Subject) -> None:
    used: set[str] = set()
    for path, node in subject.until_full(subject.written):
        if is_reference(node.value, "$") and not is_import(node.value):
            used |= _check_expression(subject, path, node)
    if subject.imports:
        _check_imports(subject, used)


def _check_expression(subject: Subject, path: Path, node: Node) -> set[str]:
    """Check one expression, and return the imported names that it uses."""
    if (found := _of_another_tool(subject, str(node.value))) is not None:
        message = f"{node.value!r} is how another tool writes a reference, and an expression here"
        subject.problem(path, node.place, message, node.value, found)
        return set()
    try:
        expression = parse_expression(str(node.value)[1:])
        tree = syntax_tree(expression, node, path)
    except ConfigError as error:
        subject.problems += error.problems
        return set()
    for name in unknown_names(tree, {*_known(subject), *expression.references}) if _can_be_known(subject) else ():
        message = f"the expression {node.value!r} uses the name {name!r}, which is neither a builtin nor imported"
        subject.problem(path, within(node.place, name), message, name, _mend(subject, name))
    used = free_names(tree)
    if not used & _LOOKS_FIRST:
        bound = {item.arg for item in ast.walk(tree) if isinstance(item, ast.arg)}
        bound |= {item.id for item in ast.walk(tree) if isinstance(item, ast.Name) and _is_stored(item)}
        for name, members in _members(tree):
            if name in expression.references:
                _check_plain_member(subject, path, node, expression.references[name], members)
            elif name not in bound and name not in _known(subject):
                _check_builtin_member(subject, path, node, name, members)
            elif name not in bound and subject.imports:
                _check_member(subject, path, node, name, members)
    return used & subject.names.keys()


def _of_another_tool(subject: Subject, text: str) -> str | None:
    """Suggest how to write OmegaConf's `${a.b}`; None where a text is none, or may mean something to Python."""
    match = _INTERPOLATION.match(text)
    if match is None:
        return None
    head, rest = re.split(r"[.:]", match["path"])[0], text[match.end() :]
    path = re.sub(r"[.:]+", SEPARATOR, match["path"])
    if head in _known(subject):
        return None
    if match["path"].startswith("oc.env:"):
        return f'an environment variable: "$os.environ[{path.split(SEPARATOR)[2]!r}]" with `_imports_: {{os: os}}`'
    if subject.find(split(path)) is None:
        return None
    return f"write \"$f'{{@{path}}}{rest}'\"" if rest else f'write "%{path}"'


def _can_be_known(subject: Subject) -> bool:
    table = subject.find(("_imports_",))
    is_readable = table is None or isinstance(table.value, (dict, NoneType))
    return is_readable and not subject.is_misspelt(("_imports_",))


def _known(subject: Subject) -> set[str]:
    """Return the names that are imported, be there something wrong with the import or not."""
    table = subject.find(("_imports_",))
    return {*subject.names, *(key_text(key) for key, _ in (table.items() if table else ()))}


def _mend(subject: Subject, name: str) -> str:
    if isinstance(subject.tree.value, dict) and name in subject.tree.value:
        return f"what the config has is named by its path: @{name}"
    if suggestion := did_you_mean(name, [*subject.names, *_BUILTINS], 0.75):
        return suggestion
    there = [path for path, _ in nodes(subject.tree) if path and path[-1] == name]
    if len(there) == 1:
        return f"did you mean @{join(there[0])}?"
    module = USUAL.get(name, name)
    if module in sys.stdlib_module_names or _is_installed(module.split(".")[0]):
        return f"import it: `_imports_: {{{name}: {module}}}`"
    return KNOWN_NAMES


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def unknown_names(tree: ast.Expression, known: Iterable[str]) -> list[str]:
    """Return the names that an expression uses and nothing binds, in their order."""
    return sorted(free_names(tree) - _BUILTINS - set(known))


def free_names(tree: ast.Expression) -> set[str]:
    """Return the names that an expression takes from outside."""
    return set(_free(tree.body, frozenset()))


def _free(node: ast.AST, bound: frozenset[str]) -> Iterator[str]:
    if isinstance(node, ast.Name):
        if node.id not in bound:
            yield node.id
    elif isinstance(node, ast.Lambda):
        yield from _free_in([*node.args.defaults, *filter(None, node.args.kw_defaults)], bound)
        yield from _free(node.body, bound | {item.arg for item in ast.walk(node.args) if isinstance(item, ast.arg)})
    elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        inner = bound | {item.id for item in ast.walk(node) if isinstance(item, ast.Name) and _is_stored(item)}
        yield from _free_in(ast.iter_child_nodes(node), inner)
    else:
        walruses = {item.target.id for item in ast.walk(node) if isinstance(item, ast.NamedExpr)}
        yield from _free_in(ast.iter_child_nodes(node), bound | walruses)


def _free_in(nodes: Iterable[ast.AST], bound: frozenset[str]) -> Iterator[str]:
    for node in nodes:
        yield from _free(node, bound)


def _is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _members(tree: ast.Expression) -> Iterator[tuple[str, list[str]]]:
    """Yield each `name.member.member` as the name and its members."""
    for node in ast.walk(tree):
        members: list[str] = []
        while isinstance(node, ast.Attribute):
            members.append(node.attr)
            node = node.value
        if members and isinstance(node, ast.Name):
            yield node.id, members[::-1]


def _check_member(subject: Subject, path: Path, node: Node, name: str, members: list[str]) -> None:
    """Look whether an imported module has what an expression takes from it."""
    found = subject.names.get(name)
    if found is None:
        return
    dotted = found.dotted
    try:
        owner = subject.imported_target(dotted)
        for member in members:
            if not isinstance(owner, ModuleType):
                return
            dotted = f"{dotted}.{member}"
            owner = import_object(dotted)
    except TargetError as error:
        if dotted != found.dotted:  # else the import itself failed, which is told of
            message = f"the expression {node.value!r}: {error.message}"
            subject.problem(path, within(node.place, ".".join([name, *members])), message, dotted, error.suggestion)


def _check_builtin_member(subject: Subject, path: Path, node: Node, name: str, members: list[str]) -> None:
    """Find an attribute that a builtin lacks, such as that of `vars.classes`, which is the function."""
    if name not in _BUILTINS or hasattr(getattr(builtins, name), members[0]):
        return
    there = (name, *members)
    message = f"the expression {node.value!r}: the builtin {name!r} has no {members[0]!r}"
    suggestion = f"did you mean @{join(there)}?" if subject.find(there) is not None else None
    subject.problem(path, within(node.place, f"{name}.{members[0]}"), message, node.value, suggestion)


def _check_plain_member(subject: Subject, path: Path, node: Node, written: str, members: list[str]) -> None:
    """Find an attribute that a mapping or a list of the config lacks: what is in it has a path."""
    try:
        there, found = subject.behind(absolute(written, path))
    except ConfigError:
        return  # told of where references are
    kind = type(found.value) if found is not None and not found.is_target else None
    if found is None or kind not in (dict, list) or there[:1] == ("system",) or hasattr(kind, members[0]):
        return
    what = "a mapping" if kind is dict else "a list"
    message = f"the expression {node.value!r}: '@{written}' is {what}, which has no attribute {members[0]!r}"
    suggestion = f"did you mean @{written}{SEPARATOR}{members[0]}?" if subject.find((*there, members[0])) else None
    subject.problem(path, within(node.place, f"@{written}"), message, node.value, suggestion)


def _check_imports(subject: Subject, used: set[str]) -> None:
    """Import what the stage will import, which is what `_requires_` asks for and what expressions use."""
    items: dict[Import, None] = {}
    with contextlib.suppress(ConfigError):  # told of already
        items.update(dict.fromkeys(required(subject.tree)))
    items.update({item: None for name, item in subject.names.items() if subject.stage is None or name in used})
    for item in subject.until_full(items):
        try:
            item.load()
        except ConfigError as error:
            subject.problems += error.problems
