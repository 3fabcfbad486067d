"""The same config on one GPU, or on two: what only runs there. Each fit is a process, as a user starts it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from workspace import workspace  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.usefixtures("workspace"),
    pytest.mark.no_cover,
]

DIGITS, CIFAR10 = (Path(__file__).parents[1] / "projects" / name / "config.yaml" for name in ("digits", "cifar10"))
ACCELERATOR = "gpu"
TIMEOUT = 600

LARGE = """
from torch import nn
from torch.distributed.fsdp import fully_shard


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))


def shard(model, device_mesh):
    for layer in (model[0], model[2], model):
        fully_shard(layer, mesh=device_mesh["data_parallel"])
"""
MORE = """
_imports_: {torch: torch}
trainer: {=logger: true, devices: 1, max_epochs: 3, enable_progress_bar: false, enable_model_summary: false}
system:
  =model: {_target_: project.large.Net}
  parallelize: {_target_: project.large.shard, _mode_: callable}
  optimizer: {_target_: torch.optim.Adam}
"""
MESH = "{_target_: pytorch_lightning.strategies.ModelParallelStrategy, data_parallel_size: %d, tensor_parallel_size: 1}"
FSDP = "{_target_: pytorch_lightning.strategies.FSDPStrategy, auto_wrap_policy: '$set([torch.nn.Linear])'}"
NAMES = ("train/loss/epoch", "train/metrics/MulticlassAccuracy/epoch", "val/loss/epoch")
needs_two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")


@pytest.fixture
def large(workspace: Path) -> None:  # noqa: F811
    """Put a model with a plan to shard it into the workspace."""
    (workspace / "proj/large.py").write_text(LARGE)
    (workspace / "large.yaml").write_text(MORE)


def lighter(*arguments: str) -> str:
    """Run the program, and return what it prints."""
    command = [sys.executable, "-m", "lighter", *arguments]
    environment = {**os.environ, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}  # which deterministic kernels ask for
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fit(name: str, *arguments: str) -> Path:
    """Fit on the GPU, and return the folder of the run."""
    lighter("fit", *arguments, "--no-check", f"trainer::accelerator={ACCELERATOR}", f"trainer::default_root_dir={name}")
    (record,) = Path(name).rglob("run.json")
    assert json.loads(record.read_text())["status"] == "completed"
    return record.parent


def epochs(run: Path) -> list[list[float]]:
    """Return the losses and the metric of each epoch."""
    with (run / "epochs.csv").open(newline="") as file:
        return [[float(row[name]) for name in NAMES] for row in csv.DictReader(file)]


def fake_images(size: int) -> list[str]:
    data = "{_target_: torchvision.datasets.FakeData, size: %d, image_size: [3, 32, 32], transform: %s}"
    transform = "{_target_: torchvision.transforms.ToTensor}"
    return [f"=system::dataloaders::{mode}::dataset={data % (size, transform)}" for mode in ("train", "val")]


def test_cifar10_trains_in_bf16() -> None:
    options = ("trainer::precision=bf16-mixed", "trainer::max_epochs=1", "system::dataloaders::train::batch_size=64")
    run = fit("cifar10", str(CIFAR10), *fake_images(256), *options)
    lighter("test", str(run))


@pytest.mark.parametrize("function", ["torch.compile", "lighter.utils.model.compile_in_place"])
def test_a_compiled_model_trains_as_the_plain_one_and_is_tested(function: str) -> None:
    few = ("trainer::max_epochs=2", "system::model::dropout=0")
    model = f"=system::model={{_target_: {function}, model: {{_target_: project.model.DigitNet, dropout: 0}}}}"
    plain, compiled = fit("plain", str(DIGITS), *few), fit("compiled", str(DIGITS), *few[:2], model)
    with (plain / "epochs.csv").open() as one, (compiled / "epochs.csv").open() as other:
        losses = [[float(row["train/loss/epoch"]) for row in csv.DictReader(file)] for file in (one, other)]
    assert losses[1] == pytest.approx(losses[0], rel=0.05), "kernels that add in another order"
    lighter("test", str(compiled))


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    ("strategy", "devices"),
    [
        pytest.param(MESH % 1, 1, id="fsdp2 on one"),
        pytest.param(FSDP, 1, id="fsdp on one"),
        pytest.param("ddp", 2, marks=needs_two, id="ddp on two"),
        pytest.param(MESH % 2, 2, marks=needs_two, id="fsdp2 on two"),
        pytest.param(FSDP, 2, marks=needs_two, id="fsdp on two"),
    ],
)
def test_each_strategy_trains_what_one_device_does(strategy: str, devices: int) -> None:
    sources = ("config.yaml", "large.yaml")
    batches = [f"system::dataloaders::{mode}::batch_size={8 // devices}" for mode in ("train", "val")]
    sharded = (f"trainer::devices={devices}", f"trainer::strategy={strategy}", *batches)
    one, many = fit("one", *sources), fit("many", *sources, *sharded)
    assert epochs(many) == [pytest.approx(epoch, rel=1e-4) for epoch in epochs(one)]
    lighter("test", str(many), "trainer::devices=1", "~trainer::strategy")
    empty = fit("empty", *sources, *sharded, "system::empty_init=true")
    assert epochs(empty)[-1] < epochs(empty)[0], "the loss falls, whatever it began with"


@pytest.mark.usefixtures("large")
@pytest.mark.skipif(find_spec("deepspeed") is None, reason="needs the extra deepspeed")
@pytest.mark.parametrize("strategy", ["deepspeed_stage_2", "deepspeed_stage_3"])
def test_deepspeed_trains_what_one_device_does(strategy: str) -> None:
    sources = ("config.yaml", "large.yaml")
    one = fit("one", *sources)
    many = fit("many", *sources, f"trainer::strategy={strategy}")
    assert epochs(many) == [pytest.approx(epoch, rel=1e-3) for epoch in epochs(one)]


@pytest.mark.usefixtures("large")
def test_a_run_that_is_stopped_and_resumed_has_the_bits_of_one_that_was_not() -> None:
    sources = ("config.yaml", "large.yaml", "trainer::deterministic=true")
    whole = fit("whole", *sources)
    parts = fit("parts", *sources, "trainer::max_epochs=1")
    lighter("fit", str(parts), "trainer::max_epochs=3", "--resume")
    assert epochs(parts) == epochs(whole)
