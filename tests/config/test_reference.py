from __future__ import annotations

import pytest

from lighter.config.reference import absolute, expand, parse_expression, unescape
from lighter.errors import ConfigError

from .parts import built, composed, resolver, screen

# --- what a reference's text means


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a::b", ("a", "b")),
        ("::x", ("m", "l", "x")),
        ("::::x", ("m", "x")),
        ("::::::x", ("x",)),
        ("a::-1", ("a", "-1")),
        ("", ()),
    ],
)
def test_each_leading_separator_is_a_level_up(text: str, path: tuple[str, ...]) -> None:
    assert absolute(text, ("m", "l", "k")) == path


def test_climbing_above_the_top_is_an_error_where_it_is_built() -> None:
    assert (
        screen(lambda: built("vars: {x: '@::::::a'}"))
        == """
config.yaml:1:11: vars::x: '@::::::a' names nothing: '::::::' climbs above the top of the config
    1 | vars: {x: '@::::::a'}
      |           ^
"""
    )


@pytest.mark.parametrize(
    ("text", "plain"),
    [(r"\@a", "@a"), (r"\%a", "%a"), (r"\$a", "$a"), (r"\\@a", r"\\@a"), (r"\a", r"\a"), ("a@b", "a@b"), ("", "")],
)
def test_a_leading_backslash_makes_the_mark_itself(text: str, plain: str) -> None:
    assert unescape(text) == plain
    assert built(f"vars: {{x: '{text}'}}") == plain


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("@vars::box.parameters()", "$@vars::box.parameters()"),
        ("%vars::box.parameters()", "$@vars::box.parameters()"),
        ("@::box.size.width", "$@::box.size.width"),
        ("%vars::box.size", "$@vars::box.size"),
        ("@vars::made.shape", "$@vars::made.shape"),
        ("@vars::bx.parameters()", "$@vars::bx.parameters()"),
    ],
)
def test_an_expression_without_its_mark_is_told_of_it(text: str, mend: str) -> None:
    with pytest.raises(ConfigError) as caught:
        built(f"vars: {{x: '{text}', box: {{_target_: dict, lr: 1}}, made: '$[1]', m: {{lr: 1}}}}")
    assert caught.value.problems[0].suggestion == f"an expression starts with '$': \"{mend}\""


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("@vars::box.lr", "vars::box::lr"),
        ("@vars::m.size", "vars::m::size"),
        ("%:box", "%::box"),
        ("@vars:box", "@vars::box"),
        ("@vars::m:lr", "@vars::m::lr"),
        ("%other.yaml:a", "%other.yaml::a"),
    ],
)
def test_a_wrong_separator_is_told_of_the_right_one(text: str, mend: str) -> None:
    with pytest.raises(ConfigError) as caught:
        built(f"vars: {{x: '{text}', box: {{_target_: dict, lr: 1}}, m: {{lr: 1}}}}")
    assert caught.value.problems[0].suggestion == f"levels are separated by '::': {mend!r}"


# --- references in expressions


@pytest.mark.parametrize(
    ("text", "references"),
    [
        ("@a::b + 1", ["a::b"]),
        ("@a + @a", ["a"]),
        ("(@::x)[0] if @y else @z::-1", ["::x", "y", "z::-1"]),
        ("a @ b", []),
        ("@a @ @b", ["a", "b"]),
        ("@a@@b", ["a", "b"]),
        ("f(x) @ @w", ["w"]),
        ("x[0]@y", []),
        ("[@a, {'k': @b}]", ["a", "b"]),
        ("lambda x: @a(x)", ["a"]),
        ("not @a and @b or @c", ["a", "b", "c"]),
        ("1 @ @a", ["a"]),
        ("None @ x", []),
        ("'@a' + \"@b\"", []),
        (r"'\'@a' + @b", ["b"]),
        ("'''@a'''", []),
        ("r'\\' + @a", []),
        ("f'@a {@b} {{@c}} {@d!r:>{@e}}'", ["b", "d", "e"]),
        ("rf'{@a}' + fr\"{@b['x']}\"", ["a", "b"]),
        ("f'{@a != @b}'", ["a", "b"]),
        ("f'{d[\"@x\"]}'", []),
        ("b'@a'", []),
        ("1 if'@a'else @b", ["b"]),
        ("@a.shape[-1]", ["a"]),
        ("@größe", ["größe"]),
    ],
)
def test_references_are_found_in_code_and_not_in_text(text: str, references: list[str]) -> None:
    assert list(parse_expression(text).references.values()) == references


