"""One line of help on a class, a function or one of its arguments, from what its docstrings say."""

from __future__ import annotations

import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from types import FunctionType
from typing import Any

WIDTH = 90

_TYPE = r"(?:\((?:[^()]|\([^()]*\))*\))?"  # in parentheses, with parentheses in it
_DASH = r"(?:\u2013|\u2014|--)"
_SIGNATURE = re.compile(r"[\w.]+\s?\(.*\)\s*(?:->.*|-\s.*)?", re.DOTALL)
_SECTION = re.compile(
    r"(?:Args|Arguments|Parameters|Params|(?:Keyword|Other|Additional)\s\w+|Attributes)\s*:+", re.IGNORECASE
)
_NUMPY_SECTION = re.compile(r"(?:Other )?Parameters|Attributes")
_DIRECTIVE = re.compile(r"\s*(?:\.\.|>>>|```|:\w+[^`]*:\s|[-=~^]{3,}$)")
_SENTENCE = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)(?<!\bvs)(?<!\betc)(?<!\bE\.g)(?<!\.)[.!?](?=\s|$)|\sDefault:")
_MARKUP = [
    (re.compile(r":math:`[^`]*\\[^`]*`"), ""),  # LaTeX that only a browser can show
    (re.compile(r":[\w:+-]+:`!?~[^`<]*?([\w()]+)`"), r"\1"),  # :class:`~x.Y`
    (re.compile(r"(?::[\w:+-]+:)?`([^`<]+?)\s*<[^`>]*>`_{0,2}"), r"\1"),  # a text with its target
    (re.compile(r":[\w:+-]+:`!?([^`]*)`"), r"\1"),
    (re.compile(r"``+([^`]*)``+"), r"\1"),
    (re.compile(r"`([^`]*)`_{0,2}"), r"\1"),
    (re.compile(r"\[([^\]]+)\]\([^)]*\)"), r"\1"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"\1"),
    (re.compile(r"(?<![\w*\\])\*([^*\s][^*]*)(?<!\\)\*(?![\w*])"), r"\1"),
    (re.compile(r"\\([*_`|\\])"), r"\1"),
    (re.compile(r"#\s*noqa\S*(?:\s+[A-Z]+[0-9]+)*"), ""),
    (re.compile(r"\s+"), " "),
    (re.compile(r"\s([,.;:])(?=\s|$)"), r"\1"),
]


def summary(target: object) -> str | None:
    """Return the first sentence of an object's own docstring, without markup."""
    try:
        return next(filter(None, map(_opening, _own_docs(target))), None)
    except Exception:  # docstrings are anyone's text, and may be anything else
        return None


def argument_help(owner: object, name: str) -> str | None:
    """Return what the docstrings of a class and its bases, or of a function, say of an argument in one line."""
    try:
        return next(filter(None, (_described(doc, name) for doc in _docs(owner))), None)
    except Exception:  # as above
        return None


def argument_text(owner: object, name: str) -> str:
    """Return all that the docstrings of a class and its bases, or of a function, say of an argument, its type too."""
    try:
        return "\n".join("\n".join(lines) for doc in _docs(owner) for _, *lines in _entries(doc, name))
    except Exception:  # as above
        return ""


def _own_docs(target: Any) -> Iterator[str]:
    """Yield an object's docstring, and for a class that of what makes its instances."""
    if isinstance(target, functools.partial):
        target = target.func
    if isinstance(target, type):
        found = [vars(target).get("__doc__")]
        makers = [vars(target).get(name) for name in ("__init__", "__new__")]
        found += [maker.__doc__ for maker in makers if isinstance(maker, FunctionType)]  # others tell of any class
    else:
        of_values = type(target).__module__ == "builtins" and not (
            inspect.isroutine(target) or inspect.ismodule(target)
        )
        found = [None if of_values else getattr(target, "__doc__", None)]
    yield from (inspect.cleandoc(doc) for doc in found if isinstance(doc, str))


def _docs(owner: Any) -> Iterator[str]:
    if isinstance(owner, functools.partial):
        owner = owner.func
    if inspect.isroutine(owner):
        yield from _own_docs(owner)
        owner = _class_of(owner)
    bases = inspect.getmro(owner) if isinstance(owner, type) else (owner,)
    for base in bases:
        if getattr(base, "__module__", "") != "builtins":
            yield from _own_docs(base)


