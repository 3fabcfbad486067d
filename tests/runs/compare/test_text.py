from __future__ import annotations

import time

import pytest

from lighter.runs.compare.text import brief, columns, duration, moment


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0s"),
        (59.94, "59.9s"),
        (60, "1m00s"),
        (3599, "59m59s"),
        (3600, "1h00m"),
        (90_000, "25h00m"),
        (200_000, "2d07h"),
    ],
)
def test_a_duration_is_said_as_people_do(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_time_is_that_of_a_clock_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XXX-2")
    time.tzset()
    assert moment("2026-03-01T23:30:00.000+00:00") == "2026-03-02 01:30"
    assert moment("some day") == "some day"


def test_columns_are_aligned() -> None:
    assert columns([["a", "1", ""], ["bb", "10", "x"]], right=[1]) == ["a    1", "bb  10  x"]
    assert columns([]) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("a::_target_", "torch.optim.SGD", "SGD"),
        ("a::b", "torch.optim.SGD", "torch.optim.SGD"),
        ("a", None, "null"),
        ("a", True, "true"),
        ("a", 1e-5, "1e-05"),
        ("a", 0, "0"),
        ("a", "x" * 50, "x" * 19 + "…" + "x" * 19),
    ],
)
def test_a_setting_is_a_word_or_two(path: str, value: object, said: str) -> None:
    assert brief(path, value) == said
