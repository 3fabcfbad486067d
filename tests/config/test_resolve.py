from __future__ import annotations

import datetime as dt
import functools
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lighter.config import compose
from lighter.config.resolve import Resolver
from lighter.errors import BuildError, ConfigError

from .parts import BUILT, Box, Matrix, Strict, built, composed, resolver, screen, write


@pytest.fixture(autouse=True)
def _nothing_built() -> None:
    BUILT.clear()


# --- values and components


def test_values_come_as_they_are() -> None:
    text = (
        "vars: {x: {i: 1, f: 1e-3, s: text, n: null, b: true, l: [1, [2]], m: {1: a}, e: [], d: {}, '': 1, ' ': [2]}}"
    )
    found = built(text)
    assert found == composed(text).plain("vars::x")
    assert type(found["m"]) is dict


def test_a_component_is_its_target_called_with_its_arguments() -> None:
    found = built("vars: {x: {_target_: config.parts.Box, _args_: [1, '@vars::y'], a: {b: [2]}, 3: c}, y: 5}")
    assert isinstance(found, Box)
    assert found.args == (1, 5)
    assert found.kwargs == {"a": {"b": [2]}, "3": "c"}


def test_a_target_is_found_wherever_it_is() -> None:
    assert built("vars: {x: {_target_: dict, a: 1}}") == {"a": 1}
    assert built("vars: {x: {_target_: datetime.datetime.fromisoformat, _args_: ['2024-01-31']}}") == dt.datetime(
        2024, 1, 31
    )
    assert built("vars: {x: {_target_: '$list', _args_: [[1]]}}") == [1]
    assert built("vars: {x: {_target_: '@vars::c', a: 1}, c: '$dict'}") == {"a": 1}


def test_the_callable_mode_leaves_the_call_to_others() -> None:
    found = built("vars: {x: {_target_: config.parts.Strict, _mode_: callable, size: 3}}")
    assert isinstance(found, functools.partial)
    assert found(rate=0.5).rate == 0.5
    assert built("vars: {x: {_target_: config.parts.Strict, _mode_: callable}}") is Strict


def test_a_component_that_returns_none_is_kept() -> None:
    none = "{_target_: config.parts.nothing}"
    assert built(f"vars: {{x: {{a: {none}, b: [{none}, 1, '@vars::n']}}, n: {none}}}") == {
        "a": None,
        "b": [None, 1, None],
    }
    assert built(f"vars: {{x: {{_target_: dict, a: {none}}}}}") == {"a": None}


# --- references


def test_a_reference_is_the_same_object_and_a_raw_reference_a_new_one() -> None:
    text = """\
    vars:
      b: {_target_: config.parts.Box, v: []}
      x: {one: '@vars::b', two: '@vars::b', raw: '%vars::b', e: '$@vars::b'}
    """
    found = built(text)
    assert found["one"] is found["two"] is found["e"]
    assert isinstance(found["raw"], Box)
    assert found["raw"] is not found["one"]
    assert found["raw"].kwargs["v"] is not found["one"].kwargs["v"]


def test_resolving_twice_is_the_same_object() -> None:
    made = resolver("vars: {x: {_target_: config.parts.Box, child: {_target_: config.parts.Box}}, y: '@vars::x'}")
    box = made.resolve("vars::x")
    assert made.resolve("vars::x") is box
    assert made.resolve("vars")["y"] is box
    assert made.resolve("vars::y::child") is box.kwargs["child"]


def test_references_walk_mappings_and_lists_and_levels() -> None:
    text = """\
    vars:
      l: [1, {a: [4, 5]}]
      x:
        item: '@vars::l::1::a::-1'
        sibling: '@::item'
        deep: {above: '@::::item', two: ['@::::::item', '$@::::above + 1']}
        first: ['@::-1', 7]
      alias: '@vars::l'
      through: '@vars::alias::0'
    """
    assert built(text) == {"item": 5, "sibling": 5, "deep": {"above": 5, "two": [5, 6]}, "first": [7, 7]}
    assert built(text, "vars::through") == 1