def _class_of(function: Any) -> Any:
    """Return the class of a method by the method's name; its docstring may tell the arguments."""
    *names, _ = function.__qualname__.split(".")
    found: Any = sys.modules.get(function.__module__) if names else None
    for name in names:
        found = getattr(found, name, None)
    return found


def _opening(doc: str) -> str | None:
    for paragraph in doc.split("\n\n"):
        if _SIGNATURE.fullmatch(paragraph.strip()) or _DIRECTIVE.match(paragraph) or not paragraph.strip():
            continue
        return None if _SECTION.fullmatch(paragraph.strip().splitlines()[0]) else _line(paragraph.splitlines())
    return None


def _described(doc: str, name: str) -> str | None:
    return next(filter(None, (_line([text, *rest]) for text, _, *rest in _entries(doc, name))), None)


def _entries(doc: str, name: str) -> Iterator[list[str]]:
    """Yield what a docstring says of an argument: the text of the first line, and all lines of the entry."""
    lines = doc.splitlines()
    name = rf"(?:[\w*]+\s*,\s*)*\\?\*{{0,2}}{re.escape(name)}(?:\s*,\s*[\w*]+)*"  # or several that are told as one
    for found in (_in_google_section(lines, name), _in_numpy_section(lines, name), _as_field(lines, name)):
        for index, text in found:
            yield [text, lines[index], *_continued(lines, index)]


def _in_google_section(lines: list[str], name: str) -> Iterator[tuple[int, str]]:
    """Find `name (type): text` in a section such as `Args:`."""
    entry = re.compile(rf"\s*[`*]*{name}[`*]*\s*{_TYPE}\s*(?::|{_DASH}|\s-)\s*(.*)")
    section: int | None = None
    for index, line in enumerate(lines):
        if _SECTION.fullmatch(line.strip()):
            section = _indent(line)
        elif section is not None and line.strip() and _indent(line) <= section:
            section = None
        elif section is not None and (match := entry.match(line)):
            yield index, match[1]


def _in_numpy_section(lines: list[str], name: str) -> Iterator[tuple[int, str]]:
    """Find `name : type` with its text beneath, in a section with a line under its name."""
    entry = re.compile(rf"{name}\s*(?::.*)?")
    inside = False
    for index, line in enumerate(lines[:-1]):
        if re.fullmatch(r"-{3,}", lines[index + 1].strip()):
            inside = _NUMPY_SECTION.fullmatch(line.strip()) is not None
        elif inside and entry.fullmatch(line.strip()) and _indent(lines[index + 1]) > _indent(line):
            yield index, ""


def _as_field(lines: list[str], name: str) -> Iterator[tuple[int, str]]:
    """Find `:param name: text`, or `* **name** (type) - text`, anywhere."""
    field = re.compile(rf"\s*:(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?{name}\s*:\s*(.*)")
    item = re.compile(rf"\s*[-*+]\s+(?:\*\*|``?|)\b{name}(?:\*\*|``?|)\s*{_TYPE}\s*(?::|{_DASH}|-)(?:\s+|$)(.*)")
    for index, line in enumerate(lines):
        if match := field.match(line) or item.match(line):
            yield index, match[1]


def _continued(lines: list[str], index: int) -> Iterator[str]:
    """Yield the lines that go on with an entry: those indented more, up to an empty one."""
    for line in lines[index + 1 :]:
        if not line.strip() or _indent(line) <= _indent(lines[index]):
            return
        yield line


def _line(lines: list[str]) -> str | None:
    """Return the first sentence of a text's first paragraph."""
    text: list[str] = []
    for line in lines:
        if _DIRECTIVE.match(line) or (text and re.match(r"\s*[-*+]\s", line)):
            break
        text.append(line.strip())
    plain = " ".join(text)
    for pattern, replacement in _MARKUP:
        plain = pattern.sub(replacement, plain)
    end = _SENTENCE.search(plain)
    plain = (plain[: end.start()] if end else plain).strip(": ")
    return textwrap.shorten(plain, WIDTH, placeholder="…") or None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
