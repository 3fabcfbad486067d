"""The fixed structure of a config: its sections, the stages, the modes, and the System's slots."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lighter.config import slips
from lighter.config.tree import SEPARATOR, Key, Node, dotted, is_reference, join, key_text, nodes
from lighter.errors import Place, Problem, did_you_mean, nearest

RESERVED = ("_target_", "_args_", "_mode_", "_disabled_")
STAGES = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("predict",)}
MODES = ("train", "val", "test", "predict")
SECTIONS = ("_imports_", "_requires_", "args", "data", "project", "seed", "sweep", "system", "trainer", "vars")
SLOTS = (
    *("model", "dataloaders", "optimizer", "scheduler", "criterion", "metrics", "adapters", "inferer"),
    *("parallelize", "empty_init"),
)
MODE_TABLES = {"dataloaders": MODES, "metrics": ("train", "val", "test"), "adapters": MODES}
ADAPTERS = ("batch", "criterion", "metrics", "logging")

OTHER_WORDS = {"loss": "criterion", "loss_fn": "criterion", "net": "model", "network": "model"}
OF_TRAINER = (  # arguments of Lightning's Trainer that people look for elsewhere
    *("accelerator", "accumulate_grad_batches", "callbacks", "check_val_every_n_epoch", "deterministic", "devices"),
    *("fast_dev_run", "gradient_clip_val", "log_every_n_steps", "logger", "max_epochs", "max_steps", "num_nodes"),
    *("num_sanity_val_steps", "precision", "profiler", "strategy", "val_check_interval"),
)
OTHER_RESERVED = {"_partial_": "write `_mode_: callable`"}

_FREE = (("vars",), ("_imports_",), *(("args", stage) for stage in STAGES))
SYSTEM_TARGETS = ("lighter.System", "lighter.system.System")


def problems(root: Node) -> list[Problem]:
    """Return what contradicts the fixed structure, in the order of the config."""
    assert isinstance(root.value, dict)
    if not root.value:
        return [Problem("is empty: a config needs the sections 'trainer' and 'system'", Place(root.place.file))]
    found = list(_unknown(root, (), SECTIONS, "section"))
    meant = {problem.suggestion for problem in found}
    for name, example in (("trainer", "pytorch_lightning.Trainer"), ("system", "lighter.System")):
        section = root.value.get(name)
        if section is None and f"did you mean {name!r}?" not in meant:
            found.append(Problem(f"the section {name!r} is missing", Place(root.place.file), None, name))
        elif section is not None and not section.is_target:
            message = f"{name!r} must be a mapping with a `_target_`, such as {example}"
            found.append(Problem(message, section.key_place or section.place, name, section.plain()))
    found += _scalars(root)
    for name, keys in (("args", tuple(STAGES)), ("_imports_", None)):
        if (section := root.value.get(name)) is not None:
            found += _table(section, (name,), keys, "stage")
    system = root.value.get("system")
    if system is not None and system.is_target and _target(system) in SYSTEM_TARGETS:
        found += _system(system)
    near = list(_near_reserved(root))
    told = {problem.path for problem in near}
    of_target = {problem.path.rpartition(SEPARATOR)[0] for problem in near if problem.path}
    return [problem for problem in found if problem.path not in told | of_target] + near


def make_section(root: Node, path: Sequence[Key], place: Place) -> None:
    """Create the missing mappings of a path that is part of the fixed structure; leave any other path alone."""
    node = root
    for depth, key in enumerate(path):
        if not isinstance(node.value, dict):
            return
        if key not in node.value:
            if not _is_section(tuple(path[: depth + 1])):
                return
            node.value[key] = Node({}, place, place)
        node = node.value[key]


def known_keys(path: Sequence[Key]) -> tuple[str, ...]:
    """Return the keys that the fixed structure allows at a path; none where it leaves them free."""
    match tuple(path):
        case ():
            return SECTIONS
        case ("args",):
            return tuple(STAGES)
        case ("system",):
            return SLOTS
        case ("system", str(slot)):
            return MODE_TABLES.get(slot, ())
        case ("system", "adapters", str(mode)) if mode in MODES:
            return ADAPTERS
        case _:
            return ()


def _is_section(path: Sequence[Key]) -> bool:
    """Tell whether a path is a mapping of the fixed structure, or one of the free ones."""
    if path == ("system",):
        return False  # it needs a `_target_`
    return path in _FREE or (path[-1] in known_keys(path[:-1]) and bool(known_keys(path)))


def _system(system: Node) -> Iterable[Problem]:
    assert isinstance(system.value, dict)
    yield from _unknown(system, ("system",), SLOTS, "argument of lighter.System")
    yield from mode_problems(system, MODE_TABLES)


def mode_problems(system: Node, slots: Iterable[str]) -> Iterable[Problem]:
    """Yield the unknown keys of these slots, which a System has by mode."""
    assert isinstance(system.value, dict)
    for slot in slots:
        table = system.value.get(slot)
        if table is None or table.is_target or not isinstance(table.value, dict):
            continue
        yield from _unknown(table, ("system", slot), MODE_TABLES[slot], "mode")
        if slot == "adapters":
            for mode, adapters in table.value.items():
                if isinstance(adapters.value, dict) and not adapters.is_target:
                    yield from _unknown(adapters, ("system", slot, mode), ADAPTERS, "adapter")


def _table(node: Node, path: tuple[Key, ...], keys: tuple[str, ...] | None, what: str) -> Iterable[Problem]:
    if node.value is None or is_reference(node.value, "@%$"):
        return
    if not isinstance(node.value, dict):
        yield Problem("must be a mapping", node.place, join(path), node.plain())
    elif keys is not None:
        yield from _unknown(node, path, keys, what)


def _unknown(node: Node, path: tuple[Key, ...], known: tuple[str, ...], what: str) -> Iterable[Problem]:
    for key, value in node.items():
        if key in known or (key in RESERVED and path):
            continue
        name = key_text(key)
        suggestion = dotted(node, (key,)) or _meant(name, path, known) or f"known: {', '.join(known)}"
        place = value.key_place or value.place
        yield Problem(f"{name!r} is not a known {what}", place, join((*path, key)), name, suggestion)


def _meant(name: str, path: tuple[Key, ...], known: tuple[str, ...]) -> str | None:
    """Suggest the known key that is spelled alike, begins alike, or is another word for it."""
    if suggestion := did_you_mean(name, known):
        return suggestion
    if not path and name in SLOTS:
        return f"did you mean {join(('system', name))!r}?"
    if path in ((), ("system",)) and name in OF_TRAINER:
        return f"did you mean {join(('trainer', name))!r}?"
    alike = [word for word in known if name.startswith(word) or (len(name) > 2 and word.startswith(name))]
    match = next(iter(alike), OTHER_WORDS.get(name) if path == ("system",) else None)
    return f"did you mean {match!r}?" if match else None


def _near_reserved(root: Node) -> Iterable[Problem]:
    """Find keys such as `_targt_`, which only a slip of the pen explains."""
    words = {key.strip("_"): key for key in RESERVED}
    tree = nodes(root)
    targets = {path[:-1] for path, _ in tree if path and path[-1] == "_target_"}
    for path, node in tree:
        key = path[-1] if len(path) > 1 else None  # the keys at the top are sections
        if not isinstance(key, str) or key in RESERVED:
            continue
        if path[0] != "vars" and re.fullmatch(r"-_\w+_", key):
            place = node.key_place or node.place
            yield Problem(f"{key!r} is not a reserved key", place, join(path), key, slips.DASH)
            continue
        if path[0] != "vars" and path[:-1] not in targets and _is_near_target(key, node.value):
            place = node.key_place or node.place
            yield Problem(f"{key!r} is not a reserved key", place, join(path), key, "did you mean '_target_'?")
        if not (key.startswith("_") and key.endswith("_")):
            continue
        word, suggestion = key.strip("_"), OTHER_RESERVED.get(key)
        if word not in SLOTS and (match := nearest(word, words, 0.82)):  # `_model_` is no `_mode_`
            suggestion = f"did you mean {words[match]!r}?"
        if suggestion:
            place = node.key_place or node.place
            yield Problem(f"{key!r} is not a reserved key", place, join(path), key, suggestion)


def _is_near_target(key: str, value: object) -> bool:
    """Tell whether a key with one of its underscores names what to build, where nothing else does."""
    one = key.startswith("_") != key.endswith("_")
    dotted_name = isinstance(value, str) and re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", value) is not None
    return one and dotted_name and nearest(key.strip("_"), ["target"], 0.82) is not None


def _scalars(root: Node) -> Iterable[Problem]:
    assert isinstance(root.value, dict)
    kinds: tuple[tuple[str, type, str], ...] = (("seed", int, "a whole number"), ("project", str, "a folder"))
    for name, kind, what in kinds:
        node = root.value.get(name)
        if node is None or node.value is None or is_reference(node.value, "@%$"):
            continue
        if not isinstance(node.value, kind) or isinstance(node.value, bool):
            yield Problem(f"must be {what}, not {node.plain()!r}", node.place, name, node.plain())


def _target(node: Node) -> object:
    return node.value["_target_"].value if isinstance(node.value, dict) else None
