"""Fewer points for the same picture."""

from __future__ import annotations

from lighter.runs.compare.curves import Curve


def thin(curve: Curve, most: int) -> Curve:
    """Return at most `most` points (four or more) of a curve: its ends, and of each stretch the lowest and highest."""
    length = len(curve.values)
    if length <= most:
        return curve
    stretches = (most - 2) // 2
    kept = {0, length - 1}
    for number in range(stretches):
        inside = range(number * length // stretches, (number + 1) * length // stretches)
        known = [index for index in inside if curve.values[index] == curve.values[index]] or [inside[0]]
        kept |= {min(known, key=curve.values.__getitem__), max(known, key=curve.values.__getitem__)}
    chosen = sorted(kept)
    return Curve([curve.epochs[index] for index in chosen], [curve.values[index] for index in chosen])
