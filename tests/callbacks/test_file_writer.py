from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from lighter.callbacks import FileWriter
from lighter.errors import ConfigError

from .parts import ADVICE, Growth, Numbers, Predictor, predict, trainer

pytestmark = ADVICE


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def named(*names: str) -> Callable[[Tensor], dict[str, Any]]:
    """Return a predict step that gives its samples these identifiers."""
    return lambda batch: {"identifier": [names[int(value)] for value in batch[:, 0]], "pred": batch}


def test_each_sample_becomes_a_file_named_by_its_position(tmp_path: Path) -> None:
    predict(FileWriter(tmp_path / "out" / "new", "tensor"))
    assert files(tmp_path / "out" / "new") == [f"{index}.pt" for index in range(10)]
    assert torch.load(tmp_path / "out/new/7.pt").tolist() == [7, -7]


def test_a_file_holds_its_sample_and_not_the_batch(tmp_path: Path) -> None:
    predict(FileWriter(tmp_path, "tensor"), lambda batch: {"pred": batch.repeat(1, 10_000)}, batch_size=10)
    assert (tmp_path / "3.pt").stat().st_size < 100_000


def test_a_nested_prediction_is_written_whole(tmp_path: Path) -> None:
    predict(FileWriter(tmp_path, "tensor"), lambda batch: {"a": (batch, list(batch)), "b": {"c": batch[:, 0]}})
    sample = torch.load(tmp_path / "5.pt")
    assert (sample["a"][0].tolist(), sample["a"][1].tolist(), sample["b"]["c"].item()) == ([5, -5], [5, -5], 5)


def test_identifiers_name_files_and_subfolders(tmp_path: Path) -> None:
    predict(FileWriter(str(tmp_path), "tensor"), named("cat", "dogs/rex", "dogs/b.png"), samples=3)
    assert files(tmp_path) == ["cat.pt", "dogs/b.png.pt", "dogs/rex.pt"]


@pytest.mark.parametrize("name", ["/tmp/x", "../x", "a/../../x", "..", "", "."])
def test_an_identifier_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is no name for a file"):
        predict(FileWriter(tmp_path / "out", "tensor"), named(name), samples=1)
    assert files(tmp_path) == []


@pytest.mark.parametrize("arguments", [{}, {"overwrite": True}, {"shard": 3}])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_two_samples_of_one_identifier_are_an_error(tmp_path: Path, arguments: dict[str, Any], batch_size: int) -> None:
    with pytest.raises(ConfigError, match="two samples have the"):
        predict(FileWriter(tmp_path, "tensor", **arguments), named("a", "b", "a"), samples=3, batch_size=batch_size)
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "6.pt").write_text("precious")
    with pytest.raises(ConfigError, match=r"6.pt exists(.|\n)*overwrite: true"):
        predict(FileWriter(tmp_path, "tensor"))
    assert (tmp_path / "6.pt").read_text() == "precious"
    assert files(tmp_path) == [f"{index}.pt" for index in range(7)]


def test_overwrite_replaces_files(tmp_path: Path) -> None:
    (tmp_path / "6.pt").write_text("old")
    predict(FileWriter(tmp_path, "tensor", overwrite=True))
    predict(FileWriter(tmp_path, "tensor", overwrite=True), lambda batch: batch + 1)
    assert torch.load(tmp_path / "6.pt").tolist() == [7, -5]


def test_two_runs_fill_one_directory(tmp_path: Path) -> None:
    predict(FileWriter(tmp_path, "tensor"), named("a", "b"), samples=2)
    predict(FileWriter(tmp_path, "tensor"), named("c", "d"), samples=2)
    assert files(tmp_path) == ["a.pt", "b.pt", "c.pt", "d.pt"]


def test_no_file_is_ever_half_there(tmp_path: Path) -> None:
    def fail_midway(path: Path, tensor: Tensor) -> None:
        path.write_text("half")
        assert files(tmp_path) == [f"{path.parent.name}/{path.name}"] or tensor[0]
        if tensor[0] == 1:
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        predict(FileWriter(tmp_path, fail_midway))
    assert files(tmp_path) == ["0"]


