"""Expressions that do not parse or use names that they do not know, and imports that fail."""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType, NoneType

from lighter.config.check.subject import Subject, within
from lighter.config.imports import Import, required
from lighter.config.reference import KNOWN_NAMES, is_import, parse_expression, syntax_tree
from lighter.config.targets import TargetError, import_object
from lighter.config.tree import Node, Path, is_reference, join, key_text, nodes
from lighter.errors import ConfigError, did_you_mean

_BUILTINS = frozenset(dir(builtins))
_USUAL = {  # what people import these names for
    "np": "numpy",
    "pd": "pandas",
    "plt": "matplotlib.pyplot",
    "pl": "pytorch_lightning",
    "nn": "torch.nn",
    "F": "torch.nn.functional",
    "optim": "torch.optim",
    "transforms": "torchvision.transforms",
}
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
    if subject.imports and not used & _LOOKS_FIRST:
        for name, member in _members(tree):
            _check_member(subject, path, node, name, member)
    return used & subject.names.keys()


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
    module = _USUAL.get(name, name)
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
