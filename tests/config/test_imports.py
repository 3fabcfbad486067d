from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from lighter.errors import ConfigError

from .parts import built, resolver, screen


@pytest.mark.parametrize(
    ("statement", "expression", "value"),
    [
        ("import math", "math.pi", math.pi),
        ("import math as m", "m.pi", math.pi),
        ("import os.path", "os.path.sep", os.path.sep),
        ("import os.path as p", "p.sep", os.path.sep),
        ("from math import pi", "pi", math.pi),
        ("from math import pi as p, e as q", "(p, q)", (math.pi, math.e)),
        ("import math; from os import path", "math.pi + len(path.sep)", math.pi + 1),
    ],
)
def test_an_import_statement_anywhere_gives_expressions_a_name(statement: str, expression: str, value: object) -> None:
    assert built(f"vars: {{i: '${statement}', x: '${expression}'}}") == value
    assert built(f"_requires_: ['${statement}']\nvars: {{x: '${expression}'}}") == value


def test_an_import_statement_is_the_thing_imported() -> None:
    assert built("vars: {x: '$import math'}") is math
    assert built("vars: {x: '$from math import e, pi'}") == math.pi


def test_imports_and_requires_give_names() -> None:
    assert built("_imports_: {m: math, join: os.path.join}\nvars: {x: '$join(str(m.floor(1.5)))'}") == "1"
    assert built("_requires_: os.path\nvars: {x: '$os.path.sep'}") == os.path.sep
    assert built("_imports_: {m: cmath}\nvars: {i: '$import math as m', x: '$m.__name__'}") == "cmath"


def test_a_reference_in_an_expression_wins_over_the_word_import() -> None:
    assert built("vars: {y: import, x: '$\"an important \" + @vars::y'}") == "an important import"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("import 1", "config.yaml:1:11: vars::x: the import 'import 1' does not parse"),
        ("import math; x = 5", "cannot import by"),
        ("from math import *", "cannot import by 'from math import \\*'\n  write 'import module'"),
        ("from . import x", "cannot import by"),
        ("from .math import x", "cannot import by"),
    ],
)
def test_an_import_that_is_none_is_an_error_with_its_place(statement: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(f"vars: {{x: '${statement}'}}")


def test_an_import_of_nothing_is_an_error_where_it_is_used() -> None:
    assert (
        screen(lambda: built("vars:\n  i: '$import maths'\n  x: '$maths.pi'"))
        == """
config.yaml:2:6: vars::i: cannot import 'maths': there is no module 'maths'
    2 |   i: '$import maths'
      |      ^
  did you mean 'math'?
"""
    )
    with pytest.raises(
        ConfigError, match=r"config.yaml:1:17: _imports_::p: cannot import 'math.pie': the module 'math' has no 'pie'"
    ):
        built("_imports_: {p:  math.pie}\nvars: {x: '$p'}")
    assert built("_imports_: {p: math.pie}\nvars: {x: '$1'}") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("_imports_: {np: 5}", "config.yaml:1:17: _imports_::np: an import is a dotted name, such as np: numpy"),
        ("_imports_: {np: [numpy]}", "an import is a dotted name"),
        ("_requires_: [5]", "config.yaml:1:14: _requires_::0: `_requires_` takes modules"),
        ("_requires_: {a: b}", "`_requires_` takes modules"),
    ],
)
def test_sections_of_imports_that_are_none_are_errors(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolver(text)


def test_requiring_imports_and_says_what_failed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    Path("fails_on_import.py").write_text("x = 1\nraise OSError('no driver')\n", encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"cannot import 'fails_on_import': .* failed: OSError: no driver\n  at .*:2 in "
    ):
        resolver("_requires_: [fails_on_import]").require()
    resolver("_requires_: [os.path, '$import math']").require()
    resolver("").require()


def test_importing_a_module_of_a_package_imports_it_though_the_name_is_the_package(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    (folder / "imports_package").mkdir()
    (folder / "imports_package" / "inner.py").write_text("value = 5\n", encoding="utf-8")
    assert built("vars: {i: '$import imports_package.inner', x: '$imports_package.inner.value'}") == 5
