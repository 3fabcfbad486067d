from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import linecache
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lighter.config.check.arguments import EMPTY, Signature
from lighter.config.check.signatures import signature_of

ANY = "any"
NAMES = "abcd"
RENAMED = {"old_a": "a"}


def signature(target: Callable[..., object]) -> Signature:
    found = signature_of(target)
    assert found is not None
    return found


def taken(target: Callable[..., object]) -> set[str] | str:
    found = signature(target)
    return ANY if found.open else set(found.named)


def end(a: int = 0, b: str = "", *, c: float = 0.0) -> None: ...


def needy(a: int, b: str, c: float = 0.0) -> None: ...


def stored(**kwargs: Any) -> dict[str, Any]:
    return kwargs


# What a call hands on


def test_a_callee_takes_the_names_that_the_call_does_not_give_it() -> None:
    def by_name(**kwargs: Any) -> None:
        end(a=1, **kwargs)

    def by_position(x: int, **kwargs: Any) -> None:
        end(x, "b", **kwargs)

    def all_of_them(**kwargs: Any) -> None:
        return end(**kwargs)

    assert taken(by_name) == {"b", "c"}
    assert taken(by_position) == {"x", "c"}
    assert taken(all_of_them) == {"a", "b", "c"}


def test_a_callee_that_cannot_be_known_takes_any_name() -> None:
    def unknown(call: Callable[..., None], **kwargs: Any) -> None:
        call(**kwargs)

    def local(**kwargs: Any) -> None:
        call = end if len("x") else needy
        call(**kwargs)

    def in_c(**kwargs: Any) -> None:
        dict.fromkeys("a", **kwargs)

    assert [taken(unknown), taken(local), taken(in_c)] == [ANY] * 3


def test_names_that_go_nowhere_are_all_taken() -> None:
    def ignores(**kwargs: Any) -> None:
        end()

    assert taken(ignores) == ANY


def test_all_callees_must_take_a_name() -> None:
    def twice(**kwargs: Any) -> None:
        print(end(**kwargs), needy("", 1, **kwargs))  # type: ignore[arg-type,func-returns-value]

    assert taken(twice) == {"c"}


def test_chains_are_followed_and_circles_are_not() -> None:
    def first(**kwargs: Any) -> None:
        second(a=1, **kwargs)

    def second(a: int, **kwargs: Any) -> None:
        end(a, **kwargs)

    def circle(**kwargs: Any) -> None:
        circle(**kwargs)
        circle(**kwargs)

    assert taken(first) == {"b", "c"}
    assert taken(circle) == ANY


def test_required_arguments_of_a_callee_are_required() -> None:
    def wraps(**kwargs: Any) -> None:
        needy(1, **kwargs)

    def supplies(**kwargs: Any) -> None:
        kwargs.setdefault("a", 1)
        needy(**kwargs)

    def replaces(**kwargs: Any) -> None:
        kwargs.update(a=1)
        kwargs["b"] = ""
        needy(**kwargs)

    def adds(more: dict[str, Any], **kwargs: Any) -> None:
        kwargs.update(more)
        needy(**kwargs)

    def may_not_call(on: bool, **kwargs: Any) -> None:
        if on:
            needy(**kwargs)

    assert signature(wraps).required == {"b"}
    assert signature(supplies).required == {"b"}
    assert signature(replaces).required == set()
    assert signature(adds).required == {"more"}
    assert signature(may_not_call).required == {"on"}


def shown(target: Callable[..., object]) -> tuple[list[str], bool, set[str]]:
    found = signature(target)
    return [item.name for item in found.positional], found.any_positional, set(found.required)


def test_positional_arguments_are_followed_where_all_calls_agree() -> None:
    def passes(*args: Any, **kwargs: Any) -> None:
        needy(*args, **kwargs)

    def after_one(*args: Any, **kwargs: Any) -> None:
        needy(1, *args, **kwargs)

    def may_pass(on: bool, *args: Any, **kwargs: Any) -> None:
        if on:
            needy(**kwargs)
        else:
            needy(*args, **kwargs)

    def disagrees(on: bool, *args: Any, **kwargs: Any) -> None:
        if on:
            needy(*args, **kwargs)
        else:
            needy(1, *args, **kwargs)

    assert shown(passes) == (["a", "b", "c"], False, {"a", "b"})
    assert shown(after_one) == (["b", "c"], False, {"b"})
    assert shown(may_pass) == (["on"], True, {"on"})
    assert shown(disagrees) == (["on"], True, {"on"})


