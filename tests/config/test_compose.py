from __future__ import annotations

from pathlib import Path

import pytest

from lighter.config import compose
from lighter.errors import ConfigError

from .parts import composed, merged, screen, variables, write

# --- merging


def test_mappings_merge_lists_append_and_the_rest_replaces() -> None:
    base = "vars: {m: {a: 1, b: 1}, l: [1], s: 1, t: {x: 1}, n: [1]}"
    over = "vars: {m: {b: 2, c: 2}, l: [2, [3]], s: two, t: 5, n: null, new: {y: 1}}"
    assert merged(base, over) == {
        "m": {"a": 1, "b": 2, "c": 2},
        "l": [1, 2, [3]],
        "s": "two",
        "t": 5,
        "n": None,
        "new": {"y": 1},
    }


def test_sources_merge_in_order_and_a_comma_separates_them_too() -> None:
    one, two, three = (write(f"vars: {{x: {n}, l: [{n}]}}", f"{n}.yaml", head="" if n > 1 else "\n") for n in (1, 2, 3))
    head = write("", "head.yaml")
    apart = compose([head, one, two, three])
    assert apart.plain("vars") == {"x": 3, "l": [1, 2, 3]}
    together = compose([f"{head},{one}", f"{two}, {three}"])
    assert together.root.plain() == apart.root.plain()
    assert together.sources == apart.sources == (head, one, two, three)


def test_one_source_and_one_override_need_no_list() -> None:
    file = write("vars: {x: 1}")
    for source in (file, Path(file)):
        config = compose(source, "vars::x=2")
        assert config.plain("vars") == {"x": 2}
        assert (config.sources, config.overrides) == ((file,), ("vars::x=2",))


def test_a_file_with_a_comma_in_its_name_is_one_file() -> None:
    assert compose([Path(write("vars: 1", "a,b.yaml"))]).sources == ("a,b.yaml",)


def test_a_key_with_levels_is_a_path() -> None:
    assert variables("vars::a::b: 1\nvars::a::c: 2") == {"a": {"b": 1, "c": 2}}
    base = "vars: {l: [{a: 1}, {a: 2}], m: {x: 1, y: 1}}"
    assert merged(base, "vars: {l::-1::a: 5, m::x: 2}") == {"l": [{"a": 1}, {"a": 5}], "m": {"x": 2, "y": 1}}


def test_a_key_with_levels_finds_keys_that_are_not_text() -> None:
    assert merged("vars: {2: {a: 1}, true: {a: 1}, null: {a: 1}, 0.5: {a: 1}}", """\
        vars::2::a: 2
        vars::true::a: 2
        vars::null::a: 2
        vars::0.5::a: 2
    """) == {2: {"a": 2}, True: {"a": 2}, None: {"a": 2}, 0.5: {"a": 2}}  # fmt: skip


def test_a_path_that_leads_through_a_value_is_an_error() -> None:
    assert (
        screen(lambda: merged("vars: {a: 5}", "vars::a::b: 1"))
        == """
1.yaml:1:1: vars::a::b: 'vars::a' is 5, which holds no 'b'
    1 | vars::a::b: 1
      | ^
"""
    )


# --- operators


def test_replacing_drops_what_was_there() -> None:
    assert merged("vars: {m: {a: 1}, l: [1], s: 1}", "vars: {=m: {b: 2}, =l: [2], =s: 2}") == {
        "m": {"b": 2},
        "l": [2],
        "s": 2,
    }


def test_deleting_takes_a_key_or_items() -> None:
    base = "vars: {m: {a: 1, b: 2, c: 3}, l: [a, b, c, d], gone: 1}"
    assert merged(base, "vars: {~m: [a, c], ~l: [0, -1], ~gone: null}") == {"m": {"b": 2}, "l": ["b", "c"]}


def test_operators_work_at_any_depth_on_paths_and_in_lists() -> None:
    base = "vars: {l: [{a: {x: 1, y: 2}}]}"
    assert merged(base, "~vars::l::0::a::x: null") == {"l": [{"a": {"y": 2}}]}
    assert merged(base, "vars::l::0: {=a: {z: 3}}") == {"l": [{"a": {"z": 3}}]}
    assert merged(base, "=vars::l::0::a: 4") == {"l": [{"a": 4}]}
    assert merged(base, "=vars: {b: 1}") == {"b": 1}


