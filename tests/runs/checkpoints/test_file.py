from __future__ import annotations

import os
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from lighter import Runner
from lighter.errors import ConfigError
from lighter.runs.checkpoints.file import check_checkpoint, load_checkpoint
from workspace import workspace  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("workspace")

WEIGHTS = {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}


@pytest.fixture
def checkpoint(workspace: Path) -> Path:  # noqa: F811
    """Return a checkpoint that a Trainer saved."""
    runner = Runner()
    quiet = ["trainer::enable_progress_bar=false", "trainer::enable_model_summary=false", "trainer::max_epochs=1"]
    runner.run("fit", ["config.yaml"], quiet)
    return Path(runner.trainer.checkpoint_callback.best_model_path)  # type: ignore[union-attr]


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        check_checkpoint(path)
    text = str(caught.value)
    assert text.startswith(repr(str(path)))
    return text.removeprefix(f"{str(path)!r} ")


def saved(content: Any, **options: Any) -> Path:
    torch.save(content, "some.ckpt", **options)
    return Path("some.ckpt")


def test_a_checkpoint_of_a_trainer_passes(checkpoint: Path) -> None:
    check_checkpoint(checkpoint)
    content = load_checkpoint(checkpoint)
    assert isinstance(content, dict)
    assert content["state_dict"]["model.weight"].shape == (2, 4)


def test_a_checkpoint_in_torchs_older_format_passes(checkpoint: Path) -> None:
    check_checkpoint(saved(torch.load(checkpoint), _use_new_zipfile_serialization=False))


def test_objects_that_torch_does_not_trust_are_left_to_lightning(checkpoint: Path) -> None:
    check_checkpoint(saved({**torch.load(checkpoint), "mine": Fraction(1, 2)}))


def test_text_and_emptiness_are_named() -> None:
    assert refused(Path("config.yaml")) == "is not a checkpoint"
    Path("empty.ckpt").touch()
    assert refused(Path("empty.ckpt")) == "is empty"


def test_a_truncated_checkpoint_is_named(checkpoint: Path) -> None:
    os.truncate(checkpoint, checkpoint.stat().st_size - 100)
    assert refused(checkpoint) == "is cut short: its end is missing"


def damage(checkpoint: Path) -> None:
    """Change a bit of its weights."""
    content = bytearray(checkpoint.read_bytes())
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]["model.weight"]
    content[content.index(weights.numpy().tobytes())] ^= 1
    checkpoint.write_bytes(content)


def test_a_checkpoint_in_which_a_bit_has_changed_is_named(checkpoint: Path) -> None:
    damage(checkpoint)
    assert refused(checkpoint).startswith("is damaged: Bad CRC-32")


def test_only_the_first_rank_of_a_node_reads_all_of_a_checkpoint(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(checkpoint)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    check_checkpoint(checkpoint)
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert refused(checkpoint).startswith("is damaged")
    os.truncate(checkpoint, checkpoint.stat().st_size - 100)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert refused(checkpoint).startswith("is cut short")


def test_a_zip_that_torch_did_not_write_is_named() -> None:
    with zipfile.ZipFile("some.ckpt", "w") as archive:
        archive.writestr("readme.txt", "no weights here")
    assert refused(Path("some.ckpt")) == "is a zip file, but torch did not write it"
    with zipfile.ZipFile("some.ckpt", "w") as archive:
        archive.writestr("some/data.pkl", b"")
    assert refused(Path("some.ckpt")).startswith("cannot be read: ")


def test_a_file_that_may_not_be_read_is_named(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)  # a test that runs as root may read everything
    assert "cannot be read: [Errno 13] Permission denied" in refused(checkpoint)


@pytest.mark.parametrize("content", [WEIGHTS, {"state_dict": WEIGHTS, "epoch": 3}], ids=["bare", "under state_dict"])
def test_weights_alone_are_named_with_what_loads_them(content: dict[str, Any]) -> None:
    text = refused(saved(content))
    assert text.startswith("holds bare weights (a state_dict), not a Lightning checkpoint\n")
    assert "lighter.utils.model.adjust_prefix_and_load_state_dict" in text


def test_anything_else_that_torch_saved_is_named() -> None:
    assert refused(saved([1, 2])) == "holds a list, not a Lightning checkpoint"
    assert refused(saved({"epoch": 1})) == "is not a Lightning checkpoint"


@pytest.mark.parametrize("name", ["latest", "checkpoint"])
def test_a_checkpoint_of_deepspeed_is_left_to_it(name: str) -> None:
    folder = Path("sharded.ckpt")
    folder.mkdir()
    (folder / name).touch()
    check_checkpoint(folder)


def test_what_the_shards_share_can_be_read(checkpoint: Path) -> None:
    folder = Path("sharded.ckpt")
    folder.mkdir()
    with pytest.raises(ConfigError, match="is a folder whose contents cannot be told"):
        load_checkpoint(folder)
    torch.save(torch.load(checkpoint), folder / "meta.pt")
    content = load_checkpoint(folder)
    assert isinstance(content, dict)
    assert "lighter" in content


def test_any_other_folder_is_named_with_the_checkpoint_in_it(checkpoint: Path) -> None:
    run = checkpoint.parent.parent
    assert refused(run) == f"is a folder, and not a sharded checkpoint\n  in it there is {str(checkpoint)!r}"
    assert refused(Path("proj")) == "is a folder, and not a sharded checkpoint"