def test_positional_arguments_are_not_followed_where_they_may_be_others() -> None:
    def some(*args: Any, **kwargs: Any) -> None:
        needy(*args[1:], **kwargs)

    def fewer(*args: Any, **kwargs: Any) -> None:
        args = args[1:]
        needy(*args, **kwargs)

    def fewer_at_once(*args: Any, **kwargs: Any) -> None:
        print(args := args[1:])
        needy(*args, **kwargs)

    def may_take_any_out(*args: Any, **kwargs: Any) -> None:
        KEPT.append(kwargs)
        needy(*args, **kwargs)

    def takes_one_out(*args: Any, **kwargs: Any) -> None:
        kwargs.pop("a", None)
        needy(*args, **kwargs)

    assert shown(some) == shown(fewer) == shown(fewer_at_once) == ([], True, set())
    assert shown(takes_one_out) == shown(may_take_any_out) == ([], True, set())


def test_an_annotation_is_kept_only_where_the_value_surely_gets_there() -> None:
    def passes(**kwargs: Any) -> None:
        end(**kwargs)

    def pops(**kwargs: Any) -> None:
        kwargs.pop("a", 1)
        end(**kwargs)

    def replaces(**kwargs: Any) -> None:
        kwargs["b"] = str(kwargs["b"])
        end(**kwargs)

    def other(a: str, b: str) -> None: ...

    def either(on: bool, **kwargs: Any) -> None:
        if on:
            end(**kwargs)
        else:
            other(**kwargs)

    def perhaps(on: bool, **kwargs: Any) -> None:
        if on:
            other(**kwargs)

    def annotations(target: Callable[..., object]) -> dict[str, object]:
        named = signature(target).named.values()
        return {item.name: item.annotation for item in named if isinstance(item.annotation, type)}

    assert annotations(passes) == {"a": int, "b": str, "c": float}
    assert annotations(pops) == {"a": EMPTY, "b": str, "c": float}
    assert annotations(replaces) == {"a": int, "b": EMPTY, "c": float}
    assert annotations(either) == {"on": bool, "a": EMPTY, "b": str, "c": float}
    assert annotations(perhaps) == {"on": bool, "a": EMPTY, "b": EMPTY}


# What a function does with the names itself


def test_names_that_are_taken_out_are_taken() -> None:
    def pops(**kwargs: Any) -> None:
        kwargs.pop("x", None)
        if kwargs.get("y"):
            del kwargs["y"]
        end(a=kwargs.pop("z"), **kwargs)

    def too_late(**kwargs: Any) -> None:
        end(**kwargs)
        kwargs.pop("x", None)

    assert taken(pops) == {"b", "c", "x", "y", "z"}
    assert taken(too_late) == {"a", "b", "c"}


def test_what_only_reads_the_names_changes_nothing() -> None:
    def reads(**kwargs: Any) -> None:
        print(kwargs.get("x"), kwargs["a"], len(kwargs), f"{kwargs}", {**kwargs}, [*kwargs], kwargs is None)
        print([name for name in kwargs if name], sorted(kwargs), kwargs.items(), kwargs == {}, copy.copy(kwargs))
        end(**kwargs)

    assert taken(reads) == {"a", "b", "c"}


@pytest.mark.parametrize(
    "body",
    [
        "if kwargs: raise TypeError(kwargs)",
        "if len(kwargs) > 0: raise TypeError",
        "if kwargs != {} and bool(kwargs): raise TypeError",
        "if not kwargs: return\n    raise TypeError",
        "if len(kwargs) == 0: pass\n    else: raise TypeError",
        "assert not kwargs",
        "assert kwargs == {}, 'unexpected'",
        "refuse(kwargs)",
    ],
)
def test_a_function_that_raises_if_names_are_left_takes_only_those_it_took_out(body: str) -> None:
    target = defined(f"def target(**kwargs):\n    kwargs.pop('x', 1)\n    {body}", refuse=refuse)
    assert taken(target) == {"x"}


