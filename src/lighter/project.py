"""Make a user's folder importable: as `project`, and its own modules by their names."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

from lighter.config import Config
from lighter.errors import ConfigError, did_you_mean, is_library

MARKER = "__lighter__.py"

# A real module on sys.path, and not just an entry in sys.modules: worker processes that start afresh inherit the path.
_MODULE = """\
from pathlib import Path
__path__ = [{folder!r}]
__file__ = {init!r}
if Path(__file__).is_file():
    exec(compile(Path(__file__).read_text(encoding="utf-8"), __file__, "exec"))
"""


def import_project(config: Config) -> Path | None:
    """Put a config's project folder on the path and return it; without one, the working folder if it is marked.

    The modules of another project, imported before in this process, are forgotten: their names may be the same.

    Raises:
        ConfigError: the folder does not exist.
    """
    folder = project_folder(config)
    if folder is None or (str(folder) in _on_path and all(place in sys.path for place in _on_path)):
        return folder
    _forget()
    stub = tempfile.mkdtemp(prefix="lighter-")
    atexit.register(shutil.rmtree, stub, ignore_errors=True)
    init = str(folder / "__init__.py")
    Path(stub, "project.py").write_text(_MODULE.format(folder=str(folder), init=init), encoding="utf-8")
    _on_path[:] = [stub, str(folder)]
    sys.path[:0] = _on_path
    return folder


_on_path: list[str] = []  # the stub and the folder of the project of the moment


def _forget() -> None:
    """Take the project of the moment off the path, and its modules out of Python's table."""
    for place in _on_path:
        if place in sys.path:
            sys.path.remove(place)
    folders = [Path(place) for place in _on_path]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__dict__", {}).get("__file__")  # and not what a lazy module makes of the question
        theirs = file and not is_library(file) and any(place in Path(file).parents for place in folders)
        if theirs or name.split(".")[0] == "project":
            del sys.modules[name]
    _on_path.clear()


def project_folder(config: Config) -> Path | None:
    """Return a config's project folder; without one, the working folder if it is marked.

    Raises:
        ConfigError: it does not exist.
    """
    node = config.find("project")
    if node is None or not isinstance(node.value, str):  # no text is told of as part of the structure
        here = Path.cwd()
        return here if (here / MARKER).is_file() else None
    name = Path(node.value)
    places = [Path.cwd() / name]
    if node.place.file:
        places.append(Path(node.place.file).resolve().parent / name)
    for place in places:
        if os.path.isdir(place):  # noqa: PTH112 (pathlib raises on names that cannot exist)
            return place.resolve()
    siblings = (item.name for item in places[-1].parent.glob("*/"))
    suggestion = did_you_mean(name.name, siblings)
    where = " in the working folder or beside the config"
    if name.is_absolute():  # as a run writes it down
        where, suggestion = "", "if it has moved, say where it is: project=FOLDER"
    message = f"there is no folder {str(name)!r}{where}"
    raise ConfigError(message, place=node.place, path="project", value=str(name), suggestion=suggestion)
