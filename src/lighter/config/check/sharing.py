"""Objects that two sections must not share, and those that only look like one: metrics, optimizers, callbacks."""

from __future__ import annotations

from collections.abc import Iterator

from lighter.config.check.subject import Subject, derives_from
from lighter.config.tree import Node, Path, is_reference, join
from lighter.errors import Place

SCHEDULERS = "torch.optim.lr_scheduler."
STATE_KEYS = {  # what Lightning tells two callbacks of one class apart by: a checkpoint holds one state for each
    "ModelCheckpoint": ("monitor", "mode", "every_n_train_steps", "every_n_epochs", "train_time_interval"),
    "EarlyStopping": ("monitor", "mode"),
}


def check_sharing(subject: Subject) -> None:
    _check_metrics(subject)
    _check_schedulers(subject)
    _check_callbacks(subject)


def _check_metrics(subject: Subject) -> None:
    """Find metrics that count in two modes at once."""
    owners: dict[Path, object] = {}
    for mode in subject.modes("metrics"):
        table = subject.slot("metrics")
        assert table is not None
        start = (*table[0], mode)
        node = subject.find(start)
        if node is None:
            continue
        for component, reference in _reached(subject, start, node):
            owner = owners.setdefault(component, mode)
            if owner != mode:
                path, item = reference or (start, node)
                message = f"the modes {owner!r} and {mode!r} share these metrics, and each must count for itself"
                text = str(item.value)
                suggestion = f"a copy is had by '%{text[1:]}'" if is_reference(text, "@") else None
                subject.problem(path, item.place, message, item.plain(), suggestion)
                break


def _reached(
    subject: Subject, path: Path, node: Node, by: tuple[Path, Node] | None = None
) -> Iterator[tuple[Path, tuple[Path, Node] | None]]:
    """Yield the components under a node, behind references too, each with the reference that led there."""
    seen: set[Path] = set()
    stack = [(path, node, by)]
    while stack:
        path, node, by = stack.pop()
        if path in seen:
            continue
        seen.add(path)
        if node.is_target:
            yield path, by
            continue
        if is_reference(node.value, "@"):
            there, found = subject.behind(path)
            if found is not None:
                stack.append((there, found, by or (path, node)))
            continue
        stack += [(here, item, by) for here, item in subject.children(path, node)]


def _check_schedulers(subject: Subject) -> None:
    """Find schedulers of an optimizer that is not the one that trains."""
    slot = subject.slot("optimizer")
    if slot is None:
        return
    own = [slot[0]] if slot[1].is_target else [path for path, _ in subject.children(*slot)]
    own = [subject.behind(path)[0] for path in own]
    for path, node in subject.components:
        if path[:2] != ("system", "scheduler") or not isinstance(node.value, dict) or "optimizer" not in node.value:
            continue
        item = node.value["optimizer"]
        there, found = subject.behind((*path, "optimizer"))
        if found is None or there in own or not _is_scheduler(subject, path, node):
            continue
        if not found.is_target:
            if (subject.target_name(path, node) or "").startswith(SCHEDULERS):
                _check_several(subject, (*path, "optimizer"), item, there, found)
            continue
        message = "this is another optimizer than the one that trains"
        suggestion = f'write optimizer: "@{join(("system", "optimizer"))}"'
        subject.problem((*path, "optimizer"), item.key_place or item.place, message, item.plain(), suggestion)


def _check_several(subject: Subject, path: Path, item: Node, there: Path, found: Node) -> None:
    """Find a mapping or a list of optimizers in place of one of them."""
    keys = [key for key, _ in found.items()]
    if not keys or subject.is_told(path, item) or subject.is_told(there, found):
        return
    key = path[-2] if path[-2] in keys else keys[0]
    message = f"a scheduler takes one optimizer, and this is a {'list' if isinstance(found.value, list) else 'mapping'}"
    suggestion = f'write optimizer: "@{join((*there, key))}"'
    subject.problem(path, item.key_place or item.place, message, item.plain(), suggestion)


def _is_scheduler(subject: Subject, path: Path, node: Node) -> bool:
    kind = subject.target(path, node)
    if isinstance(kind, type):
        return derives_from(kind, (f"{SCHEDULERS}LRScheduler", f"{SCHEDULERS}ReduceLROnPlateau"))
    return (subject.target_name(path, node) or "").startswith(SCHEDULERS)


def callbacks(subject: Subject) -> list[tuple[Path, Node]]:
    """Return the Trainer's callbacks as they stand in the config, without those that may be disabled."""
    path, node = subject.behind(("trainer", "callbacks"))
    if node is None:
        return []
    items = subject.children(path, node) if isinstance(node.value, list) else [(path, node)]
    return [item for item in items if not subject.may_be_absent(*item)]


def _check_callbacks(subject: Subject) -> None:
    """Find callbacks that are given twice."""
    first: dict[object, tuple[int, Place]] = {}
    for index, (path, node) in enumerate(callbacks(subject)):
        there, found = subject.behind(path)
        if found is None or not found.is_target:
            continue
        name = subject.target_name(there, found) or ""
        state = _state_key(name, found)
        keys: list[tuple[object, str]] = [
            (there, "this callback is given twice"),
            (repr(found.plain()), "this callback is given twice"),
            ((name, state), f"Lightning cannot tell these two of {name.split('.')[-1]} apart: {_differ(name)}"),
        ]
        for key, message in keys[: 3 if state else 2]:
            other, place = first.setdefault(key, (index, node.place))
            if other != index:
                suggestion = f"the other one: {place} (lists of several files append; '=callbacks:' replaces)"
                subject.problem(path, node.place, message, node.plain(), suggestion)
                break


def _differ(name: str) -> str:
    keys = STATE_KEYS.get(name.split(".")[-1], ())
    return f"they must differ in {', '.join(keys[:-1])} or {keys[-1]}" if keys else ""


def _state_key(name: str, node: Node) -> str | None:
    keys = STATE_KEYS.get(name.split(".")[-1])
    if keys is None or ".callbacks." not in name or not isinstance(node.value, dict):
        return None
    plain = {key: item.plain() for key, item in node.value.items()}
    return repr([plain.get(key) for key in keys])
