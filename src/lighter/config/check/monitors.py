"""Monitors of values that are never logged under a config's criterion, metrics and modes."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from lighter.config.check.called import COLLECTION, METRIC, losses_of
from lighter.config.check.sharing import callbacks
from lighter.config.check.stages import missing
from lighter.config.check.subject import Subject, derives_from
from lighter.config.structure import SYSTEM_TARGETS
from lighter.config.tree import Key, Node, Path, key_text
from lighter.errors import WIDTH, Place, did_you_mean, nearest

PACKAGES = ("pytorch_lightning", "lightning.pytorch")
CHECKPOINT = tuple(f"{package}.callbacks.model_checkpoint.ModelCheckpoint" for package in PACKAGES)
MONITORING = (*CHECKPOINT, *(f"{package}.callbacks.early_stopping.EarlyStopping" for package in PACKAGES))
LR_MONITOR = tuple(f"{package}.callbacks.lr_monitor.LearningRateMonitor" for package in PACKAGES)
PLATEAU = ("torch.optim.lr_scheduler.ReduceLROnPlateau",)
OWN = ("torch.", "torchmetrics.", "lighter.", *(f"{package}." for package in PACKAGES))
_LOGS = re.compile(r"\.log(?:_dict)?\(|callback_metrics|logged_metrics")
_TEMPLATE = re.compile(r"\{([\w/.-]+)")
DIRECTIONS = ("min", "max")
_ALWAYS = ("epoch", "step")  # for a checkpoint, which both are added for


@dataclass
class Logged:
    """The names under which values are logged for monitors; below an open prefix there may be others."""

    names: dict[str, None] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)

    def has(self, name: str) -> bool:
        if name.startswith("val/") and name.endswith("/step"):
            return False  # what a step of validation logs is for loggers alone
        return name in self.names or any(name.startswith(prefix) for prefix in self.open)


def check_monitors(subject: Subject) -> None:
    if subject.stage not in (None, "fit") or not subject.imports or not subject.is_system:
        return
    if subject.stage is None and any(missing(subject, "fit")):
        return  # only fit asks for them
    _check_directions(subject)
    _check_plateaus(subject)
    asked = list(_asked(subject))
    if not asked:
        return
    logged = _logged(subject)
    if logged is None:
        return
    for path, place, name, what in asked:
        if not logged.has(name):
            message = f"{what} {name!r} is never logged"
            subject.problem(path, place, message, name, _suggestion(name, logged))


def _check_directions(subject: Subject) -> None:
    """Find a `mode` that is neither min nor max, which Lightning takes for any text."""
    for path, mapping in _of_kind(subject, MONITORING):
        item = mapping.get("mode")
        mode = subject.constant((*path, "mode"), item, DIRECTIONS[0]) if item else DIRECTIONS[0]
        if item and mode not in DIRECTIONS and not subject.is_told((*path, "mode"), item):
            suggestion = did_you_mean(str(mode), DIRECTIONS) or f"known: {', '.join(DIRECTIONS)}"
            subject.problem((*path, "mode"), item.place, f"the mode {mode!r} is neither min nor max", mode, suggestion)


def _check_plateaus(subject: Subject) -> None:
    """Find a ReduceLROnPlateau that Lightning is not told what to monitor for."""
    system = subject.find(("system",))
    if system is None or subject.target_name(("system",), system) not in SYSTEM_TARGETS:
        return  # it may be stepped by hand
    for path, node, place in [found for found in _plateaus(subject) if not subject.is_told(found[0])]:
        monitor = None if node.is_target or not isinstance(node.value, dict) else node.value.get("monitor")
        if (monitor is None or monitor.value is None) and not subject.is_misspelt((*path, "monitor")):
            name = f"{'val' if _validates(subject) else 'train'}/loss/epoch"
            suggestion = f"write `monitor: {name}` beside `scheduler:`"
            if node.is_target:
                suggestion = f"write scheduler: {{scheduler: …, monitor: {name}}}"
            message = "ReduceLROnPlateau needs to know what to monitor"
            subject.problem(path, place, message, node.plain(), suggestion)


def _of_kind(subject: Subject, kinds: tuple[str, ...]) -> Iterator[tuple[Path, dict[Key, Node]]]:
    """Yield the Trainer's callbacks that are of a kind."""
    for item_path, _ in callbacks(subject):
        path, found = subject.behind(item_path)
        kind = subject.target(path, found) if found is not None else None
        if found is not None and isinstance(found.value, dict) and isinstance(kind, type) and derives_from(kind, kinds):
            yield path, found.value


