from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from lighter.config import compose
from lighter.config.load import load_text, resolve_scalar
from lighter.errors import ConfigError, Place, UsageError

from .parts import HEAD, composed, screen, variables, write

# --- slips


@pytest.mark.parametrize("text", ["[$max(1), 2]", "{a: $len('('), b: 3}", "[$f(1]", '["$max(1, 2)", 3]', "[a(1, 2)]"])
def test_what_no_comma_cuts_is_read_as_it_stands(text: str) -> None:
    assert load_text(text, Place("a.yaml", 1, 1)).value


# --- scalars


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("1", 1),
        ("-3", -3),
        ("+3", 3),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("-1.5e+2", -150.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("yes", True),
        ("Off", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31 10:00:00", "2024-01-31 10:00:00"),
        ("y", "y"),
        ("nan", "nan"),
        ("e3", "e3"),
        ("1e", "1e"),
        ("=", "="),
        ("1.2.3", "1.2.3"),
        ("TRue", "TRue"),
    ],
)
def test_a_plain_scalar_means_what_the_language_says(text: str, meaning: object) -> None:
    found = resolve_scalar(text)
    assert found == meaning
    assert type(found) is type(meaning)


def test_not_a_number_is_a_float() -> None:
    assert math.isnan(variables("vars: .nan"))  # type: ignore[arg-type]


def test_keys_are_names_but_for_true_and_false() -> None:
    found = variables("vars: {on: 1, No: 2, yes: 3, OFF: 4, true: 5, False: 6, null: 7, 2: 8, 0.5: 9}")
    assert found == {"on": 1, "No": 2, "yes": 3, "OFF": 4, True: 5, False: 6, None: 7, 2: 8, 0.5: 9}


def test_quoted_numbers_are_text() -> None:
    assert variables("""vars: ['1', "1e-3", 'true', '~', '']""") == ["1", "1e-3", "true", "~", ""]


def test_the_numbers_of_one_config_are_read_as_yaml_1_2() -> None:
    assert variables("vars: {lr: 1e-3, n: 010, t: 1:30, on: yes}") == {"lr": 0.001, "n": 10, "t": "1:30", "on": True}


def test_block_scalars_and_unicode_are_text() -> None:
    assert variables("vars:\n  a: |\n    1\n    2\n  b: >\n    x\n    y\n  ü: Größe ✓\n") == {
        "a": "1\n2\n",
        "b": "x y\n",
        "ü": "Größe ✓",
    }


def test_core_tags_force_a_type() -> None:
    found = variables(
        "vars: [!!str 1, !!float 1, !!float 0x10, !!int '3', !!bool 'yes', !!null '', !!seq [], !!map {}]"
    )
    assert found == ["1", 1.0, 16.0, 3, True, None, [], {}]
    assert [type(item) for item in found[:3]] == [str, float, float]


def test_other_tags_are_refused_each_with_its_place() -> None:
    text = "vars: {a: !!timestamp 2020-01-01, b: !own [1],\n  c: !!python/object/apply:os.system [ls], d: !!int x}\n"
    assert (
        screen(lambda: composed(text))
        == """
config.yaml:1:11: the tag '!!timestamp' has no meaning in a config
    1 | vars: {a: !!timestamp 2020-01-01, b: !own [1],
      |           ^

config.yaml:1:38: the tag '!own' has no meaning in a config
    1 | vars: {a: !!timestamp 2020-01-01, b: !own [1],
      |                                      ^

config.yaml:2:6: the tag '!!python/object/apply:os.system' has no meaning in a config
    2 |   c: !!python/object/apply:os.system [ls], d: !!int x}
      |      ^

config.yaml:2:47: 'x' is not a YAML int
    2 |   c: !!python/object/apply:os.system [ls], d: !!int x}
      |                                               ^

4 problems
"""
    )


def test_a_number_of_thousands_of_digits_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"config.yaml:1:7: is too long a number"):
        composed(f"vars: {'1' * 5000}\n")


# --- places


def test_every_value_keeps_its_file_line_and_column() -> None:
    config = composed("vars:\n  a: [1, {b: 2}]\n")
    node = config.find("vars::a::1::b")
    assert node is not None
    assert str(node.place) == "config.yaml:2:14"
    assert str(node.key_place) == "config.yaml:2:11"


