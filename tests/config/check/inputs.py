"""What may stand in a config by accident or malice, each made from its number alone."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lighter.config import compose
from lighter.config.structure import ADAPTERS, MODES, RESERVED, SECTIONS, SLOTS, STAGES
from lighter.config.tree import Plain, join

REPOSITORY = Path(__file__).parents[3]
VALID = Path(__file__).parent / "valid"
SHIPPED = [
    REPOSITORY / "projects" / name for name in ("digits/config.yaml", "digits/config_dict.yaml", "cifar10/config.yaml")
]
PEOPLES = [
    VALID / f"{name}.yaml" for name in ("references_of_all_kinds", "gan_with_two_optimizers", "regression_by_keywords")
]
FILE = "fuzz.yaml"


@dataclass(frozen=True)
class Input:
    """The bytes of a config file and what is asked of it."""

    kind: str
    content: bytes
    overrides: tuple[str, ...]
    stage: str | None
    imports: bool


def make(seed: int, index: int) -> Input:
    """Return one input, always the same for a seed and an index."""
    rng = random.Random(f"{seed} {index}")
    kind = rng.choice(list(KINDS))
    content = KINDS[kind](rng)
    overrides = tuple(_override(rng) for _ in range(rng.choice([0, 0, 1, 3])))
    stage = rng.choice([None, None, *STAGES])
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    return Input(kind, data, overrides, stage, imports=rng.random() < 0.3)


@functools.cache
def text_of(file: Path) -> str:
    """Return a valid config as text that means the same in any folder."""
    text = file.read_text(encoding="utf-8")
    folder = REPOSITORY / "projects" / "digits" if "digits" in file.parts else VALID
    return re.sub(r"(?m)^project: \S+", f"project: {folder}", text)


@functools.cache
def plain_of(file: Path) -> dict[Any, Plain]:
    """Return a valid config as a plain mapping that means the same in any folder."""
    config = compose(file).plain()
    assert isinstance(config, dict)
    if "project" in config:
        config["project"] = str((file.parent / str(config["project"])).resolve())
    return config


def dumped(config: Plain) -> str:
    """Return a config as YAML, fast; what stands in it twice has an anchor and an alias."""
    text: str = yaml.dump(config, Dumper=yaml.CSafeDumper, sort_keys=False)
    return text


# --- noise

MARKS = [
    *"{}[],:'\"@%$&*!|>#\\~=+-?`<.\n\t 01ax",
    "::",
    "@::",
    "%::",
    "<<",
    "---",
    "...",
    "\n  ",
    "\n- ",
    ": ",
    "_target_",
]
ODD = [*"\0\x07\x1b\x7f\x85\u200b\u2028\u2029\ufeff\ud800éß中🙂\u202e\U0010ffff", "e\u0301", "\r", "\r\n", "\x0c"]


def _bytes(rng: random.Random) -> bytes:
    return rng.choice([b"", b"\xef\xbb\xbf", b"\xff\xfe"]) + rng.randbytes(rng.randrange(60))


def _marks(rng: random.Random) -> str:
    return "".join(rng.choices(MARKS, k=rng.randrange(80)))


def _odd(rng: random.Random) -> str:
    return "vars: " + "".join(rng.choices(MARKS + ODD, k=rng.randrange(40)))


# --- YAML of a small grammar

HEADS = [
    "trainer: {_target_: pytorch_lightning.Trainer}\nsystem: {_target_: lighter.System}\n",
    "trainer: {_target_: builtins.dict}\nsystem: {_target_: builtins.dict}\n",
    "",
]
NAMES = ["a", "b", "model", "lr", "params", "optimizer", "monitor", "callbacks", "input_accessor", "pred_argument"]
KEYS = [*SECTIONS, *SLOTS, *MODES, *ADAPTERS, *RESERVED, *RESERVED, *NAMES, *NAMES]
ODD_KEYS = [
    *(
        "::",
        "a::",
        "::a",
        "a::b",
        "vars::a",
        "trainer::callbacks::0",
        "=vars",
        "~vars",
        "=vars::a",
        "~a",
        "=",
        "~",
        "<<",
    ),
    *(
        "1",
        "-1",
        "true",
        "null",
        "1.5",
        ".nan",
        "''",
        '"\\0"',
        '"\\e[2J"',
        "? [a]",
        "? {b: 1}\n",
        "é",
        "🙂",
        "a.b",
        "on",
    ),
    *("_targt_", "_Target_", "__target__", "9" * 30, "x" * 300, "*a", "&a k", "!!int 1"),
]
TARGETS = [
    *("torch.nn.Linear", "torch.nn.Linar", "torch.optim.SGD", "lighter.System", "lighter.adapters.MetricsAdapter"),
    *("pytorch_lightning.Trainer", "pytorch_lightning.callbacks.ModelCheckpoint", "torchmetrics.MeanMetric"),
    *(
        "builtins.dict",
        "dict",
        "len",
        "torch",
        "os.path",
        "math.pi",
        "no.such",
        "",
        ".",
        "..",
        "a..b",
        "torch.",
        ".torch",
    ),
    *("torch.nn.Linear.forward", "sys.modules", "torch.float32", "str.join", "functools.partial", "'a b'", "1a", "ß.é"),
]
TEXTS = [
    *(
        "@",
        "%",
        "$",
        "@@",
        "%%",
        "$$",
        "@::",
        "%::",
        "@::a",
        "%::::a",
        "@::::::::a",
        "@vars",
        "%vars",
        "%vars::a",
        "@vars::a",
    ),
    *(
        "@vars::a::0",
        "@vars::-1",
        "@system",
        "@system::model",
        "@trainer",
        "%trainer",
        "%system",
        "%system::metrics::train",
    ),
    *(
        f"%{FILE}",
        f"%{FILE}::vars",
        "%nothing.yaml",
        "%.yaml",
        "%/",
        "%..",
        "@a.b()",
        "@vars:a",
        "vars::a",
        "\\@a",
        "@é",
        "@1",
    ),
    *(
        "$1 +",
        "$(",
        "$[",
        "$'",
        "$f'{'",
        "$f'{@a",
        "$lambda",
        "$lambda: @::",
        "$@",
        "$@@",
        "$@vars::a + 1",
        "$@a @ @b",
        "$x",
    ),
    *(
        "$import os",
        "$import",
        "$import os as",
        "$from . import x",
        "$from os import *",
        "$import os; 1",
        "$yield",
        "$a := 1",
    ),
    *(
        "$'\\d'",
        "$1 is 1",
        "$" + "(" * 300,
        "$" + "-" * 3000 + "1",
        "$" + "f'{" * 30,
        "$\0",
        "${@vars::a: 1}",
        "$[@::a for a in b]",
    ),
    *(
        "x",
        "5",
        "-0",
        "1e-3",
        "1e999",
        ".inf",
        ".nan",
        "0x",
        "0o9",
        "9" * 5000,
        "1:30",
        "2024-01-31",
        "true",
        "~",
        "null",
        "''",
    ),
    *(
        "val/loss",
        "{epoch}-{a/b",
        "train/loss/epoch",
        '"\\ud800"',
        '"\\0"',
        "'\\d'",
        "x" * 2000,
        "é🙂",
        "*a",
        "`",
        "@`",
        "?",
        "- a",
    ),
]
TAGS = ["!!int", "!!str", "!!python/object/apply:os.system", "!x", "!", "!!float", "!!set", "!!omap", "!!binary"]
RAW = 0.02  # how often text stands without the quotes that YAML wants


def _yaml(rng: random.Random) -> str:
    writer = _Writer(rng)
    entries = "".join(writer.entry(depth=0) for _ in range(rng.randrange(1, 6)))
    start = (
        rng.choice(["%YAML 1.2\n---\n", "%TAG ! x:\n---\n", "---\n", "\ufeff", "# é\n"]) if rng.random() < 0.2 else ""
    )
    end = rng.choice(["\n...\n", "\n---\na: 1\n", "\0", "\n\t", "\nx"]) if rng.random() < 0.1 else "\n"
    return start + rng.choice(HEADS) + entries.lstrip("\n") + end


class _Writer:
    """Write YAML that mostly is YAML: blocks on lines of their own, or in flow style; anchors before aliases."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.anchors: list[str] = []

    def entry(self, depth: int) -> str:
        return "\n" + "  " * depth + f"{self.key()}: {self.node(depth + 1)}"

    def key(self) -> str:
        return self.rng.choice(KEYS if self.rng.random() < 0.9 else ODD_KEYS)

    def node(self, depth: int) -> str:
        """Return a node whose block, if it is one, is indented by `depth`."""
        choice, count = self.rng.random() + depth / 15, self.rng.randrange(1, 5)
        if choice < 0.35:
            return "".join(self.entry(depth) for _ in range(count))
        if choice < 0.5:
            target = self.quoted(self.rng.choice(TARGETS))
            return "\n" + "  " * depth + f"_target_: {target}" + "".join(self.entry(depth) for _ in range(count - 1))
        if choice < 0.6:
            return "".join("\n" + "  " * depth + f"- {self.flow(0)}" for _ in range(count))
        return self.flow(0)

    def flow(self, depth: int) -> str:
        """Return a node that needs no lines of its own."""
        rng, choice, count = self.rng, self.rng.random() + depth / 8, self.rng.randrange(4)
        if choice < 0.12:
            return "{" + ", ".join(f"{self.key()}: {self.flow(depth + 1)}" for _ in range(count)) + "}"
        if choice < 0.22:
            return "[" + ", ".join(self.flow(depth + 1) for _ in range(count)) + "]"
        if choice < 0.26:
            return f"{rng.choice(TAGS)} {self.flow(depth + 1)}"
        if choice < 0.3:
            self.anchors.append(f"n{len(self.anchors)}")
            return f"&{self.anchors[-1]} {self.flow(depth + 1)}"
        if choice < 0.34 and self.anchors:
            return rng.choice(["*{}", "{{<<: *{}, a: 1}}", "{{<<: [*{}]}}"]).format(rng.choice(self.anchors))
        if choice < 0.343:
            deep = rng.choice([20, 90, 90, 90, 101, 3000])
            return rng.choice(["[" * deep + "]" * deep, "{a: " * deep + "}" * deep, "[" * deep])
        return self.quoted(rng.choice(TEXTS if rng.random() < 0.7 else TARGETS))

    def quoted(self, text: str) -> str:
        if self.rng.random() < RAW or text[:1] in ("'", '"'):
            return text
        if text[:1].isalnum() and text.isprintable() and not set(text) & set("[]{},:#&*!|>'\"%"):
            return text
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\0", "\\0") + '"'