def test_an_expression_without_references_is_left_as_it_is() -> None:
    text = "f'{x!r:>{w}}{{}}' if a @ b else r'\\d' + '''\n'''"
    assert parse_expression(text).code == text


def test_text_nested_without_end_is_an_error() -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse_expression('f"{' * 2000)


# --- raw references


def test_a_raw_reference_is_a_copy_that_reads_as_if_written_where_it_lands() -> None:
    text = "vars: {o: {lr: '@::base', base: 1}, x: {a: '%vars::o', lr: '@::a::lr', base: 2}}"
    assert built(text) == {"a": {"lr": 1, "base": 1}, "lr": 1, "base": 2}
    assert built("vars: {o: ['@::::here'], here: 1, x: {here: 2, l: '%vars::o'}}") == {"here": 2, "l": [2]}


def test_a_raw_reference_goes_on_behind_references_on_its_way() -> None:
    assert built("vars: {x: '%vars::a::b', a: '@vars::c', c: {b: {d: 1}}}") == {"d": 1}
    assert built("vars: {x: '%vars::a::b', a: '%vars::c', c: {b: '%vars::e'}, e: 2}") == 2


def test_every_raw_reference_that_names_nothing_is_reported() -> None:
    config = composed("vars: {x: '%vars::a::c', a: {b: 1}, y: ['%::5', '%y']}")
    assert (
        screen(lambda: expand(config.root, config.root))
        == """
config.yaml:1:11: vars::x: '%vars::a::c' names nothing: there is no 'c' in 'vars::a'
    1 | vars: {x: '%vars::a::c', a: {b: 1}, y: ['%::5', '%y']}
      |           ^

config.yaml:1:41: vars::y::0: '%::5' names nothing: there is no item '5' in 'vars::y', a list of 2 items
    1 | vars: {x: '%vars::a::c', a: {b: 1}, y: ['%::5', '%y']}
      |                                         ^
  its indices are 0 to 1

config.yaml:1:49: vars::y::1: '%y' names nothing: there is no 'y' in the config
    1 | vars: {x: '%vars::a::c', a: {b: 1}, y: ['%::5', '%y']}
      |                                                 ^

3 problems
"""
    )


@pytest.mark.parametrize(
    "text",
    [
        "x: '%vars::x'",
        "x: {y: '%vars::x'}",
        "x: '%vars::a', a: '%vars::x'",
        "x: {y: '%vars::a'}, a: {z: '%vars::x'}",
        "k: '%vars::a', a: {x: '%vars::b'}, b: {y: '%vars::a'}, x: '%vars::k'",
        "x: '%'",
        "x: '%vars::x::y'",
    ],
)
def test_a_raw_reference_that_leads_back_to_itself_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"leads back to itself|leads in a circle"):
        built(f"vars: {{{text}}}")


def test_raw_references_behind_raw_references_are_bounded() -> None:
    chain = "".join(f"  k{i}: '%vars::k{i - 1}'\n" for i in range(1, 300))
    with pytest.raises(ConfigError, match="its references lead too deep"):
        resolver(f"vars:\n  k0: 1\n{chain}")
    bomb = "".join(f"  k{i}: [{', '.join([repr(f'%vars::k{i - 1}')] * 9)}]\n" for i in range(1, 12))
    with pytest.raises(ConfigError, match="more than 200000 values once its references are expanded"):
        resolver(f"vars:\n  k0: 1\n{bomb}")
