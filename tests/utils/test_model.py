from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from loguru import logger
from torch import nn

from lighter.errors import ConfigError
from lighter.utils.model import (
    adjust_prefix_and_load_state_dict,
    compile_in_place,
    remove_n_last_layers_sequentially,
    replace_layer_with,
    replace_layer_with_identity,
)


def net(classes: int = 3) -> nn.Sequential:
    body = nn.Sequential(nn.Linear(2, 4), nn.ReLU())
    return nn.Sequential(OrderedDict(body=body, head=nn.Linear(4, classes)))


def saved(path: Path, prefix: str = "", classes: int = 3, lightning: bool = False) -> tuple[Path, dict[str, Any]]:
    state = net(classes).state_dict()
    renamed = {prefix + name: value for name, value in state.items()}
    torch.save({"state_dict": renamed, "epoch": 3} if lightning else renamed, path / "net.ckpt")
    return path / "net.ckpt", state


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    yield lines
    logger.remove(sink)


def test_a_nested_layer_is_replaced() -> None:
    model, layer = net(), nn.Linear(2, 4)
    assert replace_layer_with(model, "body.0", layer) is model
    assert model.get_submodule("body.0") is layer


def test_a_layer_becomes_an_identity() -> None:
    assert replace_layer_with_identity(net(), "head")(torch.rand(5, 2)).shape == (5, 4)


def test_an_unknown_layer_is_an_error_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"Sequential has no layer 'body.00'\n  did you mean 'body.0'"):
        replace_layer_with_identity(net(), "body.00")


@pytest.mark.parametrize(("count", "width"), [(0, 3), (1, 4)])
def test_the_last_layers_are_removed(count: int, width: int) -> None:
    assert remove_n_last_layers_sequentially(net(), count)(torch.rand(5, 2)).shape == (5, width)


@pytest.mark.parametrize("count", [-1, 2])
def test_removing_all_layers_or_fewer_than_none_is_an_error(count: int) -> None:
    with pytest.raises(ConfigError, match=f"cannot remove {count} of the 2 layers"):
        remove_n_last_layers_sequentially(net(), count)


def test_a_bare_state_dict_is_loaded(tmp_path: Path) -> None:
    path, state = saved(tmp_path)
    model = net()
    assert adjust_prefix_and_load_state_dict(model, str(path)) is model
    assert all(torch.equal(model.state_dict()[name], value) for name, value in state.items())


@pytest.mark.parametrize(
    ("prefix", "mapping"), [("model.", {"model.": ""}), ("model.", {"model": ""}), ("a.b.", {"a": "x", "a.b": ""})]
)
def test_a_lightning_checkpoint_is_loaded_under_other_prefixes(
    tmp_path: Path, prefix: str, mapping: dict[str, str]
) -> None:
    path, state = saved(tmp_path, prefix, lightning=True)
    model = adjust_prefix_and_load_state_dict(net(), path, mapping)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in state.items())


def test_a_prefix_can_be_added(tmp_path: Path) -> None:
    path, state = saved(tmp_path)
    model = adjust_prefix_and_load_state_dict(nn.ModuleDict({"encoder": net()}), path, {"": "encoder"})
    assert torch.equal(model.state_dict()["encoder.head.bias"], state["head.bias"])


def test_ignored_layers_keep_their_weights(tmp_path: Path, log: list[str]) -> None:
    path, state = saved(tmp_path, classes=7)
    model = adjust_prefix_and_load_state_dict(net(), path, layers_to_ignore=["head"])
    assert torch.equal(model.state_dict()["body.0.weight"], state["body.0.weight"])
    assert log == [
        f"Loaded 2 weights from {path}",
        "Missing in the checkpoint: head.weight, head.bias",
        "Ignored: head",
    ]


def test_weights_of_another_layer_are_logged(tmp_path: Path, log: list[str]) -> None:
    path, _ = saved(tmp_path)
    adjust_prefix_and_load_state_dict(net()[0], path, {"body": ""})
    assert log == [f"Loaded 2 weights from {path}", "Not in the model: head.weight, head.bias"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ckpt_to_model_prefix": {"modle": ""}}, "ckpt_to_model_prefix: nothing is named 'modle'\n  .*'model'"),
        ({"ckpt_to_model_prefix": {"model": ""}, "layers_to_ignore": "haed"}, "nothing is named 'haed'\n  .*'head'"),
        ({}, r"no weight in .* has a name of Sequential.*the checkpoint has model.body.0.weight.*the model body.0"),
        (
            {"ckpt_to_model_prefix": {"model": ""}},
            r"head.weight is \(7, 4\) in the checkpoint, \(3, 4\) in the model; head.bias",
        ),
        ({"ckpt_to_model_prefix": {"model.body.0": "x", "model.head": "x"}}, "several weights one name: x.weight"),
    ],
)
def test_what_cannot_be_loaded_is_an_error(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    path, _ = saved(tmp_path, "model.", classes=7, lightning=True)
    with pytest.raises(ConfigError, match=message):
        adjust_prefix_and_load_state_dict(net(), path, **arguments)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": net().state_dict(), "code": net()}, tmp_path / "net.ckpt")
    with pytest.raises(ConfigError, match="cannot read the weights"):
        adjust_prefix_and_load_state_dict(net(), tmp_path / "net.ckpt")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the weights"):
        adjust_prefix_and_load_state_dict(net(), tmp_path / "none.ckpt")


# --- compiling


def test_a_model_that_is_compiled_in_place_keeps_the_names_of_its_weights() -> None:
    graphs = []

    def keep(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    torch.manual_seed(0)
    model, x = net(), torch.randn(5, 2)
    expected, names = model(x), list(model.state_dict())
    assert compile_in_place(model, backend=keep, fullgraph=True) is model
    assert not graphs, "at the first batch"
    torch.testing.assert_close(model(x), expected)
    assert len(graphs) == 1
    assert list(model.state_dict()) == names
