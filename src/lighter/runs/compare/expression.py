"""The language of `--where`: comparisons of a name with a value, joined by `and`, `or`, `not` and brackets.

A name may hold what names of metrics and config paths do (`val/loss/epoch`, `system::optimizer::lr`), as there is no
arithmetic that `/` or `-` could mean. What is compared with what is missing is neither true nor false.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from lighter.errors import UsageError

Value: TypeAlias = str | int | float | bool | None
Lookup: TypeAlias = Callable[[str], Value]  # the value of a name, None where it is missing
Truth: TypeAlias = bool | None  # None where a value is missing
Condition: TypeAlias = Callable[[Lookup], Truth]

DEEPEST = 50  # brackets in brackets
_TOKEN = re.compile(r"\s*(?:(?P<mark>==|!=|<=|>=|[<>~()])|(?P<text>\"[^\"]*\"|'[^']*')|(?P<word>[^\s()<>=!~\"']+))")
_WORDS: Mapping[str, Value] = {"true": True, "false": False}
_OPERATORS: Mapping[str, Callable[[Value, str, Value], bool]] = {  # of what is found, and the other as typed and meant
    "==": lambda found, typed, meant: _is_equal(found, typed, meant),
    "!=": lambda found, typed, meant: not _is_equal(found, typed, meant),
    "<": lambda found, _, meant: _is_ordered(operator.lt, found, meant),
    "<=": lambda found, _, meant: _is_ordered(operator.le, found, meant),
    ">": lambda found, _, meant: _is_ordered(operator.gt, found, meant),
    ">=": lambda found, _, meant: _is_ordered(operator.ge, found, meant),
    "~": lambda found, typed, _: typed.lower() in str(found).lower(),
}


@dataclass(frozen=True)
class Expression:
    """A condition on the values of names; `names` are those it asks for."""

    condition: Condition
    names: tuple[str, ...]

    def holds(self, lookup: Lookup) -> bool:
        """Tell whether it is true; it is not where what it asks for is missing."""
        return self.condition(lookup) is True


def parse(text: str) -> Expression:
    """Read an expression such as `status == completed and (val/loss/epoch < 0.3 or lr >= 1e-2)`.

    Raises:
        UsageError: it is none.
    """
    parser = _Parser(text)
    condition = parser.either()
    if parser.token is not None:
        raise parser.error("nothing follows here but 'and' or 'or'")
    return Expression(condition, tuple(dict.fromkeys(parser.names)))


@dataclass
class _Parser:
    """Read by recursive descent: `or` binds least, then `and`, then `not`."""

    text: str
    names: list[str] = field(default_factory=list)
    token: re.Match[str] | None = None
    at: int = 0
    depth: int = 0

    def __post_init__(self) -> None:
        self.text = self.text.rstrip()
        self.advance()

    def advance(self) -> None:
        """Step to the next token; None at the end."""
        self.at = self.token.end() if self.token else 0
        self.token = _TOKEN.match(self.text, self.at) if self.at < len(self.text) else None
        if self.token is None and self.at < len(self.text):
            rest = self.text[self.at :].lstrip()
            hints = {"=": "equal is written =="}
            hints |= dict.fromkeys("\"'", "this quote is not closed")
            raise self.error(hints.get(rest[0], f"{rest[0]!r} has no meaning here"))

    def takes(self, kind: str, text: str) -> bool:
        """Step over a token if it is this one."""
        if self.token is None or self.token[kind] != text:
            return False
        self.advance()
        return True

    def either(self) -> Condition:
        conditions = [self.both()]
        while self.takes("word", "or"):
            conditions.append(self.both())
        return conditions[0] if len(conditions) == 1 else _any_of(conditions)

    def both(self) -> Condition:
        conditions = [self.one()]
        while self.takes("word", "and"):
            conditions.append(self.one())
        return conditions[0] if len(conditions) == 1 else _all_of(conditions)

    def one(self) -> Condition:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.error("it is nested too deeply")
        if self.takes("word", "not"):
            condition = _opposite_of(self.one())
        elif self.takes("mark", "("):
            condition = self.either()
            if not self.takes("mark", ")"):
                raise self.error("a ')' is missing")
        else:
            condition = self.comparison()
        self.depth -= 1
        return condition

    def comparison(self) -> Condition:
        if self.token is None or self.token["mark"] or self.token["word"] in ("and", "or"):
            raise self.error("the name of a field, a metric or a config path is missing")
        name = self.token["word"] or self.token["text"][1:-1]
        if self.token["word"] and (name in _WORDS or isinstance(_value(name), float)):
            raise self.error(f"a name stands on the left, and {name!r} is a value")
        self.names.append(name)
        self.advance()
        mark = self.token["mark"] if self.token else None
        if mark not in _OPERATORS:
            return lambda lookup: _truth(lookup(name))
        self.advance()
        if self.token is None or self.token["mark"]:
            raise self.error(f"a value is missing after {mark!r}")
        typed = self.token["word"] or self.token["text"][1:-1]
        meant = _value(typed) if self.token["word"] else typed
        self.advance()
        compare = _OPERATORS[mark]
        return lambda lookup: None if (found := lookup(name)) is None else compare(found, typed, meant)

    def error(self, reason: str) -> UsageError:
        rest = self.token[0] if self.token else self.text[self.at :]
        at = (self.token.end() if self.token else len(self.text)) - len(rest.lstrip())
        return UsageError(f"--where: {reason}\n  {self.text}\n  {' ' * at}^", value=self.text)


def _value(word: str) -> Value:
    if word in _WORDS:
        return _WORDS[word]
    try:
        return float(word)
    except ValueError:
        return word


def _is_equal(found: Value, typed: str, meant: Value) -> bool:
    if isinstance(found, bool) or isinstance(meant, bool):
        return found is meant
    times = _time(found), _time(meant)
    return found == meant or str(found) == typed or (None not in times and times[0] == times[1])


def _is_ordered(compare: Callable[[float, float], bool], found: Value, meant: Value) -> bool:
    """Compare numbers as numbers, times as times and text as text; a number and text have no order."""
    one, other = _time(found), _time(meant)
    if one is not None and other is not None:
        return compare(one, other)
    if isinstance(found, str) and isinstance(meant, str):
        return bool(compare(found, meant))  # type: ignore[arg-type]
    if isinstance(found, (str, type(None))) or isinstance(meant, (str, type(None))):
        return False
    return compare(found, meant)


def _time(value: Value) -> float | None:
    """Return an ISO time in seconds, one without a zone as a clock here has it; None of anything else."""
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def _truth(value: Value) -> Truth:
    return None if value is None else bool(value)


def _opposite_of(condition: Condition) -> Condition:
    return lambda lookup: None if (truth := condition(lookup)) is None else not truth


def _all_of(conditions: list[Condition]) -> Condition:
    def condition(lookup: Lookup) -> Truth:
        truths = [one(lookup) for one in conditions]
        return False if False in truths else None if None in truths else True

    return condition


def _any_of(conditions: list[Condition]) -> Condition:
    def condition(lookup: Lookup) -> Truth:
        truths = [one(lookup) for one in conditions]
        return True if True in truths else None if None in truths else False

    return condition
