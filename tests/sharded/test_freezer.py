"""A Freezer on several ranks does what it does in one process: frozen weights stay, thawed ones train alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lighter.errors import LighterError

from .conftest import Runs
from .parts import HALF, MARKS, WAYS, run, way

pytestmark = MARKS

FIRST = {"model.0.weight", "model.0.bias"}
STATIC = [*way("ForkedDDP", *HALF, static_graph="true")]
UNUSED = [*way("ForkedDDP", *HALF, find_unused_parameters="true")]
FROZEN: dict[str, list[dict[str, int]]] = {
    "for good": [{}],
    "thawed": [{"until_step": 3}],
    "twice": [{"until_step": 2}, {"until_epoch": 1}],
}


def freezers(kind: str) -> list[str]:
    found = []
    for until in FROZEN[kind]:
        given = "".join(f", {name}: {value}" for name, value in until.items())
        found.append(f"trainer::callbacks+=[{{_target_: lighter.callbacks.Freezer, name_starts_with: '0.'{given}}}]")
    return found


def fit(kept: str, *overrides: str, **arguments: Any) -> list[Any]:
    sgd = ["system::optimizer::_target_=torch.optim.SGD"]
    return run("fit", kept, *sgd, *overrides, f"trainer::logger::name={kept}", **arguments)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ddp", "for good"),
        ("ddp", "twice"),
        ("static", "thawed"),
        ("unused", "thawed"),
        ("fsdp", "for good"),
        ("fsdp", "twice"),
        ("mesh", "for good"),
        ("mesh", "twice"),
    ],
)
def test_what_is_frozen_stays_and_what_is_thawed_trains_alike(runs: Runs, name: str, kind: str) -> None:
    overrides = {"static": STATIC, "unused": UNUSED}.get(name) or WAYS[name]
    momentum = ["system::optimizer={momentum: 0.9, weight_decay: 0.1}"]
    (one,) = alone(kind, momentum)
    ranks = fit(f"freeze {name} {kind}", *momentum, *freezers(kind), *overrides)
    start = one["steps"][0]
    for rank in ranks:
        for mine, theirs in zip(rank["steps"], one["steps"], strict=True):
            assert all(torch.allclose(mine[weight], theirs[weight], atol=1e-6) for weight in theirs)
    for weight in FIRST:
        stays = [torch.equal(step[weight], start[weight]) for step in ranks[0]["steps"]]
        assert stays == [True] * (6 if kind == "for good" else 3) + [False] * (0 if kind == "for good" else 3)


_alone: dict[tuple[Path, str], list[Any]] = {}


def alone(kind: str, momentum: list[str]) -> list[Any]:
    key = Path.cwd(), kind
    if key not in _alone:
        _alone[key] = fit(f"freeze one {kind}", *momentum, *freezers(kind))
    return _alone[key]


@pytest.mark.parametrize(("name", "epochs"), [("mesh", 1), ("mesh", 2), ("mesh, full", 1), ("fsdp, hybrid", 1)])
def test_a_frozen_run_goes_on_as_it_was(runs: Runs, name: str, epochs: int) -> None:
    """It is thawed in its second epoch, and goes on before that, when the optimizer has no state of it, or after it."""
    until = freezers("thawed") if epochs == 2 else [freezers("thawed")[0].replace("3", "5")]
    overrides = ["system::optimizer={momentum: 0.9}", f"trainer::max_epochs={epochs + 1}", *until, *WAYS[name]]
    whole = fit(f"whole {name} {epochs}", *overrides)
    checkpoint = f"logs/whole {name} {epochs}/version_0/checkpoints/epoch={epochs - 1}.ckpt"
    for rank, before in zip(fit(f"on {name} {epochs}", *overrides, ckpt=checkpoint), whole, strict=True):
        last = before["steps"][-1]
        assert all(torch.equal(rank["steps"][-1][weight], last[weight]) for weight in last)


def test_flat_parameters_cannot_be_thawed(runs: Runs) -> None:
    with pytest.raises(LighterError, match=r"Freezer cannot thaw model.0.\w+, which is part of a larger parameter now"):
        fit("flat", *freezers("thawed"), *WAYS["fsdp, flat"])
