"""Checkpoints that are folders with a part from each rank, read by one process."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lighter.errors import ConfigError

META, INDEX = "meta.pt", ".metadata"  # Lightning's and torch's: what is no tensor, and which tensor is where
WEIGHTS = {"FSDPStrategy": "model", "ModelParallelStrategy": "state_dict"}  # what each calls them


def is_sharded(path: Path) -> bool:
    return path.is_dir() and (path / INDEX).exists()


def check_shards(folder: Path, *, fully: bool = False) -> None:
    """Refuse a folder of which a part is missing, cut short or, if that is to be read `fully`, damaged.

    Raises:
        ConfigError: one is.
    """
    for name in (INDEX, META):
        if not (folder / name).is_file():
            raise refusal(folder, f"is not whole: {name} is missing")
    for name, slices in _slices(folder).items():
        file = folder / name
        if not file.is_file():
            raise refusal(folder, f"is not whole: {name} is missing")
        if file.stat().st_size < max(start + length for start, length in slices):
            raise refusal(folder, f"is not whole: {name} is cut short")
        for start, length in slices if fully else ():
            _check_slice(folder, file, start, length)


def consolidated(folder: Path, *, optimizers: bool = True) -> dict[str, Any]:
    """Return a checkpoint of several ranks as one process would have saved it; all of it must fit into memory.

    Raises:
        ConfigError: the folder is damaged, or is not FSDP's or ModelParallelStrategy's.
    """
    check_shards(folder)
    kinds = kinds_in(folder)
    found = _read(folder, kinds if optimizers else kinds & set(WEIGHTS.values()))
    made: dict[str, Any] = torch.load(folder / META, map_location="cpu", weights_only=True)
    made["state_dict"] = next(found.pop(name) for name in WEIGHTS.values() if name in found)
    made["optimizer_states"] = [_by_number(found[f"optimizer_{number}"]) for number in range(len(found))]
    return made


def shapes_in(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights in a folder."""
    prefix = tuple(f"{name}." for name in WEIGHTS.values())
    stored = _index(folder).state_dict_metadata.items()
    return {
        name.partition(".")[2]: tuple(item.size)
        for name, item in stored
        if name.startswith(prefix) and hasattr(item, "size")
    }


def settings_alone_in(folder: Path) -> list[Any] | None:
    """Return the groups of each optimizer in a folder; None if one of them has a state beside what it is set to."""
    kinds = kinds_in(folder) - set(WEIGHTS.values())
    stored = _index(folder).state_dict_metadata
    if any(name.startswith(f"{kind}.state.") for name in stored for kind in kinds):
        return None
    found = _read(folder, kinds) if kinds else {}
    return [found[f"optimizer_{number}"]["param_groups"] for number in range(len(found))]


def _read(folder: Path, kinds: set[str]) -> dict[str, Any]:
    """Return what is in a folder of these kinds."""
    from torch.distributed.checkpoint import format_utils
    from torch.distributed.checkpoint.filesystem import FileSystemReader
    from torch.distributed.checkpoint.state_dict_loader import _load_state_dict

    found: dict[str, Any] = {}
    planner: Any = getattr(format_utils, "_EmptyStateDictLoadPlanner")(keys=kinds)  # noqa: B009 - it is not exported
    _load_state_dict(found, storage_reader=FileSystemReader(folder), planner=planner, no_dist=True)
    return found


def _by_number(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of an optimizer with parameters by their place in it, as torch has it, not by name."""
    names = [name for group in state["param_groups"] for name in group["params"]]
    numbers = {name: number for number, name in enumerate(names)}
    groups = [{**group, "params": [numbers[name] for name in group["params"]]} for group in state["param_groups"]]
    return {
        "state": {numbers[name]: values for name, values in state.get("state", {}).items()},
        "param_groups": groups,
    }


def kinds_in(folder: Path) -> set[str]:
    """Return what there is in a folder: weights, and the state of each optimizer."""
    return {name.partition(".")[0] for name in names_in(folder)}


def names_in(folder: Path) -> set[str]:
    """Return the names of all that is in a folder, which begin with those of the kinds."""
    return set(_index(folder).state_dict_metadata)


def _index(folder: Path) -> Any:
    from torch.distributed.checkpoint.filesystem import FileSystemReader

    try:
        return FileSystemReader(folder).read_metadata()
    except Exception as error:  # unpickling raises many kinds for a damaged file
        raise refusal(folder, f"is damaged: {INDEX} cannot be read") from error


def _slices(folder: Path) -> dict[str, list[tuple[int, int]]]:
    """Return where in each file of a folder something is: start and length."""
    found: dict[str, list[tuple[int, int]]] = {}
    for item in _index(folder).storage_data.values():
        found.setdefault(item.relative_path, []).append((item.offset, item.length))
    return found


def _check_slice(folder: Path, file: Path, start: int, length: int) -> None:
    """Compare a tensor with the sums that torch has written, which torch does not."""
    with file.open("rb") as opened:
        opened.seek(start)
        content = io.BytesIO(opened.read(length))
    try:
        with zipfile.ZipFile(content) as archive:
            damaged = archive.testzip() is not None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        damaged = True
    if damaged:
        raise refusal(folder, f"is damaged: {file.name}")


def refusal(path: Path, reason: str, suggestion: str | None = None) -> ConfigError:
    return ConfigError(f"{str(path)!r} {reason}", value=str(path), suggestion=suggestion)
