from __future__ import annotations

import csv
from pathlib import Path

from lighter.runs.record.metrics_file import MetricsFile


def test_rows_are_appended_and_columns_come_as_they_are_needed(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "epochs.csv")
    file.append({"epoch": 0, "a": 0.1})
    file.append({"epoch": 1, "a": float("nan")})
    assert file.path.read_text() == "epoch,a\n0,0.1\n1,nan\n"
    file.append({"epoch": 2, "b, c": 1e-9})
    file.append({"epoch": 3, "a": 0.3})
    with file.path.open(newline="") as opened:
        assert [list(row.values()) for row in csv.DictReader(opened)] == [
            ["0", "0.1", ""],
            ["1", "nan", ""],
            ["2", "", "1e-09"],
            ["3", "0.3", ""],
        ]
    assert [path.name for path in tmp_path.iterdir()] == ["epochs.csv"]
