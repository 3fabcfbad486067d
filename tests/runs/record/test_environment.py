from __future__ import annotations

import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from lighter.runs.record.environment import packages


def test_packages_are_those_that_importlib_finds() -> None:
    theirs = {
        item.metadata["Name"].lower().replace("_", "-").replace(".", "-"): item.version for item in distributions()
    }
    assert packages() == dict(sorted(theirs.items()))


def test_the_first_of_two_on_the_path_counts_and_old_formats_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a/Some_pack.age-1.0+cpu.dist-info", "b/some_pack.age-2.0.dist-info", "b/old.egg-info"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "b/old.egg-info/PKG-INFO").write_text("Metadata-Version: 1.0\nName: Old\nVersion: 3\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "a"), str(tmp_path / "none"), str(tmp_path / "b")])
    assert packages() == {"old": "3", "some-pack-age": "1.0+cpu"}
