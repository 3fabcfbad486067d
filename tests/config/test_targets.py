from __future__ import annotations

import collections
import json
import json.decoder
import sys
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
    (package / "fails.py").write_text("def f():\n    open('/no/such/file')\nf()\n", encoding="utf-8")
    (package / "alike.py").write_text("import json as part\nclass Part: pass\n", encoding="utf-8")
    (package / "nameless.py").write_text("raise ModuleNotFoundError('no driver')\n", encoding="utf-8")
    (package / "of_project.py").write_text("import project.parts\n", encoding="utf-8")
    path = [entry for entry in sys.path if not Path(entry, "project.py").exists()]
    monkeypatch.setattr(sys, "path", path)
    monkeypatch.delitem(sys.modules, "project", raising=False)


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
        ("collections.Counter.most_comon", "the class 'collections.Counter' has no 'most_comon'", "most_common"),
        ("jsn.loads", "there is no module 'jsn'", "did you mean 'json'?"),
        ("tmie.sleep", "there is no module 'tmie'", "pip install tmie"),
        ("project.parts.Net", "there is no module 'project'", "the config needs `project: FOLDER`"),
        ("targets_package.of_project.A", "No module named 'project'", "the config needs `project: FOLDER`"),
        ("targets_package.alike.Prt", "has no 'Prt'", "did you mean 'targets_package.alike.Part'?"),
        ("targets_package.nameless.A", "importing 'targets_package.nameless' failed: no driver", None),
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


@pytest.mark.parametrize(
    ("module", "where"),
    [
        ("fails", "fails.py:2 in f: open('/no/such/file')"),
        ("needs", "needs.py:1 in <module>: import no_such_dependency.sub"),
        ("broken", "broken.py:1: def f(:"),
    ],
)
def test_a_failing_import_says_where_in_the_users_code(module: str, where: str) -> None:
    with pytest.raises(TargetError) as caught:
        import_object(f"targets_package.{module}.A")
    assert "\n  at /" in caught.value.message
    assert caught.value.message.endswith(f"/targets_package/{where}")
