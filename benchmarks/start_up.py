"""Whole-process times: a bare Python, `lighter --help`, a config mistake, and the imports of a stage.

Run as `python benchmarks/start_up.py [REPEATS]`; prints medians in ms, the commands taken in turn.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

PYTHON = sys.executable
COMMANDS = {
    "python -c pass": [PYTHON, "-c", "pass"],
    "lighter --help": [PYTHON, "-m", "lighter", "--help"],
    "a typo in an override": [PYTHON, "-m", "lighter", "fit", "projects/digits/config.yaml", "trainr::x=1"],
    "import pytorch_lightning": [PYTHON, "-c", "import pytorch_lightning"],
    "lighter fit, no batch": [
        *(PYTHON, "-m", "lighter", "fit", "projects/digits/config.yaml"),
        *("trainer::limit_train_batches=0", "trainer::logger=false", "trainer::enable_checkpointing=false"),
        "~trainer::callbacks",
    ],
}


def main() -> None:
    """Time each command several times and print the medians."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, capture_output=True, check=False)
            times[name].append(1000 * (time.perf_counter() - started))
    bare = statistics.median(times["python -c pass"])
    print(f"{'':<26}{'median ms':>10}{'over bare':>11}")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:<26}{median:>10.0f}{median - bare:>11.0f}")


if __name__ == "__main__":
    main()
