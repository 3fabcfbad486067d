"""Configs that run, of every kind that people write: what is said of configs must hold for all of these."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from unittest import mock

import pytest
import torch

from lighter import Runner
from lighter.checking import find_problems
from lighter.config import compose
from lighter.config.resolve import Resolver
from lighter.config.structure import MODE_TABLES, STAGES
from lighter.errors import render_all
from lighter.project import import_project
from lighter.runner import Stage

FOLDER = Path(__file__).parent / "valid"
COUNT = 69

pytestmark = [
    # warnings of what these configs do on purpose, being legal:
    pytest.mark.filterwarnings(f"ignore:{message}")
    for message in (
        "The parameter 'pretrained' is deprecated",  # torchvision: older configs have it
        "Arguments other than a weight enum",  # the same
        "When using the `ThroughputMonitor`, you need",  # Lightning: the FLOPs are of no interest
        "You're using the WeightAveraging callback with a model that overrides",  # Lightning: System does, for sharding
        "'pin_memory' argument is set as true",  # torch: LightningDataModule.from_datasets sets it
        ".* is no number and no vector, so it is not logged",  # ours: matrices and curves are no mistake in a config
    )
]


@dataclass(frozen=True)
class Case:
    """A config, with a second file `NAME__over.yaml` where there is one.

    Its first lines say what is done with it: `# stages: fit test` runs these stages in turn, `# stages: build` builds
    what needs no System; `# overrides: …` are arguments of the command line, as in a shell.
    """

    name: str

    @property
    def sources(self) -> list[str]:
        files = [FOLDER / f"{self.name}.yaml", FOLDER / f"{self.name}__over.yaml"]
        return [str(file) for file in files if file.exists()]

    @property
    def stages(self) -> list[str]:
        return self._words("stages")

    @property
    def overrides(self) -> list[str]:
        return self._words("overrides")

    def _words(self, label: str) -> list[str]:
        lines = (FOLDER / f"{self.name}.yaml").read_text(encoding="utf-8").splitlines()
        found = [line.partition(": ")[2] for line in lines[:3] if line.startswith(f"# {label}: ")]
        return shlex.split(found[0]) if found else []


# a name with "__" is part of the config that stands before it
CASES = [Case(file.stem) for file in sorted(FOLDER.glob("*.yaml")) if "__" not in file.stem]
every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@pytest.fixture(autouse=True)
def process_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Work in a folder of the test's own, and undo what a project and a Trainer change in the whole process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that other tests keep busy make networks of this size wait
    with mock.patch.dict(os.environ):
        yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    for name in [name for name in sys.modules if name.split(".")[0] in ("project", "parts", "shapes")]:
        del sys.modules[name]


def test_every_file_is_part_of_a_case() -> None:
    assert len(CASES) == COUNT
    assert all(case.stages and set(case.stages) <= {*STAGES, "build"} for case in CASES)
    names = {case.name for case in CASES}
    assert {file.stem.split("__")[0] for file in FOLDER.glob("*.yaml")} == names


@every_case
def test_a_valid_config_runs(case: Case) -> None:
    for stage in case.stages:
        if stage == "build":
            build(case)
        else:
            Runner().run(cast("Stage", stage), case.sources, case.overrides, check=False)


@every_case
def test_check_finds_nothing_in_a_valid_config(case: Case) -> None:
    stages = [None, *(stage for stage in case.stages if stage != "build")]
    for stage in stages:
        for imports in (False, True):
            _, problems = find_problems(case.sources, case.overrides, stage, imports=imports)
            assert problems == [], render_all(problems)


def build(case: Case) -> None:
    """Build all that can be had before there is a System."""
    config = compose(case.sources, case.overrides)
    import_project(config)
    resolver = Resolver.of(config)
    resolver.require()
    paths = ["vars", "trainer", "data", *(f"system::{slot}" for slot in ("model", "criterion", "inferer"))]
    paths += [f"system::{slot}::{mode}" for slot, modes in MODE_TABLES.items() for mode in modes]
    for path in paths:
        if path in resolver:
            resolver.resolve(path)