@pytest.mark.parametrize(
    "body",
    [
        "if on and kwargs: raise TypeError",
        "if not kwargs or on: return\n    raise TypeError",
        "if not kwargs: raise TypeError",
        "if kwargs: print(kwargs)",
        "refuse(dict(kwargs))",
        "other.refuse(kwargs)",
    ],
)
def test_a_function_that_may_not_raise_if_names_are_left_takes_any(body: str) -> None:
    target = defined(f"def target(on=False, **kwargs):\n    kwargs.pop('x', 1)\n    {body}", refuse=refuse)
    assert taken(target) == ANY


def refuse(options: dict[str, Any]) -> None:
    if options:
        raise TypeError(f"unexpected: {', '.join(options)}")


def defined(text: str, **names: object) -> Callable[..., object]:
    """Define a function in a file of its own, as far as the modules that read sources can tell."""
    file = f"<{abs(hash(text))}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    space: dict[str, Any] = {"end": end, "needy": needy, "contextlib": contextlib, **names}
    exec(compile(text, file, "exec"), space)  # only what the tests in this file write
    target: Callable[..., object] = space["target"]
    return target


@pytest.mark.parametrize(
    "body",
    [
        "kept = kwargs; kept.pop('a', None)",
        "kwargs = {**defaults, **kwargs}",
        "kwargs = dict(defaults, **kwargs)",
        "kwargs = dict(list(defaults.items()) + list(kwargs.items()))",
        "kwargs = defaults | kwargs",
        "kwargs |= defaults",
        "kwargs.update(defaults)",
        "kwargs: dict = kwargs.copy()",
    ],
)
def test_a_superset_of_the_names_is_followed(body: str) -> None:
    target = defined(f"def target(defaults=None, **kwargs):\n    {body}\n    end(**kwargs)")
    assert taken(target) == {"defaults", "a", "b", "c"}
    assert not signature(target).required


@pytest.mark.parametrize(
    "body",
    [
        "keeper.kwargs = kwargs",
        "kept = [kwargs]",
        "kept = kwargs or {}",
        "(kept := kwargs)",
        "kwargs = {k: v for k, v in kwargs.items() if v}",
        "kwargs = {**kwargs, 'a': 1}",
        "kwargs.pop(on)",
        "kwargs.pop(f'{on}_x', None)",
        "kwargs.clear()",
        "kwargs.popitem()",
        "change = kwargs.pop; change('x')",
        "on(kwargs)",
        "on(options=kwargs)",
        "print(lambda: kwargs.pop('x'))",
        "locals()['kwargs'].clear()",
        "for name in ('x',): name = on or name; kwargs.pop(name)",
        "for on in ('x',): kwargs.pop(on)",
        "for name in kwargs: print(name); kwargs = {}",
        "for name in list(kwargs): kwargs.pop(name)",
        "with open(on) as kwargs: pass",
        "if on: kwargs = {}",
        "if on: kept = kwargs\n    on(kept)",
        "def change(): kwargs.pop('x')\n    change()",
    ],
)
def test_what_may_change_the_names_in_any_way_lets_any_through(body: str) -> None:
    target = defined(f"def target(on=None, **kwargs):\n    {body}\n    end(**kwargs)", keeper=functools)
    assert taken(target) == ANY


def test_helpers_that_are_handed_the_dictionary_are_followed() -> None:
    def override(options: dict[str, Any], name: str, value: object) -> None:
        if name in options and options[name] != value:
            raise ValueError(name)
        options[name] = value

    def take(options: dict[str, Any]) -> None:
        options.pop("x", None)

    def keep(options: dict[str, Any]) -> None:
        KEPT.append(options)

    def fill(options: dict[str, Any]) -> None:
        options.setdefault("b", "")

    def filled(**kwargs: Any) -> None:
        fill(kwargs)
        needy(**kwargs)

    def target(**kwargs: Any) -> None:
        override(kwargs, "a", 1)
        take(options=kwargs)
        end(**kwargs)

    def keeps(**kwargs: Any) -> None:
        keep(kwargs)
        end(**kwargs)

    assert taken(target) == {"a", "b", "c", "x"}
    assert signature(filled).required == {"a"}
    assert taken(keeps) == ANY


KEPT: list[dict[str, Any]] = []


