from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from lighter.runs.checkpoints.mismatch import mismatch

FILE = Path("some.ckpt")


def said(theirs: nn.Module, mine: nn.Module) -> str:
    with pytest.raises(RuntimeError) as caught:
        mine.load_state_dict(theirs.state_dict())
    error = mismatch(FILE, caught.value)
    assert error is not None
    return str(error)


def test_missing_and_unexpected_weights_are_named() -> None:
    theirs = nn.Sequential(nn.Linear(4, 2, bias=False))
    mine = nn.ModuleDict({"other": nn.Linear(4, 2)})
    assert said(theirs, mine) == (
        "the weights in 'some.ckpt' do not fit the model\n"
        "  missing in it: other.weight, other.bias\n"
        "  not in the model: 0.weight\n"
        "  from another config or override?"
    )


def test_shapes_are_shown_on_both_sides() -> None:
    text = said(nn.Linear(4, 2), nn.Linear(4, 3))
    assert "\n  of another shape: weight [2, 4], here [3, 4], bias [2], here [3]\n" in text


def test_many_differences_are_counted() -> None:
    text = said(nn.Linear(4, 2), nn.Sequential(*(nn.Linear(4, 4) for _ in range(50))))
    assert "missing in it: 0.weight, 0.bias, 1.weight and 97 more\n" in text
    assert len(text.splitlines()) == 4


def test_another_error_is_not_taken_for_one() -> None:
    assert mismatch(FILE, RuntimeError("CUDA out of memory")) is None
