"""The config that a run left: `config.yaml` in its folder, plain data in each of its checkpoints."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path as FilePath

from lighter._run_folder import CONFIG, KEY, RECORD
from lighter.config.checkpoint import is_checkpoint, read_checkpoint
from lighter.config.load import Patch, load_file, load_text
from lighter.config.origin import show
from lighter.config.tree import MAX_DEPTH, MAX_NODES, Node, Path, Scalar, join, split
from lighter.errors import ConfigError, Place, Problem, remember_lines

_MAX_BITS = 3000  # of a whole number
_MAX_FOLDERS = 1000  # that are looked through for a run to suggest


def load_source(source: str, said_by: str = "") -> tuple[Patch, frozenset[Place]]:
    """Read a YAML file, the folder of a run or a checkpoint, and tell where in it secrets were taken out.

    Raises:
        ConfigError: it cannot be read, or holds no config.
        PartlyReadError: it is a file of which a part cannot be used.
    """
    if is_checkpoint(source):
        text, hidden = _of_checkpoint(source)
        remember_lines(source, text)
        patch = load_text(text, Place(source, 1, 1))
    else:
        file = config_file(source)
        patch, hidden = load_file(file, said_by), _hidden_in_run(FilePath(file))
    return patch, frozenset(_places(patch, hidden))


def hidden_problem(path: Path, node: Node) -> Problem:
    """Tell of a value that was taken out as a secret, and is needed."""
    message = "is a secret, which the run did not keep"
    return Problem(message, node.place, join(path), node.plain(), f"give it again: {join(path)}=VALUE")


def is_run(folder: FilePath) -> bool:
    """Tell whether a run has left its config and its record in a folder."""
    return all(os.path.isfile(folder / name) for name in (CONFIG, RECORD))  # noqa: PTH113 (pathlib raises on a closed one)


def config_file(source: str) -> str:
    """Return the config in a folder of a run; of what is no folder, the source itself.

    Raises:
        ConfigError: it is a folder, but not of a run.
    """
    if not os.path.isdir(source):  # noqa: PTH112 (pathlib raises on names that cannot exist)
        return source
    if not is_run(FilePath(source)):
        raise _no_run(FilePath(source))
    return str(FilePath(source, CONFIG))


def _no_run(folder: FilePath) -> ConfigError:
    if os.path.isfile(folder / RECORD):  # noqa: PTH113 (as above)
        return ConfigError(f"the run in {str(folder)!r} has lost its {CONFIG}", value=str(folder))
    runs = sorted(_runs_below(folder), key=lambda run: (run / RECORD).stat().st_mtime)
    files = sorted(folder.glob("*.y*ml"))
    suggestion = "a source is a YAML file, the folder of a run, or a checkpoint"
    if is_run(folder.absolute().parent):
        suggestion = f"did you mean {str(folder.parent)!r}?"
    elif runs:
        suggestion = f"the newest run in it is {str(runs[-1])!r}"
    elif files:
        suggestion = f"in it there is {str(files[0])!r}"
    return ConfigError(f"{str(folder)!r} is a folder, but not of a run", value=str(folder), suggestion=suggestion)


def _runs_below(folder: FilePath) -> Iterator[FilePath]:
    """Yield the runs in a folder, those nearest to it first, as far as a short look finds them."""
    ahead = deque([folder])
    for _ in range(_MAX_FOLDERS):
        if not ahead:
            return
        try:
            inside = [item for item in ahead.popleft().iterdir() if item.is_dir() and not item.is_symlink()]
        except OSError:
            continue
        yield from filter(is_run, inside)
        ahead += inside


def _hidden_in_run(config: FilePath) -> list[object]:
    """Return the paths of the secrets that were taken out of a run's config; of another file, none."""
    if config.name != CONFIG or not is_run(config.parent):
        return []
    import json  # here, as few sources are runs

    try:
        return list(json.loads(config.with_name(RECORD).read_text(encoding="utf-8"))["hidden"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []


def _of_checkpoint(path: str) -> tuple[str, list[object]]:
    """Return the config in a checkpoint as text, in lines as `lighter show` prints them, and its `hidden`."""
    record = read_checkpoint(path).get(KEY)
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
        suggestion = f"name the config too, and give this as its weights: --ckpt {path}"
        raise ConfigError(f"the checkpoint {path!r} holds no config of lighter's", value=path, suggestion=suggestion)
    try:
        text = show(_Tree(Place(path)).node(record["config"], 0))
    except ValueError as error:
        raise ConfigError(f"the config in the checkpoint {path!r} {error}", value=path) from error
    hidden = record.get("hidden")
    return text, hidden if isinstance(hidden, list) else []


class _Tree:
    """Makes nodes of plain data that a stranger may have written, all in one place."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._count = 0

    def node(self, value: object, depth: int) -> Node:
        """Return a value as a node.

        Raises:
            ValueError: it is no plain data, or too much.
        """
        self._count += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"is nested more than {MAX_DEPTH} levels deep")
        if self._count > MAX_NODES:
            raise ValueError(f"holds more than {MAX_NODES} values")
        if isinstance(value, dict):
            return Node({_scalar(key): self.node(item, depth + 1) for key, item in value.items()}, self._place)
        if isinstance(value, list):
            return Node([self.node(item, depth + 1) for item in value], self._place)
        return Node(_scalar(value), self._place)


def _scalar(value: object) -> Scalar:
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise ValueError("holds too long a number")
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise ValueError("holds what is no plain data")


def _places(patch: Patch, paths: Iterable[object]) -> Iterator[Place]:
    """Yield the places of the values at some paths; paths that lead nowhere are passed over."""
    for path in paths:
        found = patch if isinstance(path, str) else None
        for part in split(str(path)):
            found = _below(found, part) if found is not None else None
        if found is not None and not isinstance(found.value, (list, tuple)):
            yield found.place


def _below(patch: Patch, part: str) -> Patch | None:
    if isinstance(patch.value, list):
        return next((entry.patch for entry in patch.value if join(entry.path) == part), None)
    if isinstance(patch.value, tuple) and part.isdecimal() and int(part) < len(patch.value):
        return patch.value[int(part)]
    return None
