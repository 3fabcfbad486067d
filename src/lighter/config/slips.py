"""Slips of the pen in YAML: what was meant by text that it refuses, or reads as something else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_EXPRESSION = re.compile(r"(?:[:,]\s|[\[{])\s*(?P<text>\$(?![\s\"']).*)")  # without quotes, inside {…} or […]
_GLUED = re.compile(r"\s*(?:- +)?(?P<key>[\w.]+):(?![\s:])\S")  # a key and its value without a space between them
_TEXTS = re.compile(r"'[^']*'|\"[^\"]*\"")
QUOTE = 'inside {…} or […] an expression stands in quotes, such as "$[1, 2] * 3"'
DASH = "a space follows the '-' of an item"
SPACE = "a space follows the ':' of a key"


def mend(problem: str, context: str, lines: Sequence[str], line: int, column: int) -> str | None:
    """Return what mends a line that the parser refuses at a column; both count from 1."""
    text = lines[line - 1] if line <= len(lines) else ""
    before = _EXPRESSION.search(text[: column - 1])
    is_of_expression = before is not None and (_depth(before["text"]) > 0 or "," not in before["text"])
    if is_of_expression and ("scanning an a" in context or "did not find expected ','" in problem):
        return QUOTE
    if "expected '-'" in problem and re.match(r"-[^\s-]", text[column - 1 :]):
        return DASH
    return None


def glued_key(lines: Sequence[str], line: int) -> int | None:
    """Return the column of a key that lacks the space behind its colon, so that the line below belongs to it."""
    found = _GLUED.match(lines[line - 1]) if 0 < line <= len(lines) else None
    return found.start("key") + 1 if found else None


def cut_expressions(heads: Sequence[str], tails: Sequence[str]) -> Iterator[slice]:
    """Yield where unquoted expressions stand among the items of a {…} or […], whose commas cut them into several.

    The `heads` are what an expression may begin in, the `tails` what it may go on in; others are empty.
    """
    for start, head in enumerate(heads):
        depth, end = _depth(head) if head.startswith("$") else 0, start + 1
        while depth > 0 and end < len(tails) and tails[end]:
            depth, end = depth + _depth(tails[end]), end + 1
        if end > start + 1 and depth == 0:
            yield slice(start, end)


def _depth(text: str) -> int:
    text = _TEXTS.sub("", text)
    return sum((character in "([{") - (character in ")]}") for character in text)
