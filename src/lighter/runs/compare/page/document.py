"""From runs to the page: curves, and tables of runs, metrics, settings and environment."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from lighter.runs.compare.curves import Curve, read_curves
from lighter.runs.compare.find import Found
from lighter.runs.compare.names import SUFFIX, modes
from lighter.runs.compare.page import tables
from lighter.runs.compare.page.chart import Chart, draw, rank, swatch
from lighter.runs.compare.page.labels import legend_of, names_of
from lighter.runs.compare.page.thin import thin

MARK = '<meta name="generator" content="lighter report">'
MOST_POINTS = 2000  # of a curve
ALL_POINTS = 400_000  # of all curves: the page takes about 30 bytes for each
FEWEST_POINTS = 20
OPEN = 12  # runs whose legend is not folded
MOST_SOURCES = 5
MANY = 24  # runs whose lines are drawn thin


def make_page(runs: Sequence[Found]) -> str:
    """Return the page of some runs as one HTML file."""
    names, legend = names_of(runs), legend_of(runs)
    charts, most = _charts(runs)
    drawn = [(chart, figure) for chart in charts if (figure := draw(chart))]
    title = f"{len(runs)} runs" if len(runs) != 1 else names[0]
    sections = [
        _curves([chart for chart, _ in drawn], "".join(figure for _, figure in drawn), legend, most) if drawn else "",
        tables.runs(runs, names),
        tables.metrics(runs, names, modes(runs)),
        tables.settings(runs, names),
        tables.environment(runs, names),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{MARK}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_file('style.css')}</style>\n</head>\n<body>\n"
        '<input type="checkbox" id="log">\n<main>\n'
        f'<h1>{escape(title)}</h1>\n<p class="quiet">{escape(_sources(runs))}</p>\n{"".join(sections)}</main>\n'
        f'<script type="application/json" id="data">{_data([chart for chart, _ in drawn], names)}</script>\n'
        f"<script>\n{_file('script.js') if drawn else ''}</script>\n</body>\n</html>\n"
    )


def _sources(runs: Sequence[Found]) -> str:
    """Return the config files of the runs; of many, the first ones."""
    sources = dict.fromkeys(" ".join(found.run.sources) for found in runs)
    return ", ".join([*list(sources)[:MOST_SOURCES], *["…"][: len(sources) > MOST_SOURCES]])


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _charts(runs: Sequence[Found]) -> tuple[list[Chart], int | None]:
    """Return the charts, and how many points a curve has at most if any had to be thinned out."""
    curves: dict[str, list[tuple[int, Curve]]] = {}
    for number, found in enumerate(runs):
        for metric, curve in read_curves(found.folder).items():
            curves.setdefault(metric, []).append((number, curve))
    count = sum(map(len, curves.values()))
    most = min(MOST_POINTS, max(ALL_POINTS // count, FEWEST_POINTS)) if count else MOST_POINTS
    too_long = any(len(curve.values) > most for found in curves.values() for _, curve in found)
    charts = [
        Chart(name, [(number, thin(curve, most)) for number, curve in curves[name]])
        for name in sorted(curves, key=rank)
    ]
    return charts, most if too_long else None


def _curves(charts: Sequence[Chart], figures: str, legend: Sequence[str], most: int | None) -> str:
    options = "".join(
        f'<option value="{escape(chart.metric)}">{escape(chart.metric.removesuffix(SUFFIX))}</option>'
        for chart in charts
    )
    note = f'<p class="quiet">Curves are thinned out to {most:,} points.</p>' if most else ""
    many = " many" if len(legend) > MANY else ""
    return (
        '<div class="bar">'
        '<label class="scripted">Metric <select id="metric" autocomplete="off">'
        f'<option value="">all</option>{options}</select></label>'
        '<label for="log">logarithmic</label></div>\n'
        f'{_legend(legend)}{note}<div class="charts{many}">\n{figures}</div>\n'
    )


def _legend(names: Sequence[str]) -> str:
    items = "".join(
        f'<li><label><input type="checkbox" class="scripted" checked autocomplete="off" data-run="{number}">'
        f"{swatch(number)}<span>{escape(name)}</span></label></li>"
        for number, name in enumerate(names)
    )
    buttons = (
        '<button type="button" class="scripted" data-check="all">show all</button> '
        '<button type="button" class="scripted" data-check="none">hide all</button>'
    )
    legend = f'<ul class="legend">{items}</ul>'
    if len(names) <= OPEN:
        return f"{legend}\n"
    return f"<details><summary>{len(names)} runs</summary>{buttons}{legend}</details>\n"


def _data(charts: Sequence[Chart], names: Sequence[str]) -> str:
    """Return what the script shows: values by run, with the epochs that runs share told once."""
    axes: dict[tuple[float, ...], int] = {}
    shown = [
        [
            [number, axes.setdefault(tuple(curve.epochs), len(axes)), [_value(value) for value in curve.values]]
            for number, curve in chart.curves
        ]
        for chart in charts
    ]
    epochs = [[int(epoch) if epoch == int(epoch) else epoch for epoch in axis] for axis in axes]
    text = json.dumps({"runs": names, "axes": epochs, "charts": shown}, separators=(",", ":"))
    return text.replace("<", "\\u003c")  # which might end the element


def _value(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None
