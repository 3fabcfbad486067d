from __future__ import annotations

from typing import Any

import pytest

from lighter.errors import ConfigError

from .parts import composed, screen, variables, write

# --- what an override does


def test_an_override_sets_a_value_read_as_yaml() -> None:
    overrides = ["lr=1e-3", "n=010", "t=yes", "s= text ", "none=null", "l=[1, a]", "q='1'", "m={a: {b: 1}}"]
    found = variables("vars: {}", *(f"vars::{text}" for text in overrides))
    assert found == {
        "lr": 0.001,
        "n": 10,
        "t": True,
        "s": "text",
        "none": None,
        "l": [1, "a"],
        "q": "1",
        "m": {"a": {"b": 1}},
    }


@pytest.mark.parametrize("value", ["@vars::y", "%vars::y", "$1 + 1 # not a comment", "\\@text", "#fff", "a=b", "="])
def test_an_override_takes_text_that_yaml_would_refuse_or_cut(value: str) -> None:
    assert variables("vars: {}", f"vars::x={value}") == {"x": value}


def test_an_override_merges_a_mapping_and_replaces_anything_else_a_list_too() -> None:
    base = "vars: {m: {a: 1, l: [1]}, l: [1, 2], s: 1}"
    assert variables(base, "vars::m={b: 2, l: [9]}", "vars::l=[3]", "vars::s={x: 1}") == {
        "m": {"a": 1, "l": [9], "b": 2},
        "l": [3],
        "s": {"x": 1},
    }


def test_an_override_of_a_list_index_leaves_the_rest_of_the_list() -> None:
    base = "trainer::callbacks: [{_target_: a, patience: 1, mode: min}, {_target_: b}]"
    expected = [{"_target_": "a", "patience": 10, "mode": "min"}, {"_target_": "c"}]
    config = composed(base, "trainer::callbacks::0::patience=10", "trainer::callbacks::-1={_target_: c}")
    assert config.plain("trainer::callbacks") == expected


def test_an_override_replaces_deletes_and_appends() -> None:
    base = "vars: {m: {a: 1}, l: [1, 2, 3], k: {a: 1, b: 2}, gone: 1, n: [1]}"
    overrides = [
        "=vars::m={b: 2}",
        "~vars::l=[0, -1]",
        "~vars::k::a",
        "~vars::gone",
        "vars::n+=2",
        "vars::n+=[3, {x: 4}]",
    ]
    assert variables(base, *overrides) == {"m": {"b": 2}, "l": [2], "k": {"b": 2}, "n": [1, 2, 3, {"x": 4}]}


def test_appending_a_mapping_appends_one_item() -> None:
    config = composed("trainer::callbacks: []", "trainer::callbacks+={_target_: a, patience: 3}")
    assert config.plain("trainer::callbacks") == [{"_target_": "a", "patience": 3}]


def test_appending_to_a_key_that_is_not_there_makes_the_list() -> None:
    config = composed("vars: {m: {}}", "trainer::callbacks+={_target_: a}", "vars::m::l+=[1, 2]", "vars::m::l+=3")
    assert config.plain("trainer::callbacks") == [{"_target_": "a"}]
    assert config.plain("vars::m") == {"l": [1, 2, 3]}
    node = config.find("trainer::callbacks")
    assert node is not None
    assert str(node.place) == "override 'trainer::callbacks+={_target_: a}'"


def test_overrides_apply_in_order() -> None:
    assert variables("vars: {a: {}}", "vars::a::b={c: 1}", "vars::a::b::c=2", "~vars::a::b", "vars::a::d=3") == {
        "a": {"d": 3}
    }


def test_operators_inside_the_value_of_an_override_work() -> None:
    assert variables("vars: {a: {b: {c: 1}, d: 1}}", "vars::a={=b: {e: 2}, ~d: null}") == {"a": {"b": {"e": 2}}}


@pytest.mark.parametrize(
    "override",
    [
        "args::fit::ckpt_path=last.ckpt",
        "system::dataloaders::val=@vars::loader",
        "system::adapters::train::batch=@vars::adapter",
        "vars::x=1",
        "_imports_::np=numpy",
    ],
)
def test_an_override_makes_the_mappings_of_the_fixed_structure(override: str) -> None:
    path, _, value = override.partition("=")
    assert str(composed("", override).plain(path)) == value


# --- what an override refuses


def test_an_override_never_invents_a_path() -> None:
    config = "vars: {model: {size: 1}}\nsystem::model: {depth: 2}"
    assert (
        screen(lambda: composed(config, "trainr::max_epochs=5", "vars::modle::size=2", "vars::model::layers::n=1"))
        == """
override 'trainr::max_epochs=5': trainr::max_epochs: there is no 'trainr' in the config
  did you mean 'trainer'?

override 'vars::modle::size=2': vars::modle::size: there is no 'modle' in 'vars'
  did you mean 'model'?

override 'vars::model::layers::n=1': vars::model::layers::n: there is no 'layers' in 'vars::model'

3 problems
"""
    )


def test_an_override_of_a_missing_part_suggests_the_nearest_whole_path() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'system::optimizer::lr'\?"):
        composed("system::optimizer: {lr: 1}", "optimizer::lr=2")


def test_a_missing_key_of_the_fixed_structure_is_suggested_though_the_config_lacks_it() -> None:
    with pytest.raises(ConfigError, match=r"there is no 'fitt' in 'args'\n  did you mean 'fit'\?"):
        composed("", "args::fitt::ckpt_path=x")


