from __future__ import annotations

from collections.abc import Callable

import pytest

from lighter.config.part import part_at
from lighter.config.tree import Plain

from .parts import composed, screen

VARIABLES = """\
vars:
  rate: 0.1
  train: {size: 32, tags: [a, b], rate: "%vars::rate"}
  val: "%::train"
  test: "%::val"
  object: "@vars::list::-1"
  list: [1, {x: {y: 2}}]
  expression: "$len(@vars::list)"
  text: '\\@vars::rate'
"""


def found(path: str, text: str = VARIABLES) -> tuple[Plain, list[str]]:
    node, notes = part_at(composed(text).root, path)
    return node.plain(), notes


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("vars::rate", 0.1),
        ("vars::train::tags", ["a", "b"]),
        ("vars::train::tags::-1", "b"),
        ("vars::list::1::x", {"y": 2}),
        ("vars::expression", "$len(@vars::list)"),
        ("vars::text", "\\@vars::rate"),
        ("system", {"_target_": "builtins.dict"}),
    ],
)
def test_a_path_leads_to_its_part(path: str, value: Plain) -> None:
    assert found(path) == (value, [])


def test_no_path_is_the_whole_config() -> None:
    root = composed(VARIABLES).root
    assert part_at(root, "") == (root, [])


def test_a_reference_on_the_way_is_followed_and_told() -> None:
    note = "'vars::val' is '%::train' in config.yaml:4, so this is 'vars::train::size'"
    assert found("vars::val::size") == (32, [note])
    note = "'vars::object' is '@vars::list::-1' in config.yaml:6, so this is 'vars::list::1::x'"
    assert found("vars::object::x") == ({"y": 2}, [note])


def test_a_reference_at_the_end_is_followed_too_and_behind_others() -> None:
    assert found("vars::test::rate") == (
        0.1,
        [
            "'vars::test' is '%::val' in config.yaml:5, so this is 'vars::val::rate'",
            "'vars::val' is '%::train' in config.yaml:4, so this is 'vars::train::rate'",
            "'vars::train::rate' is '%vars::rate' in config.yaml:3, so this is 'vars::rate'",
        ],
    )


def test_a_reference_that_an_override_set_is_told_with_it() -> None:
    node, notes = part_at(composed(VARIABLES, "vars::train=@vars::rate").root, "vars::train")
    assert (node.value, notes) == (
        0.1,
        ["'vars::train' is '@vars::rate' in override 'vars::train=@vars::rate', so this is 'vars::rate'"],
    )


def test_a_reference_may_name_the_whole_config() -> None:
    root = composed("vars: {all: '@'}").root
    assert part_at(root, "vars::all") == (
        root,
        ["'vars::all' is '@' in config.yaml:1, so this is the whole config"],
    )


def looking_for(path: str, text: str = VARIABLES) -> Callable[[], object]:
    return lambda: found(path, text)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("vars::trian", "vars::trian: there is no 'trian' in 'vars'\n  did you mean 'train'?"),
        (
            "vars.train",
            "vars.train: there is no 'vars.train' in the config\n  levels are separated by '::': 'vars::train'",
        ),
        (
            "vars::list::2",
            "vars::list::2: there is no item '2' in 'vars::list', a list of 2 items\n  its indices are 0 to 1",
        ),
        ("vars::rate::x", "vars::rate::x: 'vars::rate' is 0.1, which holds no 'x'"),
        ("vars::val::sise", "vars::val::sise: there is no 'sise' in 'vars::train'\n  did you mean 'size'?"),
        ("vars::expression::x", "vars::expression::x: 'vars::expression' is the expression '$len(@vars::list)'"),
        ("vars::", "vars::: there is no '' in 'vars'"),
    ],
)
def test_a_path_that_leads_nowhere_names_the_nearest(path: str, said: str) -> None:
    assert screen(looking_for(path)) == f"\n{said}\n"


def test_a_reference_that_leads_nowhere_is_shown_where_it_stands() -> None:
    expected = """
config.yaml:2:6: vars::x: '@vars::lits' names nothing: there is no 'lits' in 'vars'
    2 |   x: "@vars::lits"
      |      ^
  did you mean 'list'?
"""
    text = 'vars:\n  x: "@vars::lits"\n  list: []\n'
    assert screen(looking_for("vars::x", text)) == expected
    assert screen(looking_for("vars::x::0", text)) == expected


def test_references_in_a_circle_are_an_error() -> None:
    text = "vars: {x: '@::y', y: '%::x', up: '@::::::x'}"
    assert screen(looking_for("vars::x", text)) == "\nvars::x: its references lead in a circle\n"
    assert "lead" in screen(looking_for("vars::x::z", text))
    assert "climbs above the top" in screen(looking_for("vars::up", text))