def test_the_place_of_a_merged_value_is_the_file_that_wrote_it_last() -> None:
    config = compose([write("vars: {a: 1, b: 1}\n"), write("vars:\n  b: 2\n", "over.yaml", head="")], ["vars::c=3"])
    places = {name: str(node.place) for name in "abc" if (node := config.find(f"vars::{name}"))}
    assert places == {"a": "config.yaml:1:11", "b": "over.yaml:2:6", "c": "override 'vars::c=3'"}


# --- files


def test_a_missing_file_suggests_the_one_beside_it() -> None:
    write("vars: 1\n", "conf/train.yaml")
    assert (
        screen(lambda: compose(["conf/trian.yaml"]))
        == """
there is no file 'conf/trian.yaml'
  did you mean 'train.yaml'?
"""
    )


def test_every_missing_file_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["one.yaml", "two.yaml"])
    assert [problem.value for problem in caught.value.problems] == ["one.yaml", "two.yaml"]


@pytest.mark.parametrize("name", [".", "a\0b.yaml", "n" * 5000, "\udcff.yaml"])
def test_a_name_that_cannot_be_read_is_a_config_error(name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot read|there is no file|is a folder"):
        compose([name])


@pytest.mark.parametrize("sources", [[], [""], [","]])
def test_no_source_is_a_usage_error(sources: list[str]) -> None:
    with pytest.raises(UsageError, match="name at least one source"):
        compose(sources)


def test_a_byte_order_mark_is_skipped() -> None:
    Path("bom.yaml").write_bytes(b"\xef\xbb\xbf" + HEAD.encode())
    config = compose(["bom.yaml"])
    node = config.find("trainer")
    assert node is not None
    assert str(node.key_place) == "bom.yaml:1:1"


def test_text_that_is_not_utf_8_is_an_error_with_its_place() -> None:
    Path("latin.yaml").write_bytes(b"vars:\n  caf\xc3\xa9: caf\xe9\n")
    assert (
        screen(lambda: compose(["latin.yaml"]))
        == """
latin.yaml:2:12: is not UTF-8 text: invalid continuation byte
  save it as UTF-8
"""
    )
    Path("wide.yaml").write_bytes(HEAD.encode("utf-16"))
    with pytest.raises(ConfigError, match=r"wide.yaml:1:1: is not UTF-8 text"):
        compose(["wide.yaml"])


def test_an_empty_file_holds_nothing() -> None:
    assert compose([write("vars: 1\n"), write("# nothing\n", "empty.yaml", head="")]).plain("vars") == 1


@pytest.mark.parametrize("text", ["- a\n", "text\n", "1\n"])
def test_a_top_that_is_not_a_mapping_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"config.yaml:1:1: a config is a mapping of sections"):
        compose([write(text, head="")])


# --- syntax errors


def test_a_tab_is_named() -> None:
    assert (
        screen(lambda: composed("vars:\n\ta: 1\n"))
        == """
config.yaml:2:1: a tab cannot indent YAML: use spaces
    2 |  a: 1
      | ^
"""
    )


def test_a_second_document_is_refused() -> None:
    assert (
        screen(lambda: composed("vars: 1\n---\nseed: 2\n"))
        == """
config.yaml:2:1: a config is one YAML document: '---' begins a second one
    2 | ---
      | ^
"""
    )


def test_a_reference_without_quotes_is_told_to_take_them() -> None:
    assert (
        screen(lambda: composed("vars: {a: @vars::b}\n"))
        == """
config.yaml:1:11: a value cannot start with '@' in YAML
    1 | vars: {a: @vars::b}
      |           ^
  put quotes around it
"""
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vars: [1, 2\nseed: 1\n", "config.yaml:2:.*not valid YAML"),
        ("vars: *nowhere\n", "config.yaml:1:7: not valid YAML: found undefined alias"),
        ("vars: 'a\n", "not valid YAML"),
        ("vars: a: b\n", "config.yaml:1:8: not valid YAML: mapping values are not allowed"),
        ("vars: '\x07'\n", "control characters are not allowed"),
        ("vars: {a: &a 1, b: &a 2}\n", "config.yaml:1:20: an anchor of this name is there already"),
    ],
)
def test_bad_yaml_is_an_error_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        composed(text)


