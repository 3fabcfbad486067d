"""Ranks that read the same samples of an iterable dataset, or take parts of different orders, are told so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from lighter import Runner

from .parts import Points
from .test_equality import CONFIG, TRAIN, TWO

pytestmark = [pytest.mark.no_cover, pytest.mark.filterwarnings("ignore:.*is multi-threaded, use of fork")]


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    def __init__(self, divided: bool) -> None:
        self.divided = divided

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        points = Points(8)
        ranks = torch.distributed.get_world_size() if self.divided else 1
        first = torch.distributed.get_rank() if self.divided else 0
        yield from (points[index] for index in range(first, len(points), ranks))


@pytest.mark.parametrize("divided", [False, True])
@pytest.mark.filterwarnings("ignore:This run may not be repeated or resumed exactly")
def test_the_same_stream_on_two_ranks_is_told(divided: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(CONFIG)
    stream = f"={TRAIN}::dataset={{_target_: ranks.test_same_data.Stream, divided: {str(divided).lower()}}}"
    if divided:
        Runner().run("fit", ["config.yaml"], [*TWO, stream, f"~{TRAIN}::shuffle", "trainer::max_epochs=1"])
        return
    with pytest.raises(Exception, match="Stream yields the same samples on 2 of 2 ranks"):  # a warning is an error here
        Runner().run("fit", ["config.yaml"], [*TWO, stream, f"~{TRAIN}::shuffle", "trainer::max_epochs=1"])


def test_a_sampler_that_draws_differently_on_the_ranks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(CONFIG)
    hidden = [f"~{TRAIN}::shuffle", f"{TRAIN}::sampler={{_target_: ranks.parts.Hidden, samples: 24}}"]
    with pytest.raises(Exception, match="Hidden draws differently on the ranks"):  # a warning is an error here
        Runner().run("fit", ["config.yaml"], [*TWO, *hidden])
