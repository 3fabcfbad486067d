"""Read composed configs that are one mapping from paths to values, as a run's record has them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from lighter.runs.record.run_file import Setting

SEPARATOR = "::"  # as in lighter.config.tree, which would take its time to import
TARGET = f"{SEPARATOR}_target_"
MAX_HOPS = 20  # references behind references


def setting(config: Mapping[str, Setting], path: str) -> Setting:
    """Return the value at a path, of a component its target; references are followed. None where there is nothing."""
    for _ in range(MAX_HOPS):
        head = path
        while head and head not in config:
            head = head.rpartition(SEPARATOR)[0]
        target = _referred(head, config.get(head))
        if not target:
            return config.get(path, config.get(path + TARGET))
        path = target + path[len(head) :]
    return None


def _referred(path: str, value: Setting) -> str:
    """Return the path that a reference names; nothing of any other value."""
    if not isinstance(value, str) or value[:1] not in ("@", "%"):
        return ""
    target = value[1:]
    parts = path.split(SEPARATOR)
    while target.startswith(SEPARATOR):
        target, parts = target[len(SEPARATOR) :], parts[:-1]
    return SEPARATOR.join([*parts, target]) if value[1:].startswith(SEPARATOR) else target


def differing(configs: Sequence[Mapping[str, Setting]]) -> list[str]:
    """Return the paths whose values are not the same in all configs, in their order.

    Of a component that only some have, the target stands for all that is in it.
    """
    first, *others = (config.items() for config in configs)
    changed = {path for other in others for path, _ in first ^ other}
    different = [path for path in dict.fromkeys(path for config in configs for path in config) if path in changed]
    partial = {path for path in different if any(path not in config for config in configs)}
    heads = {path.removesuffix(TARGET) for path in partial if path.endswith(TARGET)}
    return [path for path in different if path not in partial or not _is_inside(path, heads)]


def labels(paths: Iterable[str], reserved: Collection[str] = ()) -> dict[str, str]:
    """Return a short name for each path: its last parts, as many as it takes to tell it from the others.

    None is one of the `reserved` names.
    """
    split = {path: path.removesuffix(TARGET).split(SEPARATOR) for path in paths}
    taken: dict[str, int] = dict.fromkeys(reserved, 1)
    for parts in split.values():
        for size in range(1, len(parts) + 1):
            ending = SEPARATOR.join(parts[-size:])
            taken[ending] = taken.get(ending, 0) + 1
    return {path: _shortest(parts, taken) for path, parts in split.items()}


def _shortest(parts: Sequence[str], taken: Mapping[str, int]) -> str:
    for size in range(1, len(parts)):
        if taken[ending := SEPARATOR.join(parts[-size:])] == 1 and not parts[-size].isdecimal():
            return ending
    return SEPARATOR.join(parts)


def _is_inside(path: str, heads: set[str]) -> bool:
    """Tell whether a path is in one of the components, and is not what names it."""
    own = path.removesuffix(TARGET)
    parts = own.split(SEPARATOR)
    levels = range(1, len(parts) + (own == path))
    return any(SEPARATOR.join(parts[:size]) in heads for size in levels)
