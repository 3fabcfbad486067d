"""A metric's curves as SVG, on a plain and on a logarithmic axis, with their labels in HTML around it.

The drawing stretches with the page, lines and text do not: so it is legible on a phone, and needs no script.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from lighter.runs.compare.curves import Curve
from lighter.runs.compare.page.scale import Scale, linear, logarithmic, tick_text

SIZE = 1000  # of the drawing, in its own units
ORDER = ("val/", "test/", "train/loss", "train/metrics", "")
COLOURS, DASHES = 8, 4  # that the style sheet has


@dataclass(frozen=True)
class Chart:
    """The curves of a metric, each with the number of its run."""

    metric: str
    curves: Sequence[tuple[int, Curve]]


def rank(metric: str) -> int:
    """Return where a metric stands among the kinds of metrics."""
    return next(place for place, start in enumerate(ORDER) if metric.startswith(start))


def style_of(run: int) -> str:
    """Return the classes of a run's line: eight colours, then the same ones dashed."""
    return f"c{run % COLOURS} d{run // COLOURS % DASHES}"


def swatch(run: int) -> str:
    """Return a piece of a run's line."""
    line = f'<path class="{style_of(run)}" fill="none" stroke-width="3" d="M1 6H31"/>'
    return f'<svg class="swatch" viewBox="0 0 32 12" aria-hidden="true">{line}</svg>'


def draw(chart: Chart) -> str:
    """Return a chart as a figure; nothing of one without a finite value."""
    across = _across(chart)
    values = [value for _, curve in chart.curves for value in curve.values]
    plain, powers = linear(values), logarithmic(values)
    if across is None or plain is None:
        return ""
    name = escape(chart.metric.removesuffix("/epoch"))
    layers = _layer("linear", chart, across, plain)
    layers += _layer("log", chart, across, powers) if powers else '<p class="log none">no value above 0</p>'
    ticks = across.ticks(whole=True)
    labels = "".join(
        f'<span class="x" style="left:{100 * across.place(tick):.2f}%">{tick_text(tick)}</span>' for tick in ticks
    )
    axes = f'data-across="{across.low!r},{across.high!r}" data-linear="{plain.low!r},{plain.high!r}"'
    axes += f' data-log="{powers.low!r},{powers.high!r}"' if powers else ""
    return (
        f'<figure class="chart" data-metric="{escape(chart.metric)}" {axes}>'
        f"<figcaption>{name}</figcaption>"
        f'<div class="plot">{layers}{labels}<div class="tip" hidden></div></div>'
        "<small>epoch</small></figure>\n"
    )


def _across(chart: Chart) -> Scale | None:
    epochs = [epoch for _, curve in chart.curves for epoch in curve.epochs if math.isfinite(epoch)]
    if not epochs:
        return None
    low, high = min(epochs), max(epochs)
    return Scale(low, high) if high > low else Scale(low - 1, high + 1)


def _layer(kind: str, chart: Chart, across: Scale, up: Scale) -> str:
    ticks = up.ticks()
    heights = [up.place(tick) for tick in ticks]
    grid = "".join(f"M0 {SIZE * (1 - height):.1f}H{SIZE}" for height in heights)
    lines = "".join(
        f'<path class="{style_of(run)}" data-run="{run}" d="{_path(curve, across, up)}"/>'
        for run, curve in chart.curves
    )
    labels = "".join(
        f'<span class="y {kind}" style="bottom:{100 * height:.2f}%">{tick_text(tick)}</span>'
        for tick, height in zip(ticks, heights, strict=True)
    )
    return (
        f'<svg class="{kind}" viewBox="0 0 {SIZE} {SIZE}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="grid" d="{grid}"/>{lines}</svg>{labels}'
    )


def _path(curve: Curve, across: Scale, up: Scale) -> str:
    """Return a line through the values; what is nan, infinite or, in powers, not above 0 leaves a gap."""
    parts, is_drawing = [], False
    for epoch, value in zip(curve.epochs, curve.values, strict=True):
        if not math.isfinite(value) or not math.isfinite(epoch) or (up.log and value <= 0):
            is_drawing = False
            continue
        x, y = SIZE * across.place(epoch), SIZE * (1 - up.place(value))
        parts.append(f"{'L' if is_drawing else 'M'}{_short(x)} {_short(y)}{'' if is_drawing else 'h0'}")
        is_drawing = True
    return "".join(parts)


def _short(place: float) -> str:
    return f"{place:.1f}".removesuffix(".0")