def test_every_duplicate_key_is_an_error() -> None:
    assert (
        screen(lambda: composed("vars:\n  a: 1\n  b: {x: 1, x: 2}\n  a: 3\n  =a: 4\n"))
        == """
config.yaml:3:13: the key 'x' is written twice (first in line 3)
    3 |   b: {x: 1, x: 2}
      |             ^

config.yaml:4:3: the key 'a' is written twice (first in line 2)
    4 |   a: 3
      |   ^

config.yaml:5:3: the key 'a' is written twice (first in line 4)
    5 |   =a: 4
      |   ^

3 problems
"""
    )


@pytest.mark.parametrize(
    "pair", ["1: a, true: b", "0: a, false: b", "1: a, 1.0: b", "1: a, '1': b", "true: a, 'true': b"]
)
def test_keys_that_python_or_a_path_cannot_tell_apart_are_duplicates(pair: str) -> None:
    with pytest.raises(ConfigError, match="is written twice"):
        composed(f"vars: {{{pair}}}\n")


def test_keys_that_only_python_cannot_tell_apart_do_not_merge_across_files() -> None:
    write("vars: {true: b}\n", "over.yaml", head="")
    with pytest.raises(ConfigError, match=r"over.yaml:1:8: vars::true: this key and 1 or 0 beside it"):
        compose([write("vars: {1: a}\n"), "over.yaml"])


@pytest.mark.parametrize("key", ["'a::'", "'::a'", "'a::::b'", "'='", "'~'", "'=::a'"])
def test_a_key_with_an_empty_part_is_an_error(key: str) -> None:
    with pytest.raises(ConfigError, match=r"config.yaml:1:8: the key .* has an empty part"):
        composed(f"vars: {{{key}: 1}}\n")


@pytest.mark.parametrize(("key", "message"), [("[1, 2]", "must be text or a number"), (".nan", "cannot be nan")])
def test_a_key_that_no_path_can_name_is_an_error(key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"config.yaml:2:5: a key {message}"):
        composed(f"vars:\n  ? {key}\n  : 1\n")


# --- anchors, aliases, merge keys


def test_an_alias_is_a_copy() -> None:
    assert variables("vars: {a: &a {x: [1]}, b: *a}", "vars::b::x::0=2") == {"a": {"x": [1]}, "b": {"x": [2]}}


def test_merge_keys_follow_yaml() -> None:
    text = """\
    vars:
      a: &a {x: 1, y: {p: 1}}
      b: &b {x: 2, y: {q: 1}, z: 3}
      one: {<<: *a, x: 9}
      many: {<<: [*a, *b], w: 4}
      twice:
        <<: *b
        y: 5
      whole: {<<: *a, y: {r: 1}}
      text: {'<<': 1}
    """
    found = variables(text)
    plain = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))["vars"]
    assert found == plain | {"text": {"<<": 1}}


def test_a_merge_key_takes_mappings_only() -> None:
    with pytest.raises(ConfigError, match=r"config.yaml:1:12: '<<' takes a mapping or a list of mappings"):
        composed("vars: {<<: 5}\n")


def test_an_alias_inside_its_own_anchor_is_an_error() -> None:
    assert (
        screen(lambda: composed("vars: &a {x: *a}\n"))
        == """
config.yaml:1:7: an alias stands inside its own anchor
    1 | vars: &a {x: *a}
      |       ^
"""
    )


def test_an_alias_bomb_ends_in_an_error() -> None:
    lines = ["  a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    with pytest.raises(ConfigError, match="more than 200000 values once its aliases are expanded"):
        composed("vars:\n" + "\n".join(lines) + "\n")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}"), ("- ", "")])
@pytest.mark.parametrize("depth", [150, 200_000])
def test_nesting_that_no_stack_survives_is_an_error(opening: str, closing: str, depth: int) -> None:
    with pytest.raises(ConfigError, match="is nested more than 100 levels deep"):
        load_text(opening * depth + closing * depth, Place("config.yaml", 1, 1))


def test_nesting_by_aliases_is_an_error_too() -> None:
    lines = ["  a0: &a0 x"] + [f"  a{i}: &a{i} [*a{i - 1}]" for i in range(1, 300)]
    with pytest.raises(ConfigError, match="is nested more than 100 levels deep"):
        composed("vars:\n" + "\n".join(lines) + "\n")
