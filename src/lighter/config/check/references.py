"""References that name nothing, lead in a circle or reach what is not there yet, and expressions without their `$`."""

from __future__ import annotations

import re
from dataclasses import replace

from lighter.config.check.expressions import unknown_names
from lighter.config.check.subject import LATE, Subject, within
from lighter.config.compose import is_external
from lighter.config.reference import (
    SYSTEM_IS_LIVE,
    absolute,
    expand,
    follow,
    is_import,
    other_level,
    parse_expression,
    reference_error,
    syntax_tree,
)
from lighter.config.tree import SEPARATOR, Node, Path, PathError, is_reference, join, split
from lighter.errors import ConfigError, Place, Problem

_REFERENCE_INSIDE = re.compile(r"[@%](?=\w+::\w)")
_FREE = ("vars", "sweep", "_imports_")


def check_references(subject: Subject) -> None:
    told: set[tuple[Place, str]] = set()  # of several copies of one reference, the first is told of
    for path, node in subject.until_full(subject.written):
        if not isinstance(node.value, str) or is_import(node.value) or (node.place, node.value) in told:
            continue
        before = len(subject.problems) + len(subject.doubtful)
        if is_reference(node.value, "@$"):
            _check_targets(subject, path, node)
        elif is_reference(node.value, "%"):
            if not is_external(node.value):  # of another file, which composition told of
                _check_raw(subject, path, node)
        elif path[0] not in _FREE:
            _check_forgotten_mark(subject, path, node)
        if len(subject.problems) + len(subject.doubtful) > before:
            told.add((node.place, node.value))
    _check_circles(subject)


def _check_targets(subject: Subject, path: Path, node: Node) -> None:
    try:
        references = list(subject.references(path, node))
    except ConfigError as error:
        message = error.problems[0].message
        return subject.problem(path, node.place, f"{node.value!r} names nothing: {message}", node.value)
    for written, target in references:
        try:
            follow(subject.tree, target)
        except (PathError, ConfigError) as error:
            place = within(node.place, written) if is_reference(node.value, "$") else node.place
            problems = reference_error(error, subject.tree, written, place, path).problems
            subject.doubtful += [(target, _of_copy(subject, written, path, problem)) for problem in problems]
    return None


def _check_raw(subject: Subject, path: Path, node: Node) -> None:
    circle = _copies(subject.config.root, path)
    if len(circle) > 1:
        return _tell(subject.config.root, subject, circle)
    try:
        expand(subject.tree, node, path)
    except ConfigError as error:
        for problem in error.problems:
            text, where = str(problem.value), split(problem.path or "")
            subject.doubtful.append((_target(problem), _of_copy(subject, text, where, problem)))
    return None


def _of_copy(subject: Subject, text: str, path: Path, problem: Problem) -> Problem:
    """Say of a relative reference that it was copied to where it leads nowhere, if it would lead somewhere before."""
    try:
        origin = follow(subject.config.root, path)[0]
        meant = follow(subject.tree, absolute(text[1:], origin))[0]
    except (PathError, ConfigError):
        return problem
    if origin == path or not text[1:].startswith(SEPARATOR):
        return problem
    suggestion = f"this is a copy of {join(origin)!r}, and counts from where it lands: write '{text[0]}{join(meant)}'"
    return replace(problem, suggestion=suggestion)


def _target(problem: Problem) -> Path:
    """Return the path that a raw reference names, of which a problem tells; the empty one, where it names none."""
    try:
        return absolute(str(problem.value)[1:], split(problem.path or ""))
    except ConfigError:
        return ()


def _copies(root: Node, path: Path) -> list[Path]:
    """Return the paths of raw references that lead to each other in a circle, which a path leads into; or none."""
    trail: list[Path] = []
    try:
        while path not in trail:
            trail.append(path)
            node = follow(root, path)[1]
            if not is_reference(node.value, "%"):
                return []
            path = follow(root, absolute(str(node.value)[1:], path))[0]
    except (PathError, ConfigError):
        return []
    return trail[trail.index(path) :]


