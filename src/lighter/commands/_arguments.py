"""Tell sources and overrides apart."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from lighter.errors import UsageError, did_you_mean, nearest

SUFFIXES = (".yaml", ".yml", ".ckpt")


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return sources and overrides, each in their order.

    Raises:
        UsageError: an argument is neither, or there is no source.
    """
    sources = [argument for argument in arguments if _is_source(argument)]
    overrides = [argument for argument in arguments if not _is_source(argument)]
    for text in overrides:
        if "=" not in text and not text.startswith("~"):
            raise _neither(text)
    if not sources:
        suggestion = "such as config.yaml, the folder of a run, or a checkpoint"
        raise UsageError("name at least one source", suggestion=suggestion)
    return sources, overrides


def known_stage(name: str) -> str:
    """Return the name of a stage.

    Raises:
        UsageError: it is none.
    """
    from lighter.config.structure import STAGES  # here, as help needs no YAML

    if name not in STAGES:
        suggestion = did_you_mean(name, STAGES) or f"stages: {', '.join(STAGES)}"
        raise UsageError(f"{name!r} is not a stage", value=name, suggestion=suggestion)
    return name


def _neither(text: str) -> UsageError:
    if "/" in text:
        path = Path(text)
        try:
            match = nearest(path.name, (item.name for item in path.parent.iterdir()))
        except OSError:  # there is no parent either
            match = None
        suggestion = f"did you mean {str(path.parent / match)!r}?" if match else None
        return UsageError(f"there is no file or folder {text!r}", value=text, suggestion=suggestion)
    return UsageError(f"{text!r} is neither a file, a folder nor an override", value=text, suggestion=_mend(text))


def _mend(text: str) -> str:
    if not text:
        return "the argument is empty: was a variable of the shell not set?"
    files = {item.stem: item.name for item in Path().glob("*.y*ml")}
    named = files.get(text)
    suggestion = f"did you mean {named!r}?" if named else did_you_mean(text, files.values())
    if match := re.fullmatch(r"(.*\w)(?::| +)([^:\s]+)", text):
        suggestion = f"did you mean {match[1]}={match[2]}?"
    return suggestion or f"an override is written {text}=VALUE"


def _is_source(text: str) -> bool:
    if text.startswith("~"):
        return False
    name, equals, _ = text.partition("=")
    is_path = not equals or "/" in name  # a checkpoint's name holds `=`, and a folder may be named like an override
    if os.path.isdir(text):  # noqa: PTH112 (pathlib raises on long names)
        return is_path or text.endswith("/")
    return (text.endswith(SUFFIXES) and is_path) or os.path.isfile(text)  # noqa: PTH113
