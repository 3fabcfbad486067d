"""The tree is layered: the config wing knows no torch, and the torch wing no config."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lighter

PACKAGE = Path(lighter.__file__).parent
TORCH_WING = [
    PACKAGE / "system.py",
    PACKAGE / "adapters.py",
    *sorted((PACKAGE / "callbacks").rglob("*.py")),
    *sorted((PACKAGE / "utils").rglob("*.py")),
]
HEAVY = ("torch", "pytorch_lightning", "torchmetrics", "torchvision", "numpy", "fire", "rich")


def imported(file: Path) -> Iterator[str]:
    """Yield the full names of the modules that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
            base = ".".join([*parts[: len(parts) - node.level], *([node.module] if node.module else [])])
            module = base if node.level else str(node.module)
            yield from (module, *(f"{module}.{name.name}" for name in node.names))


def test_the_config_wing_and_the_package_itself_never_import_torch() -> None:
    modules = ["lighter", "lighter.errors"]
    modules += [f"lighter.config.{file.stem}" for file in sorted((PACKAGE / "config").glob("[!_]*.py"))]
    code = f"import sys, {', '.join(modules)}\nprint(*sorted(set({HEAVY}) & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(modules) > 8
    assert done.stdout.split() == []


@pytest.mark.parametrize("file", TORCH_WING, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_torch_wing_never_imports_the_config_wing(file: Path) -> None:
    assert [name for name in imported(file) if f"{name}.".startswith("lighter.config.")] == []


def test_imports_are_read_in_every_form(tmp_path: Path) -> None:
    found = {name for file in (PACKAGE / "config").glob("*.py") for name in imported(file)}
    assert {"lighter.config.tree", "lighter.errors", "yaml", "lighter.config.compose.compose"} <= found
