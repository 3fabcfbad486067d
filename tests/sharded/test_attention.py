"""Models with torch's own attention, which sets its values in another way than all other layers, begin empty too."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from lighter._sharded import materialize
from lighter.errors import ConfigError

from .parts import HALF, MARKS, WAYS, Attentive, run, way

pytestmark = MARKS

TORCH = "_imports_={torch: torch}"
WRAPPED = way("ForkedFSDP", *HALF, TORCH, auto_wrap_policy="'$set([torch.nn.TransformerEncoderLayer])'")
EMPTY = ["system::empty_init=true", "system::model::_target_=sharded.parts.Attentive", "trainer::logger=false"]
BOUND = (6 / 4 / 8) ** 0.5  # of torch's in_proj_weight, three times eight by eight


def trainer() -> pl.Trainer:
    return pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)


def test_attention_that_began_empty_has_the_values_that_it_would_have_been_built_with() -> None:
    def built() -> nn.Module:
        return nn.Sequential(Attentive(), nn.MultiheadAttention(8, 2, kdim=4, add_bias_kv=True), nn.BatchNorm1d(8))

    torch.manual_seed(7)
    eager = built().state_dict()
    with torch.device("meta"):
        model = built()
    torch.manual_seed(7)
    materialize(model, trainer())
    assert eager.keys() == model.state_dict().keys()
    assert all(torch.equal(eager[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("overrides", [WRAPPED, WAYS["mesh"]], ids=["fsdp", "mesh"])
def test_attention_that_began_empty_is_trained_by_ranks_that_have_set_it_alike(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saves_none = "~trainer::callbacks=[1]"
    first, second = run("fit", "kept", *overrides, *EMPTY, saves_none, "system::optimizer::lr=1e-6")
    begun = first["steps"][0]
    assert all(torch.equal(tensor, second["steps"][0][name]) for name, tensor in begun.items())
    weights = begun["model.1.self_attn.in_proj_weight"]
    assert 0.9 * BOUND < weights.abs().max() < BOUND + 1e-4
    assert 0.8 * BOUND < weights.std() * 3**0.5 < 1.2 * BOUND
    assert begun["model.1.self_attn.in_proj_bias"].abs().max() < 1e-4
    assert begun["model.1.self_attn.out_proj.bias"].abs().max() < 1e-4
    assert any(not torch.equal(tensor, first["steps"][-1][name]) for name, tensor in begun.items())


def test_a_transformer_whose_layers_would_have_other_values_is_refused() -> None:
    """Its constructor sets those of all its layers, whoever they belong to."""
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(4, 4), nn.Transformer(4, 2, 1, 1, 4, batch_first=True))
    with pytest.raises(ConfigError, match=r"with empty_init 1 \(Transformer\) would not set the weights of its layers"):
        materialize(model, trainer())