@pytest.mark.parametrize("shard", [None, 20])
def test_memory_stays_flat(tmp_path: Path, shard: int | None) -> None:
    growth = Growth(every=10)
    run = trainer(FileWriter(tmp_path, "tensor", shard=shard), growth)
    with growth:
        run.predict(Predictor(lambda batch: batch), DataLoader(Numbers(1000), 20), return_predictions=False)
    assert growth.sizes[-1] - growth.sizes[1] < 20_000  # 600 samples


def test_a_callable_may_add_a_suffix(tmp_path: Path) -> None:
    def save(path: Path, sample: Tensor) -> None:  # `np.save` adds `.npy` by itself
        np.save(path, sample.numpy())

    predict(FileWriter(tmp_path, save), samples=2)
    assert files(tmp_path) == ["0.npy", "1.npy"]
    assert np.load(tmp_path / "1.npy").tolist() == [1, -1]


def test_several_dataloaders_have_a_folder_each(tmp_path: Path) -> None:
    for shard in (None, 2):
        run = trainer(FileWriter(tmp_path / f"{shard}", "tensor", shard=shard))
        loaders = [DataLoader(Numbers(2)), DataLoader(Numbers(3, start=10))]
        run.predict(Predictor(lambda batch: batch), loaders, return_predictions=False)
    assert files(tmp_path / "None") == ["0/0.pt", "0/1.pt", "1/0.pt", "1/1.pt", "1/2.pt"]
    assert files(tmp_path / "2") == ["0/shard-00000.pt", "1/shard-00000.pt", "1/shard-00001.pt"]
    assert torch.load(tmp_path / "2/1/shard-00001.pt")["pred"].tolist() == [[12, -12]]


# --- shards ---


def test_shards_hold_identifiers_and_stacked_predictions(tmp_path: Path) -> None:
    predict(FileWriter(tmp_path, "tensor", shard=4), lambda batch: {"pred": {"x": batch, "y": (batch[:, 0],)}}, 10, 3)
    shards = [torch.load(path) for path in sorted(tmp_path.iterdir())]
    assert [shard["identifier"] for shard in shards] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert shards[1]["pred"]["x"].tolist() == [[index, -index] for index in range(4, 8)]
    assert shards[2]["pred"]["y"][0].tolist() == [8, 9]


def test_predictions_of_many_shapes_stay_a_list_in_a_shard(tmp_path: Path) -> None:
    predict(FileWriter(tmp_path, "tensor", shard=8), lambda batch: [row[: int(row[0]) % 3] for row in batch], 8, 8)
    pred = torch.load(tmp_path / "shard-00000.pt")["pred"]
    assert [len(sample) for sample in pred] == [0, 1, 2, 0, 1, 2, 0, 1]


def test_shards_refuse_a_directory_that_is_not_empty(tmp_path: Path) -> None:
    predict(FileWriter(tmp_path, "tensor", shard=4))
    with pytest.raises(ConfigError, match=r"is not empty(.|\n)*overwrite: true"):
        predict(FileWriter(tmp_path, "tensor", shard=4), lambda batch: pytest.fail("predicted in vain"))
    assert len(files(tmp_path)) == 3


