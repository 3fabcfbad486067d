"""What a checkpoint says about the run that saved it: the composed config, its sources and the overrides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lighter._run_folder import KEY
from lighter.config import Config


def sources_of(config: Config) -> tuple[Path, ...]:
    """Return the files that a config was composed from, in order, as they are found from anywhere."""
    return tuple(Path(source).resolve() for source in config.sources)


def record_of(content: object) -> Mapping[Any, Any]:
    """Return what a loaded checkpoint tells of its run; nothing if it has no record."""
    record = content.get(KEY) if isinstance(content, Mapping) else None
    return record if isinstance(record, Mapping) else {}


def recorded_sources(content: object) -> tuple[Path, ...] | None:
    """Return the sources that a loaded checkpoint records, or None if it has no record."""
    sources = record_of(content).get("sources")
    return tuple(Path(source).resolve() for source in sources) if isinstance(sources, list) else None
