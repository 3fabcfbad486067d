from __future__ import annotations

import collections
import json
import json.decoder
from pathlib import Path

import pytest

from lighter.config.targets import TargetError, import_object


@pytest.fixture(autouse=True)
def _package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    package = folder / "targets_package"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "parts.py").write_text("class Part:\n    class Inner: pass\n", encoding="utf-8")
    (package / "needs.py").write_text("import no_such_dependency.sub\n", encoding="utf-8")
    (package / "broken.py").write_text("def f(:\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("dict", dict),
        ("builtins.dict", dict),
        ("collections.Counter", collections.Counter),
        ("collections.Counter.fromkeys", collections.Counter.fromkeys),
        ("json.decoder.JSONDecoder", json.decoder.JSONDecoder),
        ("json", json),
    ],
)
def test_a_dotted_name_is_the_object(name: str, found: object) -> None:
    assert import_object(name) == found


def test_a_module_of_a_package_is_imported_on_the_way() -> None:
    assert getattr(import_object("targets_package.parts.Part.Inner"), "__name__", "") == "Inner"


@pytest.mark.parametrize(
    ("name", "message", "suggestion"),
    [
        ("collections.Countr", "the module 'collections' has no 'Countr'", "did you mean 'collections.Counter'?"),
        ("collections.Counter.most_comon", "the type 'collections.Counter' has no 'most_comon'", "most_common"),
        ("jsn.loads", "there is no module 'jsn'", "did you mean 'json'?"),
        ("qqqqxyz.loads", "there is no module 'qqqqxyz'", "not installed? pip install qqqqxyz"),
        (
            "targets_package.prats.Part",
            "the module 'targets_package' has no 'prats'",
            "did you mean 'targets_package.parts'?",
        ),
        (
            "targets_package.needs.A",
            "importing 'targets_package.needs' failed: No module named",
            "pip install no_such_dependency",
        ),
        ("targets_package.broken.A", "importing 'targets_package.broken' failed: SyntaxError", None),
        ("a..b", "'a..b' is not a dotted name", None),
        ("", "'' is not a dotted name", None),
        ("a-b.c", "'a-b.c' is not a dotted name", None),
    ],
)
def test_a_name_that_names_nothing_says_what_is_missing(name: str, message: str, suggestion: str | None) -> None:
    with pytest.raises(TargetError) as caught:
        import_object(name)
    assert message in caught.value.message
    assert (suggestion or "") in (caught.value.suggestion or "")
    assert bool(suggestion) == bool(caught.value.suggestion)