def _check_forgotten_mark(subject: Subject, path: Path, node: Node) -> None:
    """Find plain text that is an expression but for its `$`: it holds a reference to something that is there."""
    text = str(node.value)
    if not _REFERENCE_INSIDE.search(text):
        return
    try:
        expression = parse_expression(text.replace("%", "@"))
        tree = syntax_tree(expression, node, path)
    except ConfigError:
        return
    references = [subject.find(tuple(written.split(SEPARATOR))) for written in expression.references.values()]
    if not references or None in references or unknown_names(tree, {*subject.names, *expression.references}):
        return
    suggestion = f"an expression starts with '$': \"${text}\""
    subject.problem(path, node.place, f"the text {text!r} looks like an expression", text, suggestion)


# --- circles


def _check_circles(subject: Subject) -> None:
    """Follow what each value needs, as building would: the Trainer first, then the early parts, then the late ones."""
    late = LATE if subject.may_be_system else ()
    first = [item for item in subject.used if item[0][:1] == ("trainer",)]
    sections = [(section,) for section in ("data", "system", "args")]
    early = [item for item in subject.used if item[0][:1] in sections and item[0][:2] not in late]
    walk = _Walk(subject, live={("system",)})
    walk.start([item for item in first if item[0] != ("system",)])
    walk.live.add(("trainer",))
    walk.start([item for item in early if item[0] != ("system",)])
    for path in walk.done:
        _check_live_system(subject, path)
    walk.live.add(("system", "model"))
    walk.start([item for item in subject.written if item[0] not in ((), ("system",))])
    for circle in walk.circles:
        _tell(subject.tree, subject, circle)


def _check_live_system(subject: Subject, path: Path) -> None:
    node = subject.find(path)
    try:
        if node is not None and any(target == ("system",) for _, target in subject.references(path, node)):
            subject.problem(path, node.place, SYSTEM_IS_LIVE, node.value)
    except ConfigError:
        pass  # told of already


class _Walk:
    """Go along what values need, depth first, and collect the circles; what is in `live` needs nothing more."""

    def __init__(self, subject: Subject, live: set[Path]) -> None:
        self.subject = subject
        self.live = live
        self.done: set[Path] = set()
        self.circles: list[list[Path]] = []

    def start(self, items: list[tuple[Path, Node]]) -> None:
        for path, node in items:
            self.walk(path, node)

    def walk(self, path: Path, node: Node) -> None:
        trail: dict[Path, None] = {}
        stack: list[tuple[Path, Node | None]] = [(path, node)]
        while stack:
            here, item = stack.pop()
            if item is None:  # all that `here` needs was walked
                del trail[here]
                self.done.add(here)
            elif here in trail:
                around = list(trail)
                self.circles.append(around[around.index(here) :])
            elif here not in self.done and (here not in self.live or here == path):
                trail[here] = None
                stack += [(here, None), *reversed(self.needs(here, item))]

    def needs(self, path: Path, node: Node) -> list[tuple[Path, Node]]:
        if self.subject.may_be_absent(path, node):
            return []
        return [*self.subject.children(path, node), *self.subject.referred(path, node)]


def _tell(root: Node, subject: Subject, circle: list[Path]) -> None:
    """Report a circle where its first reference stands."""
    nodes = [(path, follow(root, path)[1]) for path in circle]
    references = [(path, node) for path, node in nodes if is_reference(node.value, "@%$")]
    path, node = min(references, key=lambda item: (item[1].place.file, item[1].place.line, item[1].place.column))
    start = circle.index(path)
    shown = {path for path, node in nodes if node.is_target or not isinstance(node.value, (dict, list))}
    around = (join(item) for item in (*circle[start:], *circle[:start], path) if item in shown)
    mend = other_level(root, str(node.value), path) if len(circle) == 1 and is_reference(node.value) else None
    subject.problem(path, node.place, f"references form a circle: {' -> '.join(around)}", node.value, mend)