def _asked(subject: Subject) -> Iterator[tuple[Path, Place, str, str]]:
    """Yield path, place and name of each value that a callback or a scheduler waits for."""
    for path, mapping in _of_kind(subject, MONITORING):
        yield from (asked for asked in _monitor(subject, path, mapping) if asked[2] not in _ALWAYS)
    for path, mapping in _of_kind(subject, CHECKPOINT):
        if (item := mapping.get("filename")) is not None:
            template = subject.constant((*path, "filename"), item)
            names = _TEMPLATE.findall(template) if isinstance(template, str) else []
            yield from (
                ((*path, "filename"), item.place, name, "the filename's") for name in names if name not in _ALWAYS
            )
    for path, node, _ in _plateaus(subject):
        if isinstance(node.value, dict) and not node.is_target:
            yield from _monitor(subject, path, node.value)


def _monitor(subject: Subject, path: Path, mapping: dict[Key, Node]) -> Iterator[tuple[Path, Place, str, str]]:
    item, strict = mapping.get("monitor"), mapping.get("strict")
    if item is None or (strict is not None and subject.constant((*path, "strict"), strict, False) is not True):
        return  # not strict: it may be missing
    name = subject.constant((*path, "monitor"), item)
    if isinstance(name, str):
        yield (*path, "monitor"), item.place, name, "the monitor"


def _plateaus(subject: Subject) -> Iterator[tuple[Path, Node, Place]]:
    """Yield what gives Lightning a ReduceLROnPlateau, which alone needs its monitor, and the place of its target."""
    slot = subject.slot("scheduler")
    stack = [slot] if slot else []
    while stack:
        path, node = stack.pop()
        one = isinstance(node.value, dict) and not node.is_target and "scheduler" in node.value
        there, found = subject.behind((*path, "scheduler")) if one else (path, node)
        kind = subject.target(there, found) if found is not None else None
        if found is not None and isinstance(found.value, dict) and isinstance(kind, type):
            if derives_from(kind, PLATEAU):
                yield path, node, found.value["_target_"].place
        elif not one and not node.is_target:
            behind = (subject.behind(child) for child, _ in subject.children(path, node))
            stack += [(child, item) for child, item in behind if item is not None]


# --- what is logged


def _logged(subject: Subject) -> Logged | None:
    """Return what is logged in fit; None where a part that may log has code of its own."""
    system = subject.find(("system",))
    assert system is not None
    kind = subject.target(("system",), system)
    if subject.target_name(("system",), system) not in SYSTEM_TARGETS and (kind is None or _may_log(kind)):
        return None
    logged = Logged(open={"train/optimizer/"})
    for path, _ in callbacks(subject):
        there, found = subject.behind(path)
        kind = subject.target(there, found) if found is not None else None
        if not isinstance(kind, type) or _may_log(kind):
            return None
        if derives_from(kind, LR_MONITOR):
            logged.open.add("lr-")  # and names of schedulers
    node = subject.behind(("trainer", "callbacks"))[1]
    if node is not None and not isinstance(node.value, (list, type(None))) and not node.is_target:
        return None
    for mode in ("train", "val"):
        if mode == "train" or _validates(subject):
            _add_losses(subject, mode, logged)
            _add_metrics(subject, mode, logged)
    return logged


def _may_log(kind: object) -> bool:
    """Tell whether a class has code of its own that logs, or that cannot be read."""
    for base in kind.__mro__ if isinstance(kind, type) else ():
        if base is object or str(base.__module__).startswith(OWN):
            continue
        try:
            if _LOGS.search(inspect.getsource(base)):
                return True
        except (OSError, TypeError):
            return True
    return not isinstance(kind, type)


def _validates(subject: Subject) -> bool:
    node = subject.behind(("system", "dataloaders"))[1]
    if subject.find(("data",)) is not None or node is None or node.is_target or not isinstance(node.value, dict):
        return True
    system = subject.find(("system",))
    if system is not None and subject.target_name(("system",), system) not in SYSTEM_TARGETS:
        return True
    item = node.value.get("val")
    return (item is not None and item.value is not None) or subject.is_misspelt(("system", "dataloaders", "val"))


def _steps(mode: str) -> tuple[str, ...]:
    return ("epoch", "step") if mode == "train" else ("epoch",)


