"""What a checkpoint holds but for its weights, read without torch and without unpickling it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from lighter.errors import ConfigError, did_you_mean

SUFFIX = ".ckpt"

_SHARED_PARTS = ("meta.pt", "checkpoint/*mp_rank_00_model_states.pt")  # of a sharded one: all but weights
_START = b"PK\x03\x04"  # of a zip file, which torch writes
_PICKLE = "/data.pkl"  # in it: everything but the numbers of tensors
_MAX_BYTES = 256_000_000  # of that


def is_checkpoint(path: str) -> bool:
    """Tell whether a path is to be taken for a checkpoint; whether it is one, only reading it would tell."""
    if path.endswith(SUFFIX):
        return True
    if os.path.isdir(path):  # noqa: PTH112 (pathlib raises on names that cannot exist)
        return shared_part(path) is not None
    if not os.path.isfile(path):  # noqa: PTH113 (as above; and a pipe can be read only once)
        return False
    try:
        with Path(path).open("rb") as file:
            return file.read(len(_START)) == _START
    except OSError:
        return False


def read_checkpoint(path: str) -> Mapping[object, object]:
    """Return what a checkpoint holds, of a sharded one what its shards share; all but plain data is opaque.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    import zipfile  # here, as few sources are checkpoints

    from lighter.config.pickled import read_pickle

    file = path
    if os.path.isdir(path):  # noqa: PTH112 (as above)
        file = shared_part(path) or ""
        if not file:
            raise _refuse(path, "is a folder, and not a sharded checkpoint that says what it holds")
    try:
        content = read_pickle(_pickle(path, file))
    except ConfigError:  # which is a ValueError too
        raise
    except FileNotFoundError as error:
        siblings = (item.name for item in Path(path).parent.glob(f"*{SUFFIX}"))
        message = f"there is no checkpoint {path!r}"
        raise ConfigError(message, value=path, suggestion=did_you_mean(Path(path).name, siblings)) from error
    except OSError as error:
        raise _refuse(path, f"cannot be read: {error.strerror or error}") from error
    except (ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:  # also: packed, encrypted
        raise _refuse(path, f"is damaged: {error}") from error
    if not isinstance(content, dict):
        raise _refuse(path, "is not a Lightning checkpoint")
    return content


def shared_part(folder: str) -> str | None:
    """Return the file of a sharded checkpoint that holds all but its weights; None where there is none."""
    found = (str(part) for pattern in _SHARED_PARTS for part in sorted(Path(folder).glob(pattern)))
    return next(found, None)


def _pickle(path: str, file: str) -> bytes:
    """Return the pickle in a file that `torch.save` wrote; messages name `path`."""
    import zipfile

    with Path(file).open("rb") as opened:
        start = opened.read(len(_START))
        if not start:
            raise _refuse(path, "is empty")
        if not zipfile.is_zipfile(opened):
            raise _refuse(path, "is cut short: its end is missing" if start == _START else "is not a checkpoint")
        with zipfile.ZipFile(opened) as archive:
            found = next((item for item in archive.infolist() if item.filename.endswith(_PICKLE)), None)
            if found is None:
                raise _refuse(path, "is a zip file, but torch did not write it")
            if found.file_size > _MAX_BYTES:
                raise _refuse(path, f"holds more than {_MAX_BYTES // 1_000_000} MB beside its weights")
            return archive.read(found)


def _refuse(path: str, reason: str) -> ConfigError:
    return ConfigError(f"{path!r} {reason}", value=path)
