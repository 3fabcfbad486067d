"""Strategies that shard load what fits the model, whoever has saved it, and refuse the rest in words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from lighter.errors import LighterError

from .conftest import Runs
from .parts import MARKS, WAYS, run

pytestmark = MARKS

SGD = "system::optimizer::_target_=torch.optim.SGD"
WEIGHTED = "system::criterion={_target_: torch.nn.CrossEntropyLoss, weight: '$torch.tensor([1.0, 2.0, 3.0])'}"
TORCH = "_imports_={torch: torch}"
JUDGE = "system::metrics::test={_target_: sharded.parts.Judge}"


@pytest.fixture(scope="module")
def of_sgd() -> dict[str, list[Any]]:
    """Return what fits with an optimizer that has no state have kept, by name."""
    return {}


@pytest.mark.filterwarnings("ignore:the checkpoint is of . ranks")
@pytest.mark.parametrize(("saved", "resumed"), [("one", "fsdp"), ("one", "mesh"), ("fsdp", "fsdp")])
def test_an_optimizer_without_a_state_goes_on_with_what_it_was_set_to(
    runs: Runs, of_sgd: dict[str, list[Any]], saved: str, resumed: str
) -> None:
    """The scheduler has halved its learning rate, but resumed it sets a factor alone."""
    runs("one")
    for name in {"one", saved} - of_sgd.keys():
        of_sgd[name] = run("fit", f"sgd {name}", *WAYS[name], SGD, f"trainer::logger::name=sgd {name}")
    (one,) = of_sgd["one"]
    ckpt = f"logs/sgd {saved}/version_0/checkpoints/epoch=0.ckpt"
    for rank in run("fit", f"sgd {saved} {resumed}", *WAYS[resumed], SGD, "trainer::logger=false", ckpt=ckpt):
        mine, theirs = rank["steps"][-1], one["steps"][-1]
        assert len(rank["steps"]) == 3
        assert all(torch.allclose(mine[name], theirs[name], atol=1e-6) for name in theirs)


@pytest.mark.parametrize("name", ["fsdp, full", "mesh"])
def test_a_run_is_tested_and_predicted_with_though_what_stands_beside_its_model_is_another(
    runs: Runs, name: str
) -> None:
    """A test has no criterion, whose weights are in the checkpoint, but a metric with weights that are not in it."""
    runs("one")
    run("fit", f"beside {name}", *WAYS[name], WEIGHTED, TORCH, f"trainer::logger::name=beside {name}")
    folder = f"logs/beside {name}/version_0"
    alone = ["trainer::devices=1", "trainer::strategy=auto"]
    (one,) = run("test", f"beside one {name}", *alone, JUDGE, source=folder)
    for rank in run("test", f"beside test {name}", JUDGE, source=folder):
        assert rank["metrics"] == pytest.approx(one["metrics"], abs=1e-5)
    predicted = run("predict", f"beside predict {name}", source=folder)
    assert sum(len(batch[1]) for rank in predicted for batch in rank["predicted"]) == 24


@pytest.mark.parametrize(("saved", "name"), [("one", "fsdp"), ("one", "mesh"), ("mesh", "mesh")])
def test_weights_that_do_not_fit_are_told_by_name(runs: Runs, saved: str, name: str) -> None:
    runs(saved)
    message = (
        r"do not fit the model\n  missing in it: model.5.\w+, model.5.\w+\n"
        r"  of another shape: model.0.weight \[8, 5\], here \[9, 5\], "
    )
    with pytest.raises(LighterError, match=message):
        run("test", "x", *WAYS[name], "system::model::_target_=sharded.parts.Deeper", ckpt=runs.checkpoint(saved))


class Touches:
    def __reduce__(self) -> Any:
        return os.system, ("touch touched",)


def test_a_file_that_holds_more_than_data_is_not_run(runs: Runs, tmp_path: Path) -> None:
    runs("one")
    content = torch.load(runs.checkpoint("one"), weights_only=True)
    torch.save({**content, "touches": Touches()}, tmp_path / "bad.ckpt")
    with pytest.raises(LighterError, match="Weights only load failed"):
        run("test", "x", *WAYS["fsdp"], ckpt=str(tmp_path / "bad.ckpt"))
    assert not Path("touched").exists()


def test_a_fit_does_not_go_on_from_weights_alone(runs: Runs) -> None:
    runs("one")
    alone = ["trainer::callbacks::1::save_weights_only=true", "trainer::max_epochs=1"]
    run("fit", "alone", *WAYS["fsdp"], *alone, "trainer::logger::name=alone")
    with pytest.raises(LighterError, match=r"holds weights alone \(save_weights_only\), and a fit goes on with"):
        run("fit", "x", *WAYS["fsdp"], "trainer::logger=false", ckpt="logs/alone/version_0/checkpoints/last.ckpt")
    with pytest.raises(LighterError, match=r"no checkpoint can be gone on from\n.*last.ckpt' holds weights alone"):
        run("fit", "x", "trainer::max_epochs=2", source="logs/alone/version_0", resume=True)
