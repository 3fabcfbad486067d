from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lighter.errors import UsageError
from lighter.runs.compare.expression import Value, parse

VALUES: dict[str, Value] = {
    "status": "completed",
    "val/loss/epoch": 0.25,
    "system::optimizer::lr": 0.01,
    "epochs": 3,
    "dirty": False,
    "seed": 0,
    "commit": "1234567",
    "when": "2026-03-01T10:00",
    "text": "64",
    "odd name": 1,
    "nothing": float("nan"),
}


def holds(text: str) -> bool:
    return parse(text).holds(VALUES.get)


@pytest.mark.parametrize(
    "text",
    [
        "status == completed",
        "status == 'completed'",
        'status=="completed"',
        "status != failed",
        "val/loss/epoch < 0.3",
        "val/loss/epoch<.3",
        "system::optimizer::lr >= 1e-2",
        "status == completed and val/loss/epoch < 0.3 and system::optimizer::lr >= 0.01",
        "epochs == 3 and epochs == 3.0",
        "epochs > -1",
        "dirty == false",
        "not dirty",
        "not seed",
        "commit == 1234567",
        "commit ~ 345",
        "status ~ COMP",
        "when > 2026-02",
        "text == 64",
        "'odd name' == 1",
        "nothing != nothing",
        "epochs == 1 or epochs == 2 or epochs == 3",
        "epochs == 3 or missing == 1",
        "not (epochs == 1 and missing == 1)",
        "not not epochs == 3",
    ],
)
def test_what_is_true(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "status == complete",
        "status < 3",
        "epochs < many",
        "epochs == true",
        "dirty == 0",
        "dirty",
        "nothing < 1",
        "nothing >= 1",
        "epochs == 3 and dirty",
    ],
)
def test_what_is_false(text: str) -> None:
    assert not holds(text)
    assert holds(f"not ({text})")


@pytest.mark.parametrize(
    "text",
    [
        "missing == 1",
        "missing != 1",
        "missing",
        "missing == 1 and epochs == 3",
        "missing < 1 or epochs == 1",
        "missing ~ x",
    ],
)
def test_what_is_missing_is_never_true_and_neither_is_its_opposite(text: str) -> None:
    assert not holds(text)
    assert not holds(f"not ({text})")


def test_times_are_compared_as_times_and_without_a_zone_as_those_of_a_clock_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "XXX-2")
    time.tzset()
    started = "2026-11-22T15:07:30.000+00:00"
    for text, expected in (
        ("started > '2026-11-22 17:00'", True),
        ("started > '2026-11-22 17:08'", False),
        ("started > '2026-11-22T15:00+00:00'", True),
        ("started < 2026-11-23", True),
        ("started == '2026-11-22 17:07:30'", True),
        ("started ~ '2026-11-22T15'", True),
    ):
        assert parse(text).holds(lambda _: started) is expected, text


def test_not_binds_most_and_or_least() -> None:
    assert holds("epochs == 3 or epochs == 1 and epochs == 2")
    assert not holds("(epochs == 3 or epochs == 1) and epochs == 2")
    assert not holds("not epochs == 3 and epochs == 3")


def test_it_tells_which_names_it_asks_for() -> None:
    assert parse("b == 1 and (a::c ~ x or not b)").names == ("b", "a::c")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the name of a field, a metric or a config path is missing"),
        ("a = 1", "equal is written ==\n  a = 1\n    ^"),
        ("a ==", "a value is missing after '=='\n  a ==\n      ^"),
        ("a == )", "a value is missing after '=='\n  a == )\n       ^"),
        ("a == 'x", "this quote is not closed\n  a == 'x\n       ^"),
        ("(a == 1", "a ')' is missing\n  (a == 1\n         ^"),
        ("a == 1)", "nothing follows here but 'and' or 'or'\n  a == 1)\n        ^"),
        ("a == 1 b == 2", "nothing follows here but 'and' or 'or'\n  a == 1 b == 2\n         ^"),
        ("a ! 1", "'!' has no meaning here\n  a ! 1\n    ^"),
        ("0.1 < a", "a name stands on the left, and '0.1' is a value\n  0.1 < a\n  ^"),
        ("true == a", "a name stands on the left, and 'true' is a value"),
        ("a == 1 and", "the name of a field, a metric or a config path is missing"),
        ("and a", "the name of a field, a metric or a config path is missing"),
        ("(" * 60 + "a", "it is nested too deeply"),
        ("not " * 60 + "a", "it is nested too deeply"),
    ],
)
def test_what_is_no_expression_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert str(caught.value).startswith("--where: ")
    assert said in str(caught.value)


@given(st.text(alphabet="ab::/ ()<>=!~'\"1.-\\\n andornt", max_size=40) | st.text())
@example("__import__('os').system('x')")
@example("\N{NO-BREAK SPACE}a")
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    try:
        parse(text).holds(VALUES.get)
    except UsageError:
        return
