"""Whole-process times: a bare Python, the commands that only read, and the imports of a stage with and without check.

Run as `python benchmarks/start_up.py [REPEATS]`; prints medians in ms, the commands taken in turn.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

PYTHON = sys.executable
FIT = (
    *(PYTHON, "-m", "lighter", "fit", "projects/digits/config.yaml"),
    *("trainer::limit_train_batches=0", "trainer::logger=false", "trainer::enable_checkpointing=false"),
    "~trainer::callbacks",
)
COMMANDS = {
    "python -c pass": [PYTHON, "-c", "pass"],
    "lighter --help": [PYTHON, "-m", "lighter", "--help"],
    "lighter check --no-import": [PYTHON, "-m", "lighter", "check", "projects/digits/config.yaml", "--no-import"],
    "lighter show --origin": [PYTHON, "-m", "lighter", "show", "projects/digits/config.yaml", "--origin"],
    "import pytorch_lightning": [PYTHON, "-c", "import pytorch_lightning"],
    "lighter check": [PYTHON, "-m", "lighter", "check", "projects/digits/config.yaml"],
    "lighter fit, no batch": [*FIT],
    "... with --no-check": [*FIT, "--no-check"],
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
