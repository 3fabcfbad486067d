from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lighter.config import compose
from lighter.config.origin import show, show_origins
from lighter.config.tree import MAX_DEPTH, Node, join, nodes
from lighter.errors import LighterError

from .parts import HEAD, write
from .test_properties import TEXTS, VARIABLES, few, save


def part(*texts: str, overrides: tuple[str, ...] = (), at: str = "vars") -> Node:
    """Return a part of what `0.yaml`, `1.yaml`, … and the overrides make."""
    files = [write(text, f"{index}.yaml", head="" if index else HEAD) for index, text in enumerate(texts)]
    node = compose(files, overrides).find(at)
    assert node is not None
    return node


def origins(*texts: str, overrides: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the comments beside the keys and items of `vars` that have one."""
    lines = show_origins(part(*texts, overrides=overrides)).splitlines()
    pairs = [line.split("  # ", 1) for line in lines if "  # " in line]
    return {code.split(":")[0].strip(): comment for code, comment in pairs}


# --- what the text looks like


def test_lists_stay_in_one_line_where_they_were_written_so() -> None:
    node = part("""\
    vars:
      inline: [0.485, 'a, b', '1']
      lines:
        - 1
        - 2
      nested: [[1, 2], [3]]
      objects: [{_target_: a, lr: 1}]
      text: ["a\\nb"]
      single: a
      flag: true
    """)
    assert (
        "\n" + show(node)
        == """
inline: [0.485, 'a, b', '1']

lines:
  - 1
  - 2

nested:
  - [1, 2]
  - [3]

objects:
  - _target_: a
    lr: 1

text:
  - |-
    a
    b

single: a
flag: true
"""
    )


@pytest.mark.parametrize(
    "value", ["a", "a...", "a\nb", "a\nb\n", "\n\n", " a\n\n\n", "---", 1, 0.5, True, None, [], {}, [[]], ["..."]]
)
def test_any_part_is_a_yaml_document(value: Any) -> None:
    node = part(f"vars: {{x: {yaml.safe_dump(value, default_style=chr(34), default_flow_style=True)}}}", at="vars::x")
    for text in (show(node), show_origins(node)):
        assert repr(yaml.safe_load(text)) == repr(value)
        assert "..." not in text.splitlines()
        assert text.endswith("\n")


# --- where a value came from


def test_every_value_of_a_realistic_config_tells_its_origin() -> None:
    write(
        """\
        fast:
          _target_: torch.optim.SGD
          lr: 0.1
          betas: [0.9, 0.99]
        rate: 0.5
        """,
        "parts/optimizers.yaml",
        head="",
    )
    base = """\
    vars:
      small: &small {batch: 16, workers: 2}
      large: {<<: *small, batch: 256}
      same: *small
      rate: "%parts/optimizers.yaml::rate"
      optimizer: "%parts/optimizers.yaml::fast"
      milestones: [3, 6]
      sizes: [1, 2]
      list:
        - 1
        - a: 1
          b: 2
        - - 1
          - x: 1
      scheduler:
        _target_: torch.optim.lr_scheduler.StepLR
        step_size: 3
      notes: |
        first
        second  # not a comment
      "odd: #key": "a # b"
      "two\\nlines": {a: 1}
      nothing:
      empty: []
      void: {}
    """
    more = """\
    vars:
      optimizer: {lr: 0.01}
      milestones: [9]
      =sizes: [5]
      =scheduler: {_target_: torch.optim.lr_scheduler.CosineAnnealingLR, T_max: 10}
      notes: |
        third
    """
    overrides = ("vars::optimizer::lr=1e-3", "=vars::list::1={a: 5, c: 2}", "vars::list+=7", "vars::milestones::0=4")
    assert (
        "\n" + show_origins(part(base, more, overrides=overrides))
        == """
small:
  batch: 16   # 0.yaml:2
  workers: 2  # 0.yaml:2

large:
  workers: 2  # 0.yaml:2
  batch: 256  # 0.yaml:3

same:         # 0.yaml:2 via line 4
  batch: 16   # 0.yaml:2
  workers: 2  # 0.yaml:2

rate: 0.5  # parts/optimizers.yaml:5 via 0.yaml:5

optimizer:                   # parts/optimizers.yaml:2 via 0.yaml:6
  _target_: torch.optim.SGD  # parts/optimizers.yaml:2
  lr: 0.001                  # override 'vars::optimizer::lr=1e-3', replaced 0.01 from 1.yaml:2, 0.1 from \
parts/optimizers.yaml:3
  betas: [0.9, 0.99]         # parts/optimizers.yaml:4

milestones:
  - 4  # override 'vars::milestones::0=4', replaced 3 from 0.yaml:7
  - 6  # 0.yaml:7
  - 9  # 1.yaml:3

sizes: [5]  # 1.yaml:4, replaced [1, 2] from 0.yaml:8

list:
  - 1       # 0.yaml:10
  - a: 5    # override '=vars::list::1={a: 5, c: 2}', replaced {a: 1, b: 2} from 0.yaml:11
    c: 2    # override '=vars::list::1={a: 5, c: 2}'
  - - 1     # 0.yaml:13
    - x: 1  # 0.yaml:14
  - 7       # override 'vars::list+=7'

scheduler:                                              # 1.yaml:5, replaced {_target_: torch.optim.lr_scheduler.Ste… \
from 0.yaml:15
  _target_: torch.optim.lr_scheduler.CosineAnnealingLR  # 1.yaml:5
  T_max: 10                                             # 1.yaml:5

notes: |              # 1.yaml:6, replaced "first\\nsecond  # not a comment\\n" from 0.yaml:18
  third
'odd: #key': 'a # b'  # 0.yaml:21

? |-
  two
  lines
: a: 1  # 0.yaml:22

nothing: null  # 0.yaml:23
empty: []      # 0.yaml:24
void: {}       # 0.yaml:25
"""
    )


def test_a_chain_of_replaced_values_is_told_from_the_last_to_the_first() -> None:
    said = origins("vars: {x: 1}", "vars: {x: two}", "vars: {x: null}", overrides=("vars::x=[4]", "=vars::x={a: 5}"))
    assert said["x"] == (
        "override '=vars::x={a: 5}', replaced [4] from override 'vars::x=[4]', null from 2.yaml:1, two from 1.yaml:1, "
        "1 from 0.yaml:1"
    )
    assert said["a"] == "override '=vars::x={a: 5}'"


def test_a_value_that_was_deleted_and_set_again_replaced_nothing() -> None:
    assert origins("vars: {x: 1}", "vars: {~x: null}", "vars: {x: 2}") == {"x": "2.yaml:1"}
    assert origins("vars: {x: 1}", overrides=("~vars::x", "vars::x=2")) == {"x": "override 'vars::x=2'"}
    assert origins("vars: {l: [1, 2]}", overrides=("~vars::l=[0]", "vars::l+=3"))["- 2"] == "0.yaml:1"


def test_a_key_with_levels_and_a_merged_mapping_tell_their_own_lines() -> None:
    said = origins("vars:\n  m: {a: 1, b: 1}", "vars::m::b: 2\nvars::m::c: 3", "vars:\n  m:\n    d: 4")
    assert said == {"a": "0.yaml:2", "b": "1.yaml:1, replaced 1 from 0.yaml:2", "c": "1.yaml:2", "d": "2.yaml:3"}


def test_a_list_that_an_override_replaced_stays_in_one_line() -> None:
    node = part("vars: {x: [1, 2], y: [1, 2]}", overrides=("vars::x=[3, 4]", "vars::y::1=5"))
    assert (
        "\n" + show_origins(node)
        == """
x: [3, 4]  # override 'vars::x=[3, 4]', replaced [1, 2] from 0.yaml:1

y:
  - 1  # 0.yaml:1
  - 5  # override 'vars::y::1=5', replaced 2 from 0.yaml:1
"""
    )


def test_an_item_that_its_own_line_replaced_has_a_line_of_its_own() -> None:
    node = part("vars: {x: [1, 2], x::0: 5}", at="vars::x")
    assert show_origins(node) == "- 5  # 0.yaml:1, replaced 1 from 0.yaml:1\n- 2  # 0.yaml:1\n"


def test_a_mapping_in_place_of_a_reference_tells_what_it_replaced() -> None:
    said = origins("vars: {x: '@vars::y', y: 1}", overrides=("vars::x={_target_: a}",))
    assert said["x"] == "override 'vars::x={_target_: a}', replaced '@vars::y' from 0.yaml:1"


def test_an_override_that_includes_a_file_is_named_with_it() -> None:
    write("a: 1\nm:\n  b: 2", "other.yaml", head="")
    said = origins("vars: {}", overrides=("vars::x=%other.yaml::a", "vars::m=%other.yaml::m"))
    assert said == {
        "x": "other.yaml:1 via override 'vars::x=%other.yaml::a'",
        "m": "other.yaml:3 via override 'vars::m=%other.yaml::m'",
        "b": "other.yaml:3",
    }


def test_an_aliased_value_tells_both_lines() -> None:
    said = origins("vars:\n  lr: &lr 0.1\n  max:\n    *lr\n  list: [*lr]")
    assert said == {"lr": "0.yaml:2", "max": "0.yaml:2 via line 3", "- 0.1": "0.yaml:2"}


def test_the_origin_of_a_shown_block_itself_stands_above_it() -> None:
    node = part("vars:\n  x: {a: 1}", "vars: {=x: {b: 2}}", at="vars::x")
    assert show_origins(node) == "# 1.yaml:1, replaced {a: 1} from 0.yaml:2\nb: 2  # 1.yaml:1\n"


def test_comments_of_a_section_share_a_column_but_for_those_beside_long_lines() -> None:
    long = "x" * 100
    lines = show_origins(part(f"vars: {{a: 1, abc: 2, long: {long}, m: {{key: value, longer_key: value}}}}")).split(
        "\n"
    )
    assert lines == [
        "a: 1    # 0.yaml:1",
        "abc: 2  # 0.yaml:1",
        f"long: {long}  # 0.yaml:1",
        "",
        "m:",
        "  key: value         # 0.yaml:1",
        "  longer_key: value  # 0.yaml:1",
        "",
    ]


def test_long_overrides_and_values_are_cut() -> None:
    override = f"vars::x={'a' * 200}"
    said = origins(f"vars: {{x: [{'b' * 200}]}}", overrides=(override,))["x"]
    assert re.fullmatch(r"override 'vars::x=a+…a+', replaced \[b{38}… from 0.yaml:1", said)


@pytest.mark.parametrize(
    "name", ["a b#c.yaml", "it's.yaml", "ü.yaml", "line\nbreak.yaml", "\udcff.yaml", "\u2028.yaml"]
)
def test_a_file_of_any_name_can_stand_in_a_comment(name: str) -> None:
    node = compose([write("vars: {x: 1, y: {a: 1}}", name)], ["vars::x=2", "=vars::y={a: 2}"]).root
    text = show_origins(node)
    assert yaml.safe_load(text.encode("utf-8")) == node.plain()
    assert (name if name.isprintable() else repr(name)[1:-1]) in text


# --- it loads again

MULTILINE = st.lists(
    st.sampled_from(
        ["\n", "\n\n", " ", "  ", "\t", "#", " # x", "a", "|", ">", "- ", ": ", "...", "---", "'", '"', "\\", "%"]
    )
).map("".join)
NASTY = st.one_of(TEXTS.filter(lambda text: text[:1] != "%"), MULTILINE.filter(lambda text: text[:1] != "%"))


@few
@given(VARIABLES, VARIABLES, st.lists(NASTY, max_size=3), st.lists(NASTY, max_size=2))
def test_what_is_shown_is_the_same_config_with_origins_and_without(
    one: Any, two: Any, texts: list[str], overriding: list[str]
) -> None:
    one = {**one, "texts": texts, **{f"{text.lstrip('=~').replace('::', ':')}x": text for text in texts}}
    overrides = [f"vars::{index}={typed(text)}" for index, text in enumerate(overriding)]
    try:
        config = compose([save("one.yaml", one, head=True), save("two.yaml", two)], overrides)
    except LighterError as error:
        assert "cannot be merged into" in str(error)  # noqa: PT017 - a reference in the way of a mapping
        return
    assert_loads_again(config.root)
    for path, node in nodes(config.root, limit=15):
        for text in (show(node), show_origins(node)):
            assert repr(yaml.safe_load(text)) == repr(node.plain()), join(path)


def typed(value: Any) -> str:
    return yaml.safe_dump(value, default_style='"', default_flow_style=True, width=10**6)


def assert_loads_again(root: Node) -> None:
    shown, commented = show(root), show_origins(root)
    for name, text in (("shown.yaml", shown), ("commented.yaml", commented)):
        Path(name).write_text(text, encoding="utf-8")
        assert repr(compose([name]).root.plain()) == repr(root.plain())
        assert repr(yaml.safe_load(text)) == repr(root.plain())
    assert len(shown.splitlines()) == len(commented.splitlines())


def test_a_config_as_deep_as_can_be_read_is_shown() -> None:
    deep = "{a: " * (MAX_DEPTH - 2) + "1" + "}" * (MAX_DEPTH - 2)
    assert_loads_again(compose([write(f"vars: {deep}")]).root)


def test_every_value_of_the_projects_has_a_comment_with_its_place() -> None:
    found = 0
    for file in sorted((Path(__file__).parents[2] / "projects").glob("*/config.yaml")):
        root = compose([file]).root
        assert_loads_again(root)
        scalars = [node for _, node in nodes(root) if not isinstance(node.value, (dict, list))]
        lines = show_origins(root).splitlines()
        for node in scalars:
            assert any(line.endswith(f"  # {file}:{node.place.line}") for line in lines)
        found += 1
    assert found >= 2
