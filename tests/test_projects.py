"""The projects that we ship work, run as their README says."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lighter.cli import main
from lighter.config import compose

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "projects" / "digits"
CIFAR10 = ROOT / "projects" / "cifar10"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # threads that other tests keep busy make a network of this size wait


def test_digits_trains_tests_and_predicts_from_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    table = tmp_path / "predictions.csv"
    overrides = [f"trainer::default_root_dir={tmp_path}", f"trainer::callbacks::1::path={table}"]

    assert main(["fit", "projects/digits/config.yaml", *overrides]) == 0
    assert best_score(tmp_path) >= 0.97

    assert main(["test", "projects/digits/config.yaml", "--ckpt", "best", *overrides]) == 0
    assert main(["predict", "projects/digits/config.yaml", "--ckpt", "best", *overrides]) == 0
    rows = read(table)
    assert [row["identifier"] for row in rows] == [str(index) for index in range(270)]
    correct = [int(row["pred"]) == label for row, label in zip(rows, labels_of_the_test_split(), strict=True)]
    assert sum(correct) / len(correct) >= 0.95


def test_digits_with_dict_batches_names_its_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    table = tmp_path / "predictions.csv"
    overrides = [f"trainer::default_root_dir={tmp_path}", f"trainer::callbacks::1::path={table}"]

    assert main(["fit", "projects/digits/config_dict.yaml", *overrides]) == 0
    assert best_score(tmp_path) >= 0.95

    assert main(["predict", "projects/digits/config_dict.yaml", "--ckpt", "best", *overrides]) == 0
    rows = read(table)
    assert len(rows) == 270
    order = np.random.RandomState(0).permutation(1797)[1527:]
    assert [row["identifier"] for row in rows] == [f"digit-{row:04d}" for row in order]


def test_digits_long_merges_over_the_first_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    files = ["projects/digits/config.yaml", "projects/digits/config_long.yaml"]
    config = compose(files)
    assert config.plain("vars::epochs") == 20
    assert config.plain("system::model::dropout") == 0.2
    assert config.plain("system::model::width") == 16
    assert "trainer::gradient_clip_val" not in config
    assert len(config.find("trainer::callbacks").plain()) == 3  # type: ignore[union-attr, arg-type]
    assert "system::scheduler::interval" not in config

    few = [f"trainer::default_root_dir={tmp_path}", "vars::epochs=2", "trainer::limit_train_batches=3"]
    assert main(["fit", *files, *few]) == 0


@pytest.mark.parametrize("folder", [".", "projects/digits", "projects", "tests"])
def test_digits_finds_its_code_from_any_working_folder(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT / folder)
    assert main(["validate", str(DIGITS / "config.yaml"), f"trainer::default_root_dir={tmp_path}"]) == 0


def test_cifar10_trains_and_tests_on_random_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fake = "{_target_: torchvision.datasets.FakeData, size: 8, image_size: [3, 32, 32], transform: %s}"
    transform = '"%system::dataloaders::val::dataset::transform"'
    overrides = [
        f"=system::dataloaders::train::dataset={fake % '{_target_: torchvision.transforms.ToTensor}'}",
        "system::dataloaders::val::dataset::_target_=torchvision.datasets.FakeData",
        *(f"~system::dataloaders::val::dataset::{argument}" for argument in ("root", "train", "download")),
        "system::dataloaders::val::dataset::size=8",
        "system::dataloaders::val::dataset::image_size=[3, 32, 32]",
        f"=system::dataloaders::test={{_target_: torch.utils.data.DataLoader, dataset: {fake % transform}}}",
        *(f"system::dataloaders::{mode}::num_workers=0" for mode in ("train", "val")),
        "system::dataloaders::train::batch_size=4",
        "trainer::max_epochs=1",
        "trainer::limit_test_batches=2",
    ]
    assert main(["fit", str(CIFAR10 / "config.yaml"), *overrides]) == 0
    assert main(["test", str(CIFAR10 / "config.yaml"), "--ckpt", "best", *overrides]) == 0


def best_score(folder: Path) -> float:
    """Return the best value of the monitor in the only run under a folder."""
    (last,) = folder.rglob("last.ckpt")
    callbacks: dict[str, dict[str, Any]] = torch.load(last, weights_only=True)["callbacks"]
    return next(float(state["best_model_score"]) for state in callbacks.values() if "best_model_score" in state)


def read(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def labels_of_the_test_split() -> list[int]:
    with np.load(DIGITS / "data" / "digits.npz") as arrays:
        order = np.random.RandomState(0).permutation(len(arrays["labels"]))
        labels: list[int] = arrays["labels"][order[1527:]].tolist()
    return labels
