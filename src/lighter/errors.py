"""The errors that a user can cause, as data, and the one function that renders them."""

from __future__ import annotations

import functools
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

LINE = 120  # the longest line of a message, where the terminal is no narrower
NARROWEST = 60  # a line is never folded to less
WIDTH = 110  # of a value that a message quotes
MESSAGE = 5000  # the longest message
CANDIDATES = 2000  # names that one is compared with, at most: comparing takes a while
PACKAGE = Path(__file__).parent

_PIECE = re.compile(r"(?:--[a-z-]+ )?(?:(?<!\w)(['\"`]).*?\1(?!\w)|\S)+")  # of a line that may be folded between them

_remembered: dict[str, list[str]] = {}  # lines of what is no text file, by name


@dataclass(frozen=True)
class Place:
    """Where a value was written: a position in a file (line and column from 1), or an override as typed."""

    file: str = ""
    line: int = 0
    column: int = 0
    override: str = ""

    def __str__(self) -> str:
        if self.override:
            return f"override {shorten(self.override)!r}"
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: what, where, at which config path, and the mend where there is one."""

    message: str
    place: Place | None = None
    path: str | None = None
    value: object = None
    suggestion: str | None = None


class LighterError(Exception):
    """Anything that ends a command with a message instead of a traceback."""

    status = 1
    is_everyones = False  # whether every rank of a node is sure to have it

    def __init__(
        self,
        message: str = "",
        *,
        place: Place | None = None,
        path: str | None = None,
        value: object = None,
        suggestion: str | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        self.problems = tuple(problems) or (Problem(message, place, path, value, suggestion),)
        super().__init__("\n".join(render_problem(problem, source=False) for problem in self.problems))


class UsageError(LighterError):
    """A command line that cannot be understood."""

    status = 2
    is_everyones = True


class ConfigError(LighterError, ValueError):
    """A config, or an argument of one of Lighter's own parts, that cannot be right."""

    status = 2


class BuildError(ConfigError):
    """A target or an expression of a config that raised while it was built; the cause is chained."""


class RunError(LighterError):
    """A run that began and failed; the cause is chained."""


class RankError(RunError):
    """What another rank failed of, in one that only felt it."""

    is_everyones = True


def nearest(name: str, candidates: Iterable[object], cutoff: float = 0.65) -> str | None:
    """Return the candidate that `name` was most likely meant to be, or None."""
    import difflib  # here, as most runs make no mistake and `--help` has to be quick

    names = {str(candidate).lower(): str(candidate) for candidate in itertools.islice(candidates, CANDIDATES)}
    matches = difflib.get_close_matches(name.lower(), names, n=1, cutoff=cutoff)
    return names[matches[0]] if matches else None


def did_you_mean(name: str, candidates: Iterable[object], cutoff: float = 0.65) -> str | None:
    """Phrase the nearest candidate as a suggestion, or return None."""
    match = nearest(name, candidates, cutoff)
    return f"did you mean {match!r}?" if match else None


def render(error: LighterError) -> str:
    """Return the text that a person sees: every problem with its place, source line and mend."""
    return render_problem(error.problems[0]) if len(error.problems) == 1 else render_all(error.problems)


def print_error(error: LighterError) -> None:
    """Show an error to a person."""
    text = render(error)
    print(text if error.problems[0].place else f"error: {text}", file=sys.stderr)


def render_all(problems: Sequence[Problem]) -> str:
    """Return problems as text, and how many they are."""
    read = functools.cache(_lines)
    text = "\n\n".join(_screen(problem, read) for problem in problems)
    return f"{text}\n\n{len(problems)} problem{'s' * (len(problems) != 1)}"


def render_problem(problem: Problem, *, source: bool = True) -> str:
    """Return one problem as text, with the offending source line unless `source` is False."""
    if source:
        return _screen(problem, _lines)
    head = ": ".join(str(part) for part in (problem.place, problem.path, problem.message) if part)
    return f"{head}\n  {problem.suggestion}" if problem.suggestion else head


def _screen(problem: Problem, read: Callable[[str], list[str]]) -> str:
    """Return one problem in lines that fit on a screen; `read` returns the lines of a file."""
    width = _columns()
    parts = [
        _on_one_line(str(problem.place or "")),
        _on_one_line(shorten(problem.path or "")),
        _printable(_brief(problem.message, problem.value)),
    ]
    lines = _joined([part for part in parts if part], width)
    if problem.place and problem.place.file:
        lines += _excerpt(problem.place, read, width)
    if problem.suggestion:
        lines += _folded(f"  {_printable(_brief(problem.suggestion, problem.value))}", width)
    return "\n".join(lines)