# --- valid configs with something wrong


def _mutated(rng: random.Random) -> str:
    lines = text_of(rng.choice(SHIPPED + PEOPLES)).splitlines(keepends=True)
    for _ in range(rng.randrange(1, 4)):
        rng.choice(EDITS)(rng, lines)
    return "".join(lines)


def _delete(rng: random.Random, lines: list[str]) -> None:
    del lines[rng.randrange(len(lines))]


def _duplicate(rng: random.Random, lines: list[str]) -> None:
    at = rng.randrange(len(lines))
    lines.insert(at, _like(rng, lines[at], rng.choice(lines)))


def _swap(rng: random.Random, lines: list[str]) -> None:
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = _like(rng, lines[one], lines[other]), _like(rng, lines[other], lines[one])


def _like(rng: random.Random, place: str, line: str) -> str:
    """Return a line as far to the right as another, mostly."""
    indent = len(place) - len(place.lstrip(" -"))
    return place[:indent] + line.lstrip(" -") if rng.random() < 0.8 else line


def _indent(rng: random.Random, lines: list[str]) -> None:
    at = rng.randrange(len(lines))
    end = next((index for index in range(at, len(lines)) if rng.random() < 0.3), at) + 1
    change = rng.choice(
        [lambda line: f"  {line}", lambda line: line[2:], lambda line: f" {line}", lambda line: f"\t{line}"]
    )
    lines[at:end] = map(change, lines[at:end])


