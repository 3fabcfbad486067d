"""Strategies of which some ranks fail while they save the checkpoint of the second epoch."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint import filesystem

from .parts import ForkedFSDP, ForkedMesh

BYTES = 10_000  # less than a rank's part
ITEMS = 3  # of a part that are written before a kill


class Failing:
    """Has some ranks save in a way of their own, which gets what saves and the path."""

    global_rank: int

    def __init__(self, ranks: list[int], **options: Any) -> None:
        super().__init__(**options)
        self.ranks = ranks

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        save = partial(super().save_checkpoint, checkpoint, filepath, storage_options)  # type: ignore[misc]
        if "epoch=1" in str(filepath) and self.global_rank in self.ranks:
            self.fail(save, Path(filepath))
        else:
            save()

    def fail(self, save: Callable[[], None], path: Path) -> None:
        raise NotImplementedError


class Cramped(Failing):
    """Lets no file grow large, as on a full disk."""

    def fail(self, save: Callable[[], None], path: Path) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES, before[1]))
        try:
            save()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Killed(Failing):
    """Kills the process in the middle of writing its part."""

    def fail(self, save: Callable[[], None], path: Path) -> None:
        write = filesystem._write_item
        written: list[Any] = []

        def write_or_die(*item: Any, **options: Any) -> Any:
            if len(written) == ITEMS:
                os.kill(os.getpid(), signal.SIGKILL)
            written.append(write(*item, **options))
            return written[-1]

        setattr(filesystem, write.__name__, write_or_die)
        save()


class Elsewhere(Failing):
    """Has its part where the others do not see it, as on a disk that is not shared."""

    def fail(self, save: Callable[[], None], path: Path) -> None:
        save()
        for part in path.glob(f"__{self.global_rank}_*"):
            part.unlink()


class CrampedFSDP(Cramped, ForkedFSDP):
    pass


class KilledFSDP(Killed, ForkedFSDP):
    pass


class KilledMesh(Killed, ForkedMesh):
    pass


class ElsewhereFSDP(Elsewhere, ForkedFSDP):
    pass