def legacy(**changed: tuple[str, object]) -> Callable[..., Callable[..., None]]:
    """Take an old name for an argument, the way that torchvision's model builders do."""

    def outer(build: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(build)
        def inner(*args: Any, **kwargs: Any) -> None:
            for new, (old, default) in changed.items():
                if old in kwargs:
                    kwargs[new] = default(kwargs) if callable(default) else kwargs.pop(old)
            return build(*args, **kwargs)

        return inner

    return outer


def test_a_key_from_a_collection_in_a_closure_is_known() -> None:
    assert taken(legacy(a=("pre_a", None))(end)) == {"a", "b", "c", "pre_a"}
    assert taken(legacy(a=("pre_a", refuse))(end)) == {"a", "b", "c", "pre_a"}
    assert taken(legacy(a=("pre_a", KEPT.append))(end)) == ANY


def test_a_key_from_a_fixed_collection_is_known() -> None:
    def target(**kwargs: Any) -> None:
        for old, new in RENAMED.items():
            kwargs[new] = kwargs.pop(old)
        for name in ("x", "y"):
            kwargs.pop(name, None)
        print({name: kwargs.pop(name, None) for name in ["z"]})
        end(**kwargs)

    def unfixed(names: list[str], **kwargs: Any) -> None:
        for name in names:
            kwargs.pop(name, None)
        end(**kwargs)

    assert taken(target) == {"a", "b", "c", "old_a", "x", "y", "z"}
    assert taken(unfixed) == ANY


# Paths


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("if on: end(**kwargs)\n    else: needy('', 1, **kwargs)", {"a", "b", "c"}),
        ("if on: end(**kwargs)\n    elif off: needy(**kwargs)\n    else: raise TypeError", {"a", "b", "c"}),
        ("if on: return end(**kwargs)\n    raise TypeError", {"a", "b", "c"}),
        ("end(**kwargs) if on else needy(**kwargs)", {"a", "b", "c"}),
        ("with open(on): end(**kwargs)", {"a", "b", "c"}),
        ("try: end(**kwargs)\n    finally: print(on)", {"a", "b", "c"}),
        ("try: on()\n    except ValueError: raise\n    end(**kwargs)", {"a", "b", "c"}),
        ("print([end(**kwargs)], {1: on})", {"a", "b", "c"}),
        ("if end(**kwargs): return", {"a", "b", "c"}),
        ("match on:\n        case 1: end(**kwargs)", ANY),
        ("if on: end(**kwargs)", ANY),
        ("if on: return\n    end(**kwargs)", ANY),
        ("if on: kwargs = {}\n    end(**kwargs)", ANY),
        ("try: end(**kwargs)\n    except TypeError: pass", ANY),
        ("try: kwargs.pop('x'); on()\n    except KeyError: end(**kwargs)", ANY),
        ("try: end(**kwargs)\n    finally: return", ANY),
        ("with contextlib.suppress(TypeError): end(**kwargs)", ANY),
        ("for _ in on: end(**kwargs)", ANY),
        ("while on: end(**kwargs)", ANY),
        ("for _ in on: break\n    else: end(**kwargs)", ANY),
        ("on and end(**kwargs)", ANY),
        ("[end(**kwargs) for _ in on]", ANY),
        ("(lambda: end(**kwargs))", ANY),
        ("def inner(): end(**kwargs)", ANY),
    ],
)
def test_a_name_is_refused_only_where_all_paths_refuse_it(body: str, names: set[str] | str) -> None:
    target = defined(f"def target(on=None, off=None, **kwargs):\n    {body}")
    assert taken(target) == (names if names == ANY else {*names, "on", "off"})


def test_the_body_of_a_generator_is_not_run_by_a_call() -> None:
    def generator(**kwargs: Any) -> Iterator[None]:
        end(**kwargs)
        yield

    async def coroutine(**kwargs: Any) -> None:
        end(**kwargs)

    assert taken(generator) == ANY
    assert taken(coroutine) == ANY


def test_a_function_without_a_source_takes_any_name() -> None:
    space: dict[str, Any] = {"end": end}
    exec("def target(**kwargs):\n    end(**kwargs)", space)
    changed = defined("def target(**kwargs): end(**kwargs)")
    linecache.cache[changed.__code__.co_filename] = (0, None, ["def other(a, **kwargs): end(**kwargs)"], "")
    assert taken(space["target"]) == taken(changed) == ANY
    assert taken(lambda **kwargs: end(**kwargs)) == ANY


# Methods


class Base:
    def __init__(self, size: int, rate: float = 0.1) -> None: ...


