"""Write each prediction to a file of its own, or many to a shard."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any, Literal

import torch
from pytorch_lightning import LightningModule, Trainer

from lighter.callbacks._samples import Batch, SampleWriter, map_arrays, several_dataloaders, to_cpu, unbatch
from lighter.errors import ConfigError, did_you_mean

Writer = Callable[[Path, Any], object]

_GO_ON = "set `overwrite: true` to replace what an earlier run wrote, move the {}, or choose another `path`"


class FileWriter(SampleWriter):
    """Write the predictions of a predict run into the directory `path`, one file a sample, named by its identifier.

    `writer` is `tensor` (`.pt`; any nested prediction), `image` (`.png`; HW, or CHW with 1 or 3 channels), `video`
    (`.mp4` at 24 frames a second; TCHW with 1 or 3 channels; odd sizes grow by a pixel), or a callable of a path and a
    sample's prediction, which may add a suffix to the path and must write beside it. Images and videos are uint8, or
    floats in [0, 1]. Without identifiers a file is named by its sample's position in the dataset; a `/` in an
    identifier makes subfolders, several dataloaders a folder each.

    `shard: N` writes files of N predictions instead, `shard-00000.pt` (`shard-rank0-00000.pt` on several ranks) with
    `identifier`, a list, and `pred`, stacked where the shapes allow: many times faster for large sets.

    Raises:
        ConfigError: an argument is wrong; a file exists and `overwrite` is False; an identifier leads out of `path`
            or comes twice (of shards: twice in one).
    """

    def __init__(
        self,
        path: str | Path,
        writer: Literal["tensor", "image", "video"] | Writer,
        shard: int | None = None,
        overwrite: bool = False,
    ) -> None:
        super().__init__(path, overwrite)
        if not callable(writer) and writer not in _WRITERS:
            raise ConfigError(
                f"FileWriter: `writer` is a callable or one of {', '.join(_WRITERS)}, not {writer!r}",
                value=writer,
                suggestion=did_you_mean(str(writer), _WRITERS),
            )
        if shard is not None and (shard < 1 or writer != "tensor"):
            raise ConfigError("FileWriter: `shard` is a positive number, and goes with `writer: tensor`", value=shard)
        self.writer = writer
        self.shard = shard
        self._suffix, self._write_sample = ("", writer) if callable(writer) else _WRITERS[writer]
        self._folder = self._staging = self.path
        self._names: set[str] = set()
        self._buffer: list[tuple[str | int, Any]] = []
        self._shards_written = 0

    def prepare(self, trainer: Trainer) -> None:
        if self.writer == "video" and find_spec("av") is None:
            raise ConfigError("FileWriter: videos need PyAV", suggestion="pip install 'lighter[video]'")
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"FileWriter: {self.path} is not a directory", value=str(self.path))
        if self.shard is None or not self.path.is_dir():
            return
        if not self.overwrite and any(self.path.iterdir()):
            raise ConfigError(
                f"FileWriter: {self.path} is not empty", value=str(self.path), suggestion=_GO_ON.format("directory")
            )
        if trainer.is_global_zero:  # shards that the new ones might not replace would pass for theirs
            for old in [*self.path.glob("shard-*.pt"), *self.path.glob("*/shard-*.pt")]:
                old.unlink()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self.path.mkdir(parents=True, exist_ok=True)
        self._folder = self.path
        self._staging = Path(tempfile.mkdtemp(prefix=".part-", dir=self.path))
        self._names.clear()
        self._buffer.clear()
        self._shards_written = 0

    def write(self, trainer: Trainer, batch: Batch) -> None:
        samples = unbatch(to_cpu(batch.pred), len(batch.identifiers))
        folder = self.path / str(batch.dataloader_idx) if several_dataloaders(trainer) else self.path
        if self.shard is None:
            self._folder = folder
            for identifier, sample in zip(batch.identifiers, samples, strict=True):
                self._write_file(identifier, sample, remember=self.overwrite and batch.identified)
            return
        if folder != self._folder:
            self._write_shard(trainer)
            self._folder, self._shards_written = folder, 0
        for pair in zip(batch.identifiers, samples, strict=True):
            self._buffer.append(pair)
            if len(self._buffer) == self.shard:
                self._write_shard(trainer)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._write_shard(trainer)
        shutil.rmtree(self._staging)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        self._buffer.clear()
        if self._staging != self.path:
            shutil.rmtree(self._staging, ignore_errors=True)

    def _write_file(self, identifier: str | int, sample: Any, remember: bool) -> None:
        name = _file_name(identifier)
        if name in self._names:
            raise ConfigError(f"FileWriter: two samples have the identifier {identifier!r}", value=identifier)
        if remember:  # otherwise an existing file tells
            self._names.add(name)
        self._publish(name.removesuffix(self._suffix) + self._suffix, lambda path: self._write_sample(path, sample))

    def _write_shard(self, trainer: Trainer) -> None:
        if not self._buffer:
            return
        identifiers, samples = map(list, zip(*self._buffer, strict=True))
        if len(set(identifiers)) < len(identifiers):
            twice = next(name for name in identifiers if identifiers.count(name) > 1)
            raise ConfigError(f"FileWriter: two samples have the identifier {twice!r}", value=twice)
        rank = f"rank{trainer.global_rank}-" if trainer.world_size > 1 else ""
        content = {"identifier": identifiers, "pred": _stack(samples)}
        self._publish(f"shard-{rank}{self._shards_written:05d}.pt", lambda path: _save(content, path))
        self._shards_written += 1
        self._buffer.clear()

    def _publish(self, name: str, write: Callable[[Path], object]) -> None:
        """Write under a temporary folder, then move what was written into place, so that no file is ever half there."""
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write(self._staging / target.name)
        for written in list(self._staging.iterdir()):
            final = target.parent / written.name
            if final.exists() and not self.overwrite:
                raise ConfigError(
                    f"FileWriter: {final} exists: an earlier run wrote it, or two samples have the same identifier",
                    value=str(final),
                    suggestion=_GO_ON.format("file"),
                )
            written.replace(final)


def _file_name(identifier: str | int) -> str:
    path = PurePath(str(identifier))
    if path.is_absolute() or path.drive or ".." in path.parts or not path.name:
        raise ConfigError(f"FileWriter: the identifier {identifier!r} is no name for a file", value=identifier)
    return str(path)


def _write_tensor(path: Path, tensor: Any) -> None:
    _save(map_arrays(torch.clone, tensor), path)  # of a view, save would write the whole batch


def _save(content: Any, path: Path) -> None:
    """Save a prediction whose tensors are copies, and free these at once: save leaves them in a reference cycle."""
    torch.save(content, path)
    map_arrays(lambda tensor: tensor.layout == torch.strided and tensor.untyped_storage().resize_(0), content)


def _write_image(path: Path, tensor: Any) -> None:
    from PIL import Image

    image = _as_uint8(tensor, "image")
    image = image[0] if image.ndim == 3 and len(image) == 1 else image
    if image.ndim != 2 and (image.ndim != 3 or len(image) != 3):
        raise ConfigError(f"FileWriter: an image is HW, or CHW with 1 or 3 channels, not {tuple(tensor.shape)}")
    array = image.permute(1, 2, 0) if image.ndim == 3 else image
    Image.fromarray(array.contiguous().numpy()).save(path, format="PNG")


def _write_video(path: Path, tensor: Any) -> None:
    import av

    video = _as_uint8(tensor, "video")
    if video.ndim != 4 or video.shape[1] not in (1, 3):
        raise ConfigError(f"FileWriter: a video is TCHW with 1 or 3 channels, not {tuple(tensor.shape)}")
    height, width = video.shape[2:]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=24)
        stream.pix_fmt = "yuv420p"  # what every player reads; it needs even sizes
        stream.height, stream.width = height + height % 2, width + width % 2
        for frame in video.expand(-1, 3, -1, -1):
            even = torch.nn.functional.pad(frame[None].float(), (0, width % 2, 0, height % 2), mode="replicate")[0]
            picture = even.to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


_WRITERS: dict[str, tuple[str, Writer]] = {
    "tensor": (".pt", _write_tensor),
    "image": (".png", _write_image),
    "video": (".mp4", _write_video),
}


def _as_uint8(tensor: Any, what: str) -> torch.Tensor:
    if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.uint8:
        return tensor
    if not (isinstance(tensor, torch.Tensor) and tensor.is_floating_point()):
        kind = tensor.dtype if isinstance(tensor, torch.Tensor) else type(tensor).__name__
        raise ConfigError(f"FileWriter: the writer `{what}` takes uint8 or floats, not {kind}")
    low, high = (bound.item() for bound in tensor.float().aminmax())
    if not (low > -1e-3 and high < 1 + 1e-3):  # NaN too
        raise ConfigError(f"FileWriter: a float {what} lies in [0, 1], this one in [{low:g}, {high:g}]")
    return tensor.float().mul(255).round().clamp(0, 255).to(torch.uint8)


def _stack(samples: list[Any]) -> Any:
    """Stack samples of one shape, within dicts and tuples of one layout too; leave others a list, without views."""
    first = samples[0]
    if isinstance(first, torch.Tensor) and all(
        isinstance(s, torch.Tensor) and (s.shape, s.dtype) == (first.shape, first.dtype) for s in samples
    ):
        return torch.stack(samples)
    if isinstance(first, dict) and all(isinstance(s, dict) and s.keys() == first.keys() for s in samples):
        return {key: _stack([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple) and all(isinstance(s, tuple) and len(s) == len(first) for s in samples):
        return tuple(_stack(list(part)) for part in zip(*samples, strict=True))
    return map_arrays(torch.clone, samples)
