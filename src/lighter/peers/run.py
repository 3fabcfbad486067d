"""What those that watch the ranks ask of the run that these are of."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Recorder(Protocol):
    """What has to be told how a run ends; `first` is the folder in which the first rank records it."""

    first: Path | None

    @property
    def folder(self) -> Path | None: ...

    def close(self, error: BaseException | None = None) -> None: ...


class Listener(Protocol):
    """What answers signals: it has to be told that this rank has failed, and knows what the main thread cannot."""

    def leave(self) -> None: ...

    @property
    def unanswered(self) -> int | None: ...