def _add_losses(subject: Subject, mode: str, logged: Logged) -> None:
    slot = subject.slot("criterion")
    names = losses_of(subject.target(*slot)) if slot else None
    if names is None:
        logged.open.add(f"{mode}/loss/")  # it may return several by name
    for name in ("",) if names is None else names:
        logged.names.update({f"{mode}/loss/{name}{'/' * bool(name)}{step}": None for step in _steps(mode)})


def _add_metrics(subject: Subject, mode: str, logged: Logged) -> None:
    found = subject.modes("metrics").get(mode)
    prefix = f"{mode}/metrics/"
    if found is None:
        logged.open |= {prefix} if subject.is_misspelt(("system", "metrics", mode)) else set()
        return
    path, node, affixes = _collected(subject, *found)
    items = [(path, node)] if node.is_target else subject.children(path, node)
    if affixes is None or (not node.is_target and not isinstance(node.value, (dict, list))):
        logged.open.add(prefix)
        return
    for child, item in items:
        there, metric = subject.behind(child)
        if metric is None or metric.value is None or subject.may_be_absent(child, item):
            logged.open |= {prefix} if metric is not None and _may_be_there(subject, there, metric) else set()
            continue
        kind = subject.target(there, metric)
        if not isinstance(kind, type) or derives_from(kind, COLLECTION) or not _is_one_number(kind):
            logged.open.add(prefix)
            continue
        by_name = isinstance(node.value, dict) and not node.is_target
        name = (key_text(child[-1]) if by_name else kind.__name__).join(affixes)
        logged.names.update({f"{prefix}{name}/{step}": None for step in _steps(mode)})
        logged.open.add(f"{prefix}{name}/")  # vectors, by index


def _may_be_there(subject: Subject, path: Path, node: Node) -> bool:
    """Tell whether only an expression would tell if a component is disabled."""
    item = dict(node.items()).get("_disabled_")
    return item is not None and subject.constant((*path, "_disabled_"), item) is not True


def _collected(subject: Subject, path: Path, node: Node) -> tuple[Path, Node, tuple[str, str] | None]:
    """Return the metrics of a MetricCollection with what is put around their names; of other metrics, nothing is."""
    kind = subject.target(path, node)
    if not isinstance(kind, type) or not derives_from(kind, COLLECTION):
        return path, node, ("", "")
    there, found = subject.behind((*path, "metrics"))
    before, after = (_affix(subject, path, node, name) for name in ("prefix", "postfix"))
    is_plain = f"{kind.__module__}.{kind.__qualname__}" in COLLECTION and "_args_" not in dict(node.items())
    if found is None or before is None or after is None or not is_plain:
        return path, node, None
    return there, found, (before, after)


def _affix(subject: Subject, path: Path, node: Node, name: str) -> str | None:
    """Return a prefix or postfix, empty where there is none; None where it is not known."""
    item = dict(node.items()).get(name)
    text = subject.constant((*path, name), item, False) if item is not None else ""
    return "" if text is None else text if isinstance(text, str) else None


def _is_one_number(kind: type) -> bool:
    """Tell whether a metric computes a tensor, which is logged under its own name."""
    compute: Any = getattr(kind, "compute", None)
    if not derives_from(kind, METRIC):
        return False
    try:
        made = get_type_hints(inspect.unwrap(compute)).get("return")
    except Exception:
        return False
    torch = sys.modules.get("torch")
    return torch is not None and made is torch.Tensor


def _abbreviates(name: str, logged: str) -> bool:
    """Tell whether a name such as val/acc stands for val/metrics/accuracy/epoch."""
    mode, *words = name.lower().split("/")
    own, *parts = logged.lower().split("/")
    return mode == own and any(len(word) > 1 and part.startswith(word) for word in words for part in parts[:-1])


def _suggestion(name: str, logged: Logged) -> str:
    names = sorted(logged.names, key=lambda item: (not item.endswith("/epoch"), not item.startswith("val/")))
    name = re.sub(r"^(?:test|valid(?:ation)?)(?=[/_.])", "val", name)
    spelled = name.replace("_", "/").replace(".", "/")
    meant = (logged_name for logged_name in names if _abbreviates(spelled, logged_name))
    match = nearest(name, names, 0.8) or next(meant, None) or nearest(f"{spelled}/epoch", names) or nearest(name, names)
    words = f"did you mean {match!r}? Logged: " if match else "logged: "
    shown = 1
    while shown < len(names) and len(", ".join(names[: shown + 1])) < WIDTH - len(words):
        shown += 1
    return f"{words}{', '.join(names[:shown])}{', …' * (shown < len(names))}"