def test_a_reference_that_names_nothing_says_where_and_what_was_meant() -> None:
    assert (
        screen(lambda: built("vars:\n  learning_rate: 1\n  x: {lr: '@vars::learning_rat'}"))
        == """
config.yaml:3:11: vars::x::lr: '@vars::learning_rat' names nothing: there is no 'learning_rat' in 'vars'
    3 |   x: {lr: '@vars::learning_rat'}
      |           ^
  did you mean 'vars::learning_rate'?
""".replace("'vars::learning_rate'", "'learning_rate'")
    )


def test_a_reference_into_an_expression_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"'@vars::e::a' names nothing: 'vars::e' is the expression '\$dict\(a=1\)'"):
        built("vars: {x: '@vars::e::a', e: '$dict(a=1)'}")


def test_a_circle_is_spelled_out() -> None:
    assert (
        screen(lambda: built("vars: {x: '@vars::a', a: '$@vars::b', b: ['@vars::x']}"))
        == """
config.yaml:1:11: vars::x: references form a circle: vars::x -> vars::a -> vars::b -> vars::b::0 -> vars::x
    1 | vars: {x: '@vars::a', a: '$@vars::b', b: ['@vars::x']}
      |           ^
"""
    )


def test_a_circle_is_found_behind_much_that_is_shared() -> None:
    shared = "".join(f"  k{i}: ['@vars::k{i - 1}', '@vars::k{i - 1}']\n" for i in range(1, 40))
    with pytest.raises(ConfigError, match="references form a circle: vars::x -> vars::x::1 -> vars::x"):
        built(f"vars:\n  k0: 1\n{shared}  x: ['@vars::k39', '$@vars::x']\n")


@pytest.mark.parametrize("text", ["x: '@vars::x'", "x: '@'", "x: '@vars'", "x: '@vars::x::y'", "x: ['@vars::x']"])
def test_a_reference_to_itself_or_what_holds_it_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"circle|is the live System"):
        built(f"vars: {{{text}}}")


def test_a_long_chain_of_references_works_and_an_endless_one_is_an_error() -> None:
    chain = "".join(f"  k{i}: '@vars::k{i - 1}'\n" for i in range(1, 400))
    made = resolver(f"vars:\n  k0: 1\n{chain}")
    assert made.resolve("vars::k150") == 1
    with pytest.raises(ConfigError, match="references lead too deep"):
        resolver(f"vars:\n  k0: 1\n{chain}").resolve("vars::k399")


def test_the_deepest_nesting_that_loads_resolves() -> None:
    assert str(built("vars: {x: " + "[" * 97 + "]" * 97 + "}")) == "[" * 97 + "]" * 97


@pytest.mark.parametrize("ask", ["resolve", "target", "arguments", "place", "keys"])
def test_asking_for_a_path_that_is_not_there_is_a_config_error(ask: str) -> None:
    with pytest.raises(ConfigError, match=r"vars::box::y: there is no 'box' in 'vars'"):
        getattr(resolver("vars: {x: 1}"), ask)("vars::box::y")


@pytest.mark.parametrize("ask", ["target", "arguments", "keys"])
def test_asking_for_what_is_behind_a_reference_to_nothing_is_a_config_error(ask: str) -> None:
    with pytest.raises(ConfigError, match=r"config.yaml:1:11: vars::x: '@vars::y' names nothing"):
        getattr(resolver("vars: {x: '@vars::y'}"), ask)("vars::x")


# --- laziness


def test_only_what_is_asked_for_is_built_imported_or_looked_at() -> None:
    text = """\
    _imports_: {lazy: no_such_module}
    vars:
      x: {_target_: config.parts.record, name: '@vars::name'}
      name: x
      other: {_target_: config.parts.record, name: other}
      missing: {_target_: no.such.module, a: '@nowhere', b: '%nowhere', c: '$1 +', d: '$lazy.x'}
      wrong: {_target_: dict, _disabled_: maybe}
      odd: {_target_: dict, _disabled_: '$1 / 0'}
    """
    made = resolver(text)
    assert BUILT == []
    assert made.resolve("vars::x") == "x"
    assert BUILT == ["x"]


