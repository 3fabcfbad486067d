"""Reading the plain data of a pickle: the same as unpickling it, but nothing runs."""

from __future__ import annotations

import collections
import contextlib
import os
import pickle
import random
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lighter.config.pickled import OPAQUE, read_pickle

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
PLAIN = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner), max_leaves=30
)


class Runs:
    """An object whose pickle runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_comes_back_as_it_was(value: object, protocol: int) -> None:
    assert read_pickle(pickle.dumps(value, protocol)) == value


def test_text_with_a_lone_surrogate_comes_back() -> None:
    assert read_pickle(pickle.dumps("\udc80", 2)) == "\udc80"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_tuples_are_lists_and_objects_are_opaque_but_what_follows_is_read(protocol: int) -> None:
    shared = ["shared"]
    value = {
        "tuple": (1, (2, 3), ()),
        "objects": [{1, 2}, frozenset([1]), Path("x"), collections.OrderedDict(a=1), 1j, b"x", bytearray(b"x")],
        (1, 2): "a key that is no scalar",
        "twice": [shared, shared],
        "after": [True, None, -(10**30), 2.5],
    }
    read = read_pickle(pickle.dumps(value, protocol))
    assert isinstance(read, dict)
    assert read["tuple"] == [1, [2, 3], []]
    assert read["objects"] == [OPAQUE] * 7
    assert read[OPAQUE] == "a key that is no scalar"
    assert read["twice"] == [["shared"], ["shared"]]
    assert read["after"] == [True, None, -(10**30), 2.5]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_in_it_runs(protocol: int, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    pickled = pickle.dumps({"trap": Runs(f"touch {mark}"), "config": {"a": 1}}, protocol)
    assert read_pickle(pickled) == {"trap": OPAQUE, "config": {"a": 1}}
    assert not mark.exists()
    pickle.loads(pickled)
    assert mark.exists()  # it is a trap


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b"\x80\x02",
        b".",
        b"not a pickle",
        b"\x80\x02}",
        b"\x80\x02e.",
        b"\x80\x02h\x07.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02(0.",
        b"\x80\x02u.",
        b"\x80\x02X\xff\xff\xff\xffx.",
        b"I" + b"9" * 10_000 + b"\n.",
        b"\x80\x02X\x01\x00\x00\x00\xff.",
        pickle.dumps({"a": [1] * 9})[:-3],
    ],
)
def test_what_is_no_pickle_or_contradicts_itself_is_refused(pickled: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        read_pickle(pickled)


def test_any_damage_is_refused_or_read_but_never_runs_or_breaks(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    whole = pickle.dumps({"trap": Runs(f"touch {mark}"), "a": [1, {"b": (2.5, "text")}] * 3, "t": {(1, 2)}}, 2)
    dice = random.Random(0)
    read = refused = 0
    for _ in range(20_000):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            read_pickle(bytes(damaged[: dice.randint(1, 2 * len(damaged))]))
            read += 1
        except ValueError:
            refused += 1
    assert read > 500
    assert refused > 500
    assert not mark.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02Nr" + struct.pack("<I", 2**32 - 1) + b".",  # puts None into the memo's last place
        b"\x80\x05\x8e" + struct.pack("<Q", 2**40) + b"x.",  # bytes, a terabyte of them
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
        b"\x80\x05\x95" + struct.pack("<Q", 2**40) + b"N.",  # a frame of that length
        b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",  # a number
        b"\x80\x02]" + b"(h\x00e" * 100 + b".",
    ],
)
def test_a_claim_of_great_size_costs_nothing(pickled: bytes) -> None:
    tracemalloc.start()
    with contextlib.suppress(ValueError):
        read_pickle(pickled)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("opening", [b"]", b"}", b"(", b")\x85"], ids=["list", "dict", "mark", "tuple"])
@pytest.mark.parametrize("closing", [b"a", b"t", b"R"], ids=["append", "tuple", "reduce"])
def test_depth_breaks_nothing(opening: bytes, closing: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_pickle(b"\x80\x02Nq\x00" + opening * 100_000 + b"N" + closing * 100_000 + b".")


def test_a_deeply_nested_key_breaks_nothing() -> None:
    nested = b"\x80\x02})" + b"\x85" * 300_000  # a tuple of a tuple of …, which Python could not hash
    assert read_pickle(nested + b"Ns.") == {OPAQUE: None}


def test_endless_operations_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lighter.config.pickled.MAX_OPERATIONS", 1000)
    assert read_pickle(b"N0" * 499 + b"N.") is None
    with pytest.raises(ValueError, match="takes more than 1000 operations"):
        read_pickle(b"N0" * 500 + b"N.")
