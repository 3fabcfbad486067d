"""Whole-process times of the commands that read runs back, on a folder of a thousand runs of 50 epochs each.

Run as `python benchmarks/thousand_runs.py [REPEATS]`; prints medians in ms: by the clock, and of processor time.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lighter.config import compose
from lighter.config.origin import show
from lighter.runs.record.environment import packages
from lighter.runs.record.flat import flatten
from lighter.runs.record.git import Git
from lighter.runs.record.process import this_process
from lighter.runs.record.run_file import Best, Devices, Run, create_run

RUNS, EPOCHS = 1000, 50
SOURCE = "projects/digits/config.yaml"
METRICS = ("train/loss/epoch", "train/metrics/accuracy/epoch", "val/loss/epoch", "val/metrics/accuracy/epoch")
LIGHTER = [sys.executable, "-m", "lighter"]
COMMANDS = {
    "lighter --version": ["--version"],
    "lighter runs": ["runs", "."],
    "lighter runs --sort --where": ["runs", ".", "--sort", "val/loss", "--where", "status == completed and lr < 1"],
    "lighter runs --json": ["runs", ".", "--json"],
    "lighter runs --csv": ["runs", ".", "--csv"],
    "lighter diff, two runs": ["diff", "sweep/version_1", "sweep/version_2"],
    "lighter report, two runs": ["report", "sweep/version_1", "sweep/version_2"],
    "lighter report, all runs": ["report", "sweep"],
}


def make_run(folder: Path, number: int) -> None:
    """Leave what a fit of the digits leaves, with a learning rate and a width of its own."""
    chance = random.Random(number)
    lr, width = chance.choice((1e-3, 3e-3, 1e-2, 3e-2)), chance.choice((16, 32, 64))
    overrides = (f"vars::learning_rate={lr}", f"system::model::width={width}")
    config = compose(SOURCE, overrides)
    rows = [{name: chance.random() for name in METRICS} for _ in range(EPOCHS)]
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "last.ckpt").write_bytes(b"")
    (folder / "config.yaml").write_text(show(config.root), encoding="utf-8")
    lines = [",".join(("epoch", "step", "seconds", *METRICS))]
    lines += [f"{epoch},{20 * epoch},{epoch}.5,{','.join(map(str, row.values()))}" for epoch, row in enumerate(rows)]
    (folder / "epochs.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    run = Run(
        stage="fit",
        command=" ".join(["lighter", "fit", SOURCE, *overrides]),
        working_folder=str(Path.cwd()),
        sources=(SOURCE,),
        overrides=overrides,
        process=this_process(),
        started=f"2026-01-{1 + number // 50:02}T{number % 24:02}:00:00.000+00:00",
        status="completed",
        seconds=100.0,
        epochs=EPOCHS,
        steps=20 * EPOCHS,
        metrics=rows[-1],
        best=(Best(METRICS[-1], "max", max(row[METRICS[-1]] for row in rows), "checkpoints/last.ckpt"),),
        git=Git(str(Path.cwd()), "0" * 40),
        devices=Devices("cpu", 1, 1, "SingleDevice"),
        python="3.11.7",
        lighter="0.1.0",
        packages=packages(),
        config=flatten(config.root),
    )
    create_run(folder, run)


def main() -> None:
    """Make the runs, time each command several times and print the medians."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as place:
        for number in range(RUNS):
            make_run(Path(place, "sweep", f"version_{number}"), number)
        print(f"{'':<30}{'median ms':>10}{'processor':>11}")
        for name, arguments in COMMANDS.items():
            times = [measure(arguments, place) for _ in range(repeats)]
            elapsed, processor = (1000 * statistics.median(column) for column in zip(*times, strict=True))
            print(f"{name:<30}{elapsed:>10.0f}{processor:>11.0f}")


def measure(arguments: list[str], folder: str) -> tuple[float, float]:
    """Return the seconds of a command, by the clock and of the processor."""
    began, used = time.perf_counter(), os.times()
    subprocess.run([*LIGHTER, *arguments], cwd=folder, capture_output=True, check=True)
    now = os.times()
    processor = now.children_user + now.children_system - used.children_user - used.children_system
    return time.perf_counter() - began, processor


if __name__ == "__main__":
    main()
