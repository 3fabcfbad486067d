"""A composed config as one mapping from paths to values: quick to read, to compare and to search."""

from __future__ import annotations

import math

from lighter.config.tree import Node, join, nodes
from lighter.runs.record.run_file import Setting


def flatten(root: Node) -> dict[str, Setting]:
    """Return the values of a config by their paths: what is empty as the text `{}` or `[]`, nan and inf as text."""
    return {join(path): _setting(node) for path, node in nodes(root) if path and not _has_children(node)}


def _has_children(node: Node) -> bool:
    return isinstance(node.value, (dict, list)) and bool(node.value)


def _setting(node: Node) -> Setting:
    if isinstance(node.value, dict):
        return "{}"
    if isinstance(node.value, list):
        return "[]"
    is_odd = isinstance(node.value, float) and not math.isfinite(node.value)
    return str(node.value) if is_odd else node.value