def _flip(rng: random.Random, lines: list[str]) -> None:
    at = rng.randrange(len(lines))
    column = rng.randrange(len(lines[at]) + 1)
    new = rng.choice([*"abc01_.", *MARKS, *MARKS, rng.choice(ODD)])
    lines[at] = lines[at][:column] + new + lines[at][column + rng.randrange(3) :]


def _retarget(rng: random.Random, lines: list[str]) -> None:
    """Give a key some other value."""
    at = rng.randrange(len(lines))
    key, colon, _ = lines[at].partition(": ")
    if colon:
        lines[at] = f"{key}: {_Writer(rng).flow(0)}\n"


def _exchange(rng: random.Random, lines: list[str]) -> None:
    """Swap the values of two keys."""
    places = [index for index, line in enumerate(lines) if ": " in line]
    if places:
        one, other = rng.choice(places), rng.choice(places)
        (key, _, value), (key_2, _, value_2) = lines[one].partition(": "), lines[other].partition(": ")
        lines[one], lines[other] = f"{key}: {value_2}", f"{key_2}: {value}"


EDITS: list[Callable[[random.Random, list[str]], None]] = [
    _delete,
    _duplicate,
    _swap,
    _indent,
    _flip,
    _retarget,
    _exchange,
]


def _rearranged(rng: random.Random) -> str:
    """Put subtrees of a valid config, or values of any kind, in the places of others."""
    config: Plain = plain_of(rng.choice(SHIPPED + PEOPLES))
    for _ in range(rng.randrange(1, 4)):
        places = list(paths(config))
        _, subtree = rng.choice(places)
        there, _ = rng.choice(places)
        config = put(config, there, rng.choice([subtree, subtree, *WRONG]))
    return dumped(config)


