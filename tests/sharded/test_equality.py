"""Every way to shard gives the training of one process: weights after each step, epoch values, predictions."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from .conftest import Runs
from .parts import MARKS, WAYS, run

pytestmark = MARKS

SHARDED = ["fsdp", "fsdp, flat", "fsdp, hybrid", "mesh", "tensors", "both"]


@pytest.mark.parametrize("name", SHARDED)
def test_weights_and_epoch_values_are_those_of_one_process(runs: Runs, name: str) -> None:
    (one,), ranks = runs("one"), runs(name)
    assert len(ranks) == (4 if name in ("fsdp, hybrid", "both") else 2)
    assert "val/metrics/MulticlassAccuracy/epoch" in one["epochs"][-1]
    for rank in ranks:
        assert of_epochs(rank) == [pytest.approx(values, abs=1e-6) for values in of_epochs(one)]
        assert len(rank["steps"]) == len(one["steps"]) == 6
        for mine, theirs in zip(rank["steps"], one["steps"], strict=True):
            assert mine.keys() == theirs.keys()
            assert all(torch.allclose(mine[weight], theirs[weight], atol=1e-6) for weight in theirs)


@pytest.mark.parametrize("name", ["fsdp", "mesh", "tensors"])
def test_predictions_and_test_metrics_are_those_of_one_process(runs: Runs, name: str) -> None:
    runs("one"), runs(name)
    one = by_sample(run("predict", "p one", ckpt=runs.checkpoint("one")))
    sharded = by_sample(run("predict", f"p {name}", *WAYS[name], ckpt=runs.checkpoint(name)))
    assert sharded.keys() == one.keys()
    assert len(one) == 24
    assert all(torch.allclose(sharded[sample], one[sample], atol=1e-6) for sample in one)
    (alone,) = run("test", "t one", ckpt=runs.checkpoint("one"))
    for rank in run("test", f"t {name}", *WAYS[name], ckpt=runs.checkpoint(name)):
        assert rank["metrics"] == pytest.approx(alone["metrics"], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "algorithm", "limit"),
    [
        *((name, "norm", 0.5) for name in ("fsdp", "fsdp, hybrid", "mesh", "tensors", "both")),
        ("tensors", "value", 0.05),
    ],
)
def test_gradients_are_clipped_as_those_of_one_process(runs: Runs, name: str, algorithm: str, limit: float) -> None:
    sgd = ("system::optimizer::_target_=torch.optim.SGD", "system::optimizer::lr=1.0")  # each gradient's size matters
    clipping = (*sgd, f"trainer::gradient_clip_val={limit}", f"trainer::gradient_clip_algorithm={algorithm}")
    once = "trainer::max_epochs=1"
    (free,) = run("fit", "free", *sgd, once)
    (one,) = run("fit", f"clipped {algorithm}", *clipping, once)
    assert any(not torch.allclose(free["steps"][-1][weight], last) for weight, last in one["steps"][-1].items())
    for rank in run("fit", f"{name}, clipped {algorithm}", *WAYS[name], *clipping, once):
        for mine, theirs in zip(rank["steps"], one["steps"], strict=True):
            assert all(torch.allclose(mine[weight], theirs[weight], atol=1e-6) for weight in theirs)


def by_sample(ranks: list[Any]) -> dict[tuple[float, ...], torch.Tensor]:
    """Return the predictions of all ranks by their samples."""
    found: dict[tuple[float, ...], torch.Tensor] = {}
    for rank in ranks:
        for samples, predictions in rank["predicted"]:
            found |= dict(zip(map(tuple, samples.tolist()), predictions, strict=True))
    return found


def of_epochs(rank: Any) -> list[dict[str, float]]:
    """Return what a rank has logged, without what is of a single step."""
    return [{name: value for name, value in epoch.items() if name.endswith("/epoch")} for epoch in rank["epochs"]]


@pytest.mark.parametrize(("name", "other"), [("mesh", "mesh, alone"), ("tensors", "mesh, alone"), ("fsdp", "ddp")])
def test_a_model_that_began_empty_has_the_same_values_on_any_number_of_ranks(runs: Runs, name: str, other: str) -> None:
    """DDP shards nothing, and so builds the model as always."""
    empty = ["system::empty_init=true", "trainer::max_epochs=1", "trainer::logger=false"]
    (first, *_), ranks = (run("fit", f"empty {way}", *WAYS[way], *empty) for way in (other, name))
    for rank in ranks:
        for mine, theirs in zip(rank["steps"], first["steps"], strict=True):
            assert all(torch.allclose(mine[weight], theirs[weight], atol=1e-6) for weight in theirs)
    upper, lower = first["steps"][0]["model.2.weight"].chunk(2)
    assert not torch.allclose(upper, lower, atol=1e-2)  # as those of ranks that draw alike would be
