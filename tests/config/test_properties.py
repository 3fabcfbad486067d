"""Properties of the config language, on configs that Hypothesis makes up."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lighter.config import compose, dump
from lighter.config.resolve import Resolver
from lighter.config.tree import join, key_text, split
from lighter.errors import LighterError

from .parts import HEAD

few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(
        ["1e-3", "010", "yes", "null", "~", "=", "<<", "2024-01-31", "1:30", "@vars::a", "%vars::a", "$1 + 1", "\\@a"]
    ),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    TEXTS.filter(lambda text: not (text.startswith("%") and ".y" in text.lower())),
)
NAMES = st.one_of(
    st.sampled_from(["a", "b", "c", "d", "on", "no", "1", "-1", "0.5", "lr"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6).filter(
        lambda text: text[:1] not in "=~" and "::" not in text
    ),
)
KEYS = st.one_of(NAMES.filter(bool), st.integers(2, 9))


def _distinct(mapping: dict[Any, Any]) -> dict[Any, Any]:
    """Drop the numbers that a path cannot tell from text."""
    return {key: value for key, value in mapping.items() if isinstance(key, str) or str(key) not in mapping}


def _mappings(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[Any, Any]]:
    return st.dictionaries(KEYS, values, max_size=4).map(_distinct)


VALUES = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), _mappings(inner)), max_leaves=12)
VARIABLES = _mappings(VALUES)


def save(name: str, variables: Any, *, head: bool = False) -> str:
    Path(name).write_text((HEAD if head else "") + dump({"vars": variables}), encoding="utf-8")
    return name


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the paths of the scalars and the empty collections of a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [leaf for key, item in items for leaf in leaves(item, (*path, key))] or [path]


@few
@given(VARIABLES)
def test_composing_dumping_and_loading_again_is_the_identity(variables: Any) -> None:
    first = compose([save("first.yaml", variables, head=True)])
    assert first.plain("vars") == variables
    text = dump(first.plain())
    Path("second.yaml").write_text(text, encoding="utf-8")
    second = compose(["second.yaml"])
    assert repr(second.plain()) == repr(first.plain())
    assert repr(yaml.safe_load(text)) == repr(first.plain())


@few
@given(VARIABLES, VARIABLES, VARIABLES)
def test_merging_in_steps_is_merging_at_once(one: Any, two: Any, three: Any) -> None:
    files = [save("1.yaml", one, head=True), save("2.yaml", two), save("3.yaml", three)]
    try:
        at_once = compose(files).plain()
    except LighterError as error:
        assert "cannot be merged into" in str(error)  # noqa: PT017 - a reference in the way of a mapping
        return
    Path("steps.yaml").write_text(dump(compose(files[:2]).plain()), encoding="utf-8")
    assert repr(compose(["steps.yaml", files[2]]).plain()) == repr(at_once)


@few
@given(VARIABLES.filter(bool), st.data())
def test_an_override_sets_one_value_and_touches_nothing_else(variables: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([leaf for leaf in leaves(variables) if _can_be_typed(leaf)] or [()]))
    if not path:
        return
    value = data.draw(st.one_of(SCALARS, st.lists(SCALARS, max_size=2)))
    expected = copy.deepcopy(variables)
    holder: Any = expected
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    typed = yaml.safe_dump(value, default_style='"', default_flow_style=True, width=10**6)
    config = compose([save("base.yaml", variables, head=True)], [f"{join(('vars', *path))}={typed}"])
    assert repr(config.plain("vars")) == repr(expected)
    assert config.plain("trainer") == {"_target_": "builtins.dict"}


def _can_be_typed(path: tuple[Any, ...]) -> bool:
    """Tell whether a path survives the command line: an equals sign ends it, and blanks at its end are cut."""
    text = join(path)
    if split(text) != tuple(map(key_text, path)):
        return False  # a key that begins or ends with a colon
    return all(key_text(key) for key in path) and text == text.strip() and "=" not in text and not text.endswith("+")


YAMLISH = st.lists(
    st.sampled_from(
        [
            *(
                "a: ",
                "b: ",
                "vars: ",
                "trainer: ",
                "system: ",
                "_target_: ",
                "_disabled_: ",
                "=a: ",
                "~a: ",
                "vars::a: ",
                "<<: ",
            ),
            *(
                "- ",
                "[",
                "]",
                "{",
                "}",
                ", ",
                "\n",
                "\n  ",
                "\n    ",
                "&x ",
                "*x",
                "!t ",
                "!!int ",
                "|\n",
                "'",
                '"',
                "#",
                "---\n",
                "\t",
            ),
            *(
                "1",
                "text",
                "null",
                "true",
                "'@vars::a'",
                "'%vars::b'",
                "'%self.yaml::vars'",
                "'$1 +'",
                "'@::a'",
                "\ufeff",
                "\x00",
                "::",
            ),
        ]
    ),
    max_size=25,
).map("".join)


@settings(few, max_examples=300)
@given(st.one_of(YAMLISH, YAMLISH.map(lambda text: HEAD + text), st.text(max_size=40)), st.lists(YAMLISH, max_size=2))
def test_no_text_raises_anything_but_our_own_errors(text: str, overrides: list[str]) -> None:
    Path("self.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        config = compose(["self.yaml"], overrides)
        dump(config.plain())
        made = Resolver.of(config)
        for path in ("vars", "vars::a", "vars::a::b"):
            if path in made:
                made.resolve(path)
    except LighterError as error:
        assert str(error)  # noqa: PT017 - whatever it is, it says something


MUTATED = """\
trainer: {_target_: builtins.dict, l: [1, 2]}
system: {_target_: lighter.System, model: '%vars::a', metrics: {train: '@vars::b'}}
vars:
  a: {_target_: builtins.dict, x: '@vars::b::0', y: '$@::x + 1'}
  b: [1, {c: '@::::0'}, '%vars::a']
  d: {_target_: builtins.dict, _disabled_: '$@vars::b[0] > 0'}
args: {fit: {ckpt_path: null}}
"""


@settings(few, max_examples=200)
@given(st.data())
def test_no_mutation_of_a_config_raises_anything_but_our_own_errors(data: st.DataObject) -> None:
    text = MUTATED
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 6))
        text = (
            text[:at]
            + data.draw(st.sampled_from([*"{}[],:'\"@%$&*!|>#\\~=+-\n\t ", "::", "@::", "a", "0"]))
            + text[at + cut :]
        )
    Path("mutated.yaml").write_text(text, encoding="utf-8")
    override = data.draw(
        st.sampled_from(["vars::b::0=5", "vars::b+=1", "~vars::a", "=vars::b={}", "vars::a::x::y=1", "vars::d={}"])
    )
    try:
        made = Resolver.of(compose(["mutated.yaml"], [override]))
        made.resolve("vars")
    except LighterError as error:
        assert str(error)  # noqa: PT017 - whatever it is, it says something