def test_an_operator_in_a_subtree_that_the_base_lacks_is_an_error_and_not_a_key() -> None:
    assert (
        screen(lambda: merged("vars: {a: 1}", "vars:\n  new:\n    =x: 1\n    deep: [{~y: null}]"))
        == """
1.yaml:3:5: vars::new::x: '=' has nothing to replace: there is no 'x' in 'vars::new'
    3 |     =x: 1
      |     ^

1.yaml:4:13: vars::new::deep::0::y: '~' has nothing to delete: there is no 'y' in 'vars::new::deep::0'
    4 |     deep: [{~y: null}]
      |             ^

2 problems
"""
    )


def test_an_operator_never_makes_the_way_to_its_key() -> None:
    with pytest.raises(ConfigError, match="vars::new::x: '=' has nothing to replace: there is no 'new' in 'vars'"):
        merged("vars: {a: 1}", "=vars::new::x: 1")


def test_deleting_what_is_not_there_suggests_what_is() -> None:
    with pytest.raises(ConfigError, match=r"there is no 'epohcs' in 'vars'\n  did you mean 'epochs'\?"):
        merged("vars: {epochs: 1}", "vars: {~epohcs: null}")
    with pytest.raises(ConfigError, match=r"there is no item '3' in 'vars::l', a list of 1 item\n  its indices are 0"):
        merged("vars: {l: [1]}", "vars: {~l: [3]}")


@pytest.mark.parametrize("value", ["5", "{a: 1}", "[[1]]", "[{a: 1}]"])
def test_deleting_takes_null_or_a_list_of_keys(value: str) -> None:
    with pytest.raises(ConfigError, match="'~' takes"):
        merged("vars: {l: [1, 2]}", f"vars: {{~l: {value}}}")


def test_a_mapping_never_drops_a_reference_by_merging_into_it() -> None:
    assert (
        screen(lambda: merged("vars: {o: {lr: 1}, a: '@vars::o'}", "vars:\n  a: {lr: 5}"))
        == """
1.yaml:2:6: vars::a: a mapping cannot be merged into '@vars::o'
    2 |   a: {lr: 5}
      |      ^
  change what it refers to: 'vars::o', or to replace it, write '=a' for the key
"""
    )
    for base in ("$dict(lr=1)", "@::::::::above"):
        with pytest.raises(ConfigError, match=r"cannot be merged into .*\n  to replace it, write"):
            merged(f"vars: {{a: '{base}'}}", "vars: {a: {lr: 5}}")
    assert merged("vars: {a: '@vars::o'}", "vars: {=a: {lr: 5}}") == {"a": {"lr": 5}}
    assert merged("vars: {a: '@vars::o'}", "vars: {a: {_target_: dict}}") == {"a": {"_target_": "dict"}}
    assert merged("vars: {a: plain}", "vars: {a: {lr: 5}}") == {"a": {"lr": 5}}


# --- files in files


def test_a_reference_to_a_file_is_relative_to_the_file_that_says_so() -> None:
    write("a: {x: 1, y: '%c.yaml::z'}", "parts/b.yaml", head="")
    write("z: [7, '@vars::kept']", "parts/c.yaml", head="")
    found = variables("vars: {b: '%parts/b.yaml::a', all: '%parts/c.yaml', last: '%parts/c.yaml::z::-2'}")
    assert found == {
        "b": {"x": 1, "y": [7, "@vars::kept"]},
        "all": {"z": [7, "@vars::kept"]},
        "last": 7,
    }


def test_an_included_value_keeps_its_own_place() -> None:
    write("\n\na: {x: 1}", "b.yaml", head="")
    node = composed("vars: {b: '%b.yaml::a'}").find("vars::b::x")
    assert node is not None
    assert str(node.place) == "b.yaml:3:8"


def test_raw_references_in_an_included_file_name_things_of_that_file() -> None:
    write("base: {lr: 1}\nnet: {opt: '%base', same: '%::opt'}", "b.yaml", head="")
    assert variables("vars: {n: '%b.yaml::net'}\n") == {"n": {"opt": {"lr": 1}, "same": {"lr": 1}}}


