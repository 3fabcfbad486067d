from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from lighter.config import compose, dump
from lighter.config.dump import dump_in_one_line
from lighter.config.tree import Plain

from .parts import composed


def reloaded(value: Plain) -> Plain:
    """Return a value dumped and loaded again, by us and by any YAML 1.1 reader alike."""
    text = dump({"trainer": {"_target_": "a"}, "system": {"_target_": "b"}, "vars": value})
    Path("dumped.yaml").write_text(text, encoding="utf-8")
    ours = compose(["dumped.yaml"]).plain("vars")
    theirs = yaml.safe_load(text)["vars"]
    assert repr(theirs) == repr(ours)
    return ours


@pytest.mark.parametrize(
    "text",
    [
        *(
            "1",
            "1.5",
            "1e-3",
            "1e5",
            "010",
            "0o17",
            "0x1F",
            "1_000",
            "0b1",
            "1:30",
            "190:20:30",
            "+1",
            ".5",
            "1.",
            "6e",
            ".",
        ),
        *(".inf", ".nan", "inf", "yes", "No", "ON", "off", "true", "y", "n", "null", "~", "Null", "", " ", " a", "a "),
        *(
            "2024-01-31",
            "2024-01-31T10:00:00Z",
            "=",
            "<<",
            "-",
            "- a",
            "?",
            ": a",
            "a: b",
            "a #b",
            "#",
            "@a",
            "%a",
            "$a",
        ),
        *(
            "`",
            "&a",
            "*a",
            "!a",
            "|",
            ">",
            "'",
            '"',
            "'a'",
            "{",
            "[a]",
            ",",
            "---",
            "...",
            "a\nb",
            "a\nb\n",
            "\n",
            "\na",
            "  a\nb",
        ),
        *(
            "a\n\n\nb\n\n",
            "a \nb",
            "a\tb",
            "\t",
            "\ta\nb",
            "a\r\nb",
            "\x85",
            "\u2028",
            "\x00",
            "\x7f",
            "ü✓",
            "😀",
            "\\@a",
            "\ufeff",
        ),
        *(
            "x" * 300,
            "word " * 60,
            "1" * 5000,
            "1" * 90 + "e5",
            "0" * 120 + ".5e1",
            "# a\nb",
            "- a\n- b",
            "a: |\n  b",
            "---\na",
        ),
    ],
)
def test_text_stays_text_as_a_value_and_as_a_key(text: str) -> None:
    assert reloaded([text]) == [text]
    assert reloaded({"k": {"l": text}}) == {"k": {"l": text}}
    if text[:1] not in ("=", "~"):
        assert reloaded({text: 1, "z": {text: text}}) == {text: 1, "z": {text: text}}


@pytest.mark.parametrize(
    "value",
    [
        0,
        -7,
        10**30,
        0.1,
        1e-3,
        1e-5,
        1e16,
        1.5e300,
        -0.0,
        1.0,
        math.inf,
        -math.inf,
        True,
        False,
        None,
        [],
        {},
        [[]],
        [{}],
        {"a": {}},
    ],
)
def test_other_values_stay_what_they_are(value: Plain) -> None:
    found = reloaded([value])
    assert repr(found) == repr([value])
    assert repr(reloaded({"k": value})) == repr({"k": value})


def test_keys_of_every_type_stay_what_they_are() -> None:
    value: Plain = {2: "a", 0.5: "b", None: "c", True: "d", "on": "e", "1": "f", "no": "g"}
    assert repr(reloaded(value)) == repr(value)


def test_not_a_number_stays_so() -> None:
    assert repr(reloaded([math.nan])) == "[nan]"


def test_a_dump_is_read_by_people() -> None:
    config = composed("""\
    vars:
      text: "1e-3"
      lr: 1e-3
      notes: "first\\nsecond\\n"
      on: {x: &a [1, 2], y: *a}
      reference: '@vars::lr'
      escaped: '\\@home'
      empty: {}
      umlaut: ü
    """)
    assert (
        "\n" + dump(config.plain("vars"))
        == """
text: '1e-3'
lr: 0.001
notes: |
  first
  second
'on':
  x:
    - 1
    - 2
  y:
    - 1
    - 2
reference: '@vars::lr'
escaped: \\@home
empty: {}
umlaut: ü
"""
    )


def test_a_text_without_line_breaks_takes_one_line_however_long() -> None:
    for text in ("word " * 60 + "end", "a: " * 60, "$" + "f(x) + " * 60 + "1"):
        assert dump({"key": text}).count("\n") == 1
        assert dump([[text]]).count("\n") == 1


@pytest.mark.parametrize("text", ["a \nb", "a\nb ", "a\n\n", "\n", "\na", " \n", "a\n \n"])
def test_a_text_with_blanks_or_lines_at_an_end_is_escaped_as_they_cannot_be_seen(text: str) -> None:
    assert dump([text]) == "- " + repr(f"{text}'")[:-2] + '"\n'


@pytest.mark.parametrize("value", ["a", "...", "a\nb\n", "", 1, None, [], {}])
def test_a_value_alone_is_a_document_without_an_end_mark(value: Plain) -> None:
    assert yaml.safe_load(dump(value)) == value
    assert "..." not in dump(value).splitlines()


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("a", "a"),
        ("1", "'1'"),
        ("a\nb", r'"a\nb"'),
        (0.001, "0.001"),
        (None, "null"),
        ([], "[]"),
        ([1, "a, b", "a\nb"], r"""[1, 'a, b', "a\nb"]"""),
        ({"a": {"b": [1, {}]}, "1": "x" * 200}, "{a: {b: [1, {}]}, '1': " + "x" * 200 + "}"),
    ],
)
def test_a_value_can_be_said_in_one_line(value: Plain, line: str) -> None:
    assert dump_in_one_line(value) == line
    assert yaml.safe_load(line) == value
