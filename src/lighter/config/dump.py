"""A composed config as YAML text that loads again to the same values, here and in any YAML 1.1 reader."""

from __future__ import annotations

import io
import math

import yaml

from lighter.config.load import is_text
from lighter.config.tree import Plain


class _Dumper(yaml.SafeDumper):
    """Quote text that some reader would take for something else; indent lists; never write aliases."""

    def ignore_aliases(self, _: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


class _OneLineDumper(_Dumper):
    """Write everything in one line."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


def _text_in_one_line(dumper: _OneLineDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "\n" in text else _style(text))


def _style(text: str) -> str:
    if not text.replace("\n", "").isprintable():
        return '"'  # the one style that escapes, so that odd line breaks stay what they are
    if "\n" in text:
        return '"' if text.startswith("\n") or text.endswith("\n\n") else "|"  # what hardly shows is escaped
    return "" if is_text(text) else "'"


_Dumper.add_representer(str, _text)
_OneLineDumper.add_representer(str, _text_in_one_line)


def dump(value: Plain) -> str:
    """Return a plain config as YAML, keys in their order."""
    return serialize(represent(value))


def dump_in_one_line(value: Plain) -> str:
    """Return a plain config as one line of YAML, without a line break at its end."""
    dumper = _OneLineDumper(io.StringIO(), sort_keys=False, default_flow_style=True)
    return serialize(dumper.represent_data(value)).rstrip("\n")


def represent(value: Plain) -> yaml.Node:
    """Return the YAML nodes of a plain config, which `serialize` writes."""
    return _Dumper(io.StringIO(), sort_keys=False, default_flow_style=False).represent_data(value)


def serialize(node: yaml.Node) -> str:
    """Write YAML nodes: text in one line however long, unless it holds line breaks."""
    text: str = yaml.serialize(node, Dumper=_Dumper, allow_unicode=True, width=math.inf)
    return text.removesuffix("...\n") if text.endswith("\n...\n") else text
