"""The state of a git repository: its commit, and what differs from it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 10  # that a command of git may take, all of a huge repository
LARGEST = 10_000_000  # bytes of a patch
MOST_NEW = 200  # files that git does not track yet

_OWN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")  # of a git that runs us, say in a hook
_DIFF = (
    "diff",
    "--binary",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "HEAD",
)


@dataclass(frozen=True)
class Git:
    """A repository's folder, its commit (None before the first), and whether there is more than the commit.

    `left_out` says what `uncommitted.patch` does not hold, and why.
    """

    root: str
    commit: str | None = None
    dirty: bool = False
    left_out: str | None = None


def read_git(folder: Path, sources: Sequence[Path] = ()) -> tuple[Git, str] | None:
    """Return a folder's repository and the patch to what is there; None where there is no git or no repository.

    The patch holds all changes to tracked files and, of files that git neither tracks nor ignores, the Python files
    below `folder` and the `sources`.
    """
    try:
        found = _git(folder, "rev-parse", "--show-toplevel", "HEAD").decode("utf-8", "surrogateescape").splitlines()
        root, commit = Path(found[0]), found[1]
    except subprocess.CalledProcessError as error:  # no repository, or one without a commit
        lines = (error.stdout or b"").decode("utf-8", "surrogateescape").splitlines()
        return (Git(lines[0], None, dirty=True, left_out="everything: there is no commit"), "") if lines else None
    except (OSError, subprocess.TimeoutExpired, IndexError):
        return None
    try:
        patch, left_out = _patch(root, folder, sources)
    except (OSError, subprocess.SubprocessError) as error:
        return Git(str(root), commit, dirty=True, left_out=f"everything: {type(error).__name__}"), ""
    return Git(str(root), commit, dirty=bool(patch or left_out), left_out=left_out), patch


def commits_apart(root: Path, one: str, other: str) -> tuple[int, int] | None:
    """Return how many commits each of two has that the other has not; None where the repository does not know them."""
    if not all(re.fullmatch(r"[0-9a-f]{7,64}", commit) for commit in (one, other)):
        return None  # what stands there is no commit, and might be an option
    try:
        counts = _git(root, "rev-list", "--left-right", "--count", f"{one}...{other}").split()
    except (OSError, subprocess.SubprocessError):
        return None
    return int(counts[0]), int(counts[1])


def _patch(root: Path, folder: Path, sources: Sequence[Path]) -> tuple[str, str | None]:
    new, left_out = _new_files(root, folder, sources), None
    if len(new) > MOST_NEW:
        new, left_out = [], f"{len(new)} files that git does not track"
    patch = _with_new_files(root, new) if new else _git(root, *_DIFF)
    if len(patch) > LARGEST:
        return "", f"everything: {len(patch):,} bytes are too much"
    return patch.decode("utf-8", "surrogateescape"), left_out


def _new_files(root: Path, folder: Path, sources: Sequence[Path]) -> list[str]:
    inside = [str(source) for source in sources if root in source.parents]
    below = [f"{folder}/*.py"] if folder == root or root in folder.parents else []
    if not inside and not below:
        return []
    listed = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", *below, *inside)
    return [name for name in listed.decode("utf-8", "surrogateescape").split("\0") if name]


def _with_new_files(root: Path, new: Sequence[str]) -> bytes:
    """Return the difference from the commit with untracked files in it, by way of an index that is thrown away."""
    index = Path(root, os.fsdecode(_git(root, "rev-parse", "--git-path", "index")).rstrip("\n"))
    with tempfile.TemporaryDirectory(prefix="lighter-") as scratch:
        copy = str(Path(scratch, "index"))
        if index.exists():
            shutil.copyfile(index, copy)
        _git(root, "--literal-pathspecs", "add", "--intent-to-add", "--", *new, index=copy)
        return _git(root, *_DIFF, index=copy)


def _git(folder: Path, *arguments: str, index: str | None = None) -> bytes:
    environment = {name: value for name, value in os.environ.items() if name not in _OWN}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"} | ({"GIT_INDEX_FILE": index} if index else {})
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, check=True, env=environment, timeout=SECONDS).stdout