def _joined(parts: Sequence[str], width: int) -> list[str]:
    """Return a place, a config path and a message in as few lines as they take, the place in one piece."""
    lines: list[str] = []
    for part in parts:
        first, *more = part.split("\n")
        if lines and len(lines[-1]) + len(": ") + len(first) <= width:
            lines[-1] += f": {first}"
        elif lines:
            lines = [*lines[:-1], f"{lines[-1]}:", *_folded(f"  {first}", width)]
        else:
            lines = [first] if part != parts[-1] else _folded(first, width)
        lines += [shown for line in more for shown in _folded(line, width)]
    return lines


def _brief(text: str, value: object) -> str:
    """Return a message or a suggestion, with a long value or name that it quotes shortened, but for paths."""
    for quoted in (repr(value), value):
        if isinstance(quoted, str) and len(quoted) > WIDTH and not _is_path(quoted):
            text = text.replace(quoted, shorten(quoted))
    return shorten(re.sub(r"\S{200,}", lambda run: run[0] if _is_path(run[0]) else shorten(run[0]), text), MESSAGE)


def _is_path(text: str) -> bool:
    """Tell whether a text, maybe in quotes or with a line's number, is where there is a file, or could be one."""
    path = re.sub(r"(:\d+)+$", "", text.strip("'\"`.,:;()"))
    try:
        return os.path.lexists(path) or (os.sep in path and os.path.isdir(os.path.dirname(path)))  # noqa: PTH112, PTH120
    except ValueError:  # no name that a file could have
        return False


def _printable(text: str) -> str:
    """Escape what a terminal would obey or could not encode, such as a key that moves the cursor."""
    return "".join(item if item.isprintable() or item == "\n" else ascii(item)[1:-1] for item in text)


def _on_one_line(text: str) -> str:
    return _printable(text).replace("\n", "\\n")


def _columns() -> int:
    """Return how wide a message may be."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError, AttributeError):  # no terminal, or nothing that has a number
        return LINE
    return max(NARROWEST, min(columns, LINE)) if columns else LINE


def _folded(line: str, width: int) -> list[str]:
    """Return a line as several that fit, all but the first indented further.

    What is quoted, such as a path or a command, stays in one piece for those who copy it, and so does a long word.
    """
    if len(line) <= width:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    lines = [indent]
    for piece in (found[0] for found in _PIECE.finditer(line)):
        if not lines[-1].strip():
            lines[-1] += piece
        elif len(lines[-1]) + 1 + len(piece) <= width:
            lines[-1] += f" {piece}"
        else:
            lines.append(f"{indent}  {piece}")
    return lines


def own_frame(error: BaseException) -> str | None:
    """Return where in the user's own code an exception came from: `at FILE:LINE in NAME: CODE`, or None."""
    import traceback  # here, as only what fails needs it

    if isinstance(error, SyntaxError) and error.filename and not is_library(error.filename):
        return f"at {error.filename}:{error.lineno}: {shorten((error.text or '').strip())}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not is_library(frame.filename):
            code = f": {shorten(frame.line)}" if frame.line else ""
            return f"at {frame.filename}:{frame.lineno} in {frame.name}{code}"
    return None


def is_library(file: str) -> bool:
    """Tell whether a frame's file belongs to no one's project: generated, installed, Python's, or of this package."""
    parents = Path(file).parents
    installed = {"site-packages", "dist-packages"} & {parent.name for parent in parents}
    return file.startswith("<") or bool(installed) or Path(os.__file__).parent in parents or PACKAGE in parents


def shorten(text: str, width: int = 100) -> str:
    """Return the text, with an ellipsis in its middle if it is longer than `width`."""
    half = (width - 1) // 2
    return text if len(text) <= width else f"{text[:half]}…{text[-half:]}"


def remember_lines(file: str, text: str) -> None:
    """Let the places in a file that is no text file, such as a checkpoint, be those of a text that stands for it."""
    _remembered[file] = text.splitlines()


def _lines(file: str) -> list[str]:
    """Return the lines of a text file; none where it cannot be read."""
    if file in _remembered:
        return _remembered[file]
    try:
        path = Path(file)
        return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    except (OSError, ValueError):  # ValueError: no text, or no name of a file
        return []


def _excerpt(place: Place, read: Callable[[str], list[str]], width: int) -> list[str]:
    lines = read(place.file)
    if not 0 < place.line <= len(lines):
        return []
    number = f"{place.line:5d}"
    line, column = lines[place.line - 1], max(place.column - 1, 0)
    room = width - len(f"{number} | ……")
    start = max(0, min(column - room // 3, len(line) - room))  # of a long line, show what is around the place
    shown = _printable(line[start : start + room].replace("\t", " "))
    before = "…" * (start > 0)
    text = f"{before}{shown}{'…' * (start + room < len(line))}"
    return [f"{number} | {text}", f"{' ' * len(number)} | {' ' * min(column - start + len(before), len(text))}^"]
