"""What the check before a stage adds to the imports that the stage needs anyway, on a config of 200 components.

Run as `python benchmarks/check_cost.py [REPEATS]`; each repeat is a process of its own. Prints medians in ms.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

COMPONENTS = 200
BASE = """\
_imports_: {torch: torch}
trainer:
  _target_: pytorch_lightning.Trainer
  max_epochs: 3
  callbacks:
    - {_target_: pytorch_lightning.callbacks.ModelCheckpoint, monitor: val/metrics/accuracy/epoch, mode: max}
    - {_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/loss/epoch}
system:
  _target_: lighter.System
  criterion: {_target_: torch.nn.CrossEntropyLoss}
  optimizer: {_target_: torch.optim.SGD, params: "$@system::model.parameters()", lr: 0.1}
  metrics:
    train:
      accuracy: {_target_: torchmetrics.classification.MulticlassAccuracy, num_classes: 10}
    val: "%::train"
  dataloaders:
    train:
      _target_: torch.utils.data.DataLoader
      batch_size: 8
      dataset: {_target_: torchvision.datasets.FakeData, size: 64, num_classes: 10}
    val: "%::train"
  model:
    _target_: torch.nn.Sequential
    _args_:
"""
LAYERS = (
    "{_target_: torch.nn.Conv2d, in_channels: 3, out_channels: 8, kernel_size: [3, 3], padding: 1}",
    "{_target_: torch.nn.BatchNorm2d, num_features: 8, momentum: 0.1}",
    "{_target_: torch.nn.Linear, in_features: 8, out_features: 8, bias: true, dtype: $torch.float32}",
    "{_target_: torch.nn.Dropout, p: 0.1}",
    "{_target_: torchvision.models.resnet18, num_classes: 10}",
    "{_target_: torchvision.models.mobilenet_v3_small, num_classes: 10, dropout: 0.2}",
    "{_target_: torchvision.models.efficientnet_b0, num_classes: 10}",
    "{_target_: torchvision.ops.MLP, in_channels: 8, hidden_channels: [8, 8]}",
    "{_target_: torch.nn.TransformerEncoderLayer, d_model: 8, nhead: 2, batch_first: true}",
    "{_target_: torch.nn.LSTM, input_size: 8, hidden_size: 8, num_layers: 2}",
)
MEASURE = """\
import gc, json, sys, time
gc.disable()  # as the commands do until everything is imported and checked
from lighter.config.targets import import_object
from lighter.config.tree import nodes
from lighter.config import compose
from lighter.config.check import check
import lighter.runner, lighter.report
config = compose(sys.argv[1])
for path, node in nodes(config.root):
    if path and path[-1] == "_target_":
        import_object(node.value)
times = [time.perf_counter()]
compose(sys.argv[1])
times.append(time.perf_counter())
problems = check(config, "fit")
times.append(time.perf_counter())
check(config, "fit")
times.append(time.perf_counter())
assert not problems, problems
print(json.dumps([later - earlier for earlier, later in zip(times, times[1:])]))
"""


def main() -> None:
    """Time composing and checking in several processes and print the medians."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config.yaml")
        file.write_text(BASE + "".join(f"      - {LAYERS[i % len(LAYERS)]}\n" for i in range(COMPONENTS)))
        command = [sys.executable, "-c", MEASURE, str(file)]
        runs = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(repeats)]
    for name, values in zip(("composing", "the check", "the check again"), zip(*runs, strict=True), strict=True):
        print(f"{name:<18}{1000 * statistics.median(values):>8.1f} ms")


if __name__ == "__main__":
    main()
