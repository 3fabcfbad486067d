"""What an exception says, of this process and of others."""

from __future__ import annotations

import subprocess
import sys
import traceback

import pytest

from lighter.errors import BuildError
from lighter.peers.failure import exits_fail
from lighter.raised import ExitError, of_trace, what, where

CODE = """
def load(index):
    raise KeyError("no sample 17")
"""


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("it has no text")


@pytest.fixture
def trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a traceback through a user's file, as another process sends it."""
    file = tmp_path_factory.mktemp("proj") / "data.py"
    file.write_text(CODE)
    space: dict[str, object] = {}
    exec(compile(CODE, str(file), "exec"), space)
    try:
        space["load"](17)  # type: ignore[operator]
    except KeyError:
        return traceback.format_exc()
    raise AssertionError


def test_a_process_that_loads_data_is_quoted_by_its_own_error_alone(trace: str) -> None:
    sent = RuntimeError(f"Caught KeyError in DataLoader worker process 0.\nOriginal {trace}")
    assert what(sent) == "KeyError: 'no sample 17'"
    assert str(where(sent)).endswith('data.py:3 in load: raise KeyError("no sample 17")')


def test_a_trace_of_this_packages_own_error_is_quoted_without_its_name(trace: str) -> None:
    assert of_trace(trace)[0] == "KeyError: 'no sample 17'"
    own = 'Traceback (most recent call last):\n  File "<string>", line 1, in f\nlighter.errors.BuildError: it broke\n'
    assert of_trace(own) == ("it broke", None)
    assert what(BuildError("it broke", path="system::model")) == "system::model: it broke"


def test_what_has_no_text_is_named() -> None:
    assert what(RuntimeError()) == "RuntimeError"
    assert what(MuteError()) == "MuteError: (its text cannot be shown)"


def test_the_end_that_the_users_code_asks_for_says_where() -> None:
    with pytest.raises(ExitError) as caught, exits_fail():
        sys.exit("going away")
    assert what(caught.value) == "SystemExit: going away"
    assert str(where(caught.value)).endswith('sys.exit("going away")')


def test_it_needs_no_torch() -> None:
    code = "import sys, lighter.raised; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
