"""What a checkpoint says about the run that saved it: the composed config, its sources and the overrides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from lighter.config import Config

KEY = "lighter"


class Record(pl.Callback):
    """Put the record of a run into each of its checkpoints, as data that `torch.load(weights_only=True)` reads."""

    def __init__(self, config: Config) -> None:
        self.record = {
            "config": config.plain(),
            "sources": [str(source) for source in sources_of(config)],
            "overrides": list(config.overrides),
        }

    def on_save_checkpoint(
        self,
        trainer: pl.Trainer,  # noqa: ARG002 - the hook's signature
        pl_module: pl.LightningModule,  # noqa: ARG002
        checkpoint: dict[str, Any],
    ) -> None:
        checkpoint[KEY] = self.record


def sources_of(config: Config) -> tuple[Path, ...]:
    """Return the files that a config was composed from, in order, as they are found from anywhere."""
    return tuple(Path(source).resolve() for source in config.sources)


def recorded_sources(content: object) -> tuple[Path, ...] | None:
    """Return the sources that a loaded checkpoint records, or None if it has no record."""
    record = content.get(KEY) if isinstance(content, dict) else None
    sources = record.get("sources") if isinstance(record, dict) else None
    return tuple(Path(source).resolve() for source in sources) if isinstance(sources, list) else None
