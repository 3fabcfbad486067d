"""A composed config as YAML text that loads again to the same values, here and in any YAML 1.1 reader."""

from __future__ import annotations

import yaml

from lighter.config.load import is_text
from lighter.config.tree import Plain


class _Dumper(yaml.SafeDumper):
    """Quote text that some reader would take for something else; never write aliases."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


def _style(text: str) -> str:
    if not text.replace("\n", "").isprintable():
        return '"'  # the one style that escapes, so that odd line breaks stay what they are
    if "\n" in text:
        return "|"
    return "" if is_text(text) else "'"


_Dumper.add_representer(str, _text)


def dump(value: Plain) -> str:
    """Return a plain config as YAML, keys in their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