def test_nothing_is_imported_before_it_is_built(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    for name in ("lazy_target", "lazy_import", "lazy_required"):
        (folder / f"{name}.py").write_text("thing = dict\n", encoding="utf-8")
    made = resolver("""\
    _requires_: [lazy_required]
    _imports_: {lazy: lazy_import}
    vars: {x: {_target_: lazy_target.thing}, e: '$lazy.thing'}
    """)
    assert not {"lazy_target", "lazy_import", "lazy_required"} & sys.modules.keys()
    made.require()
    assert "lazy_required" in sys.modules
    made.resolve("vars::x")
    assert "lazy_target" in sys.modules
    assert "lazy_import" not in sys.modules
    assert made.resolve("vars::e") is dict


# --- disabled components


@pytest.mark.parametrize(
    "switch", ["true", "'@vars::off'", "'$not @vars::on'", "'%vars::off'", "'$@vars::list[0] == 1'"]
)
def test_a_disabled_component_and_its_children_are_never_built(switch: str) -> None:
    child = "{_target_: config.parts.record, name: child}"
    text = f"""\
    vars:
      off: true
      on: false
      list: [1]
      d: {{_target_: config.parts.record, _disabled_: {switch}, name: {child}}}
      again: '@vars::d'
      x:
        list: [1, '@vars::d', 2, {{_target_: dict, _disabled_: {switch}}}]
        map: {{a: '@vars::d', b: '@vars::again', c: 3}}
        component: {{_target_: dict, a: '@vars::d', c: 3}}
        expression: '$@vars::d is None'
    """
    made = resolver(text)
    assert made.resolve("vars::x") == {"list": [1, 2], "map": {"c": 3}, "component": {"c": 3}, "expression": True}
    assert made.resolve("vars::d") is None
    assert "vars::d" not in made
    assert "vars::again" not in made
    assert BUILT == []


@pytest.mark.parametrize("switch", ["false", "'@vars::off'", "'$1 > 2'"])
def test_a_component_that_is_not_disabled_is_built(switch: str) -> None:
    made = resolver(f"vars: {{off: false, x: {{_target_: dict, _disabled_: {switch}, a: 1}}}}")
    assert made.resolve("vars::x") == {"a": 1}
    assert "vars::x" in made


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        ("maybe", "config.yaml:1:40: vars::x::_disabled_: `_disabled_` must be true or false"),
        ("null", "must be true or false"),
        ("'$1'", "must be true or false"),
        ("'$1 / 0'", "raised ZeroDivisionError"),
        ("'@vars::nowhere'", "'@vars::nowhere' names nothing"),
        ("'$@vars::box'", "vars::box: `_disabled_` cannot depend on a built object"),
    ],
)
def test_a_switch_that_is_no_switch_is_an_error(switch: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(f"vars: {{x: {{_target_: dict, _disabled_: {switch}}}, box: {{_target_: dict}}}}")


# --- expressions


def test_expressions_compute_with_references_imports_and_builtins() -> None:
    text = """\
    _imports_: {m: math, pi: math.pi, path: os.path}
    vars:
      n: 3
      w: {_target_: config.parts.Matrix}
      x:
        sum: '$@vars::n + len([1, 2])'
        imported: '$m.floor(pi) + len(path.sep)'
        text: '$f"{@vars::n:>{@vars::n}}|{@vars::n!r}|@vars::n|{{}}"'
        matrix: '$@vars::w @ @vars::n'
        comprehension: '$[i * @vars::n for i in range(@::len)]'
        len: 2
        function: '$lambda v: v + @vars::n + m.floor(0.5)'
        important: '$"important" + str(@vars::n)'
        none: '$None'
    """
    found = built(text)
    assert found.pop("function")(1) == 4
    assert found == {
        "sum": 5,
        "imported": 4,
        "text": "  3|3|@vars::n|{}",
        "matrix": ("product", 3),
        "comprehension": [0, 3],
        "len": 2,
        "important": "important3",
        "none": None,
    }


def test_a_matrix_product_is_no_reference() -> None:
    assert built("_imports_: {M: config.parts.Matrix}\nvars: {x: '$M() @ 5', y: 1}") == ("product", 5)
    assert isinstance(Matrix(), Matrix)


def test_an_expression_that_does_not_parse_has_a_place() -> None:
    assert (
        screen(lambda: built("vars:\n  x: '$[1, 2'"))
        == """
config.yaml:2:6: vars::x: the expression '$[1, 2' does not parse: '[' was never closed
    2 |   x: '$[1, 2'
      |      ^
"""
    )
    for text in ("$", "$1 +", "$a = 1", "$'text", "$(" * 300, "$\\0"):
        with pytest.raises(ConfigError, match=r"config.yaml:1:11: vars::x: the expression .* does not parse"):
            built(f'vars: {{x: "{text}"}}')


def test_an_expression_that_raises_has_a_place_and_a_cause() -> None:
    assert (
        screen(lambda: built("vars: {n: 0, x: '$1 / @vars::n'}"))
        == """
config.yaml:1:17: vars::x: the expression '$1 / @vars::n' raised ZeroDivisionError: division by zero
    1 | vars: {n: 0, x: '$1 / @vars::n'}
      |                 ^
"""
    )


def test_an_unknown_name_is_told_of_the_imports() -> None:
    with pytest.raises(BuildError, match=r"NameError: name 'maths' is not defined\n  did you mean 'math'\?"):
        built("_imports_: {math: math}\nvars: {x: '$maths.pi'}")
    with pytest.raises(BuildError, match="an expression knows builtins, references"):
        built("vars: {x: '$unheard_of'}")


# --- errors of targets


def test_a_constructor_that_raises_is_told_with_place_path_target_and_root_cause() -> None:
    assert (
        re.sub(
            r"\S+parts.py:\d+", "PARTS", screen(lambda: built("vars:\n  x:\n    inner: {_target_: config.parts.fails}"))
        )
        == """
config.yaml:3:23: vars::x::inner: config.parts.fails raised RuntimeError: no data
  caused by OSError: the disk is gone
  at PARTS in fails: raise RuntimeError("no data") from error
    3 |     inner: {_target_: config.parts.fails}
      |                       ^
"""
    )
    with pytest.raises(BuildError) as caught:
        built("vars: {x: {_target_: config.parts.fails}}")
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_an_error_of_an_override_is_placed_there() -> None:
    text = "vars: {x: {_target_: config.parts.Strict, size: 1}}"
    with pytest.raises(
        BuildError, match=r"config.yaml:1:22: vars::x: config.parts.Strict raised ValueError: size must not"
    ):
        resolver(text, "vars::x::size=-1").resolve("vars::x")
    assert (
        screen(lambda: resolver(text, "vars::x::sise=1").resolve("vars::x"))
        == """
override 'vars::x::sise=1': vars::x::sise: config.parts.Strict takes no argument 'sise'
  did you mean 'size'?
"""
    )


def test_the_overrides_that_a_failing_component_took_are_named() -> None:
    text = "vars: {w: 1, x: {_target_: config.parts.Strict, size: '%vars::w', rate: {a: [1]}}}"
    made = resolver(text, "vars::w=-1", "vars::x::rate::a+=2", "vars::x::rate::b=3")
    with pytest.raises(BuildError) as caught:
        made.resolve("vars::x")
    assert str(caught.value).startswith("config.yaml:1:28: vars::x: config.parts.Strict raised ValueError: size must")
    assert str(caught.value).endswith("\n  with 'vars::w=-1', 'vars::x::rate::a+=2', 'vars::x::rate::b=3'")
    with pytest.raises(BuildError, match=r"missing a required argument: 'size'\n  with 'vars::x::rate=3'$"):
        resolver("vars: {x: {_target_: config.parts.Strict}}", "vars::x::rate=3").resolve("vars::x")
    with pytest.raises(BuildError, match=r"the parts do not fit\n  with 'vars::x::placed=false'\n  use others$"):
        resolver("vars: {x: {_target_: config.parts.refuses}}", "vars::x::placed=false").resolve("vars::x")


def test_an_override_that_is_the_place_is_not_named_again() -> None:
    text = "vars: {x: {_target_: config.parts.Strict, size: 1}}"
    with pytest.raises(
        BuildError, match=r"^override 'vars::x::depth=2': .* takes no argument 'depth'\n  with 'vars::x::rate=1'"
    ):
        resolver(text, "vars::x::depth=2", "vars::x::rate=1").resolve("vars::x")
    with pytest.raises(BuildError) as caught:
        resolver(text, "=vars::x={_target_: config.parts.Strict, size: -1}").resolve("vars::x")
    assert "\n  with " not in str(caught.value)


def test_an_error_in_the_users_code_says_where_and_one_of_a_library_does_not() -> None:
    for text in ("{_target_: config.parts.Strict, size: -1}", "'$config.Strict(-1)'"):
        with pytest.raises(BuildError, match=r"\n  at \S+parts.py:\d+ in __init__: raise ValueError\(f"):
            built(f"_imports_: {{config: config.parts}}\nvars: {{x: {text}}}")
    for text in ("{_target_: json.loads, _args_: ['{']}", "'$1 / 0'", "{_target_: config.parts.Strict}"):
        with pytest.raises(BuildError) as caught:
            built(f"vars: {{x: {text}}}")
        assert "\n  at " not in str(caught.value)


def test_arguments_that_do_not_fit_are_named() -> None:
    assert (
        screen(lambda: built("vars: {x: {_target_: config.parts.Strict, size: 1, depth: 2}}"))
        == """
config.yaml:1:52: vars::x::depth: config.parts.Strict takes no argument 'depth'
    1 | vars: {x: {_target_: config.parts.Strict, size: 1, depth: 2}}
      |                                                    ^
  it takes size, rate
"""
    )
    with pytest.raises(BuildError, match=r"config.parts.Strict: missing a required argument: 'size'"):
        built("vars: {x: {_target_: config.parts.Strict}}")
    with pytest.raises(BuildError, match="dict raised TypeError: 'int' object is not iterable"):
        built("vars: {x: {_target_: dict, _args_: [5]}}")
    with pytest.raises(BuildError, match=r"raised TypeError|too many positional"):
        built("vars: {x: {_target_: config.parts.Strict, _args_: [1, 2, 3]}}")


def test_an_error_of_one_of_our_own_parts_keeps_its_words() -> None:
    text = "vars: {x: {y: {_target_: config.parts.refuses, placed: %s}}}"
    assert (
        screen(lambda: built(text % "false"))
        == """
config.yaml:1:26: vars::x::y: config.parts.refuses: the parts do not fit
    1 | vars: {x: {y: {_target_: config.parts.refuses, placed: false}}}
      |                          ^
  use others
"""
    )
    with pytest.raises(ConfigError, match=r"^elsewhere.yaml:3:5: the parts do not fit") as caught:
        built(text % "true")
    assert caught.value.__cause__ is not caught.value


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (
            "{_target_: collections.Countr}",
            r"vars::x::_target_: the module 'collections' has no 'Countr'\n  did you mean 'collections.Counter'",
        ),
        ("{_target_: no_such_module.A}", r"there is no module 'no_such_module'\n  .*pip install no_such_module"),
        ("{_target_: 5}", "vars::x::_target_: 5 is not callable"),
        ("{_target_: null}", "None is not callable"),
        ("{_target_: math.pi}", "'math.pi' is not callable"),
        ("{_target_: a b}", "'a b' is not a dotted name"),
        ("{_target_: dict, _mode_: calable}", r"vars::x: 'calable' is not a `_mode_`\n  did you mean 'callable'"),
        ("{_target_: dict, _args_: 5}", "config.yaml:1:36: vars::x: `_args_` must be a list"),
    ],
)
def test_a_component_that_cannot_be_built_says_why(component: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(f"vars: {{x: {component}}}")


def test_a_keyboard_interrupt_passes() -> None:
    with pytest.raises(KeyboardInterrupt):
        built("vars: {x: '$(_ for _ in ()).throw(KeyboardInterrupt)'}")


# --- one slot at a time


def test_a_component_can_be_taken_apart_and_called() -> None:
    made = resolver(
        "vars:\n"
        "  x: {_target_: config.parts.Box, _args_: [1], a: 2, b: 3, off: {_target_: dict, _disabled_: true}}\n"
        "  y: '@vars::x'"
    )
    for path in ("vars::x", "vars::y"):
        assert made.target(path) is Box
        assert made.arguments(path) == {"a": 2, "b": 3}
        assert made.arguments(path, skip=["a"]) == {"b": 3}
        box = made.call(path, {"c": 4})
        assert (box.args, box.kwargs) == ((1,), {"c": 4})


def test_taking_apart_what_is_no_component_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"config.yaml:1:11: vars::x: is not a mapping with a `_target_`"):
        resolver("vars: {x: 5}").target("vars::x")
    with pytest.raises(ConfigError, match="`_args_` must be a list"):
        resolver("vars: {x: {_target_: dict, _args_: 5}}").call("vars::x", {})