WRONG: list[Plain] = [None, 5, "x", [], {}, [[]], {"a": 1}, "@x", "%x", "$", "$(", "@", "%", "::"]


def paths(value: Plain, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Plain]]:
    """Yield each place of a plain config with what stands there."""
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


def put(value: Plain, path: tuple[Any, ...], new: Plain) -> Plain:
    """Return a plain config with another value at a path."""
    if not path:
        return new
    if isinstance(value, list):
        return [put(item, path[1:], new) if index == path[0] else item for index, item in enumerate(value)]
    assert isinstance(value, dict)
    return {**value, path[0]: put(value.get(path[0]), path[1:], new)}


KINDS: dict[str, Callable[[random.Random], str | bytes]] = {
    "bytes": _bytes,
    "marks": _marks,
    "odd": _odd,
    **{f"yaml {number}": _yaml for number in range(5)},
    **{f"mutated {number}": _mutated for number in range(5)},
    "rearranged": _rearranged,
    "rearranged again": _rearranged,
}


def _override(rng: random.Random) -> str:
    path = join(tuple(rng.choice([*KEYS, *ODD_KEYS, "0", "-1"]) for _ in range(rng.randrange(4))))
    value = rng.choice([*TEXTS, *TARGETS, "{_target_: torch.nn.Linear}", "[1, 2]", "{a: 1}", "[", "{a: &x 1, b: *x}"])
    return rng.choice(["", "", "=", "~"]) + path + rng.choice(["=", "=", "+=", ""]) + value