class Mixin:
    def __init__(self, *args: Any, mixed: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class Mixed(Mixin, Base):
    def __init__(self, extra: int, **kwargs: Any) -> None:
        super().__init__(size=1, **kwargs)

    @classmethod
    def small(cls, **kwargs: Any) -> Mixed:
        return cls(extra=0, **kwargs)

    @staticmethod
    def large(**kwargs: Any) -> Mixed:
        return Mixed.small(mixed=True, **kwargs)


class Explicit(Mixed):
    def __init__(self, **kwargs: Any) -> None:
        self.set_up(kwargs.pop("depth"), **kwargs)

    def set_up(self, depth: int, **kwargs: Any) -> None:
        print(depth)
        super(Mixed, self).__init__(**kwargs)
        Base.__init__(self, **kwargs)


class Outermost(Mixin):
    pass


class Replaced(Explicit):
    def __init__(self, **kwargs: Any) -> None:
        self.set_up: Any = CALLS[0]
        self.set_up(**kwargs)


class Swapped(Explicit):
    def __init__(self, **kwargs: Any) -> None:
        self = CALLS[0](self)
        self.set_up(1, **kwargs)


class Unnamed(Base):
    def __init__(*args: Any, strict: bool = False, **kwargs: Any) -> None:
        Base.__init__(*args, **kwargs)


def test_super_is_the_next_class_in_the_order_of_the_target() -> None:
    assert taken(Mixed) == {"extra", "mixed", "rate"}
    assert taken(Outermost) == {"mixed"}


def test_methods_of_the_receiver_are_followed() -> None:
    assert taken(Mixed.small) == {"mixed", "rate"}
    assert taken(Mixed.large) == {"rate"}
    assert taken(Explicit) == {"depth", "size", "rate"}
    assert signature(Explicit).required == {"size"}
    assert taken(Replaced) == taken(Swapped) == ANY
    assert taken(Unnamed) == {"strict", "size", "rate"}


def test_a_bound_method_knows_its_class() -> None:
    class Model(Base):
        def build(self, **kwargs: Any) -> None:
            type(self)(**kwargs)

        def check(self, **kwargs: Any) -> None:
            self.finish(1, **kwargs)

        def finish(self, a: int, b: int = 0) -> None: ...

    assert taken(Model(1).check) == {"b"}
    assert taken(Model(1).build) == ANY


# Wrappers


def test_a_wrapper_that_hands_everything_on_is_seen_through() -> None:
    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with contextlib.nullcontext():
                return function(*args, **kwargs)

        return wrapper

    class Net(Base):
        @logged
        def __init__(self, width: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)

    found = signature(logged(needy))
    assert taken(logged(needy)) == {"a", "b", "c"}
    assert [item.name for item in found.positional] == ["a", "b", "c"]
    assert taken(Net) == {"width", "size", "rate"}
    assert signature(Net).required == {"width", "size"}


def test_of_a_wrapper_that_cannot_be_followed_the_names_are_known_and_none_is_required() -> None:
    def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return CALLS[0](*args, **kwargs)

        CALLS.append(function)
        return wrapper

    @contextmanager
    def manager(a: int, b: int = 1) -> Iterator[None]:
        yield

    for target in (remembered(needy), manager):
        found = signature(target)
        assert found.open
        assert found.required == set()
        assert {"a", "b"} <= set(found.named)
        assert found.named["a"].annotation is int


CALLS: list[Callable[..., Any]] = []


# Any function at all

STATEMENTS = """
kwargs.pop(KEY, None) | del kwargs[KEY] | kwargs[KEY] = 1 | kwargs.setdefault(KEY, 1) | kwargs.update(more)
kwargs = {**more, **kwargs} | kwargs = {**kwargs, KEY: 1} | other = kwargs | other.pop(KEY, None) | kwargs = {}
args = args[1:] | drop(kwargs) | refuse(kwargs) | x = CALL | CALL | return CALL | return | raise ValueError
print(kwargs) | assert not kwargs | x = CALL if FLAG() else CALL | FLAG() and CALL | [CALL for _ in range(FLAG())]
[kwargs.pop(k, None) for k in (KEY, KEY)] | print((lambda: kwargs.pop(KEY, 1))()) | more.update(kwargs) | kwargs |= more
""".replace("\n", " | ").split(" | ")[1:-1]
BLOCKS = [
    "if TEST: {}",
    "if TEST: {} else: {}",
    "if TEST: {} elif TEST: {} else: {}",
    "for _ in range(FLAG()): {}",
    "for key in table: kwargs.pop(key, None) {}",
    "while FLAG(): {}",
    "try: {} except TypeError: {}",
    "try: {} except Exception: {} finally: {}",
    "with contextlib.suppress(TypeError): {}",
]
TESTS = "kwargs | not kwargs | FLAG() | len(kwargs) > 0 | KEY in kwargs | FLAG() and kwargs | FLAG() or kwargs"
CALLS_OF = (
    "(**kwargs) | (KEYWORD, **kwargs) | (1, **kwargs) | (*args, **kwargs) | (*more, **kwargs) | (**{**more, **kwargs})"
)
TAIL = """
def drop(options):
    if FLAG():
        options.pop("c", None)
def refuse(options):
    if options:
        raise TypeError(options)
table = {"a": 1, "d": 2}
more = {"a": 5}
"""


class Author:
    """Write functions at random, which hand their `**kwargs` on to those before them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def module(self, count: int) -> str:
        return "\n".join([self.function(number) for number in range(count)]) + TAIL

    def function(self, number: int) -> str:
        names = self.random.sample(NAMES, self.random.choice([0, 1, 1, 2]))
        given = [self.random.choice([name, f"{name}=0"]) for name in sorted(names)]
        given.sort(key=lambda text: "=" in text)
        rest = "**kwargs" if number or self.random.random() < 0.2 else ""
        head = f"def f{number}({', '.join(filter(None, [*given, '*args', rest]))}):\n"
        return head + (self.block(number, "    ", 0) if number else "    pass\n")

    def block(self, number: int, indent: str, depth: int) -> str:
        return "".join(
            self.statement(number, indent, depth) for _ in range(self.random.choice([1, 2, 3, 4][: 4 - depth]))
        )

    def statement(self, number: int, indent: str, depth: int) -> str:
        if depth > 1 or self.random.random() < 0.7:
            return f"{indent}{self.filled(self.random.choice(STATEMENTS), number)}\n"
        written = ""
        for head in self.random.choice(BLOCKS).split("{}")[:-1]:
            test, _, first = self.filled(head.strip(), number).partition(":")
            first = f"{indent}    {first.strip()}\n" if first.strip() else ""
            written += f"{indent}{test}:\n{first}{self.block(number, indent + '    ', depth + 1)}"
        return written

    def filled(self, text: str, number: int) -> str:
        while "TEST" in text:
            text = text.replace("TEST", self.random.choice(TESTS.split(" | ")), 1)
        while "CALL" in text:
            text = text.replace(
                "CALL", f"f{self.random.randrange(number)}{self.random.choice(CALLS_OF.split(' | '))}", 1
            )
        text = text.replace("KEYWORD", f"{self.random.choice(NAMES)}=1")
        while "KEY" in text:
            text = text.replace("KEY", repr(self.random.choice(NAMES)), 1)
        return text


class Flag:
    def __init__(self) -> None:
        self.bits = itertools.cycle([0])
        self.left = 0

    def turn(self, bits: list[int]) -> None:
        self.bits = itertools.cycle(bits)
        self.left = 50

    def __call__(self) -> int:
        self.left -= 1
        if self.left < 0:
            raise RecursionError("it would not end")
        return next(self.bits)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**9))
def test_a_call_that_works_is_never_refused(seed: int) -> None:
    text, flag = Author(seed).module(3), Flag()
    for name in ("f1", "f2"):
        target = defined(f"{text}\ntarget = {name}", FLAG=flag, print=str)
        found = signature(target)
        for size, count, bits in itertools.product((0, 1, 2), (0, 1, 2), ([0], [1], [0, 1], [0, 0, 1])):
            for names in itertools.combinations(NAMES, size):
                flag.turn(bits)
                if works(target, count, names):
                    assert fits(found, count, names), (text, name, count, names)


def works(target: Callable[..., object], count: int, names: tuple[str, ...]) -> bool:
    try:
        target(*range(count), **dict.fromkeys(names, 1))
    except Exception:
        return False
    return True


def fits(found: Signature, count: int, names: tuple[str, ...]) -> bool:
    by_position = {item.name for item in found.positional[:count]}
    return (
        (found.open or found.named.keys() >= set(names))
        and (found.any_positional or count <= len(found.positional))
        and not found.required - by_position - set(names)
        and not by_position & set(names)
    )
