"""Read what a checkpoint says of itself, and refuse what is none before anything is built for it."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch

from lighter.config.checkpoint import shared_part
from lighter.errors import ConfigError
from lighter.launch import local_rank
from lighter.runs.checkpoints.sharded import INDEX, META, check_shards, is_sharded

LIGHTNING_KEYS = {"state_dict", "pytorch-lightning_version"}
CHUNK = 1 << 20  # bytes read at once
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how torch.save began before 1.6
DEEPSPEED = ("latest", "checkpoint")  # in its folders

_BARE_WEIGHTS = "load weights alone in the config, with lighter.utils.model.adjust_prefix_and_load_state_dict"


def load_checkpoint(path: Path) -> object:
    """Return what a checkpoint holds, of a sharded one what its shards share; tensors are mapped, not read.

    Raises:
        ConfigError: torch cannot have written it, or it is damaged.
        UnpicklingError: it holds objects of classes that `torch.load` does not trust.
    """
    if path.is_dir():
        part = shared_part(str(path))
        if part is None:
            raise _refuse(path, "is a folder whose contents cannot be told")
        path = Path(part)
    try:
        zipped = _is_zipped(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except (ConfigError, UnpicklingError):
        raise
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).strip().partition("\n")[0]
        raise _refuse(path, f"cannot be read: {reason}") from error


def check_checkpoint(path: Path) -> None:
    """Refuse what Lightning could not load as a checkpoint, and what is not what was written.

    All of it is read by the first rank of each node, whose failure ends the others too.

    Raises:
        ConfigError: it is none, or damaged.
    """
    _check_content(path)
    if local_rank() == 0:
        check_sums(path)


def check_sums(path: Path) -> None:
    """Read a checkpoint to its end and compare it with the sums that torch has written, which torch does not.

    Raises:
        ConfigError: it is damaged.
    """
    if not torch.serialization.get_crc32_options():
        return
    if is_sharded(path):
        check_shards(path, fully=True)
    if path.is_dir() or not _is_zipped(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                with archive.open(item) as file:
                    while file.read(CHUNK):
                        pass
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise _refuse(path, f"is damaged: {error}") from error


def _check_content(path: Path) -> None:
    if path.is_dir():
        return _check_folder(path)
    try:
        content = load_checkpoint(path)
    except UnpicklingError:
        return None  # objects of the user's own: whether they may be loaded is Lightning's to say
    if not isinstance(content, Mapping):
        raise _refuse(path, f"holds a {type(content).__name__}, not a Lightning checkpoint")
    if content.keys() >= LIGHTNING_KEYS:
        return None
    inner = content.get("state_dict", content)
    if isinstance(inner, Mapping) and any(isinstance(value, torch.Tensor) for value in inner.values()):
        raise _refuse(path, "holds bare weights (a state_dict), not a Lightning checkpoint", _BARE_WEIGHTS)
    raise _refuse(path, "is not a Lightning checkpoint")


def _check_folder(path: Path) -> None:
    if any((path / name).exists() for name in (INDEX, META)):
        return check_shards(path)
    if any((path / name).exists() for name in DEEPSPEED):
        return None
    inside = sorted([*path.glob("*.ckpt"), *path.glob("checkpoints/*.ckpt")])
    suggestion = f"in it there is {str(inside[-1])!r}" if inside else None
    raise _refuse(path, "is a folder, and not a sharded checkpoint", suggestion)


def _is_zipped(path: Path) -> bool:
    """Tell the format of today from the one before torch 1.6, and refuse any other."""
    with path.open("rb") as file:
        start = file.read(len(LEGACY))
    if not start:
        raise _refuse(path, "is empty")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/data.pkl") for name in archive.namelist()):
                return True
        raise _refuse(path, "is a zip file, but torch did not write it")
    if start.startswith(b"PK"):
        raise _refuse(path, "is cut short: its end is missing")
    if start != LEGACY:
        raise _refuse(path, "is not a checkpoint")
    return False


def _refuse(path: Path, reason: str, suggestion: str | None = None) -> ConfigError:
    return ConfigError(f"{str(path)!r} {reason}", value=str(path), suggestion=suggestion)
