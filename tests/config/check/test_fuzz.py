"""Whatever a config holds, `check` says what is wrong with it: it never fails itself, and it never hangs."""

from __future__ import annotations

import importlib.abc
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, ModuleType

import pytest
import pytorch_lightning  # so that configs may name it
import torchmetrics
import torchvision  # type: ignore[import-untyped]

from lighter.checking import find_problems
from lighter.config import compose, dump
from lighter.config.origin import show, show_origins
from lighter.config.structure import RESERVED
from lighter.config.tree import Plain, join
from lighter.errors import LighterError, Problem, render, render_all

from . import inputs

pytestmark = pytest.mark.no_cover  # thousands of calls that other tests make too, which tracing would slow down

COUNT = 10_000
SLOW = 1.0  # seconds of processor time that one input may take
HANG = 10  # seconds until it is interrupted
LINE = 130  # the longest line that is printed


PROJECTS = {"project", "parts", "shapes", "model", "dataset"}
KNOWN = PROJECTS | {name.split(".")[0] for name in (*sys.modules, pytorch_lightning.__name__, torchmetrics.__name__)}
KNOWN |= {torchvision.__name__}


class Hang(BaseException):
    """What interrupts an input, whatever it catches."""


class OnlyWhatIsHere(importlib.abc.MetaPathFinder):
    """Refuse to import what no config of these tests means: a random name may be that of a module that does things."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.split(".")[0] not in KNOWN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


@pytest.fixture(autouse=True)
def guarded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "meta_path", [OnlyWhatIsHere(), *sys.meta_path])
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in ("project", "parts", "shapes")]:
        del sys.modules[name]


@contextmanager
def bounded() -> Iterator[None]:
    """Interrupt what hangs, and refuse what takes long."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, HANG)
    start = time.process_time()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.process_time() - start < SLOW


def look_at(given: inputs.Input) -> None:
    """Do with an input all that a command does that only reads."""
    Path(inputs.FILE).write_bytes(given.content)
    with bounded():
        try:
            config = compose(inputs.FILE, given.overrides)
        except LighterError as error:
            read(render(error))
        else:
            show(config.root)
            show_origins(config.root)
            dump(config.plain())
    for imports in (False, True)[: 1 + given.imports]:
        with bounded():
            read(told(find_problems([inputs.FILE], given.overrides, given.stage, imports=imports)[1]))


def told(problems: list[Problem]) -> str:
    return render_all(problems) if problems else "no problems"


def read(screen: str) -> None:
    """Look at what is printed as a person and a terminal would."""
    assert screen
    assert "Traceback" not in screen
    assert "object at 0x" not in screen
    assert all(len(line) <= LINE and line.isprintable() for line in screen.splitlines())


def fuzz(seed: int, count: int) -> None:
    for index in range(count):
        given = inputs.make(seed, index)
        try:
            look_at(given)
        except (Exception, Hang) as error:
            text = given.content.decode("utf-8", "backslashreplace")
            where = f"input {index} of seed {seed}, {given.kind}, {given.overrides}, {given.stage}"
            raise AssertionError(f"{where}: {type(error).__name__}: {error}\n{text}") from error


def test_no_input_makes_check_fail_or_hang() -> None:
    fuzz(seed=0, count=COUNT // 20)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_none_of_ten_thousand_inputs_makes_check_fail_or_hang(seed: int) -> None:
    fuzz(seed, COUNT)


# --- every place of a config, with every wrong value


def wrong(file: Path) -> Iterator[tuple[str, Plain]]:
    """Yield a config with each value replaced by each wrong one, and with each reserved key of a wrong value."""
    config = inputs.plain_of(file)
    for path, value in inputs.paths(config):
        for new in inputs.WRONG:
            yield f"{join(path)}: {new!r}", inputs.put(config, path, new)
            for key in RESERVED if isinstance(value, dict) else ():
                yield f"{join((*path, key))}: {new!r}", inputs.put(config, (*path, key), new)


def sweep(file: Path, step: int) -> None:
    for index, (what, config) in enumerate(wrong(file)):
        if index % step:
            continue
        Path(inputs.FILE).write_text(inputs.dumped(config), encoding="utf-8")
        try:
            with bounded():
                problems = find_problems([inputs.FILE])[1]
            start = time.process_time()
            read(told(problems))
            assert time.process_time() - start < 0.1
        except (Exception, Hang) as error:
            raise AssertionError(f"{file.name} with {what}: {type(error).__name__}: {error}") from error


every_file = pytest.mark.parametrize("file", inputs.SHIPPED, ids=lambda file: f"{file.parent.name}/{file.stem}")


@every_file
def test_no_wrong_value_makes_check_fail_or_hang(file: Path) -> None:
    sweep(file, step=23)


@pytest.mark.slow
@every_file
def test_no_wrong_value_anywhere_makes_check_fail_or_hang(file: Path) -> None:
    sweep(file, step=1)
