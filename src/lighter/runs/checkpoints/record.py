"""What a checkpoint says about the run that saved it: the composed config, its sources and the overrides."""

from __future__ import annotations

from pathlib import Path

from lighter.config import Config

KEY = "lighter"


def sources_of(config: Config) -> tuple[Path, ...]:
    """Return the files that a config was composed from, in order, as they are found from anywhere."""
    return tuple(Path(source).resolve() for source in config.sources)


def recorded_sources(content: object) -> tuple[Path, ...] | None:
    """Return the sources that a loaded checkpoint records, or None if it has no record."""
    record = content.get(KEY) if isinstance(content, dict) else None
    sources = record.get("sources") if isinstance(record, dict) else None
    return tuple(Path(source).resolve() for source in sources) if isinstance(sources, list) else None
