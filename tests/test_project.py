from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from lighter.config import compose
from lighter.errors import ConfigError
from lighter.project import import_project

BODY = "trainer: {_target_: builtins.dict}\nsystem: {_target_: builtins.dict}\n"


def write(folder: Path, text: str) -> str:
    (folder / "nets").mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text("WHERE = __file__\n")
    (folder / "nets" / "__init__.py").write_text("")
    (folder / "nets" / "net.py").write_text("NAME = 'net'\n")
    (folder / "config.yaml").write_text(text + BODY)
    return str(folder / "config.yaml")


def test_a_project_is_importable_as_project_and_by_its_own_names(tmp_path: Path) -> None:
    config = write(tmp_path / "mine", "project: ../mine\n")
    assert import_project(compose([config])) == tmp_path / "mine"
    assert str(tmp_path / "mine" / "__init__.py") == importlib.import_module("project").WHERE
    assert importlib.import_module("project.nets.net").NAME == "net"
    assert importlib.import_module("nets.net").NAME == "net"


def test_a_project_is_found_from_the_working_folder_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(tmp_path / "a" / "code", "project: code\n")
    write(tmp_path / "b" / "code", "")
    monkeypatch.chdir(tmp_path / "b")
    assert import_project(compose([config])) == tmp_path / "b" / "code"


def test_a_project_may_have_no_init(tmp_path: Path) -> None:
    config = write(tmp_path / "mine", "project: ../mine\n")
    (tmp_path / "mine" / "__init__.py").unlink()
    import_project(compose([config]))
    assert importlib.import_module("project.nets.net").NAME == "net"


def test_a_marker_makes_the_working_folder_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(tmp_path, "")
    monkeypatch.chdir(tmp_path)
    assert import_project(compose([config])) is None
    (tmp_path / "__lighter__.py").touch()
    assert import_project(compose([config])) == tmp_path


def test_a_missing_project_is_an_error_with_the_nearest_folder(tmp_path: Path) -> None:
    config = write(tmp_path / "mine", "project: ../mien\n")
    with pytest.raises(ConfigError, match=r"config.yaml:1:10: project: there is no folder '../mien'(.|\n)*'mine'"):
        import_project(compose([config]))


def test_another_project_with_modules_of_the_same_names_is_another(tmp_path: Path) -> None:
    import_project(compose([write(tmp_path / "a", "project: ../a\n")]))
    assert importlib.import_module("nets.net").NAME == "net"
    config = write(tmp_path / "b", "project: ../b\n")
    (tmp_path / "b" / "nets" / "net.py").write_text("NAME = 'other'\n")
    import_project(compose([config]))
    assert importlib.import_module("nets.net").NAME == "other"
    assert importlib.import_module("project.nets.net").NAME == "other"
    assert str(tmp_path / "b" / "__init__.py") == importlib.import_module("project").WHERE


def test_installed_packages_in_a_project_folder_are_not_forgotten(tmp_path: Path) -> None:
    config = write(tmp_path / "a", "project: ../a\n")
    installed = tmp_path / "a" / ".venv" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "heavy.py").write_text("")
    sys.path.append(str(installed))
    import_project(compose([config]))
    heavy = importlib.import_module("heavy")
    import_project(compose([write(tmp_path / "b", "project: ../b\n")]))
    assert sys.modules.pop("heavy") is heavy
    sys.path.remove(str(installed))


def test_a_project_taken_off_the_path_by_others_is_put_back(tmp_path: Path) -> None:
    config = compose([write(tmp_path / "a", "project: ../a\n")])
    import_project(config)
    sys.path[:] = [place for place in sys.path if "lighter-" not in place and not place.startswith(str(tmp_path))]
    sys.modules.pop("project", None)
    import_project(config)
    assert importlib.import_module("project.nets.net").NAME == "net"
