"""The parts of the page of `lighter report`: axes, curves and their points."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lighter.runs.compare.curves import Curve, read_curves, row_at
from lighter.runs.compare.page.chart import Chart, draw
from lighter.runs.compare.page.scale import Scale, linear, logarithmic, tick_text
from lighter.runs.compare.page.thin import thin

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9)
NAN, INF = float("nan"), float("inf")
STYLE = (Path(__file__).parents[3] / "src/lighter/runs/compare/page/style.css").read_text(encoding="utf-8")


# --- axes


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (0.03, 2.4, ["0.5", "1", "1.5", "2"]),
        (0.98, 0.99, ["0.98", "0.982", "0.984", "0.986", "0.988", "0.99"]),
        (-1e-5, 3e-5, ["-1e-5", "0", "1e-5", "2e-5", "3e-5"]),
        (0.0, 123456.0, ["0", "50000", "100000"]),
        (1e12, 4e12, ["1e12", "1.5e12", "2e12", "2.5e12", "3e12", "3.5e12", "4e12"]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[str]) -> None:
    assert [tick_text(tick) for tick in Scale(low, high).ticks()] == ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.02, 3.0, ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]),
        (1e-7, 1.0, ["1e-7", "1e-5", "0.001", "0.1"]),
        (0.9, 1.0, ["0.9", "0.92", "0.94", "0.96", "0.98", "1"]),
    ],
)
def test_ticks_of_powers_are_round(low: float, high: float, ticks: list[str]) -> None:
    assert [tick_text(tick) for tick in Scale(low, high, log=True).ticks()] == ticks


def test_ticks_of_epochs_are_whole() -> None:
    assert Scale(0, 2).ticks(whole=True) == [0, 1, 2]
    assert Scale(-1, 1).ticks(whole=True) == [-1, 0, 1]
    assert Scale(0, 99).ticks(whole=True) == [0, 20, 40, 60, 80]


@given(st.lists(NUMBERS, min_size=1, max_size=20))
@example([5e-324])
@example([0.0, 5e-324])
def test_all_values_and_ticks_are_on_the_axis(values: list[float]) -> None:
    scale = linear([*values, NAN, INF])
    assert scale is not None
    assert all(0 <= scale.place(value) <= 1 for value in values)
    assert 0 < len(scale.ticks()) <= 12 or max(map(abs, values)) < 1e-300
    assert all(-1e-6 <= scale.place(tick) <= 1 + 1e-6 for tick in scale.ticks())


@given(st.lists(st.floats(min_value=1e-30, max_value=1e30), min_size=1, max_size=20))
def test_so_they_are_on_one_of_powers(values: list[float]) -> None:
    scale = logarithmic([*values, 0.0, -1.0, NAN, INF])
    assert scale is not None
    assert all(-1e-9 <= scale.place(value) <= 1 + 1e-9 for value in values)
    assert 0 < len(scale.ticks()) <= 16
    assert all(-1e-6 <= scale.place(tick) <= 1 + 1e-6 for tick in scale.ticks())


def test_without_a_finite_value_there_is_no_axis() -> None:
    assert linear([NAN, INF]) is None
    assert logarithmic([0.0, -1.0, NAN]) is None


# --- fewer points


@given(st.lists(st.floats(), min_size=40, max_size=200), st.integers(min_value=4, max_value=50))
def test_a_curve_that_is_thinned_out_keeps_its_ends_and_its_peaks(values: list[float], most: int) -> None:
    curve = Curve([float(index) for index in range(len(values))], values)
    thinned = thin(curve, most)
    assert len(thinned.values) == len(thinned.epochs) <= most
    assert (thinned.epochs[0], thinned.epochs[-1]) == (0.0, float(len(values) - 1))
    assert thinned.epochs == sorted(set(thinned.epochs))
    known = [value for value in values if not math.isnan(value)]
    assume(known)
    kept = [value for value in thinned.values if not math.isnan(value)]
    assert (min(kept), max(kept)) == (min(known), max(known))


def test_a_short_curve_stays_as_it_is() -> None:
    curve = Curve([0.0, 1.0], [1.0, 2.0])
    assert thin(curve, 4) is curve


# --- curves


def paths(figure: str, kind: str) -> list[str]:
    layer = re.search(rf'<svg class="{kind}".*?</svg>', figure)
    assert layer is not None
    return re.findall(r'data-run="\d+" d="([^"]*)"', layer[0])


def test_a_curve_is_a_line_with_gaps_where_it_has_no_value() -> None:
    curve = Curve([0, 1, 2, 3, 4], [1.0, 2.0, NAN, INF, 1.0])
    figure = draw(Chart("val/loss/epoch", [(0, curve)]))
    assert paths(figure, "linear") == ["M0 963h0L250 37M1000 963h0"]
    assert "<figcaption>val/loss</figcaption>" in figure


def test_powers_leave_out_what_is_not_above_zero() -> None:
    figure = draw(Chart("a", [(0, Curve([0, 1, 2], [1.0, 0.0, 10.0]))]))
    assert paths(figure, "log") == ["M0 963h0M1000 37h0"]
    figure = draw(Chart("a", [(0, Curve([0, 1], [-1.0, 0.0]))]))
    assert '<p class="log none">no value above 0</p>' in figure
    assert "data-log" not in figure


def test_one_value_is_a_dot_in_the_middle() -> None:
    assert paths(draw(Chart("a", [(0, Curve([3], [0.5]))])), "linear") == ["M500 500h0"]


def test_a_chart_without_a_finite_value_is_not_drawn() -> None:
    assert draw(Chart("a", [(0, Curve([0], [NAN]))])) == ""
    assert draw(Chart("a", [])) == ""


def test_the_first_eight_lines_have_colours_and_the_next_ones_dashes() -> None:
    figure = draw(Chart("a", [(run, Curve([0, 1], [0.0, run])) for run in range(33)]))
    styles = re.findall(r'<path class="(c\d d\d)" data-run', figure)[:33]
    assert styles[:8] == [f"c{number} d0" for number in range(8)]
    assert styles[8:16] == [f"c{number} d1" for number in range(8)]
    assert len(set(styles[:32])) == 32
    assert styles[32] == styles[0]
    for name in set(" ".join(styles).split()) - {"d0"}:
        assert re.search(rf"^\.?.*\.{name} {{ stroke", STYLE, re.MULTILINE), name


def luminance(colour: tuple[float, float, float]) -> float:
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), colour, strict=True))


def light(colour: str) -> tuple[float, float, float]:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return red, green, blue


EYES = {  # how a colour's light is seen, as Machado, Oliveira and Fernandes (2009) model it
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red cones": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green cones": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "no blue cones": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}


def seen(colour: str, eyes: tuple[tuple[float, ...], ...]) -> tuple[float, float, float]:
    """Return a colour in Oklab, where distances are as they look."""
    linear_light = light(colour)
    r, g, b = (max(0.0, sum(w * part for w, part in zip(row, linear_light, strict=True))) for row in eyes)
    cone = [
        (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3),
        (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3),
        (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3),
    ]
    return (
        0.2104542553 * cone[0] + 0.793617785 * cone[1] - 0.0040720468 * cone[2],
        1.9779984951 * cone[0] - 2.428592205 * cone[1] + 0.4505937099 * cone[2],
        0.0259040371 * cone[0] + 0.7827717662 * cone[1] - 0.808675766 * cone[2],
    )


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_the_colours_differ_for_all_eyes_and_stand_out(scheme: int) -> None:
    colours = re.findall(r"--c\d: (#\w{6});", STYLE)[8 * scheme :][:8]
    page = light(re.findall(r"--page: (#\w{6});", STYLE)[scheme])
    assert len(colours) == len(set(colours)) == 8
    for colour in colours:
        bright, dim = sorted([luminance(light(colour)), luminance(page)], reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 2.9, colour
    for name, eyes in EYES.items():
        for index, one in enumerate(colours):
            for other in colours[:index]:
                assert math.dist(seen(one, eyes), seen(other, eyes)) > 0.1, (name, one, other)


# --- epochs.csv


def test_curves_are_read_from_the_table_of_epochs(tmp_path: Path) -> None:
    text = "epoch,step,seconds,a,b\n0,10,0.5,1.5,\n1,20,1.0,nan,2\n2,30,1.5,inf,oops\n"
    (tmp_path / "epochs.csv").write_text(text)
    curves = read_curves(tmp_path)
    assert list(curves) == ["a", "b"]
    assert curves["a"].epochs == [0, 1, 2]
    assert [str(value) for value in curves["a"].values] == ["1.5", "nan", "inf"]
    assert curves["b"] == Curve([1], [2])
    assert row_at(tmp_path, 10) == {"a": 1.5}
    assert row_at(tmp_path, 11) is None


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff\xfe\x00", b'epoch,a\n0,"1', b"epoch,a\n0,1,2,3\n\n1\n", b"a\n1\n"]
)
def test_a_table_that_is_missing_or_damaged_has_no_curves_to_speak_of(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "epochs.csv").write_bytes(content)
    assert len(read_curves(tmp_path)) <= 1
    assert row_at(tmp_path, 1) is None