def test_keys_are_those_of_a_plain_mapping_that_hold_something() -> None:
    made = resolver(
        "vars:\n"
        "  x: {a: 1, n: null, 2: b, off: {_target_: dict, _disabled_: true}, r: '@::off'}\n"
        "  y: '@vars::x'\n"
        "  c: {_target_: dict}"
    )
    assert made.keys("vars::x") == ["a", "2"]
    assert made.keys("vars::y") == ["a", "2"]
    assert made.keys("vars::c") is None
    assert made.keys("vars::x::a") is None


def test_what_a_resolver_contains() -> None:
    made = resolver("vars: {x: 1, n: null, r: '@vars::x', bad: '@vars::nowhere'}")
    assert {path: f"vars::{path}" in made for path in ("x", "n", "r", "z", "x::y")} == {
        "x": True,
        "n": False,
        "r": True,
        "z": False,
        "x::y": False,
    }
    assert str(made.place("vars::x")) == "config.yaml:1:11"


def test_live_objects_stand_for_what_the_config_describes() -> None:
    text = """\
    system::model: {_target_: config.parts.record, name: model}
    vars: {x: ['@system', '@system::model', '@vars::b'], b: {_target_: config.parts.Box}}
    """
    made = resolver(text)
    early = made.resolve("vars::b")
    live: Any = object()
    late = made.with_live({"system": live, "system::model": "wrapped"})
    assert late.resolve("vars::x") == [live, "wrapped", early]
    assert BUILT == []
    with pytest.raises(ConfigError, match="'@system' is the live System, which exists only in what is built late"):
        made.resolve("vars::x")


def test_the_trainer_can_be_live() -> None:
    made = resolver("vars: {x: '$@trainer.upper()'}").with_live({"trainer": "t"})
    assert made.resolve("vars::x") == "T"


# --- cost


def test_the_cost_grows_with_the_number_of_nodes_and_no_faster() -> None:
    assert min(_cost(1200) for _ in range(2)) < 8 * min(_cost(300) for _ in range(3))


def _cost(components: int) -> float:
    lines = [
        f"  k{i}: {{_target_: dict, a: {i}, b: '@vars::k{max(i - 1, 0)}::a', c: [1, 2]}}" for i in range(components)
    ]
    file = write("vars:\n" + "\n".join(lines))
    start = time.process_time()
    found = Resolver.of(compose([file])).resolve("vars")
    assert found["k5"] == {"a": 5, "b": 4, "c": [1, 2]}
    return time.process_time() - start