@pytest.mark.parametrize("override", ["trainer.max_epochs=5", "system.model.size=5", "vars::model.size=1"])
def test_dots_are_told_of_the_separator(override: str) -> None:
    path = override.split("=")[0].replace(".", "::")
    with pytest.raises(ConfigError, match=f"levels are separated by '::': '{path}'"):
        composed("vars::model: {size: 1}\nsystem::model: {size: 1}", override)


def test_an_override_through_a_reference_names_where_to_override_instead() -> None:
    text = "vars: {o: {lr: 1}, a: '@vars::o', b: '%::o', e: '$dict(lr=1)'}"
    assert (
        screen(lambda: composed(text, "vars::a::lr=5", "vars::b::lr=5", "vars::e::lr=5", "vars::a={lr: 5}"))
        == """
override 'vars::a::lr=5': vars::a::lr: 'vars::a' is the reference '@vars::o'
  change what it refers to: 'vars::o::lr'

override 'vars::b::lr=5': vars::b::lr: 'vars::b' is the reference '%::o'
  change what it refers to: 'vars::o::lr'

override 'vars::e::lr=5': vars::e::lr: 'vars::e' is the expression '$dict(lr=1)'

override 'vars::a={lr: 5}': vars::a: a mapping cannot be merged into '@vars::o'
  change what it refers to: 'vars::o', or to replace it, write '=a' for the key

4 problems
"""
    )
    assert variables(text, "=vars::a={lr: 5}", "vars::b=2") == {
        "o": {"lr": 1},
        "a": {"lr": 5},
        "b": 2,
        "e": "$dict(lr=1)",
    }


@pytest.mark.parametrize("override", ["=0.01", "0.01", "", "=", "vars::x", "+", "fit"])
def test_an_override_without_a_path_or_a_value_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=r"an override is written path=value|has an empty part"):
        composed("vars: {}", override)


@pytest.mark.parametrize("override", ["=1=2=", "::=1", "vars::=1", "~", "+=1", "vars::::x=1", " =1"])
def test_an_override_with_an_empty_part_changes_nothing(override: str) -> None:
    with pytest.raises(ConfigError, match=r"has an empty part|there is no|nothing to replace"):
        composed("vars: {}", override)


@pytest.mark.parametrize("override", ["vars::x=", "vars::x= ", "=vars::s=", "vars::l+="])
def test_an_override_without_a_value_is_refused_and_told_of_null(override: str) -> None:
    with pytest.raises(ConfigError, match=r"vars::\w: has no value; write path=null for null"):
        composed("vars: {s: 5, l: []}", override)
    assert variables("vars: {}", "vars::x=''", "vars::y=null") == {"x": "", "y": None}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("vars::x=[1", r"override 'vars::x=\[1': not valid YAML"),
        ("vars::x={a: 1, a: 2}", "override .*: the key 'a' is written twice$"),
        ("vars::x=!own 1", "the tag '!own' has no meaning"),
        ("vars::x=\udcff", "cannot be read as YAML"),
        ("vars::l::5=1", "there is no item '5' in 'vars::l', a list of 2 items\n  its indices are 0 to 1"),
        ("vars::l::a=1", "there is no item 'a' in 'vars::l', a list of 2 items\n  a list takes an index"),
        ("vars::l::0::x=1", "'vars::l::0' is 1, which holds no 'x'"),
        ("vars::s+=1", r"'\+=' appends to a list, and this is 5"),
        ("vars::none::l+=1", "there is no 'none' in 'vars'"),
        ("vars::l::5+=1", "there is no item '5' in 'vars::l'"),
        ("=vars::none=1", "'=' has nothing to replace: there is no 'none' in 'vars'"),
        ("~vars::none", "'~' has nothing to delete: there is no 'none' in 'vars'"),
        ("~vars::l=0", "'~' takes null, or a list of the items to delete"),
        ("sed=1", "'sed' is not a known section\n  did you mean 'seed'"),
        ("vars::x=%none.yaml::a", "override .*: vars::x: there is no file 'none.yaml'"),
    ],
)
def test_a_wrong_override_is_placed_as_typed(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        composed("vars: {l: [1, 2], s: 5}", override)
    place = caught.value.problems[0].place
    assert place is not None
    assert place.override == override


def test_every_wrong_override_is_reported() -> None:
    with pytest.raises(ConfigError) as caught:
        composed("vars: {}", "a", "b::c=1", "vars::ok=1", "sed=2")
    assert len(caught.value.problems) == 3


def test_a_value_of_an_override_has_the_override_for_its_place() -> None:
    config = composed("vars: {}", "vars::x={a: [1]}")
    node = config.find("vars::x::a::0")
    assert node is not None
    assert str(node.place) == "override 'vars::x={a: [1]}'"


def test_a_list_in_a_file_that_an_override_names_comes_whole() -> None:
    write("a: {l: [1, 2]}", "b.yaml", head="")
    found: Any = variables("vars: {x: {l: [0]}}", "vars::x=%b.yaml::a")
    assert found == {"x": {"l": [1, 2]}}


def test_an_operator_stands_in_front_of_the_whole_path() -> None:
    with pytest.raises(ConfigError, match=r"inside its path\n  an operator stands in front: '~vars::a::b'"):
        composed("vars: {a: {b: 1}}", "vars::a::~b=1")
    with pytest.raises(ConfigError, match="the key 'a::=b' has an operator inside its path"):
        composed("vars: {'a::=b': 1}")