def test_overwritten_shards_leave_none_of_the_old(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("stays")
    predict(FileWriter(tmp_path, "tensor", shard=1, overwrite=True))
    predict(FileWriter(tmp_path, "tensor", shard=8, overwrite=True))
    assert files(tmp_path) == ["note.txt", "shard-00000.pt", "shard-00001.pt"]


def test_each_rank_writes_its_own(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"samples": 7, "batch_size": 2, "strategy": "ddp_fork", "devices": 2}
    predict(FileWriter(tmp_path / "shards", "tensor", shard=3), **arguments)
    predict(FileWriter(tmp_path / "files", "tensor"), **arguments)
    shards = {path.name: torch.load(path) for path in (tmp_path / "shards").iterdir()}
    assert {name: shard["identifier"] for name, shard in shards.items()} == {
        "shard-rank0-00000.pt": [0, 2, 4],
        "shard-rank0-00001.pt": [6],
        "shard-rank1-00000.pt": [1, 3, 5],
    }
    assert files(tmp_path / "files") == [f"{index}.pt" for index in range(7)]
    assert torch.load(tmp_path / "files/5.pt").tolist() == [5, -5]


# --- images and videos ---


def test_an_identifier_that_has_the_suffix_keeps_it_once(tmp_path: Path) -> None:
    images = torch.zeros(1, 4, 6, dtype=torch.uint8)
    predict(FileWriter(tmp_path, "image"), lambda _: {"pred": images, "identifier": ["scan.png"]}, samples=1)
    assert files(tmp_path) == ["scan.png"]


@pytest.mark.parametrize("shape", [(4, 6), (1, 4, 6), (3, 4, 6)])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32, torch.float16])
def test_an_image_comes_back(tmp_path: Path, shape: tuple[int, ...], kind: torch.dtype) -> None:
    image = torch.randint(256, (1, *shape), dtype=torch.uint8)
    pred = image if kind == torch.uint8 else (image / 255).to(kind)
    predict(FileWriter(tmp_path, "image"), lambda _: pred, samples=1)
    back = torch.from_numpy(np.array(Image.open(tmp_path / "0.png")))
    expected = image[0].permute(1, 2, 0) if len(shape) == 3 and shape[0] == 3 else image.reshape(4, 6)
    assert back.shape == expected.shape
    assert (back.int() - expected.int()).abs().max() <= (1 if kind == torch.float16 else 0)


@pytest.mark.parametrize("shape", [(5, 3, 32, 48), (5, 1, 31, 47)])
def test_a_video_comes_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    frames, _, height, width = shape
    levels = torch.linspace(0.1, 0.9, frames).reshape(1, -1, 1, 1, 1)
    predict(FileWriter(tmp_path, "video"), lambda _: levels.expand(1, *shape), samples=1)
    with av.open(str(tmp_path / "0.mp4")) as container:
        back = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert back.shape == (frames, height + height % 2, width + width % 2, 3)
    assert np.abs(back.mean(axis=(1, 2, 3)) / 255 - levels.flatten().numpy()).max() < 0.02


@pytest.mark.parametrize(
    ("writer", "pred", "message"),
    [
        ("image", torch.zeros(1, 2, 4, 4), r"HW, or CHW with 1 or 3 channels, not \(2, 4, 4\)"),
        ("image", torch.zeros(1, 4, 4).int(), "takes uint8 or floats, not torch.int32"),
        ("image", torch.full((1, 4, 4), 1.5), r"lies in \[0, 1\], this one in \[1.5, 1.5\]"),
        ("image", torch.full((1, 4, 4), torch.nan), r"lies in \[0, 1\], this one in \[nan, nan\]"),
        ("image", ["text"], "takes uint8 or floats, not str"),
        ("video", torch.zeros(1, 3, 4, 4), "TCHW with 1 or 3 channels"),
    ],
)
def test_what_is_no_picture_is_an_error(tmp_path: Path, writer: str, pred: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        predict(FileWriter(tmp_path, writer), lambda _: pred, samples=1)  # type: ignore[arg-type]


def test_a_video_without_pyav_is_refused_before_predicting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("lighter.callbacks.file_writer.find_spec", lambda name: None if name == "av" else find(name))
    with pytest.raises(ConfigError, match=r"pip install 'lighter\[video\]'"):
        predict(FileWriter(tmp_path, "video"), lambda _: pytest.fail("predicted in vain"))


# --- arguments ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"writer": "tensr"}, r"one of tensor, image, video, not 'tensr'\n  did you mean 'tensor'"),
        ({"writer": 3}, "is a callable or one of"),
        ({"writer": "image", "shard": 3}, "goes with `writer: tensor`"),
        ({"writer": "tensor", "shard": 0}, "`shard` is a positive number"),
    ],
)
def test_wrong_arguments_are_errors(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FileWriter(tmp_path, **arguments)


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(ConfigError, match="is not a directory"):
        predict(FileWriter(tmp_path / "out", "tensor"))
