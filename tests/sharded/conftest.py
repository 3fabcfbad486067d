"""Runs that several tests look at, each made once, in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .parts import WAYS, run


class Runs:
    """Fits of the same config in several ways, by name."""

    def __init__(self) -> None:
        self._made: dict[str, list[Any]] = {}

    def __call__(self, name: str) -> list[Any]:
        """Return what each rank of a fit has kept."""
        if name not in self._made:
            self._made[name] = run("fit", name, *WAYS[name], f"trainer::logger::name={name}")
        return self._made[name]

    def folder(self, name: str) -> Path:
        self(name)
        return Path("logs", name, "version_0")

    def checkpoint(self, name: str, which: str = "last") -> str:
        return str(self.folder(name) / "checkpoints" / f"{which}.ckpt")


@pytest.fixture(scope="package")
def _runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Runs]:
    return tmp_path_factory.mktemp("sharded"), Runs()


@pytest.fixture
def runs(_runs: tuple[Path, Runs], monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Go into the folder of the fits, and return them."""
    monkeypatch.chdir(_runs[0])
    return _runs[1]