def test_an_include_in_an_override_is_relative_to_the_working_folder_and_can_be_merged_over() -> None:
    write("a: {x: 1, l: [1]}", "sub/b.yaml", head="")
    write("vars: {}", "sub/config.yaml")
    config = compose(["sub/config.yaml"], ["vars::a=%sub/b.yaml::a", "vars::a::x=2"])
    assert config.plain("vars") == {"a": {"x": 2, "l": [1]}}


def test_a_missing_include_is_an_error_where_it_is_asked_for() -> None:
    write("a: 1", "other.yaml", head="")
    assert (
        screen(lambda: composed("vars: {a: '%othr.yaml::a', b: '%other.yaml::c'}"))
        == """
config.yaml:1:11: vars::a: there is no file 'othr.yaml'
    1 | vars: {a: '%othr.yaml::a', b: '%other.yaml::c'}
      |           ^
  did you mean 'other.yaml'?

config.yaml:1:31: vars::b: there is no 'c' in the config (other.yaml)
    1 | vars: {a: '%othr.yaml::a', b: '%other.yaml::c'}
      |                               ^

2 problems
"""
    )


def test_a_missing_include_never_suggests_the_file_that_says_so() -> None:
    write("vars: {}", "parts/sub/empty.yaml", head="")
    for file, missing in (("config", "confg"), ("config", "sub/../confg"), ("c", "othr")):
        with pytest.raises(ConfigError, match="there is no file") as caught:
            compose([write(f"vars: {{a: '%{missing}.yaml'}}", f"parts/{file}.yaml")])
        assert caught.value.problems[0].suggestion is None


def test_an_error_in_an_included_file_is_placed_there() -> None:
    write("a: 1\na: 2", "other.yaml", head="")
    with pytest.raises(ConfigError, match=r"other.yaml:2:1: vars::x: the key 'a' is written twice"):
        composed("vars: {x: '%other.yaml'}")
    write("a: '%nothing'", "other.yaml", head="")
    with pytest.raises(ConfigError, match=r"other.yaml:1:4: a: '%nothing' names nothing"):
        composed("vars: {x: '%other.yaml'}")


def test_files_that_include_each_other_in_a_circle_are_an_error() -> None:
    write("a: '%two.yaml'", "one.yaml", head="")
    write("b: '%one.yaml'", "two.yaml", head="")
    with pytest.raises(ConfigError, match=r"one.yaml:1:4: vars::x: 'two.yaml' refers back to itself|refers back"):
        composed("vars: {x: '%one.yaml'}")
    with pytest.raises(ConfigError, match=r"config.yaml:1:11: vars::x: .* refers back to itself"):
        composed("vars: {x: '%config.yaml::vars'}")


def test_files_that_include_each_other_again_and_again_are_an_error() -> None:
    for index in range(20):
        write("".join(f"k{j}: '%f{index + 1}.yaml'\n" for j in range(5)), f"f{index}.yaml", head="")
    write("a: 1", "f20.yaml", head="")
    with pytest.raises(ConfigError, match="more than 1000 files are included"):
        composed("vars: {x: '%f0.yaml'}")


def test_files_that_include_files_without_end_are_an_error() -> None:
    for index in range(600):
        write(f"k: '%f{index + 1}.yaml'", f"f{index}.yaml", head="")
    with pytest.raises(ConfigError, match="files include files too deeply"):
        composed("vars: {x: '%f0.yaml'}")


# --- the config


def test_a_config_tells_what_it_holds() -> None:
    config = composed("vars: {a: [1, {b: null}]}", "seed=3")
    assert "vars::a::-1::b" in config
    assert "vars::a::2" not in config
    assert "vars::a::b" not in config
    assert config.plain("vars::a::0") == 1
    assert config.plain("vars::nothing") is None
    assert config.plain() == config.root.plain()
    assert config.overrides == ("seed=3",)
    assert config.find("vars::x") is None


def test_composing_executes_nothing() -> None:
    composed("vars: {a: '$open(\"touched\", \"w\")', b: '$import no_such_module', c: {_target_: no.such.thing}}")
    assert not Path("touched").exists()
