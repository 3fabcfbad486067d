from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import struct
import termios
from pathlib import Path

import pytest

from lighter.errors import (
    BuildError,
    ConfigError,
    LighterError,
    Place,
    Problem,
    RunError,
    UsageError,
    did_you_mean,
    nearest,
    own_frame,
    render,
)


def test_a_place_is_a_position_or_an_override_as_typed() -> None:
    assert str(Place("a.yaml", 3, 5)) == "a.yaml:3:5"
    assert str(Place(override="a::b=1")) == "override 'a::b=1'"


@pytest.mark.parametrize(
    ("kind", "status"), [(LighterError, 1), (RunError, 1), (UsageError, 2), (ConfigError, 2), (BuildError, 2)]
)
def test_each_kind_of_error_ends_a_command_with_its_status(kind: type[LighterError], status: int) -> None:
    assert kind("message").status == status


def test_a_config_error_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="cannot be"):
        raise ConfigError("cannot be")


def test_an_error_carries_its_data() -> None:
    place = Place("a.yaml", 1, 2)
    error = ConfigError("is wrong", place=place, path="a::b", value=5, suggestion="write 6")
    assert error.problems == (Problem("is wrong", place, "a::b", 5, "write 6"),)
    assert str(error) == "a.yaml:1:2: a::b: is wrong\n  write 6"


def test_a_rendered_error_shows_the_line_and_a_caret(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("first: 1\nsecond:  wrong\n", encoding="utf-8")
    error = ConfigError("is wrong", place=Place(str(file), 2, 10), path="second", suggestion="did you mean 'right'?")
    assert (
        f"\n{render(error)}\n"
        == f"""
{file}:2:10: second: is wrong
    2 | second:  wrong
      |          ^
  did you mean 'right'?
"""
    )


@pytest.mark.parametrize("place", [Place("missing.yaml", 1, 1), Place(__file__, 10**6, 1), Place(override="a=1"), None])
def test_a_place_without_a_line_to_show_shows_none(place: Place | None) -> None:
    assert render(ConfigError("is wrong", place=place)) == ": ".join(filter(None, [str(place or ""), "is wrong"]))


def test_a_file_that_is_not_utf_8_shows_no_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xff\n")
    assert render(ConfigError("is wrong", place=Place(str(file), 1, 1))) == f"{file}:1:1: is wrong"


def test_several_problems_are_told_one_after_the_other_and_counted() -> None:
    error = ConfigError(problems=[Problem("one"), Problem("two", Place(override="a=1"), "a")])
    assert render(error) == "one\n\noverride 'a=1': a: two\n\n2 problems"


def test_the_nearest_name_is_found_whatever_its_case() -> None:
    assert nearest("adamw", ["Adam", "AdamW", "SGD"]) == "AdamW"
    assert nearest("nothing", ["Adam"]) is None
    assert did_you_mean("trianer", ["trainer", "system"]) == "did you mean 'trainer'?"
    assert did_you_mean("x", []) is None


def test_a_long_source_line_is_shown_around_the_place(tmp_path: Path) -> None:
    file = tmp_path / "long.yaml"
    file.write_text("a: [" + "x, " * 100 + "wrong" + ", y" * 100 + "]\n", encoding="utf-8")
    column = file.read_text().index("wrong") + 1
    _, source, caret = render(ConfigError("is wrong", place=Place(str(file), 1, column))).splitlines()
    assert len(source) <= 125
    assert source[caret.index("^") :].startswith("wrong")
    assert source.endswith("…")


@pytest.mark.parametrize(("columns", "widest"), [(80, 80), (20, 60), (300, 120)])
def test_messages_are_as_wide_as_the_terminal_within_bounds(
    columns: int, widest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("long.yaml")
    file.write_text("a: [" + "x, " * 100 + "wrong" + ", y" * 100 + "]\n", encoding="utf-8")
    error = ConfigError("many words " * 30, place=Place(str(file), 1, 305), suggestion="more words " * 30)
    terminal, other_end = pty.openpty()
    fcntl.ioctl(other_end, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    with os.fdopen(terminal), os.fdopen(other_end, "w") as screen, contextlib.redirect_stderr(screen):
        lines = render(error).splitlines()
    assert widest - 12 < max(map(len, lines)) <= widest
    caret = next(index for index, line in enumerate(lines) if line.lstrip(" |") == "^")
    assert lines[caret - 1][lines[caret].index("^") :].startswith("wrong")


def test_a_long_override_is_shortened_in_its_middle() -> None:
    place = str(Place(override="vars::x=" + "y" * 500 + "end"))
    assert len(place) <= 115
    assert place.startswith("override 'vars::x=")
    assert place.endswith("end'")


def test_the_own_frame_is_the_innermost_that_is_no_librarys(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Expecting") as caught:
        json.loads("{")
    assert str(own_frame(caught.value)).startswith(f"at {__file__}:")
    assert str(own_frame(caught.value)).endswith(
        ' in test_the_own_frame_is_the_innermost_that_is_no_librarys: json.loads("{")'
    )
    for folder in ("site-packages", "lighter"):
        scope: dict[str, object] = {}
        file = str(tmp_path / folder / "part.py")
        exec(compile("def f(): return 1 / 0", file, "exec"), scope)
        with pytest.raises(ZeroDivisionError) as error:
            scope["f"]()  # type: ignore[operator]
        assert (own_frame(error.value) == f"at {file}:1 in f") is (folder == "lighter")


def test_an_error_without_a_frame_of_the_users_has_none() -> None:
    assert own_frame(ValueError()) is None


def test_what_is_quoted_stays_in_one_piece_however_long_it_is(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["a folder-with a long name"] * 9)
    folder.mkdir(parents=True)
    for path in (folder, folder / "missing.ckpt"):
        for text in (f"the run's file {str(path)!r} cannot be written: the disk isn't there", f"'{path}' is gone"):
            error = RunError(text, value=str(path), suggestion=f"words {'and words ' * 20} or --ckpt '{path}'")
            message = render(error)
            assert message.count(str(path)) == 2
            assert f"--ckpt '{path}'" in message
            assert max(len(line) for line in message.splitlines() if str(path) not in line) <= 120
    command = "lighter fit logs/version_0 trainer::max_epochs=4 --resume"
    assert f"`{command}`" in render(RunError("words " * 17 + f"`{command}` " + "words " * 30))


def test_a_place_with_spaces_in_it_stays_in_one_piece(tmp_path: Path) -> None:
    file = tmp_path.joinpath(*["a folder-with a long name"] * 5, "a.yaml")
    file.parent.mkdir(parents=True)
    file.write_text("a: 1\n")
    first, second, *_ = render(ConfigError("is wrong", place=Place(str(file), 1, 1))).splitlines()
    assert (first, second) == (f"{file}:1:1:", "  is wrong")


def test_a_long_word_that_is_no_path_is_shortened() -> None:
    assert render(ConfigError("x" * 500)) == f"{'x' * 49}…{'x' * 49}"
    value = "/".join("no path" for _ in range(100))
    assert len(render(ConfigError(f"{value!r} is wrong", value=value))) <= 120
